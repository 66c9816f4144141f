import re
import subprocess
import sys

import pytest

from serve_app.args import ROOT

pytest.importorskip("atheris", reason="atheris is not installed")


@pytest.mark.parametrize(
    ("target", "runs"), [("config", 4_000), ("checkpoint", 4_000), ("structure", 10_000)]
)
def test_model_files_load_or_raise_only_our_own_errors(tmp_path, target, runs):
    options = [f"-runs={runs}", "-seed=1", "-rss_limit_mb=2048", "-max_len=8192", "-timeout=60"]
    module = [sys.executable, "-m", "tests.fuzz.model_files", target, str(tmp_path / "corpus")]
    done = subprocess.run(
        [*module, *options, f"-artifact_prefix={tmp_path}/"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ran = re.search(r"Done (\d+) runs", done.stderr)
    assert ran is not None
    assert int(ran[1]) >= runs
