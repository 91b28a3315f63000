#include "stats.h"

#include "base/process_metrics.h"

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
                   "Messages published to their room again, because an append named them that were "
                   "stored before.",
                   load(&stats->messages_republished));
    metrics_single(
        out, "parley_store_messages_announced_total", METRIC_COUNTER,
        "Messages that rooms were told of without an append: those of parley_publish(), and "
        "of each room that --erase-user tells the newest.",
        load(&stats->messages_announced));
    metrics_single(out, "parley_store_messages_expired_total", METRIC_COUNTER,
                   "Messages that were deleted because they were older than RETENTION_DAYS.",
                   load(&stats->messages_expired));
    metrics_single(out, "parley_store_api_calls_total", METRIC_COUNTER,
                   "Calls of the server API that were carried out or refused.",
                   load(&stats->api_calls));
    metrics_single(out, "parley_store_revocations_told_total", METRIC_COUNTER,
                   "Revoked tokens that gateways were reminded of.",
                   load(&stats->revocations_told));
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

static void write_crowded(struct stats *stats, struct buf *out)
{
    static const char name[] = "parley_store_requests_crowded_total";
    metrics_family(
        out, name, METRIC_COUNTER,
        "Of the overloaded ones, those that came while a quarter of the queue was of their "
        "room (append) or shard (read) already: one that floods, while others are served.");
    metrics_sample(out, name, "kind=\"append\"", load(&stats->appends_crowded));
    metrics_sample(out, name, "kind=\"read\"", load(&stats->reads_crowded));
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
    metrics_histogram(out, "parley_store_transaction_rooms",
                      "Rooms in a committed append transaction.", 1.0 / BATCH_SCALE,
                      &stats->transaction_rooms);
    metrics_histogram(out, "parley_store_append_seconds",
                      "From an append request's arrival to the reply that it is committed.", 1e-6,
                      &stats->append_us);
    metrics_histogram(out, "parley_store_append_wait_seconds",
                      "Of that, the time that it waited for its lane.", 1e-6,
                      &stats->append_wait_us);
    metrics_histogram(out, "parley_store_read_seconds",
                      "Time of a range or heads request in its lane.", 1e-6, &stats->read_us);
}

/* A family of gauges with one sample for appends and one for reads. */
static void write_by_kind(struct buf *out, const char *name, const char *help, size_t append,
                          size_t read)
{
    metrics_family(out, name, METRIC_GAUGE, help);
    metrics_sample(out, name, "kind=\"append\"", (double)append);
    metrics_sample(out, name, "kind=\"read\"", (double)read);
}

static void write_lanes(struct stats *stats, const struct stats_gauges *gauges, struct buf *out)
{
    static const char busy[] = "parley_store_lane_busy_seconds_total";
    write_by_kind(out, "parley_store_lanes", "Lanes: threads with a connection to Postgres each.",
                  gauges->write_lanes, gauges->read_lanes);
    metrics_family(out, busy, METRIC_COUNTER,
                   "Time that lanes worked or waited for Postgres; its rate is how many lanes were "
                   "busy.");
    metrics_sample(out, busy, "kind=\"append\"", load(&stats->write_busy_us) * 1e-6);
    metrics_sample(out, busy, "kind=\"read\"", load(&stats->read_busy_us) * 1e-6);
    write_by_kind(out, "parley_store_requests_waiting", "Requests that wait for a lane now.",
                  gauges->append_requests_waiting, gauges->read_requests_waiting);
    write_by_kind(
        out, "parley_store_requests_waiting_limit",
        "LANE_REQUESTS_MAX of all queues: past its own, a request is answered overloaded.",
        gauges->append_requests_max, gauges->read_requests_max);
    write_by_kind(out, "parley_store_waiting_bytes", "Bytes of the requests that wait now.",
                  gauges->append_bytes_waiting, gauges->read_bytes_waiting);
    write_by_kind(out, "parley_store_waiting_limit_bytes",
                  "LANE_BYTES_MAX of all queues: past its own, a request is answered overloaded.",
                  gauges->append_bytes_max, gauges->read_bytes_max);
}

static void write_connections(struct stats *stats, const struct stats_gauges *gauges,
                              struct buf *out)
{
    metrics_single(out, "parley_store_postgres_connected_lanes", METRIC_GAUGE,
                   "Lanes whose connection to Postgres is there now.", gauges->lanes_connected);
    metrics_single(out, "parley_store_postgres_connects_total", METRIC_COUNTER,
                   "Connections made to Postgres.", load(&stats->postgres_connects));
    metrics_single(out, "parley_store_nats_connected", METRIC_GAUGE,
                   "Whether NATS is connected (1) or not (0).", gauges->nats_is_connected);
    metrics_single(out, "parley_store_nats_reconnects_total", METRIC_COUNTER, "Reconnects to NATS.",
                   load(&stats->nats_reconnects));
    metrics_single(out, "parley_store_nats_slow_consumer_total", METRIC_COUNTER,
                   "Notices of the NATS client that requests came faster than they were taken, and "
                   "were dropped; gateways ask again.",
                   load(&stats->nats_slow_consumer));
    metrics_single(out, "parley_store_receiving", METRIC_GAUGE,
                   "1 while it is in the queue group and takes requests.", gauges->receives);
    metrics_single(out, "parley_store_publishes_failed_total", METRIC_COUNTER,
                   "Replies and broadcasts that NATS did not take; gateways ask again.",
                   load(&stats->publishes_failed));
    metrics_single(out, "parley_store_received_bytes_total", METRIC_COUNTER,
                   "Bytes of requests from NATS.", load(&stats->received_bytes));
    metrics_single(out, "parley_store_sent_bytes_total", METRIC_COUNTER,
                   "Bytes of replies and broadcasts to NATS.", load(&stats->sent_bytes));
}

void stats_write(struct stats *stats, const struct stats_gauges *gauges, struct buf *out)
{
    process_metrics_write(out, "store");
    write_messages(stats, out);
    write_requests(stats, out);
    write_crowded(stats, out);
    write_transactions(stats, out);
    write_lanes(stats, gauges, out);
    write_connections(stats, gauges, out);
}

void stats_write_unused(struct buf *out)
{
    static struct stats stats;
    stats_write(&stats, &(struct stats_gauges){0}, out);
}
