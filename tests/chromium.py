"""The browser of the tests, and how it is started."""

from pathlib import Path

CHROMIUM = Path("/usr/bin/chromium")  # Debian's
QUIET = [
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
