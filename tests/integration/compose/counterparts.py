"""What stands for the images of others in tests: Debian's PostgreSQL, Redis, nginx, Prometheus and
Alertmanager, in one image with the users, folders and commands that those images have.

There is nothing for Grafana, which Debian does not have.
"""

import tempfile
from pathlib import Path

from tests.integration.images.base import BASE, base_image
from tests.integration.images.engine import exists, run

DEBIAN = "localhost/lesionserve-test-debian:1"
COUNTERPARTS = ("nginx", "postgres", "redis", "prom/prometheus", "prom/alertmanager")
# Instead of the entry points of those images.
ENTRYPOINTS = {
    "postgres": ["/usr/local/bin/start-postgres"],
    "prometheus": ["/usr/bin/prometheus"],
    "alertmanager": ["/usr/bin/prometheus-alertmanager"],
}
_PACKAGES = "postgresql-15 redis-server nginx-light prometheus prometheus-alertmanager curl wget"
_DOCKERFILE = f"""
FROM {BASE}
COPY start-postgres /usr/local/bin/
RUN printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d \\
    && mkdir -p /etc/postgresql-common \\
    && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf \\
    && apt-get update \\
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends {_PACKAGES} \\
    && rm -rf /var/lib/apt/lists/* \\
    && useradd --system --no-create-home nginx \\
    && install -d -o postgres -m 700 /var/lib/postgresql/data \\
    && install -d -o postgres -m 3777 /run/postgresql \\
    && install -d -o nobody /prometheus /alertmanager
ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""
# As the official image does it: with the variables of that image, and the database made in private.
_START_POSTGRES = r"""#!/bin/sh
set -eu
export PGDATA=/var/lib/postgresql/data
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" $POSTGRES_INITDB_ARGS
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
    pg_ctl -o "-c listen_addresses=''" -w start
    createdb --host=/run/postgresql --username="$POSTGRES_USER" "$POSTGRES_DB"
    pg_ctl -m fast -w stop
fi
exec postgres -c 'listen_addresses=*' -c unix_socket_directories=/run/postgresql
"""


def counterpart(image: str) -> str | None:
    """Return the image that stands for this one; None where there is none."""
    if image.partition(":")[0] not in COUNTERPARTS:
        return None
    if not exists(DEBIAN):
        _make()
    return DEBIAN


def _make() -> None:
    base_image()
    with tempfile.TemporaryDirectory(prefix="lesionserve-debian-") as folder:
        context = Path(folder)
        (context / "Dockerfile").write_text(_DOCKERFILE)
        (context / "start-postgres").write_text(_START_POSTGRES)
        (context / "start-postgres").chmod(0o755)
        run(
            *("buildah", "bud", "--isolation", "chroot", "--network", "host"),
            *("--format", "docker", "--tag", DEBIAN, context),
        )
