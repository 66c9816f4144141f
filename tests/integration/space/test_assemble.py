import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.errors import StackError
from cluster.space import content
from cluster.space.assemble import assemble
from gateway.access.token import Token
from serve_app.paths import ROOT


def files(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("assembled") / "space"
    assemble(ROOT, folder)
    return folder


@pytest.fixture
def clone(space: Path, tmp_path: Path) -> Iterator[Path]:
    """A small repository with what a Space needs, which tests may spoil."""
    root = tmp_path / "clone"
    shutil.copytree(space, root)
    (root / "cluster" / "space").mkdir()
    for name in content.OWN:
        shutil.move(root / name, root / "cluster" / "space" / name)
    git(root, "init", "--quiet")
    git(root, "add", ".")
    yield root
    shutil.rmtree(root)


def refusal(root: Path, folder: Path) -> str:
    with pytest.raises(StackError) as raised:
        assemble(root, folder)
    return str(raised.value)


def add(root: Path, path: str, content: bytes) -> None:
    (root / path).write_bytes(content)
    git(root, "add", "--force", path)


def test_folder_holds_what_image_is_built_from(space: Path):
    names = set(files(space))
    assert {"README.md", "Dockerfile", "pyproject.toml", "constraints.txt", "LICENSE"} <= names
    assert {"configs/serve/space.yaml", "weights/demo/model.pth"} <= names
    assert {"gateway/asgi.py", "serve_app/app.py", "cluster/cli/main.py"} <= names
    assert {path.parts[0] for path in map(Path, names) if len(path.parts) > 1} == {
        *("cluster", "configs", "gateway", "pipeline", "serve_app", "weights"),
    }


def test_folder_holds_nothing_that_is_not_needed(space: Path):
    names = [name.lower() for name in files(space)]
    for word in ("test", ".env", ".sqlite", ".git", "benchmark", "nginx", "kubernetes", "recipe"):
        assert not [name for name in names if word in name], word


def test_folder_is_whole_package(space: Path, tmp_path: Path):
    """Everything that the service imports is in it: nothing else is on the path."""
    code = (
        "import sys; sys.path[:0] = [sys.argv[1]]; import cluster.cli.main, cluster.cli.up, "
        "cluster.launcher.startup, serve_app.__main__, gateway.asgi; "
        "print({m.__file__.startswith(sys.argv[1]) for n, m in sys.modules.items() if "
        "n.split('.')[0] in ('cluster', 'gateway', 'pipeline', 'serve_app') and m.__file__})"
    )
    environment = {
        "LESIONSERVE_SECRET_KEY": "k" * 50,
        "LESIONSERVE_SERVICE_TOKEN": "t" * 32,
        "LESIONSERVE_AUDIT_KEY": "a" * 32,
        "DATABASE_URL": f"sqlite:///{tmp_path}/database",
        "DJANGO_SETTINGS_MODULE": "gateway.settings",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(space)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "{True}", done.stderr


def test_same_repository_gives_same_bytes(space: Path, tmp_path: Path):
    assemble(ROOT, tmp_path / "space")
    assert files(tmp_path / "space") == files(space)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in space.rglob("*") if path.is_file()}
    assert modes == {0o644}


def test_untracked_file_is_not_published(clone: Path, tmp_path: Path):
    (clone / "gateway" / "mine.py").write_text("password = 1\n")
    (clone / "weights" / "demo" / "golden" / "patient.jpg").write_bytes(b"\xff\xd8")
    (clone / "notes.txt").touch()
    assert content.left_out(clone) == ["gateway/mine.py", "weights/demo/golden/patient.jpg"]
    assemble(clone, tmp_path / "space")
    names = set(files(tmp_path / "space"))
    assert not names & {"gateway/mine.py", "weights/demo/golden/patient.jpg"}


def test_file_off_the_list_is_not_published(space: Path, clone: Path, tmp_path: Path):
    for path in ("gateway.env", "gateway/notes.txt", "weights/other.pth", "gateway/db.sqlite3"):
        add(clone, path, b"x")
    assemble(clone, tmp_path / "space")
    assert files(tmp_path / "space") == files(space)


PEM = b"-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49\n"


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        (PEM, "a private key"),
        (PEM.replace(b"PRIVATE", b"RSA PRIVATE"), "a private key"),
        (str(Token("0" * 12, "1" * 64)).encode(), "an API key of lesionserve"),
        (b"token = 'hf_" + b"aB3" * 12 + b"'", "a token of the hub"),
        (b"ghp_" + b"aB3" * 12, "a token of a code host"),
        (b"AKIA" + b"ABCD1234" * 2, "a key of a cloud"),
        (b"LESIONSERVE_AUDIT_KEY=" + b"0123456789abcdef", "a secret of the gateway"),
    ],
)
def test_secret_in_tracked_file_is_refused(clone: Path, tmp_path: Path, secret, words):
    add(clone, "gateway/mine.py", b'"""A module."""\n' + secret + b"\n")
    assert refusal(clone, tmp_path / "space").startswith(f"gateway/mine.py holds {words}")
    assert not (tmp_path / "space").exists(), "nothing is written before all is checked"


def test_binary_content_of_source_is_refused(clone: Path, tmp_path: Path):
    add(clone, "gateway/mine.py", b"\xff\xfe\x00")
    assert refusal(clone, tmp_path / "space") == "gateway/mine.py is not a text file"


def test_symlink_is_refused(clone: Path, tmp_path: Path):
    (clone / "gateway" / "mine.py").symlink_to("/etc/hostname")
    git(clone, "add", "gateway/mine.py")
    assert "not a regular file" in refusal(clone, tmp_path / "space")


def test_large_file_is_refused(clone: Path, tmp_path: Path):
    add(clone, "weights/demo/model.pth", bytes(10_000_001))
    assert "10000001 bytes" in refusal(clone, tmp_path / "space")


def test_total_size_is_bounded(clone: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(content, "_MAX_BYTES", 1000)
    assert "at most 1000 are expected" in refusal(clone, tmp_path / "space")


def test_missing_file_is_refused_by_name(clone: Path, tmp_path: Path):
    git(clone, "rm", "--force", "--quiet", "configs/serve/space.yaml")
    assert "git tracks no configs/serve/space.yaml" in refusal(clone, tmp_path / "space")


def test_folder_without_repository_is_refused(tmp_path: Path):
    assert "a clone of the repository and git are needed" in refusal(tmp_path, tmp_path / "space")


def test_wrong_front_matter_is_refused(clone: Path, tmp_path: Path):
    readme = clone / "cluster" / "space" / "README.md"
    readme.write_text(readme.read_text().replace("app_port: 7860", "port: 7860"))
    assert refusal(clone, tmp_path / "space").startswith("README.md: port: ")


def test_folder_with_other_content_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert "holds something else" in refusal(ROOT, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_assembling_again_removes_old_files_and_keeps_git(tmp_path: Path):
    assemble(ROOT, tmp_path)
    (tmp_path / "gateway" / "old.py").touch()
    (tmp_path / "old").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("[core]")
    assemble(ROOT, tmp_path)
    assert not (tmp_path / "gateway" / "old.py").exists()
    assert not (tmp_path / "old").exists()
    assert (tmp_path / ".git" / "config").read_text() == "[core]"


def test_command_prints_size_and_digest(tmp_path: Path):
    command = [sys.executable, "-m", "cluster.space.assemble", str(tmp_path / "space")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{tmp_path}/space: ")
    assert "MB, sha256 " in done.stdout
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    command[-1] = str(tmp_path / "other")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
