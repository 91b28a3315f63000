/*
 * revoker.h - tells gateways of revoked tokens, again and again, until nobody can have one: so those that were not there, or lost a
 * message, hear of them too.
 *
 * One replica does, the one that holds an advisory lock.
 */
#ifndef PARLEY_STORE_REVOKER_H
#define PARLEY_STORE_REVOKER_H

#include "bus.h"
#include "worker.h"

struct revoker_settings {
    struct bus *bus;
    struct stats *stats;
};

/* Starts it. Keeps @settings by reference. */
MUST_USE struct worker *revoker_new(struct revoker_settings *settings,
                                    const struct pg_target *target);

#endif
