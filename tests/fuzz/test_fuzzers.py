"""Run each fuzzer briefly; `make fuzz` runs them for an hour."""

import re
import subprocess
import sys

import pytest

from serve_app.paths import ROOT

pytest.importorskip("atheris", reason="atheris is not installed")


@pytest.mark.parametrize(
    ("fuzzer", "runs", "max_bytes"),
    [
        ("decode", 2_500, 65_536),
        ("multipart", 5_000, 65_536),
        ("model_files config", 500, 8_192),
        ("model_files checkpoint", 500, 8_192),
        ("model_files structure", 1_200, 8_192),
    ],
)
def test_fuzzer_finds_no_unexpected_error(tmp_path, fuzzer, runs, max_bytes):
    module, *target = fuzzer.split()
    options = [f"-runs={runs}", "-seed=1", "-rss_limit_mb=2048", f"-max_len={max_bytes}"]
    command = [sys.executable, "-m", f"tests.fuzz.{module}", *target, str(tmp_path / "corpus")]
    process = subprocess.run(
        [*command, *options, "-timeout=60", f"-artifact_prefix={tmp_path}/"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    match = re.search(r"Done (\d+) runs", process.stderr)
    assert match is not None
    assert int(match[1]) >= runs
