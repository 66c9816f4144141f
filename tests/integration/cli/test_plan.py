"""`lesionserve plan` as a process."""

from tests.integration.cli.command_process import assert_one_line, run


def test_plan_says_what_is_needed_and_full_first():
    done = run("plan", "--images-per-hour", "600", "--engine", "openvino-int8")
    assert (done.returncode, done.stderr) == (0, "")
    assert "replicas of the model" in done.stdout
    assert "1 + 1" in done.stdout
    assert "Full first" in done.stdout


def test_unknown_engine_is_misuse():
    done = run("plan", "--images-per-hour", "600", "--engine", "tensorrt")
    assert_one_line(done, 2, "no such engine")
