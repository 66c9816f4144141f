# The inference half on a CPU, without PyTorch: it serves bundles that hold OpenVINO's graphs. `make images` builds it;
# docs/deploy/compose.md says how to run it.
ARG BASE=python:3.11.13-slim-bookworm

FROM ${BASE} AS system
# The user of the processes. The image also runs as any other user.
RUN echo 'lesionserve:x:1000:' >> /etc/group \
    && echo 'lesionserve:x:1000:1000:lesionserve:/tmp:/usr/sbin/nologin' >> /etc/passwd

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
    && python3 requirements.py pyproject.toml cpu tracing > requirements.txt \
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
    && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/lesionserve/.venv/lib \
    && install -m 644 cluster/images/healthy.py /opt/lesionserve/ \
    && /tools/bin/python cluster/images/sbom.py /opt/lesionserve/.venv/lib/python3*/site-packages \
        /opt/lesionserve/sbom.cdx.json
WORKDIR /opt/lesionserve
RUN ln -s .venv/lib/python3*/site-packages/configs configs

FROM system
COPY --from=build /opt/lesionserve /opt/lesionserve
# Serve's proxy listens on the networks of the container. Ray logs into files of a bounded size below /tmp, and reports
# nothing to its makers.
ENV PATH=/opt/lesionserve/.venv/bin:$PATH \
    HOME=/tmp \
    LOGNAME=lesionserve \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LESIONSERVE_PROFILE=configs/serve/local.yaml \
    LESIONSERVE_HTTP_HOST=0.0.0.0 \
    RAY_AUTH_MODE=token \
    RAY_USAGE_STATS_ENABLED=0 \
    RAY_ROTATION_MAX_BYTES=20000000 \
    RAY_ROTATION_BACKUP_COUNT=2
WORKDIR /opt/lesionserve
USER 1000:1000
EXPOSE 8000 8090
# The model is loaded, and has reproduced its golden cases. The start takes a minute or more.
HEALTHCHECK --interval=10s --timeout=5s --start-period=600s --retries=3 \
    CMD ["python3", "-IS", "/opt/lesionserve/healthy.py", "http://127.0.0.1:8000/readyz"]
# Ray's head, then `lesionserve deploy`. Other nodes and KubeRay give a command of their own.
CMD ["python", "-m", "cluster.images.serve_head"]
ARG VERSION
ARG REVISION
ARG CREATED
LABEL org.opencontainers.image.title="lesionserve-serve-cpu" \
      org.opencontainers.image.description="The inference half of lesionserve on a CPU" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
