"""A public demo: the one mode in which the gateway listens beyond the loopback address.

It runs behind the proxy of a Hugging Face Space, which ends TLS and is the only way in. Everybody
may use the demo model, with one key that the page shows. Nothing is kept.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from cluster.errors import StackError
from cluster.launcher.options import StackOptions
from cluster.paths import SPACE_PROFILE

PORT = 7860  # of cluster/space/README.md, where the hub reads it

_LISTEN_ON = "0.0.0.0"  # nosec B104, this mode alone; the container has no other way in
# The proxies of the hub have addresses of private networks. The last address in X-Forwarded-For
# that is not one of theirs is the client's; a client can add addresses only before it.
_PROXIES = (
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8"),
    *("fc00::/7", "::1"),
)
_SECRETS = ("LESIONSERVE_SECRET_KEY", "LESIONSERVE_AUDIT_KEY", "LESIONSERVE_SERVICE_TOKEN")
# What the owner of a Space may set otherwise, among its variables.
_DEFAULTS = {
    "LESIONSERVE_FRAME_ANCESTORS": "https://huggingface.co",
    "LESIONSERVE_ADDRESS_REQUESTS_PER_MINUTE": "10",
    "LESIONSERVE_REQUESTS_PER_MINUTE": "60",
}
_MAX_IN_FLIGHT = 16
_MAX_IMAGE_BYTES = 10 * 1024 * 1024  # as in configs/serve/space.yaml
# A Space has less /dev/shm than Ray needs, so the store is in a file. Ray Serve's proxy hands large
# bodies to the replica through it: all that are admitted fit.
OBJECT_STORE_BYTES = _MAX_IN_FLIGHT * _MAX_IMAGE_BYTES
_LIMITS = {
    "LESIONSERVE_MAX_IN_FLIGHT": str(_MAX_IN_FLIGHT),
    "LESIONSERVE_MAX_IMAGE_BYTES": str(_MAX_IMAGE_BYTES),
    "LESIONSERVE_MAX_IMAGE_PIXELS": "25000000",
}
_NOTHING_KEPT = {
    "LESIONSERVE_IDEMPOTENCY_S": "0",
    "LESIONSERVE_METRICS_HOSTS": "",
    "LESIONSERVE_DEBUG": "false",
    # The hub's proxy ends TLS; what it says of a request's scheme is documented nowhere.
    "LESIONSERVE_HTTPS_ONLY": "false",
}


@dataclass(frozen=True)
class Exposure:
    """Where the gateway listens, and whose forwarding headers it trusts (nobody's by default)."""

    host: str = "127.0.0.1"
    proxies: tuple[str, ...] = ()


LOOPBACK = Exposure()


@dataclass(frozen=True)
class PublicDemo:
    """The settings of a public demo.

    host: the name of the Space. secrets: those of the gateway that its owner gave; the others are
    made at the start. variables: of the gateway.
    """

    host: str
    secrets: Mapping[str, str]
    variables: Mapping[str, str]
    exposure: Exposure = Exposure(_LISTEN_ON, _PROXIES)

    @classmethod
    def of(
        cls, options: StackOptions, environment: Mapping[str, str] = MappingProxyType(os.environ)
    ) -> Self:
        """Return the settings for this start. Raise StackError unless it may be public."""
        _require_nothing_else(options)
        host = environment.get("SPACE_HOST", "")
        if not host:
            raise StackError(
                "--public-demo is for a Hugging Face Space, whose proxy ends TLS, and SPACE_HOST "
                "is not set here; docs/deploy/space.md says how to try it elsewhere",
                exit_status=2,
            )
        hosts = filter(None, (host, environment.get("LESIONSERVE_ALLOWED_HOSTS")))
        defaults = {name: environment.get(name, value) for name, value in _DEFAULTS.items()}
        return cls(
            host=host,
            secrets={name: environment[name] for name in _SECRETS if environment.get(name)},
            variables={
                **defaults,
                **_LIMITS,
                **_NOTHING_KEPT,
                "LESIONSERVE_ALLOWED_HOSTS": ",".join(hosts),
            },
        )

    def gateway_variables(self, key: str) -> dict[str, str]:
        """Return the gateway's variables; `key` is the one that the page shows."""
        return {**self.variables, "LESIONSERVE_PUBLIC_DEMO_KEY": key}


def _require_nothing_else(options: StackOptions) -> None:
    """Raise StackError for options that do not go with a public demo."""
    refused = {
        "--config": options.config.resolve() != SPACE_PROFILE.resolve(),
        "--bundle": options.bundle is not None,
        "--candidate": options.candidate is not None,
        "--data": options.data is not None,
        "--tls": options.tls,
        "--dashboard": options.dashboard,
        "--monitoring": options.monitoring,
    }
    if names := [name for name, is_given in refused.items() if is_given]:
        raise StackError(
            f"--public-demo does not go with {', '.join(names)}: it shows the synthetic demo model "
            "to everybody, keeps nothing, and is the only start that listens beyond this machine. "
            "To serve your own model to others, see docs/deploy.md",
            exit_status=2,
        )
