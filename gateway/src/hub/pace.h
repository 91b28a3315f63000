/*
 * pace.h - how often somebody may do something: token buckets, one for each key.
 *
 * A bucket holds so many tokens; each deed takes one, and they come back at a steady rate. It is kept as the time at which
 * it is full again (the "virtual scheduling" of the Generic Cell Rate Algorithm, ITU-T I.371), so that nothing has to be
 * done as time passes. A full bucket says nothing, and is not kept: who is quiet costs nothing.
 *
 * Limits  PACE_BUCKETS_MAX that are not full; past it, who has none is not held up.
 * Thread  The caller's.
 */
#ifndef PARLEY_HUB_PACE_H
#define PARLEY_HUB_PACE_H

#include "base/list.h"
#include "base/map.h"

enum { PACE_BUCKETS_MAX = 65536, PACE_KEY_BYTES_MAX = 64 };

struct pace_rule {
    uint32_t per_second; /* tokens that come back; 0: there is no limit */
    uint32_t burst;      /* tokens of a full bucket; at least 1 */
};

struct pace {
    struct pace_rule rule;
    struct map buckets;
    struct list by_use; /* the longest unused first */
};

void pace_init(struct pace *pace, struct pace_rule rule);
void pace_release(struct pace *pace);

/* Milliseconds until @key may go on; 0: now. At most PACE_KEY_BYTES_MAX bytes. */
uint64_t pace_wait_ms(const struct pace *pace, struct bytes key, uint64_t now_ms);

/* @key, which need not wait, takes a token. */
void pace_take(struct pace *pace, struct bytes key, uint64_t now_ms);

#endif
