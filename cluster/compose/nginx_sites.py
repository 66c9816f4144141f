"""The sites of both nginx for Compose, made from those of cluster/nginx.

What differs here are names, ports and paths. What is replaced has to be there exactly as often as
expected, so that a change of a site cannot leave a name behind.
"""

import re
from pathlib import Path

from cluster.errors import StackError

_SITES = Path(__file__).parent.parent / "nginx"


def gateway_site(host: str) -> str:
    """Return the site of nginx before the gateway, for clients that call it `host`."""
    text = _changed(
        "gateway.conf",
        ("listen 443 ssl", "listen 9443 ssl", 1),
        ("listen 80;", "listen 9080;", 1),
        ("lesionserve.example", host, 2),
        ("/etc/lesionserve/tls/gateway.pem", "/run/secrets/nginx.pem", 2),
        ("/var/log/nginx/lesionserve.log", "/dev/stdout", 2),
    )
    return _looked_up_again(text, "lesionserve_gateway", "gateway:8080")


def ingress_site() -> str:
    """Return the site of nginx before the ingress of the graph."""
    text = _changed(
        "ingress.conf",
        ("lesionserve-ingress.example", "ingress", 1),
        ("/etc/lesionserve/tls/ingress.pem", "/run/secrets/ingress.pem", 2),
    )
    return _looked_up_again(text, "lesionserve_ingress", "serve:8000")


def _changed(site: str, *changes: tuple[str, str, int]) -> str:
    text = (_SITES / site).read_text(encoding="utf-8")
    for former, now, count in changes:
        if text.count(former) != count:
            raise StackError(f"cluster/nginx/{site} does not hold {former!r} {count} times")
        text = text.replace(former, now)
    return text


def _looked_up_again(text: str, upstream: str, service: str) -> str:
    """Let nginx look the service up again and again, by a variable in place of the upstream.

    The servers of an upstream are looked up at the start of nginx only, and a container that is
    replaced has another address.
    """
    text, blocks = re.subn(rf"upstream {upstream} \{{[^}}]*\}}\n\n", "", text)
    text, passes = re.subn(
        rf"proxy_pass( +)http://{upstream};",
        rf"set ${upstream} {service};\n        proxy_pass\1http://${upstream};",
        text,
    )
    if (blocks, passes) != (1, 1):
        raise StackError(f"cluster/nginx does not pass to the upstream {upstream} once")
    return text
