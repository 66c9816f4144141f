"""The `lesionserve` command as a process: what it is given, where it runs, who reads it."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli.command_process import (
    COMMAND,
    KEY,
    LABEL,
    assert_one_line,
    run,
)

NO_USER = (
    "import pwd, sys\n"
    "def gone(uid): raise KeyError(uid)\n"
    "pwd.getpwuid = gone\n"
    "from cluster.cli.main import main\n"
    "main()\n"
)
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


def test_version_is_printed() -> None:
    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("lesionserve ")


def test_help_shows_flags_without_value() -> None:
    for arguments in (["--help"], ["up", "--help"], ["predict", "--help"]):
        done = run(*arguments)
        assert done.returncode == 0
        assert "<bool>" not in done.stdout
    assert "--install-completion" in run("--help").stdout


def test_completion_names_commands() -> None:
    words = {
        "_LESIONSERVE_COMPLETE": "complete_bash",
        "COMP_WORDS": "lesionserve ",
        "COMP_CWORD": "1",
    }
    done = run(environment=words)
    assert {"up", "predict", "verify"} <= set(done.stdout.split()), done.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nope"], "nope"),
        (["predict"], "images"),
        (["predict", "--format", "xml", "a"], "--format"),
        (["up", "--port", "0"], "--port"),
        (["up", "--nope"], "--nope"),
        (["predict", "--format", "\x1b[31m\nx", "a"], "\\x1b[31m"),
        (["predict", "--url", "gateway.example", "a"], "--url"),
        (["predict", "--url", "ftp://gateway.example", "a"], "--url"),
        (["predict", "--url", "http://", "a"], "--url"),
        (["predict", "--url", "http://[::1", "a"], "--url"),
        (["predict", "--url", "http://host:99999", "a"], "--url"),
        (["predict", "--url", "http://host\n", "a"], "--url"),
        (["predict", "--url", "http://" + "a" * 70 + ".example", "a"], "--url"),
        (["predict", "--url", "http://a..example", "a"], "--url"),
        (["predict", "--url", "https://me:pw@gateway.example", "a"], "--key"),
        (["predict", "--url", "https://gateway.example/?a=b", "a"], "--url"),
        (["predict", "--url", "https://gateway.example", "--key", "k\n", "a"], "--key"),
    ],
)
def test_misuse_is_one_line(arguments: list[str], text: str) -> None:
    done = run(*arguments)
    assert_one_line(done, done.returncode, text)
    assert done.returncode in (1, 2)


def test_help_is_shown_without_command() -> None:
    done = run()
    assert done.returncode == 2
    assert "Usage: lesionserve" in done.stderr


def test_file_name_in_other_encoding_is_printed(url: str, image: Path) -> None:
    name = os.fsdecode(b"\xff.jpg")
    image.rename(image.parent / name)
    done = subprocess.run(
        [*COMMAND, "predict", "--url", url, name, name],
        env={"PATH": os.environ["PATH"], "LESIONSERVE_API_KEY": KEY},
        cwd=image.parent,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(rb"\udcff.jpg") == 2


def test_labels_cannot_control_terminal(url: str, image: Path) -> None:
    table = run("predict", "--url", url, image)
    lines = run("predict", "--url", url, "--format", "json", image)
    assert json.loads(lines.stdout)["detections"][0]["label"] == LABEL
    assert lines.stdout.isascii()
    for done in (table, lines):
        assert done.returncode == 0, done.stderr
        assert all(line.isprintable() for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    "locale",
    [
        {"PYTHONUTF8": "0", "LC_ALL": "C"},
        {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1:strict"},
    ],
)
def test_predict_answers_in_every_locale(url: str, tmp_path: Path, image: Path, locale) -> None:
    named = image.rename(tmp_path / "Müller 検査.jpg")
    for format_ in ("table", "json"):
        out = tmp_path / format_
        options = ("--format", format_, "--out", out)
        done = run("predict", "--url", url, *options, named, tmp_path / "ö", environment=locale)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert done.stderr.count("No such file") == 1
        assert done.stdout
        assert (out / "Müller 検査.json").is_file()


def test_answer_that_cannot_be_written_does_not_stop_others(
    url: str, tmp_path: Path, image: Path
) -> None:
    out = tmp_path / "out"
    (out / "case.json").mkdir(parents=True)
    other = tmp_path / "other.jpg"
    other.write_bytes(image.read_bytes())
    done = run("predict", "--url", url, "--out", out, image, other)
    assert done.returncode == 1
    assert "case.json: Is a directory" in done.stderr
    assert "other.jpg" not in done.stderr
    assert json.loads((out / "other.json").read_text())["request_id"] == "r-1"
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_full_disk_fails_in_one_line(url: str, image: Path) -> None:
    with open("/dev/full", "w") as full:
        for arguments in (["--help"], ["--version"], ["predict", "--url", url, image]):
            done = run(*arguments, stdout=full)
            assert_one_line(done, 1, "No space left on device")


def test_closed_output_ends_command_quietly(url: str, image: Path) -> None:
    for format_ in ("table", "json"):
        reading, writing = os.pipe()
        os.close(reading)
        done = run("predict", "--url", url, "--format", format_, image, image, stdout=writing)
        os.close(writing)
        assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_streams_print_no_traceback(url: str, image: Path, closed) -> None:
    def close() -> None:
        for descriptor in closed:
            os.close(descriptor)

    done = run("predict", "--url", url, image, preexec_fn=close)
    assert "Traceback" not in done.stderr
    assert done.returncode == (1 if 1 in closed else 0)


def test_loopback_is_asked_without_proxy(url: str, image: Path) -> None:
    nowhere = dict.fromkeys(PROXIES, "http://127.0.0.1:9")
    for no_proxy in ({}, {"NO_PROXY": ""}, {"NO_PROXY": "hospital.example, ,::1,10.0.0.0/8"}):
        local = url.replace("127.0.0.1", "localhost")
        for address in (url, local):
            done = run("predict", "--url", address, image, environment={**nowhere, **no_proxy})
            assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "nonsense", "ftp://x", "http://[::1"])
def test_error_names_unusable_proxy(image: Path, proxy: str) -> None:
    done = run("predict", "--url", "http://192.0.2.1", image, environment={"ALL_PROXY": proxy})
    assert_one_line(done, 1, "")
    assert "ALL_PROXY" in done.stderr or "cannot reach the gateway" in done.stderr


def test_commands_work_for_unknown_user_without_home(url: str, image: Path) -> None:
    def unknown(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", NO_USER, *map(str, arguments)],
            env={
                "PATH": os.environ["PATH"],
                "LESIONSERVE_API_KEY": KEY,
                # Else the shell is the one that happens to be above pytest, if there is any.
                "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
            },
            capture_output=True,
            text=True,
            timeout=120,
        )

    for arguments in (["--help"], ["--version"], ["predict", "--url", url, image]):
        assert unknown(*arguments).returncode == 0, arguments
    assert_one_line(unknown("up", "--config", "gone"), 2, "--data")
    assert_one_line(unknown("verify", "gone"), 1, "bundle")
    assert_one_line(unknown("--install-completion", "bash"), 1, "/dev/null")


@pytest.mark.parametrize("home", ["", "/", "/gone/home", "relative", "/dev/null"])
def test_up_without_usable_home_asks_for_data_folder(home: str) -> None:
    assert_one_line(run("up", "--config", "gone", environment={"HOME": home}), 2, "--data")


def test_interrupt_prints_no_traceback(image: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    with subprocess.Popen(
        [*COMMAND, "predict", "--url", f"http://127.0.0.1:{port}", image],
        env={"PATH": os.environ["PATH"], "LESIONSERVE_API_KEY": KEY},
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        connection, _ = listener.accept()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    connection.close()
    listener.close()
    assert process.returncode == 130
    assert b"Traceback" not in said
