from pathlib import Path

from tests.integration.cli.command_process import assert_one_line, run


def test_ready_path_with_another_file_is_misuse(tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_text("weights")
    options = ("--data", tmp_path / "data", "--ready-file", tmp_path / "model.pth")
    done = run("up", *options)
    assert_one_line(done, 2, f"{tmp_path}/model.pth: it is no ready file; name another file")
    assert [path.name for path in tmp_path.iterdir()] == ["model.pth"]


def test_refused_start_writes_no_ready_file(tmp_path: Path) -> None:
    ready_file = tmp_path / "ready.json"
    options = ("--config", tmp_path / "gone.yaml", "--data", tmp_path / "data")
    done = run("up", *options, "--ready-file", ready_file)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"lesionserve: {tmp_path}/gone.yaml: ")
    assert not ready_file.exists()
