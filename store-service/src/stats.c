#include "stats.h"

static double load(_Atomic uint64_t *stat)
{
    return (double)atomic_load_explicit(stat, memory_order_relaxed);
}

static void write_messages(struct stats *stats, struct buf *out)
{
    metrics_family(out, "parley_store_messages_total", METRIC_COUNTER,
                   "Messages of append requests, by what became of them.");
    metrics_sample(out, "parley_store_messages_total", "outcome=\"stored\"",
                   load(&stats->messages_stored));
    metrics_sample(out, "parley_store_messages_total", "outcome=\"duplicate\"",
                   load(&stats->messages_duplicate));
    metrics_sample(out, "parley_store_messages_total", "outcome=\"refused\"",
                   load(&stats->messages_refused));
    metrics_single(out, "parley_store_messages_republished_total", METRIC_COUNTER,
                   "Messages published to their room again, because a repeated append named them.",
                   load(&stats->messages_republished));
    metrics_single(out, "parley_store_messages_read_total", METRIC_COUNTER,
                   "Messages in replies to range requests.", load(&stats->messages_read));
}

static void write_requests(struct stats *stats, struct buf *out)
{
    static const char name[] = "parley_store_requests_total";
    metrics_family(out, name, METRIC_COUNTER, "Requests from gateways, by kind and reply.");
    metrics_sample(out, name, "kind=\"append\",status=\"ok\"", load(&stats->appends_ok));
    metrics_sample(out, name, "kind=\"append\",status=\"overloaded\"",
                   load(&stats->appends_overloaded));
    metrics_sample(out, name, "kind=\"append\",status=\"unavailable\"",
                   load(&stats->appends_unavailable));
    metrics_sample(out, name, "kind=\"append\",status=\"invalid\"", load(&stats->appends_invalid));
    metrics_sample(out, name, "kind=\"range\",status=\"ok\"", load(&stats->ranges));
    metrics_sample(out, name, "kind=\"heads\",status=\"ok\"", load(&stats->heads));
    metrics_sample(out, name, "kind=\"read\",status=\"overloaded\"",
                   load(&stats->reads_overloaded));
    metrics_sample(out, name, "kind=\"read\",status=\"unavailable\"",
                   load(&stats->reads_unavailable));
    metrics_sample(out, name, "kind=\"read\",status=\"invalid\"", load(&stats->reads_invalid));
}

static void write_transactions(struct stats *stats, struct buf *out)
{
    static const char name[] = "parley_store_transactions_total";
    metrics_family(out, name, METRIC_COUNTER,
                   "Append transactions, by result: retry was not stored, unknown lost its answer, "
                   "refused was split, busy waits for a lock.");
    metrics_sample(out, name, "result=\"committed\"", load(&stats->transactions_committed));
    metrics_sample(out, name, "result=\"retry\"", load(&stats->transactions_retried));
    metrics_sample(out, name, "result=\"unknown\"", load(&stats->transactions_unknown));
    metrics_sample(out, name, "result=\"refused\"", load(&stats->transactions_refused));
    metrics_sample(out, name, "result=\"busy\"", load(&stats->transactions_busy));
    metrics_single(out, "parley_store_rooms_skipped_total", METRIC_COUNTER,
                   "Rooms of a transaction that another replica held, and that were retried alone.",
                   load(&stats->rooms_skipped));
    metrics_histogram(out, "parley_store_transaction_seconds",
                      "Time of a committed append transaction, from sending to the answer.", 1e-6,
                      &stats->transaction_us);
    metrics_histogram(out, "parley_store_transaction_messages",
                      "Messages in a committed append transaction.", 1.0 / BATCH_SCALE,
                      &stats->transaction_messages);
    metrics_histogram(out, "parley_store_append_wait_seconds",
                      "Time that an append request waited for its lane.", 1e-6,
                      &stats->append_wait_us);
    metrics_histogram(out, "parley_store_read_seconds",
                      "Time of a range or heads request in its lane.", 1e-6, &stats->read_us);
}

void stats_write(struct stats *stats, const struct stats_gauges *gauges, struct buf *out)
{
    write_messages(stats, out);
    write_requests(stats, out);
    write_transactions(stats, out);
    metrics_family(out, "parley_store_requests_waiting", METRIC_GAUGE,
                   "Requests that wait in the lanes.");
    metrics_sample(out, "parley_store_requests_waiting", "kind=\"append\"",
                   (double)gauges->append_requests_waiting);
    metrics_sample(out, "parley_store_requests_waiting", "kind=\"read\"",
                   (double)gauges->read_requests_waiting);
    metrics_single(out, "parley_store_publishes_failed_total", METRIC_COUNTER,
                   "Replies and broadcasts that NATS did not take; gateways ask again.",
                   load(&stats->publishes_failed));
    metrics_single(out, "parley_store_lanes", METRIC_GAUGE, "Lanes, each with a connection.",
                   gauges->lanes);
    metrics_single(out, "parley_store_postgres_connected_lanes", METRIC_GAUGE,
                   "Lanes whose connection to Postgres is there.", gauges->lanes_connected);
    metrics_single(out, "parley_store_postgres_connects_total", METRIC_COUNTER,
                   "Connections made to Postgres.", load(&stats->postgres_connects));
    metrics_single(out, "parley_store_nats_connected", METRIC_GAUGE,
                   "1 while the connection to NATS is there.", gauges->nats_is_connected);
    metrics_single(out, "parley_store_nats_reconnects_total", METRIC_COUNTER,
                   "Times that the connection to NATS was made again.",
                   load(&stats->nats_reconnects));
}
