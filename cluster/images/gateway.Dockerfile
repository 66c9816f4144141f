# The gateway (Django), without PyTorch and Ray. `make images` builds it; docs/deploy/compose.md says how to run it.
ARG BASE=python:3.11.13-slim-bookworm

FROM ${BASE} AS system
# The user of the processes. The image also runs as any other user.
RUN echo 'lesionserve:x:1000:' >> /etc/group \
    && echo 'lesionserve:x:1000:1000:lesionserve:/tmp:/usr/sbin/nologin' >> /etc/passwd
# For pg_dump and pg_restore, below. Debian's release is fixed by the base, and its security updates are wanted.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libpq5 \
    && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/*

# `gateway.manage backup` and `restore` need two programs of this package, and not the Perl for its other ones.
FROM system AS postgresql
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends postgresql-client-15

FROM system AS build
WORKDIR /source
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
# How the builder reaches a package index comes from secrets of the build, which no layer holds: pip.conf, and the
# certificate authority that it may name as /run/secrets/ca.pem.
COPY constraints.txt pyproject.toml cluster/images/requirements.py ./
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.pem \
    python3 -m venv /tools \
    && /tools/bin/pip install --quiet -c constraints.txt hatchling cyclonedx-python-lib
# The dependencies come first, so that a change of the code does not install them again.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.pem \
    python3 -m venv --without-pip /opt/lesionserve/.venv \
    && python3 requirements.py pyproject.toml gateway tracing > requirements.txt \
    && /tools/bin/pip --python /opt/lesionserve/.venv/bin/python install --quiet --no-compile \
        -c constraints.txt -r requirements.txt
COPY . .
ARG SOURCE_DATE_EPOCH=0
# Code is compiled by its content, not by the time of its file: it is the same in each build, and a read-only file
# system has it ready.
RUN /tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /tools/bin/pip --python /opt/lesionserve/.venv/bin/python install --quiet --no-compile --no-deps \
        --no-index /wheels/*.whl \
    && /tools/bin/pip --python /opt/lesionserve/.venv/bin/python check \
    && rm -r /opt/lesionserve/.venv/lib/python3*/site-packages/weights \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/lesionserve/.venv/lib \
    && install -m 644 cluster/images/healthy.py /opt/lesionserve/ \
    && /tools/bin/python cluster/images/sbom.py /opt/lesionserve/.venv/lib/python3*/site-packages \
        /opt/lesionserve/sbom.cdx.json
WORKDIR /opt/lesionserve
RUN ln -s .venv/lib/python3*/site-packages/configs configs

FROM system
COPY --from=postgresql /usr/lib/postgresql/15/bin/pg_dump /usr/lib/postgresql/15/bin/pg_restore /usr/local/bin/
COPY --from=build /opt/lesionserve /opt/lesionserve
ENV PATH=/opt/lesionserve/.venv/bin:$PATH \
    HOME=/tmp \
    LOGNAME=lesionserve \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DJANGO_SETTINGS_MODULE=gateway.settings
WORKDIR /opt/lesionserve
USER 1000:1000
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python3", "-IS", "/opt/lesionserve/healthy.py", "http://127.0.0.1:8080/healthz"]
# The time-out is longer than LESIONSERVE_DEADLINE_S, so that requests in flight can finish.
CMD ["uvicorn", "gateway.asgi:application", "--http", "gateway.protocol:GatewayProtocol", \
     "--host", "0.0.0.0", "--port", "8080", "--no-server-header", "--no-access-log", "--ws", "none", \
     "--lifespan", "on", "--timeout-graceful-shutdown", "35"]
ARG VERSION
ARG REVISION
ARG CREATED
LABEL org.opencontainers.image.title="lesionserve-gateway" \
      org.opencontainers.image.description="The gateway of lesionserve" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
