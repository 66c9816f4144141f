"""What the steps of the GPU benchmark share: results that are never lost, and processes.

A step runs in a process of its own, and so does each contender within it. An error on a GPU ends
the process, or leaves it unable to use the GPU again.
"""

import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self, TextIO

from benchmarks.measure import Spread

_STOP_WITHIN_S = 30.0
# The environment variable that names the pipe for answers: what libraries print is in stdout.
_ANSWERS = "BENCHMARK_ANSWERS"

# The first line that is not indented after the lines of a traceback.
_ERROR = re.compile(r"^Traceback .*\n(?:[ ].*\n|\n)*(\S.*)", re.MULTILINE)

Row = dict[str, Any]


class ChildFailed(Exception):
    """A process of the benchmark ended, or did not answer in time."""


@dataclass
class StepResult:
    """The rows that a step measured, and notes on what it left out and why."""

    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the result in a file; an empty one where a step wrote none."""
        return cls(**json.loads(path.read_text())) if path.exists() else cls()


class StepFile:
    """The result of a step that runs, written to its file with each row and note."""

    def __init__(self, path: Path) -> None:
        self.result = StepResult()
        self._path = path
        self._write()

    def add(self, **row: Any) -> None:
        self.result.rows.append(row)
        print(f"benchmarks: {row}", file=sys.stderr)
        self._write()

    def note(self, text: str) -> None:
        self.result.notes.append(text)
        print(f"benchmarks: {text}", file=sys.stderr)
        self._write()

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(asdict(self.result), indent=1) + "\n")


class Child:
    """A process that `answer_questions`."""

    def __init__(self, process: "subprocess.Popen[str]", answers: TextIO, log: Path) -> None:
        self._process = process
        self._answers = answers
        self._log = log

    def ask(self, question: Row, within_s: float) -> Row:
        """Return the answer to a question. Raise ChildFailed."""
        assert self._process.stdin is not None
        try:
            print(json.dumps(question), file=self._process.stdin, flush=True)
        except BrokenPipeError as error:
            raise ChildFailed(self._ending()) from error
        if not select.select([self._answers], [], [], within_s)[0]:
            raise ChildFailed(f"no answer to {question} within {within_s:g} s")
        line = self._answers.readline()
        if not line:
            raise ChildFailed(self._ending())
        answer: Row = json.loads(line)
        return answer

    def _ending(self) -> str:
        """Return the error of the last traceback that the process wrote, or else its last line."""
        self._process.wait(_STOP_WITHIN_S)
        text = self._log.read_text(errors="replace").rstrip()
        if errors := _ERROR.findall(text):
            return str(errors[-1])
        return text.split("\n")[-1] or "it ended"


@contextmanager
def child(command: Sequence[str], log: Path) -> Iterator[Child]:
    """Start a process that `answer_questions`, and end it after the block."""
    log.parent.mkdir(parents=True, exist_ok=True)
    reading, writing = os.pipe()
    with log.open("w") as output, os.fdopen(writing, "w"):
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            text=True,
            pass_fds=[writing],
            env={**os.environ, _ANSWERS: str(writing)},
        )
    assert process.stdin is not None
    answers = os.fdopen(reading)
    try:
        yield Child(process, answers, log)
    finally:
        process.kill()
        process.wait(_STOP_WITHIN_S)
        answers.close()
        with suppress(BrokenPipeError):  # for a question that was not read
            process.stdin.close()


def answer_questions(answer: Callable[[Row], Row]) -> None:
    """Answer each question, a line of JSON on stdin, by a line on a pipe of its own."""
    answers = os.fdopen(int(os.environ[_ANSWERS]), "w")
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


def spread(seconds: Sequence[float]) -> str:
    """Return the median in milliseconds, with its quartiles."""
    return str(Spread.of([1000 * value for value in seconds]))
