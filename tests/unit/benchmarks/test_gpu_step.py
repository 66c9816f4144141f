import sys
from pathlib import Path

import pytest

from benchmarks.gpu_step import ChildFailed, StepFile, StepResult, child

ECHO = """
from benchmarks.gpu_step import answer_questions
print("what a library prints")
def answer(question):
    print("and more of it")
    if question["number"] > 2:
        raise ValueError("no more than 2\\nFor debugging consider something")
    return {"twice": 2 * question["number"]}
answer_questions(answer)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_child_answers_whatever_libraries_print(tmp_path: Path) -> None:
    with child(python(ECHO), tmp_path / "log") as process:
        answers = [process.ask({"number": number}, 60) for number in (1, 2)]
    assert answers == [{"twice": 2}, {"twice": 4}]
    assert "and more of it" in (tmp_path / "log").read_text()


def test_failure_of_child_is_the_error_of_its_traceback(tmp_path: Path) -> None:
    with child(python(ECHO), tmp_path / "log") as process:
        process.ask({"number": 1}, 60)
        for _ in range(2):  # the process reads the first question, and is gone at the second
            with pytest.raises(ChildFailed, match=r"^ValueError: no more than 2$"):
                process.ask({"number": 3}, 60)


def test_failure_of_child_without_traceback_is_its_last_line(tmp_path: Path) -> None:
    with (
        child(python("import sys; sys.exit('one\\ntwo')"), tmp_path / "log") as process,
        pytest.raises(ChildFailed, match=r"^two$"),
    ):
        process.ask({}, 60)


def test_child_that_ends_without_a_word_failed(tmp_path: Path) -> None:
    with (
        child(python("pass"), tmp_path / "log") as process,
        pytest.raises(ChildFailed, match="it ended"),
    ):
        process.ask({}, 60)


def test_child_that_hangs_is_ended(tmp_path: Path) -> None:
    with (
        child(python("import time; time.sleep(600)"), tmp_path / "log") as process,
        pytest.raises(ChildFailed, match=r"no answer to \{'n': 1\} within 0.1 s"),
    ):
        process.ask({"n": 1}, 0.1)
    assert process._process.returncode is not None


def test_rows_and_notes_are_in_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "step.json"
    step = StepFile(path)
    assert StepResult.read(path) == StepResult()
    step.add(batch=8, ms=2.5)
    step.note("a batch of 16 found no memory")
    assert StepResult.read(path) == StepResult(
        [{"batch": 8, "ms": 2.5}], ["a batch of 16 found no memory"]
    )


def test_step_that_wrote_nothing_is_empty(tmp_path: Path) -> None:
    assert StepResult.read(tmp_path / "missing.json") == StepResult()
