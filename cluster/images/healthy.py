"""The health check of the images: exit with 0 where URL answers with 200, and with 1 otherwise.

Usage: python3 -IS healthy.py URL. It needs nothing but Python, so that an image needs no curl.
"""

import sys
import urllib.error
import urllib.request
from http.client import HTTPException

_WITHIN_S = 4.0


def failure(url: str) -> str | None:
    """Return why the URL is not healthy, as one line; None where it answers with 200."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_WITHIN_S) as response:
            status: int = response.status
    except urllib.error.HTTPError as error:
        status = error.code
    except (OSError, HTTPException) as error:
        return f"{url}: {error}"
    return None if status == 200 else f"{url}: {status}"


if __name__ == "__main__":
    sys.exit(failure(sys.argv[1]))
