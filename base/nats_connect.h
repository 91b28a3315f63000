/*
 * nats_connect.h - how both services connect to NATS.
 *
 * nats.c's defaults are those of a short-lived program. Here: a server that is not there is waited for, for ever; a
 * silent one is noticed after some seconds, not 6 minutes; a publish is written at once, not a millisecond later; what
 * was published while disconnected is not replayed later, since whoever asked asks again; one thread delivers all
 * messages.
 */
#ifndef PARLEY_NATS_CONNECT_H
#define PARLEY_NATS_CONNECT_H

#include "bytes.h"
#include <nats/nats.h>
#include <stdatomic.h>

/*
 * Options for the servers of @urls (the setting NATS_URL: nats://host:4222, several separated by commas), for a
 * connection that is called @name. The caller adds its callbacks, and natsOptions_Destroy()s. Returns NULL with a
 * sentence in @ret_error when @urls are no such thing.
 */
MUST_USE natsOptions *nats_options_new(const char *urls, const char *name, struct buf *ret_error);

/*
 * Connects, and tries again until that works or *@is_closing is true (NULL then). Blocks: for a thread that has nothing
 * else to do. Logs when it has to wait.
 *
 * Not natsOptions_SetRetryOnFailedConnect(): with that, nats.c 3.4 gives up for good when a server, or a proxy in front of
 * one that is not there yet, takes the first connection and closes it. Later reconnects it does well.
 */
MUST_USE natsConnection *nats_connect(natsOptions *options, const atomic_bool *is_closing);

/* Logs an error where the server does not take messages of @bytes (its max_payload): whatever is that long gets lost. */
void nats_check_payload(natsConnection *connection, size_t bytes);

#endif
