import subprocess
import sys

from serve_app.paths import ROOT


def test_driver_starts_before_slow_imports():
    """Each of these takes a tenth of a second or more, and the launcher needs it later or never."""
    code = (
        "import sys; import cluster.cli.main, cluster.launcher.startup; "
        "print({'ray', 'django', 'numpy', 'httpx', 'cryptography'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "set()\n", done.stderr
