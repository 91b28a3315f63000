# The store-service: one program and its libraries; no shell. Built from the root of the checkout:
#
#   docker build -f deploy/docker/store-service.Dockerfile -t parley/store-service:dev .
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
RUN rootfs /store-service build/bin/parley-store

FROM scratch
COPY --from=build /store-service/ /
COPY LICENSE /usr/share/doc/parley/copyright
ENV ADMIN_PORT=9101 \
    ADMIN_HOST=0.0.0.0
EXPOSE 9101
USER 65532:65532
# It finishes its lanes on SIGTERM, as PID 1 too.
STOPSIGNAL SIGTERM
# Whether it lives; --readycheck tells whether it can serve.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["/usr/bin/parley-store", "--healthcheck"]
ENTRYPOINT ["/usr/bin/parley-store"]
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="parley-store-service" \
    org.opencontainers.image.description="Parley's store-service: gives every message its place, and keeps it in Postgres" \
    org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.base.name="scratch"
