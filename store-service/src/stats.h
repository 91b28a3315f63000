/*
 * stats.h - what the store-service counts.
 *
 * Thread  Any: relaxed atomics.
 */
#ifndef PARLEY_STORE_STATS_H
#define PARLEY_STORE_STATS_H

#include "base/metrics.h"

struct stats {
    _Atomic uint64_t messages_stored, messages_duplicate, messages_refused, messages_republished;
    _Atomic uint64_t transactions_committed, transactions_retried, transactions_unknown,
        transactions_refused, transactions_busy, rooms_skipped;
    _Atomic uint64_t appends_ok, appends_overloaded, appends_unavailable, appends_invalid;
    _Atomic uint64_t ranges, heads;
    _Atomic uint64_t reads_overloaded, reads_unavailable, reads_invalid;
    _Atomic uint64_t messages_read;
    _Atomic uint64_t publishes_failed;
    _Atomic uint64_t postgres_connects, nats_reconnects;
    struct histogram transaction_us;       /* of those that were committed */
    struct histogram transaction_messages; /* BATCH_SCALE of them are one message */
    struct histogram read_us;
    struct histogram append_wait_us; /* from NATS to the lane that takes it */
};

/* A histogram's bounds are powers of two from 64 on; so 64 stands for one message. */
enum { BATCH_SCALE = 64 };

static inline void stat_add(_Atomic uint64_t *stat, uint64_t n)
{
    atomic_fetch_add_explicit(stat, n, memory_order_relaxed);
}

/* What is not counted but looked at. */
struct stats_gauges {
    size_t append_requests_waiting, read_requests_waiting;
    unsigned lanes_connected, lanes;
    bool nats_is_connected;
};

/* Appends all families in Prometheus's text format. */
void stats_write(struct stats *stats, const struct stats_gauges *gauges, struct buf *out);

#endif
