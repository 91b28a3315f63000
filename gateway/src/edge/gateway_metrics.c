#include "gateway_metrics.h"

#include <string.h>

/* A number of the hub: its name there, and what a reader of /metrics sees. */
#define COUNTER(field, name, help) \
    metrics_single(out, name, METRIC_COUNTER, help, (double)stats->field)
#define GAUGE(field, name, help) metrics_single(out, name, METRIC_GAUGE, help, (double)stats->field)

static void write_hub(struct buf *out, struct hub *hub)
{
    const struct hub_stats *stats = hub_stats(hub);
    GAUGE(clients, "parley_clients", "Connections of clients now.");
    GAUGE(members, "parley_members", "Memberships of clients in rooms now.");
    GAUGE(rooms, "parley_rooms", "Rooms that this gateway keeps now.");
    GAUGE(log_bytes, "parley_room_log_bytes", "Memory of the newest messages of all rooms now.");
    GAUGE(page_bytes, "parley_page_bytes", "Memory of pages of older messages now.");
    COUNTER(messages_in, "parley_messages_received_total", "Chat messages that clients sent.");
    COUNTER(messages_stored, "parley_messages_stored_total",
            "Chat messages that the store committed, or knew.");
    COUNTER(messages_duplicate, "parley_messages_duplicate_total",
            "Of these, known before by their client ids.");
    metrics_family(out, "parley_messages_refused_total", METRIC_COUNTER,
                   "Chat messages that ended without being stored, by reason.");
    metrics_sample(out, "parley_messages_refused_total", "reason=\"invalid\"",
                   (double)stats->messages_invalid);
    metrics_sample(out, "parley_messages_refused_total", "reason=\"unavailable\"",
                   (double)stats->messages_unavailable);
    metrics_sample(out, "parley_messages_refused_total", "reason=\"overloaded\"",
                   (double)stats->messages_overloaded);
    COUNTER(deliveries, "parley_deliveries_total", "Messages written to members.");
    COUNTER(bytes_out, "parley_sent_bytes_total", "Bytes written to clients' sockets.");
    COUNTER(appends, "parley_appends_total", "Append requests to the store, repeats included.");
    COUNTER(appends_repeated, "parley_appends_repeated_total",
            "Append requests that were sent again.");
    COUNTER(queries, "parley_queries_total", "Queries to the store, repeats included.");
    COUNTER(log_messages, "parley_log_messages_total", "Messages that joined a room's log.");
    COUNTER(gaps_repaired, "parley_gaps_repaired_total",
            "Holes in a log that were filled from the store.");
    COUNTER(ahead_dropped, "parley_ahead_dropped_total",
            "Broadcasts ahead of the log that were not kept.");
    COUNTER(pages_fetched, "parley_pages_fetched_total",
            "Pages of older messages read from the store.");
    metrics_family(out, "parley_joins_total", METRIC_COUNTER, "Joins of rooms, by how they began.");
    metrics_sample(out, "parley_joins_total", "how=\"new\"", (double)stats->joins_new);
    metrics_sample(out, "parley_joins_total", "how=\"caught_up\"", (double)stats->joins_caught_up);
    metrics_sample(out, "parley_joins_total", "how=\"resumed\"", (double)stats->joins_resumed);
    COUNTER(gaps_told, "parley_chat_gaps_total", "Chat gap events sent to members.");
    COUNTER(sessions_superseded, "parley_sessions_superseded_total",
            "Connections closed because their session lives on another one.");
    metrics_histogram(out, "parley_append_duration_seconds",
                      "Time from a message's arrival to the store's answer.", 1e-6,
                      hub_append_latency(hub));
}

static void write_edge(struct buf *out, const struct bus *bus_of, const struct engine *engine_of,
                       const struct server *server_of)
{
    struct bus_stats bus = bus_stats(bus_of);
    metrics_single(out, "parley_nats_connected", METRIC_GAUGE,
                   "Whether NATS is connected (1) or not (0).", bus_is_connected(bus_of));
    metrics_single(out, "parley_nats_reconnects_total", METRIC_COUNTER, "Reconnects to NATS.",
                   (double)bus.reconnects);
    metrics_single(out, "parley_nats_slow_consumer_total", METRIC_COUNTER,
                   "Notices of nats.c that broadcasts were dropped.", (double)bus.slow_consumer);
    metrics_single(out, "parley_mailbox_dropped_total", METRIC_COUNTER,
                   "Broadcasts dropped because the mailbox was full; they are fetched again.",
                   (double)bus.mail_dropped);
    metrics_single(out, "parley_bus_commands_dropped_total", METRIC_COUNTER,
                   "Requests dropped because too many wait for NATS; they are made again.",
                   (double)bus.commands_dropped);
    struct engine_stats engine = engine_stats(engine_of);
    metrics_family(out, "parley_sessions_opened_total", METRIC_COUNTER,
                   "Engine.IO sessions, by their first transport.");
    metrics_sample(out, "parley_sessions_opened_total", "transport=\"polling\"",
                   (double)engine.opened_polling);
    metrics_sample(out, "parley_sessions_opened_total", "transport=\"websocket\"",
                   (double)engine.opened_websocket);
    metrics_single(out, "parley_upgrades_total", METRIC_COUNTER,
                   "Sessions that went from polling to WebSocket.", (double)engine.upgraded);
    metrics_single(out, "parley_polls_aborted_total", METRIC_COUNTER,
                   "Waiting GETs that their clients gave up.", (double)engine.aborted_polls);
    metrics_family(out, "parley_handshakes_refused_total", METRIC_COUNTER,
                   "Requests refused, by reason.");
    metrics_sample(out, "parley_handshakes_refused_total", "reason=\"bad\"",
                   (double)engine.refused_bad);
    metrics_sample(out, "parley_handshakes_refused_total", "reason=\"full\"",
                   (double)engine.refused_full);
    metrics_sample(out, "parley_handshakes_refused_total", "reason=\"draining\"",
                   (double)engine.refused_draining);
    struct server_stats server = server_stats(server_of);
    metrics_single(out, "parley_sockets_refused_total", METRIC_COUNTER,
                   "Connections closed at once because all files are taken.",
                   (double)server.sockets_refused);
    metrics_family(out, "parley_sockets", METRIC_GAUGE, "Sockets of clients that are open.");
    metrics_sample(out, "parley_sockets", "kind=\"http\"", (double)server.sockets);
    metrics_sample(out, "parley_sockets", "kind=\"websocket\"", (double)engine.websockets);
    metrics_single(out, "parley_received_bytes_total", METRIC_COUNTER,
                   "Bytes of packets read from clients.", (double)engine.bytes_in);
}

void gateway_metrics_write(struct buf *out, struct hub *hub, const struct bus *bus,
                           const struct engine *engine, const struct server *server)
{
    metrics_family(out, "parley_build_info", METRIC_GAUGE, "Always 1; the labels say what runs.");
    metrics_sample(out, "parley_build_info",
                   "program=\"parley-gateway\",version=\"" PARLEY_VERSION "\"", 1);
    write_hub(out, hub);
    write_edge(out, bus, engine, server);
}
