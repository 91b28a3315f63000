/*
 * gateway_metrics.h - the gateway's numbers as Prometheus text.
 */
#ifndef PARLEY_EDGE_GATEWAY_METRICS_H
#define PARLEY_EDGE_GATEWAY_METRICS_H

#include "bus.h"
#include "config.h"
#include "engine.h"
#include "hub/hub.h"
#include "server.h"

/* All that is told, as it was at one moment. */
struct gateway_numbers {
    const struct hub_stats *hub;
    struct bus_stats bus;
    struct engine_stats engine;
    struct server_stats server;
    const struct gateway_config *config;
    int64_t certificate_expires_s; /* since 1970; 0: no TLS */
    size_t sockets_max;
    const struct histogram *lag_us, *turn_cpu_us;
};

void gateway_metrics_write(struct buf *out, const struct gateway_numbers *numbers);

/* The same of a gateway that has done nothing yet, for docs/operations.md. */
void gateway_metrics_write_unused(struct buf *out);

#endif
