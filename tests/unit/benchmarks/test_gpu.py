import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu import Step
from benchmarks.gpu_step import StepResult


class Script(Step):
    """A step that runs a script, which finds the file of its result in `sys.argv[1]`."""

    def command(self, result: Path) -> list[str]:
        return [sys.executable, "-c", self.module, str(result)]


ADD = "import sys; from benchmarks.gpu_step import StepFile; s = StepFile(sys.argv[1]); s.add(a=1)"
ADD = ADD.replace("StepFile(sys.argv[1])", "StepFile(__import__('pathlib').Path(sys.argv[1]))")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(gpu, "FOLDER", tmp_path)
    monkeypatch.setattr(gpu, "gpu", lambda: "a GPU")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    return tmp_path


def test_nothing_runs_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu, "run_step", lambda *_: pytest.fail("a step was run"))
    result = gpu.run()
    assert "PyTorch finds no GPU: skipped" in capsys.readouterr().err
    assert {figure.measured for figure in result.figures} == {"not in this run"}
    assert {figure.met for figure in result.figures} == {None}


def test_failing_step_loses_no_result(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = {
        "first": Script(f"{ADD}; raise SystemExit(3)", (), 60),
        "second": Script(ADD, (), 60),
    }
    monkeypatch.setattr(gpu, "STEPS", steps)
    gpu.run(["first", "second"])
    document = json.loads((folder / "gpu.json").read_text())["details"]
    assert document["gpu"] == "a GPU"
    assert [step["rows"] for step in document["steps"].values()] == [[{"a": 1}]] * 2
    assert "ended with exit code 3" in document["steps"]["first"]["notes"][0]
    assert document["steps"]["second"]["notes"] == []
    assert "| a |" in (folder / "gpu.md").read_text()


def test_step_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    step = Script("import time; time.sleep(600)", (), 0.5)
    result = gpu.run_step(step, tmp_path / "step.json")
    assert result.rows == []
    assert "was stopped after 0.5 s" in result.notes[0]


def test_stopped_step_ends_what_it_began(tmp_path: Path) -> None:
    file = tmp_path / "ended"
    code = (
        "import sys, time\n"
        "try:\n    print('began', flush=True); time.sleep(600)\n"
        "finally:\n    open(sys.argv[1], 'w').close()"
    )
    with subprocess.Popen([sys.executable, "-c", code, file], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        gpu._stop(process)
    assert file.exists()


def test_result_of_an_earlier_run_is_not_reported(tmp_path: Path) -> None:
    file = tmp_path / "step.json"
    file.write_text(json.dumps({"rows": [{"old": 1}], "notes": []}))
    assert gpu.run_step(Script("pass", (), 60), file) == StepResult()


@pytest.mark.parametrize("name", gpu.STEPS)
def test_every_step_is_a_module_that_writes_its_file_first(name: str, tmp_path: Path) -> None:
    step = gpu.STEPS[name]
    assert step.command(tmp_path)[1:4] == ["-m", f"benchmarks.{step.module}", str(tmp_path)]
    assert (Path(gpu.__file__).parent / f"{step.module}.py").exists()
