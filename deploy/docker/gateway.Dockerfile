# The gateway: one program, its libraries and the page; no shell. Built from the root of the checkout, where scripts/setup
# has installed the npm package socket.io-client:
#
#   scripts/setup && docker build -f deploy/docker/gateway.Dockerfile -t parley/gateway:dev .
#
# (make images does that, also where no registry of images can be reached). Without BuildKit's syntax, so that Docker
# 20.10 builds it too.
ARG BASE_IMAGE=debian:bookworm-slim

# The build stages of both services are the same, word for word, so that the builder does the work once.
FROM ${BASE_IMAGE} AS build
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        ca-certificates cmake gcc libc6-dev libcmocka-dev libh2o-evloop-dev libnats-dev libpq-dev libprotobuf-c-dev \
        libssl-dev ninja-build openssl pkg-config protobuf-c-compiler protobuf-compiler zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /parley
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake cmake
COPY base base
COPY proto proto
COPY store-service store-service
COPY gateway gateway
ARG VERSION=
RUN cmake --preset release -DPARLEY_SERVICES_ONLY=ON -DPARLEY_VERSION="${VERSION}" \
    && cmake --build build/release --target parley-gateway parley-store
COPY deploy/docker/rootfs /usr/local/bin/
RUN rootfs /gateway build/bin/parley-gateway

FROM scratch
COPY --from=build /gateway/ /
COPY node_modules/socket.io-client /usr/share/parley/socket.io-client
COPY web /usr/share/parley/web
COPY LICENSE /usr/share/doc/parley/copyright
ENV PORT=3000 \
    ADMIN_PORT=9100 \
    ADMIN_HOST=0.0.0.0 \
    WEB_ROOT=/usr/share/parley/web \
    CLIENT_ROOT=/usr/share/parley/socket.io-client
EXPOSE 3000 9100
USER 65532:65532
# It drains on SIGTERM, as PID 1 too.
STOPSIGNAL SIGTERM
# Whether it lives; --readycheck tells whether it can serve.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["/usr/bin/parley-gateway", "--healthcheck"]
ENTRYPOINT ["/usr/bin/parley-gateway"]
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="parley-gateway" \
    org.opencontainers.image.description="Parley's gateway: Socket.IO clients on one side, NATS on the other" \
    org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.base.name="scratch"
