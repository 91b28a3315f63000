/*
 * gateway_metrics.h - the gateway's numbers as Prometheus text.
 */
#ifndef PARLEY_EDGE_GATEWAY_METRICS_H
#define PARLEY_EDGE_GATEWAY_METRICS_H

#include "bus.h"
#include "engine.h"
#include "hub/hub.h"
#include "server.h"

void gateway_metrics_write(struct buf *out, struct hub *hub, const struct bus *bus,
                           const struct engine *engine, const struct server *server);

#endif
