/*
 * expiry.h - old messages leave (migrations/0008_retention.sql): a worker that goes round all rooms, a small transaction at a
 * time, with pauses in between, so that whoever appends or reads notices nothing. Where several replicas would, one does.
 *
 * What a gateway has in memory of a room it may go on showing until it forgets it by itself.
 */
#ifndef PARLEY_STORE_EXPIRY_H
#define PARLEY_STORE_EXPIRY_H

#include "worker.h"

struct expiry {
    uint64_t keep_days; /* at least 1 */
    struct stats *stats;
    int64_t behind; /* the room that the round has come to; 0: it begins */
};

/* Starts it. @expiry is borrowed for as long as the worker is there, and then the worker's. Returns owned. */
MUST_USE struct worker *expiry_new(struct expiry *expiry, const struct pg_target *target);

#endif
