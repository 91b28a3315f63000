#include "gateway_metrics.h"

#include "base/process_metrics.h"
#include <stdio.h>

enum { LABELS_BYTES_MAX = 128 };

static void counter(struct buf *out, const char *name, const char *help, uint64_t value)
{
    metrics_single(out, name, METRIC_COUNTER, help, (double)value);
}

static void gauge(struct buf *out, const char *name, const char *help, size_t value)
{
    metrics_single(out, name, METRIC_GAUGE, help, (double)value);
}

/* A sample of the family @name whose only label is @key. */
static void sample(struct buf *out, const char *name, const char *key, const char *value,
                   uint64_t number)
{
    char labels[LABELS_BYTES_MAX];
    snprintf(labels, sizeof(labels), "%s=\"%s\"", key, value);
    metrics_sample(out, name, labels, (double)number);
}

/* --- connections and requests ------------------------------------------------------------------------------------- */

static void write_refusals(struct buf *out, const struct engine_stats *engine)
{
    static const char name[] = "parley_handshakes_refused_total";
    static const char *const reasons[ENGINE_REFUSALS] = {
        [EIO_ERROR_TRANSPORT] = "transport", [EIO_ERROR_SID] = "sid",
        [EIO_ERROR_METHOD] = "method",       [EIO_ERROR_BAD_REQUEST] = "bad_request",
        [EIO_ERROR_FORBIDDEN] = "forbidden", [EIO_ERROR_VERSION] = "version",
    };
    metrics_family(out, name, METRIC_COUNTER,
                   "Requests to /socket.io/ that were refused: with 503 (full: CONNECTIONS_MAX is "
                   "reached; address: CONNECTIONS_PER_ADDRESS_MAX is; draining; overloaded: see "
                   "OVERLOAD_LAG), 413 (too_large) or 400 (the "
                   "rest; sid: of a session that is "
                   "not here, or not any more).");
    sample(out, name, "reason", "full", engine->refused_full);
    sample(out, name, "reason", "address", engine->refused_address);
    sample(out, name, "reason", "draining", engine->refused_draining);
    sample(out, name, "reason", "overloaded", engine->refused_overloaded);
    sample(out, name, "reason", "too_large", engine->refused_too_large);
    for (int error = 0; error < ENGINE_REFUSALS; error++) {
        sample(out, name, "reason", reasons[error], engine->refused[error]);
    }
}

static void write_connections(struct buf *out, const struct gateway_numbers *numbers)
{
    const struct engine_stats *engine = &numbers->engine;
    const struct server_stats *server = &numbers->server;
    size_t clients = numbers->hub->clients;
    gauge(out, "parley_clients", "Connections of clients (Engine.IO sessions) now.", clients);
    gauge(out, "parley_clients_limit", "CONNECTIONS_MAX: more are refused with 503.",
          (size_t)numbers->config->connections_max);
    metrics_family(out, "parley_sessions", METRIC_GAUGE, "The same connections, by transport.");
    sample(out, "parley_sessions", "transport", "polling",
           clients - MIN_OF(clients, engine->websocket_sessions));
    sample(out, "parley_sessions", "transport", "websocket", engine->websocket_sessions);
    metrics_family(out, "parley_sessions_opened_total", METRIC_COUNTER,
                   "Connections that were opened, by their first transport.");
    sample(out, "parley_sessions_opened_total", "transport", "polling", engine->opened_polling);
    sample(out, "parley_sessions_opened_total", "transport", "websocket", engine->opened_websocket);
    metrics_family(
        out, "parley_sessions_closed_total", METRIC_COUNTER,
        "Connections that ended: transport (the socket failed), peer (said goodbye), "
        "ping_timeout (silent), protocol (broke it), outbox_full (did not read), inbox_full (began "
        "too much), server "
        "(drain, or its session came back elsewhere), unauthorized (its token is over), moved "
        "(to another gateway).");
    for (int reason = 0; reason < HUB_CLOSE_REASONS; reason++) {
        sample(out, "parley_sessions_closed_total", "reason",
               eio_close_reason_name((enum eio_close_reason)reason),
               numbers->hub->by.clients_closed[reason]);
    }
    counter(out, "parley_sessions_superseded_total",
            "Connections closed because their session was resumed on another one.",
            numbers->hub->sessions_superseded);
    metrics_family(out, "parley_tokens_refused_total", METRIC_COUNTER,
                   "CONNECTs with AUTH=jwt that did not come in: unauthorized (the token is none), "
                   "forbidden (not for that room), stale (another token may do).");
    sample(out, "parley_tokens_refused_total", "why", "unauthorized", numbers->hub->tokens_refused);
    sample(out, "parley_tokens_refused_total", "why", "forbidden", numbers->hub->rooms_forbidden);
    sample(out, "parley_tokens_refused_total", "why", "stale", numbers->hub->tokens_stale);
    metrics_family(out, "parley_members_put_out_total", METRIC_COUNTER,
                   "Members who were put out, since their token expired or was revoked.");
    sample(out, "parley_members_put_out_total", "why", "expired", numbers->hub->passes_expired);
    sample(out, "parley_members_put_out_total", "why", "revoked", numbers->hub->passes_revoked);
    counter(out, "parley_upgrades_total", "Connections that went from polling to WebSocket.",
            engine->upgraded);
    counter(out, "parley_relayed_requests_total",
            "Polling requests passed on to the gateway that has the session.", engine->relayed);
    counter(out, "parley_relays_failed_total",
            "Of these, without an answer: their sessions are closed.", engine->relays_failed);
    counter(out, "parley_takeovers_total",
            "Connections that came here from another gateway, with their upgrade to WebSocket.",
            engine->taken_over);
    counter(out, "parley_handovers_total", "Connections that went to another gateway so.",
            engine->handed_over);
    counter(out, "parley_polls_aborted_total", "Waiting GETs that their clients gave up.",
            engine->aborted_polls);
    write_refusals(out, engine);
    gauge(out, "parley_certificate_expires_timestamp_seconds",
          "When the certificate of TLS_CERT_FILE ends, in seconds since 1970; 0: there is none.",
          (size_t)numbers->certificate_expires_s);
    metrics_family(out, "parley_sockets", METRIC_GAUGE,
                   "Sockets of clients that are open now, by what they speak.");
    sample(out, "parley_sockets", "kind", "http", server->sockets);
    sample(out, "parley_sockets", "kind", "websocket", engine->websockets);
    gauge(out, "parley_sockets_limit",
          "What the system's files allow (ulimit -n): more are closed as they come.",
          numbers->sockets_max);
    counter(out, "parley_sockets_refused_total", "Sockets that were closed as they came.",
            server->sockets_refused);
    counter(out, "parley_proxy_headers_refused_total",
            "Connections from TRUSTED_PROXIES that were closed, since no header of the PROXY "
            "protocol came, or a wrong one.",
            server->proxy_headers_refused);
    gauge(out, "parley_slow_clients",
          "WebSockets now that have more to read than their clients take.",
          engine->websockets_blocked);
    gauge(out, "parley_outbox_bytes",
          "Acknowledgements, errors, answers to chat history and rests of frames now that clients "
          "have yet to take (bounds: 512 KiB a client; 64 MiB in all, past which who has more than "
          "32 KiB is closed).",
          numbers->hub->outbox_bytes);
    gauge(out, "parley_inbox_bytes",
          "Packets now that have not all come yet, of clients that have sent 16 KiB of one or more "
          "(bound: 64 MiB in all, past which "
          "such a client is closed when it sends more).",
          numbers->hub->inbox_bytes);
    gauge(out, "parley_http_input_bytes",
          "HTTP requests now that are not answered yet, of connections that have sent 16 KiB or "
          "more of one (bound: 64 MiB in all, past "
          "which the oldest are closed).",
          server->input_bytes);
    counter(out, "parley_requests_cut_total", "Connections that were closed for that.",
            server->requests_cut);
    counter(out, "parley_received_bytes_total", "Bytes of packets from clients.", engine->bytes_in);
    counter(out, "parley_sent_bytes_total", "Bytes of packets to clients.",
            numbers->hub->bytes_out);
}

static void write_loop(struct buf *out, const struct gateway_numbers *numbers)
{
    metrics_histogram(out, "parley_loop_lag_seconds",
                      "How long what comes in waits for its turn: time from when a probe is due, "
                      "every 100 ms, until it is read.",
                      1e-6, numbers->lag_us);
    metrics_histogram(out, "parley_loop_turn_cpu_seconds",
                      "CPU time of one turn of the loop, in which everybody else waits.", 1e-6,
                      numbers->turn_cpu_us);
    counter(out, "parley_accepts_paced_total",
            "Turns of the loop that let in as many new sockets as one may (64): more may have "
            "waited.",
            numbers->server.accepts_paced);
}

/* --- messages ------------------------------------------------------------------------------------------------------ */

static void write_messages(struct buf *out, const struct hub_stats *hub)
{
    counter(out, "parley_messages_received_total",
            "Chat messages from clients that were taken, repeats included.", hub->messages_in);
    counter(out, "parley_messages_stored_total",
            "Chat messages that the store committed, or knew already.", hub->messages_stored);
    counter(out, "parley_messages_duplicate_total",
            "Of these, known already by their client ids: repeats of clients.",
            hub->messages_duplicate);
    metrics_family(out, "parley_messages_refused_total", METRIC_COUNTER,
                   "Chat messages that their senders were told were not stored, by code.");
    for (int code = 0; code < HUB_CHAT_CODES; code++) {
        sample(out, "parley_messages_refused_total", "code", chat_code_name((enum chat_code)code),
               hub->by.messages_refused[code]);
    }
    gauge(out, "parley_messages_waiting",
          "Chat messages now that the store has not answered for yet (bounds: 1,024 a client, "
          "8,192 a room; past them: overloaded).",
          hub->sends_waiting);
    gauge(out, "parley_messages_waiting_bytes",
          "Memory of these, and of those whose acknowledgements wait (bound: 64 MiB; past it: "
          "overloaded).",
          hub->send_bytes);
    metrics_histogram(out, "parley_append_duration_seconds",
                      "From a chat message's arrival here to the store's answer.", 1e-6,
                      &hub->by.append_us);
    counter(out, "parley_appends_total", "Append requests to the store, repeats included.",
            hub->appends);
    counter(out, "parley_appends_repeated_total",
            "Append requests that were sent again: not answered in 1.5 s, nobody there, or busy.",
            hub->appends_repeated);
    counter(out, "parley_log_messages_total", "Messages that joined a room's log here.",
            hub->log_messages);
    metrics_histogram(out, "parley_commit_to_delivery_seconds",
                      "From a message's commit (Postgres's clock) to its joining the room's log "
                      "here (this machine's clock), from where it goes to all members at once.",
                      1e-6, &hub->by.commit_to_delivery_us);
    counter(out, "parley_deliveries_total", "Messages written to members.", hub->deliveries);
}

/* --- rooms and recovery -------------------------------------------------------------------------------------------- */

static bool can_happen(int join, int gap)
{
    return gap == HUB_GAP_NONE || join == HUB_JOIN_CAUGHT_UP;
}

static void write_joins(struct buf *out, const struct hub_stats *hub)
{
    static const char name[] = "parley_joins_total";
    metrics_family(
        out, name, METRIC_COUNTER,
        "Joins of rooms. outcome: resumed (socket.recovered is true), caught_up (from an "
        "offset, as a new session), new (without an offset). gap: why a caught_up one "
        "did not get all. source: where the first message for it was.");
    for (int join = 0; join < HUB_JOINS; join++) {
        for (int gap = 0; gap < HUB_GAPS; gap++) {
            for (int source = 0; source < HUB_SOURCES && can_happen(join, gap); source++) {
                char labels[LABELS_BYTES_MAX];
                snprintf(labels, sizeof(labels), "outcome=\"%s\",gap=\"%s\",source=\"%s\"",
                         hub_join_name((enum hub_join)join), hub_gap_name((enum hub_gap)gap),
                         hub_source_name((enum hub_source)source));
                metrics_sample(out, name, labels, (double)hub->by.joins[join][gap][source]);
            }
        }
    }
}

static void write_rooms(struct buf *out, const struct gateway_numbers *numbers)
{
    const struct hub_stats *hub = numbers->hub;
    size_t log_bytes_max = (size_t)numbers->config->log_bytes_max;
    gauge(out, "parley_rooms", "Rooms that this gateway keeps now.", hub->rooms);
    gauge(out, "parley_rooms_limit", "ROOMS_MAX.", (size_t)numbers->config->rooms_max);
    metrics_family(
        out, "parley_rooms_refused_total", METRIC_COUNTER,
        "Joins that were refused, since a connection (connection: ROOMS_PER_CLIENT_MAX), an "
        "address (address: ROOMS_PER_ADDRESS_MAX) or this gateway (full: ROOMS_MAX) has too "
        "many rooms.");
    sample(out, "parley_rooms_refused_total", "reason", "connection", hub->rooms_refused_client);
    sample(out, "parley_rooms_refused_total", "reason", "address", hub->rooms_refused_address);
    sample(out, "parley_rooms_refused_total", "reason", "full", hub->rooms_refused_full);
    gauge(out, "parley_members", "Memberships of clients in rooms now.", hub->members);
    gauge(out, "parley_members_joining",
          "Members now whose CONNECT is held until the store tells the room's head.", hub->joining);
    gauge(out, "parley_room_log_bytes", "Memory of the newest messages of all rooms now.",
          hub->log_bytes);
    gauge(out, "parley_room_log_limit_bytes",
          "What of LOG_BYTES_MAX that may take; past it the oldest leave.",
          log_bytes_max - log_bytes_max / 4);
    write_joins(out, hub);
    metrics_family(out, "parley_chat_gaps_total", METRIC_COUNTER,
                   "Chat gap events: messages that a member will not get, since they are past "
                   "RECOVERY_MAX (limit), deleted (retention), or of a database that was replaced "
                   "(epoch).");
    for (int gap = HUB_GAP_LIMIT; gap < HUB_GAPS; gap++) {
        sample(out, "parley_chat_gaps_total", "reason", hub_gap_name((enum hub_gap)gap),
               hub->by.gaps_told[gap]);
    }
    gauge(out, "parley_ahead_bytes",
          "Broadcasts now that wait for a hole in front of them (bound: 32 MiB in all).",
          hub->ahead_bytes);
    counter(
        out, "parley_gaps_repaired_total",
        "Holes in a room's log, from broadcasts that were lost, that were filled from the store.",
        hub->gaps_repaired);
    counter(out, "parley_ahead_dropped_total",
            "Broadcasts ahead of a hole that were not kept (bounds: 64 a room, 32 MiB in all); "
            "they are fetched.",
            hub->ahead_dropped);
    counter(out, "parley_queries_total", "Queries to the store, repeats included.", hub->queries);
    gauge(out, "parley_queries_waiting",
          "Queries now that wait until one of the 4 of their shard is answered.",
          hub->queries_waiting);
    counter(out, "parley_page_parts_fetched_total",
            "Parts of pages of older messages that were read from the store, of 256 messages or "
            "512 KiB.",
            hub->page_parts_fetched);
    counter(out, "parley_page_parts_evicted_total",
            "Of these, dropped since others needed the room; they are read again for who wants "
            "them.",
            hub->page_parts_evicted);
    gauge(out, "parley_pages_waiting",
          "Pages now that members wait for: for room, or for the store's answer (32 at a time).",
          hub->pages_waiting);
    gauge(out, "parley_page_bytes", "Memory of pages of older messages now.", hub->page_bytes);
    gauge(out, "parley_page_limit_bytes",
          "What of LOG_BYTES_MAX that and answers on their way may take; past it the least used "
          "leave.",
          log_bytes_max / 4);
    metrics_family(out, "parley_history_requests_total", METRIC_COUNTER,
                   "Answers to chat history; overloaded: the client has yet to read earlier ones.");
    for (int how = 0; how < HUB_HISTORIES; how++) {
        sample(out, "parley_history_requests_total", "outcome",
               hub_history_name((enum hub_history)how), hub->by.histories[how]);
    }
}

/* --- presence ----------------------------------------------------------------------------------------------------- */

static void write_presence(struct buf *out, const struct gateway_numbers *numbers)
{
    const struct hub_stats *hub = numbers->hub;
    gauge(out, "parley_presence_rooms",
          "Rooms now where members, here or elsewhere, want to know who is here.",
          hub->presence_rooms);
    gauge(
        out, "parley_presence_waiting",
        "Of these, those that wait for their turn to tell members or other gateways (a turn of 50 "
        "ms: 512 members, 64 rooms, 64 KiB).",
        hub->presence_waiting);
    gauge(out, "parley_presence_bytes",
          "Names now of other gateways' members (bound: 32 MiB; past it, members get a count).",
          hub->presence_bytes);
    counter(out, "parley_presence_events_total",
            "Events chat presence and chat typing written to members.", hub->presence_told);
    counter(out, "parley_presence_deferred_total",
            "Times that a member was not told, since its socket was busy: it is told the newest a "
            "second later.",
            hub->presence_deferred);
    counter(out, "parley_presence_announced_total",
            "Messages about presence to other gateways, questions included.",
            hub->presence_announced);
    counter(out, "parley_presence_heard_total", "Messages about presence from other gateways.",
            hub->presence_heard);
    metrics_family(out, "parley_presence_dropped_total", METRIC_COUNTER,
                   "Messages about presence from other gateways without effect: 32 MiB waited for "
                   "the loop (mailbox); of a room's 257th gateway, or about typers of an unknown "
                   "one (roster). It is told again.");
    sample(out, "parley_presence_dropped_total", "reason", "mailbox",
           numbers->bus.presence_dropped);
    sample(out, "parley_presence_dropped_total", "reason", "roster", hub->presence_ignored);
}

/* --- NATS ---------------------------------------------------------------------------------------------------------- */

static void write_bus(struct buf *out, const struct bus_stats *bus)
{
    gauge(out, "parley_nats_connected", "Whether NATS is connected (1) or not (0).",
          bus->is_connected);
    gauge(out, "parley_nats_subscriptions",
          "Subscriptions now to rooms' messages: one for each room that is kept.",
          bus->subscriptions);
    counter(out, "parley_nats_reconnects_total", "Reconnects to NATS.", bus->reconnects);
    counter(out, "parley_nats_slow_consumer_total",
            "Notices of the NATS client that broadcasts came faster than they were taken, and were "
            "dropped; they are fetched again.",
            bus->slow_consumer);
    gauge(out, "parley_mailbox_bytes", "Bytes from NATS now that wait for the loop.",
          bus->mail_bytes);
    gauge(out, "parley_mailbox_reply_bytes",
          "Bytes of the store's answers now that wait for the loop.", bus->reply_bytes);
    counter(out, "parley_replies_dropped_total",
            "The store's answers dropped because 160 MiB of them waited; what lacks one is asked "
            "again.",
            bus->replies_dropped);
    counter(out, "parley_mailbox_dropped_total",
            "Broadcasts dropped because 64 MiB of them waited; they are fetched again.",
            bus->mail_dropped);
    counter(out, "parley_peer_mail_dropped_total",
            "Messages of other gateways, about sessions, that were dropped likewise; the requests "
            "that they are of fail, and their clients reconnect.",
            bus->peer_mail_dropped);
    gauge(out, "parley_bus_command_bytes", "Bytes for NATS now that wait to be published.",
          bus->command_bytes);
    counter(out, "parley_bus_commands_dropped_total",
            "Requests dropped because 64 MiB of them waited; they are made again.",
            bus->commands_dropped);
}

void gateway_metrics_write(struct buf *out, const struct gateway_numbers *numbers)
{
    process_metrics_write(out, "gateway");
    write_connections(out, numbers);
    write_loop(out, numbers);
    write_messages(out, numbers->hub);
    write_rooms(out, numbers);
    write_presence(out, numbers);
    write_bus(out, &numbers->bus);
}

void gateway_metrics_write_unused(struct buf *out)
{
    static const struct hub_stats hub;
    static const struct gateway_config config;
    static const struct histogram none;
    gateway_metrics_write(
        out, &(struct gateway_numbers){
                 .hub = &hub, .config = &config, .lag_us = &none, .turn_cpu_us = &none});
}
