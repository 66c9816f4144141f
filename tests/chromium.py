"""The browser of the tests, and how it is started."""

from pathlib import Path

# Debian's, without windows: it opens a page in a quarter of the time.
CHROMIUM = Path("/usr/bin/chromium-headless-shell")
QUIET = [
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
