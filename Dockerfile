# The bridge as an image. BASE is any image with Python 3.11 or newer that has `venv`; both stages use the same one.
ARG BASE=docker.io/library/python:3.11-slim

# hadolint ignore=DL3006 -- the tag is in BASE
FROM ${BASE} AS build
# UV_SYSTEM_CERTS: a network with its own certificate authority mounts its bundle at /etc/ssl/certs/ca-certificates.crt.
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PROJECT_ENVIRONMENT=/opt/bridge \
    UV_PYTHON_DOWNLOADS=never \
    UV_SYSTEM_CERTS=1
WORKDIR /build
COPY deploy/image/tools.txt ./
RUN python3 -m venv /tools && /tools/bin/pip install --require-hashes --only-binary :all: -r tools.txt
# uv checks each file against the hash that the lock has for it; wheels only, so nothing is compiled.
COPY pyproject.toml uv.lock ./
RUN /tools/bin/uv sync --locked --no-dev --extra evidence --extra lists --extra otel --extra registry --no-install-project --no-build
COPY README.md LICENSE ./
COPY schemas schemas
COPY bridge bridge
RUN /tools/bin/hatchling build -t wheel -d dist \
    && /tools/bin/uv pip install --python /opt/bridge/bin/python --no-deps --no-index dist/*.whl

# hadolint ignore=DL3006 -- the tag is in BASE
FROM ${BASE}
ARG REVISION
ARG VERSION
LABEL org.opencontainers.image.title="cometd-kafka-bridge" \
      org.opencontainers.image.description="Exactly-once bridge from Genesys Web Services (REST and CometD) to Apache Kafka" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/bridge /opt/bridge
# The bridge writes no files, so the root file system may be read-only. BRIDGE_STATE_DIR, if it is set, needs a volume.
# BRIDGE_HTTP__HOST is not set here, so the REST side listens only inside the container. To publish its port, set
# BRIDGE_HTTP__HOST=0.0.0.0 and the authentication of callers (BRIDGE_HTTP__AUTHENTICATION__*). The bridge does not listen
# on such an address without authentication, unless BRIDGE_HTTP__ALLOW_UNAUTHENTICATED is true.
# Health and metrics have a separate port, so they answer even while callers fill the port of the REST side.
ENV HOME=/tmp \
    BRIDGE_HTTP__MANAGEMENT_PORT=8081 \
    PATH=/opt/bridge/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# The user is a number, so that Kubernetes can see that the user is not root.
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s CMD ["bridge", "health"]
ENTRYPOINT ["bridge"]
CMD ["run"]
