/*
 * gateway.h - one gateway: the hub and everything that brings the outside world to it, on one libh2o loop.
 */
#ifndef PARLEY_EDGE_GATEWAY_H
#define PARLEY_EDGE_GATEWAY_H

#include "config.h"

struct gateway;

/*
 * Starts a gateway with @config, which it borrows until gateway_free(). Returns NULL with a sentence for the user in
 * @ret_error when it cannot start. NATS need not be there yet.
 */
MUST_USE struct gateway *gateway_new(const struct gateway_config *config, struct buf *ret_error);

/*
 * Runs until SIGTERM or SIGINT, which drain as drain.h says: nobody loses more than a connection. A second signal ends at
 * once.
 */
void gateway_run(struct gateway *gateway);

void gateway_free(struct gateway *gateway);

#endif
