/*
 * stats.h - what the store-service counts.
 *
 * Thread  Any: relaxed atomics.
 */
#ifndef PARLEY_STORE_STATS_H
#define PARLEY_STORE_STATS_H

#include "base/metrics.h"

struct stats {
    _Atomic uint64_t messages_stored, messages_duplicate, messages_refused, messages_republished,
        messages_announced, messages_expired;
    _Atomic uint64_t api_calls, revocations_told;
    _Atomic uint64_t transactions_committed, transactions_retried, transactions_unknown,
        transactions_refused, transactions_busy, rooms_skipped;
    _Atomic uint64_t appends_ok, appends_overloaded, appends_unavailable, appends_invalid;
    _Atomic uint64_t ranges, heads;
    _Atomic uint64_t appends_crowded, reads_crowded; /* of the overloaded ones */
    _Atomic uint64_t reads_overloaded, reads_unavailable, reads_invalid;
    _Atomic uint64_t messages_read;
    _Atomic uint64_t publishes_failed;
    _Atomic uint64_t received_bytes, sent_bytes; /* payloads, from and to NATS */
    _Atomic uint64_t postgres_connects, nats_reconnects, nats_slow_consumer;
    _Atomic uint64_t write_busy_us, read_busy_us; /* of all lanes */
    struct histogram transaction_us;              /* of those that were committed */
    struct histogram transaction_messages;        /* BATCH_SCALE of them are one message */
    struct histogram transaction_rooms;           /* likewise */
    struct histogram read_us;
    struct histogram append_us;      /* from NATS to the reply, of those that were stored */
    struct histogram append_wait_us; /* from NATS to the lane that takes it */
};

/* A histogram's bounds are powers of two from 64 on; so 64 stands for one. */
enum { BATCH_SCALE = 64 };

static inline void stat_add(_Atomic uint64_t *stat, uint64_t n)
{
    atomic_fetch_add_explicit(stat, n, memory_order_relaxed);
}

/* What is not counted but looked at. */
struct stats_gauges {
    size_t append_requests_waiting, read_requests_waiting;
    size_t append_bytes_waiting, read_bytes_waiting;
    size_t append_requests_max, read_requests_max, append_bytes_max, read_bytes_max;
    unsigned write_lanes, read_lanes, lanes_connected;
    bool nats_is_connected, receives;
};

/* Appends all families in Prometheus's text format. */
void stats_write(struct stats *stats, const struct stats_gauges *gauges, struct buf *out);

/* The same of a store-service that has done nothing yet, for docs/operations.md. */
void stats_write_unused(struct buf *out);

#endif
