# Stands in for haproxy:2.8 where no registry of images can be reached: the same arguments, from Debian's package.
ARG BASE_IMAGE=debian:bookworm-slim
FROM ${BASE_IMAGE}
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends haproxy \
    && rm -rf /var/lib/apt/lists/* \
    && mkdir -p /usr/local/etc/haproxy
COPY deploy/docker/standins/entrypoint /usr/local/bin/
USER 99:99
STOPSIGNAL SIGUSR1
ENTRYPOINT ["entrypoint", "haproxy", "-W", "-db"]
CMD ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
