/*
 * announcer.h - tells rooms of messages that no store-service appended: those of parley_publish()
 * (migrations/0007_publish.sql); and, once more, of the newest of a room in which messages were erased (0009_erase.sql).
 *
 * A worker that listens to the channel that parley_publish() notifies, and looks by itself now and then. Where several
 * replicas do, each message is told by one. It is told before its row in `unannounced` is gone, so at least once; gateways
 * drop what they have. Gateways that hear of none of it, since NATS lost it, find it at their next heads check.
 */
#ifndef PARLEY_STORE_ANNOUNCER_H
#define PARLEY_STORE_ANNOUNCER_H

#include "bus.h"
#include "worker.h"

struct announcer_settings {
    struct bus *bus;
    struct stats *stats;
};

/* Starts it. Both are borrowed for as long as the worker is there. Returns owned. */
MUST_USE struct worker *announcer_new(struct announcer_settings *settings,
                                      const struct pg_target *target);

#endif
