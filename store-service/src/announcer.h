/*
 * announcer.h - tells rooms of messages that no store-service appended: those of parley_publish()
 * (migrations/0007_publish.sql).
 *
 * A thread with a connection of its own, which listens to the channel that parley_publish() notifies, and looks by itself
 * now and then. Where several replicas do, each message is told by one. It is told before its row in `unannounced` is gone,
 * so at least once; gateways drop what they have. Gateways that hear of none of it, since NATS lost it, find it at their next
 * heads check.
 *
 * Thread  announcer_new(), announcer_free(): the main thread's. announcer_end(), announcer_join(): any.
 */
#ifndef PARLEY_STORE_ANNOUNCER_H
#define PARLEY_STORE_ANNOUNCER_H

#include "bus.h"
#include "pg.h"
#include "stats.h"

struct announcer;

/* Starts it. Borrows all three until announcer_free(). Returns owned. */
MUST_USE struct announcer *announcer_new(const struct pg_target *target, struct bus *bus,
                                         struct stats *stats);

/* It is to end, as soon as its statement is over. Does not wait. */
void announcer_end(struct announcer *announcer);

/* Waits for that. Once. */
void announcer_join(struct announcer *announcer);

/* Frees one that was joined. Accepts NULL. */
void announcer_free(struct announcer *announcer);

#endif
