import re
import subprocess
import sys

import pytest

from serve_app.args import ROOT

pytest.importorskip("atheris", reason="atheris is not installed")

RUNS = 20_000


def test_any_bytes_bring_a_piece_of_the_body_or_bad_request(tmp_path):
    options = [f"-runs={RUNS}", "-seed=1", "-rss_limit_mb=1024", "-max_len=65536", "-timeout=60"]
    command = [sys.executable, "-m", "tests.fuzz.multipart", str(tmp_path / "corpus"), *options]
    done = subprocess.run(
        [*command, f"-artifact_prefix={tmp_path}/"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ran = re.search(r"Done (\d+) runs", done.stderr)
    assert ran is not None
    assert int(ran[1]) >= RUNS
