# Stands in for nats:2.10-alpine where no registry of images can be reached: the same arguments, and wget for health
# checks, from Debian's packages.
ARG BASE_IMAGE=debian:bookworm-slim
FROM ${BASE_IMAGE}
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends busybox nats-server \
    && rm -rf /var/lib/apt/lists/* \
    && ln -s /bin/busybox /usr/local/bin/wget \
    && mkdir -p /etc/nats && printf 'port: 4222\nmonitor_port: 8222\n' >/etc/nats/nats-server.conf
COPY deploy/docker/standins/entrypoint /usr/local/bin/
EXPOSE 4222 8222 6222
USER 1000:1000
ENTRYPOINT ["entrypoint", "nats-server"]
CMD ["nats-server", "--config", "/etc/nats/nats-server.conf"]
