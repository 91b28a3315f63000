/* engine.c - requests of an engine's path. */
#include "engine.h"

#include "base/clock.h"
#include "base/http_connections.h"
#include "engine_impl.h"
#include "http.h"
#include <stdlib.h>

enum {
    COMPRESS_BYTES_MIN = 1024, /* as the reference's httpCompression */
    COMPRESS_LEVEL = 1,
};

/* --- answers ------------------------------------------------------------------------------------------------------ */

/* Refuses for now: clients come back by themselves from a failed handshake. */
static void refuse_unavailable(struct engine *engine, h2o_req_t *req, const char *why)
{
    req->http1_is_persistent = 0;
    cors_add_headers(engine->settings.cors, req);
    http_add_header(req, "retry-after", BYTES("5"));
    http_respond(req, 503, "Service Unavailable", "text/plain; charset=utf-8",
                 bytes_of_string(why));
}

static void refuse(struct engine *engine, h2o_req_t *req, enum eio_error error)
{
    struct eio_refusal refusal = eio_refusal(error, http_is_websocket_upgrade(req));
    engine->stats.refused[error]++;
    if (refusal.closes_connection) {
        req->http1_is_persistent = 0;
    }
    cors_add_headers(engine->settings.cors, req);
    http_respond(req, refusal.status, refusal.reason, refusal.content_type, refusal.body);
}

static void respond_payload(struct engine *engine, h2o_req_t *req, struct bytes payload)
{
    if (engine->is_draining) {
        req->http1_is_persistent = 0; /* the next one is for another server */
    }
    cors_add_headers(engine->settings.cors, req);
    http_add_header(req, "cache-control", BYTES("no-store"));
    struct buf compressed = BUF_INIT;
    if (payload.len > COMPRESS_BYTES_MIN && http_accepts_gzip(req)) {
        http_gzip(payload, COMPRESS_LEVEL, &compressed);
        http_add_header(req, "content-encoding", BYTES("gzip"));
        payload = buf_bytes(&compressed);
    }
    http_respond(req, 200, "OK", "text/plain; charset=UTF-8", payload);
    buf_release(&compressed);
}

void engine_respond(struct engine *engine, h2o_req_t *req, enum verdict verdict,
                    struct bytes payload)
{
    switch (verdict) {
    case VERDICT_PAYLOAD: respond_payload(engine, req, payload); break;
    case VERDICT_POSTED:
        cors_add_headers(engine->settings.cors, req);
        http_respond(req, 200, "OK", "text/html", BYTES("ok"));
        break;
    case VERDICT_BAD_REQUEST: refuse(engine, req, EIO_ERROR_BAD_REQUEST); break;
    case VERDICT_UNKNOWN: refuse(engine, req, EIO_ERROR_SID); break;
    case VERDICT_TOO_LARGE:
        engine->stats.refused_too_large++;
        cors_add_headers(engine->settings.cors, req);
        http_respond(req, 413, "Payload Too Large", "text/plain", (struct bytes){0});
        break;
    }
}

void engine_answer(struct engine *engine, struct asker asker, enum verdict verdict,
                   struct bytes payload)
{
    if (asker.req != NULL) {
        engine_respond(engine, asker.req, verdict, payload);
    } else {
        owner_answer(engine, asker.asked, verdict, payload);
    }
}

/* --- sessions ----------------------------------------------------------------------------------------------------- */

bool engine_may_open(struct engine *engine, h2o_req_t *req, uint32_t *ret_address)
{
    if (engine->is_draining) {
        engine->stats.refused_draining++;
        refuse_unavailable(engine, req, "this server is shutting down; try another one\n");
        return false;
    }
    if (engine->open_count + engine->arriving >= engine->settings.connections_max) {
        engine->stats.refused_full++;
        refuse_unavailable(engine, req, "too many connections; try again later\n");
        return false;
    }
    struct address address = proxies_address_of(engine->settings.proxies, req);
    if (!addresses_take(&engine->addresses, &address, ret_address)) {
        engine->stats.refused_address++;
        refuse_unavailable(engine, req,
                           "too many connections from your address; try again later\n");
        return false;
    }
    return true;
}

/* A WebSocket whose 101 is on its way. */
struct pending_session {
    struct engine *engine;
    uint32_t address;
};

static void on_websocket(void *user, h2o_socket_t *socket, size_t request_len)
{
    struct pending_session *pending = user;
    struct engine *engine = pending->engine;
    if (socket != NULL) {
        h2o_buffer_consume(&socket->input, request_len);
        http_connections_forget(socket);
        engine->stats.opened_websocket++;
        transport_new(engine, EIO_WEBSOCKET, pending->address, socket);
    } else {
        addresses_give_back(&engine->addresses, &pending->address);
    }
    free(pending);
}

static void open_websocket(struct engine *engine, h2o_req_t *req, uint32_t address)
{
    struct pending_session *pending = mem_alloc(sizeof(*pending));
    *pending = (struct pending_session){.engine = engine, .address = address};
    if (!websocket_accept(req, on_websocket, pending)) {
        addresses_give_back(&engine->addresses, &pending->address);
        free(pending);
    }
}

/* Newcomers only: who is here already is served, however long it takes. */
static bool is_overloaded(struct engine *engine, h2o_req_t *req)
{
    if (engine->settings.lag == NULL || !lag_is_overload(engine->settings.lag)) {
        return false;
    }
    engine->stats.refused_overloaded++;
    refuse_unavailable(engine, req, "this server is overloaded; try another one, or later\n");
    return true;
}

static void open_session(struct engine *engine, h2o_req_t *req, bool is_upgrade)
{
    uint32_t address = 0;
    if (is_overloaded(engine, req) || !engine_may_open(engine, req, &address)) {
        return;
    }
    if (is_upgrade) {
        open_websocket(engine, req, address);
        return;
    }
    engine->stats.opened_polling++;
    struct transport *transport = transport_new(engine, EIO_POLLING, address, NULL);
    transport_wait(transport, (struct asker){.req = req});
    engine_flush(transport);
}

struct pending_upgrade {
    struct engine *engine;
    char sid[EIO_SID_BYTES];
};

static void on_upgrade_socket(void *user, h2o_socket_t *socket, size_t request_len)
{
    struct pending_upgrade *pending = user;
    if (socket != NULL) {
        h2o_buffer_consume(&socket->input, request_len);
        http_connections_forget(socket);
        upgrade_new(pending->engine, pending->sid, socket);
    }
    free(pending);
}

static void begin_upgrade(struct engine *engine, h2o_req_t *req, struct bytes sid)
{
    struct pending_upgrade *pending = mem_alloc(sizeof(*pending));
    ASSERT(sid.len == EIO_SID_BYTES);
    pending->engine = engine;
    memcpy(pending->sid, sid.data, EIO_SID_BYTES);
    if (!websocket_accept(req, on_upgrade_socket, pending)) {
        free(pending);
    }
}

/* The client broke the protocol: the session is dead, a GET that waits gets its last word. */
static void refuse_and_close(struct transport *transport, struct asker asker)
{
    eio_session_close(transport->session, EIO_CLOSE_PROTOCOL, WS_CLOSE_PROTOCOL_ERROR,
                      clock_monotonic_ms());
    engine_flush(transport);
    engine_answer(transport->engine, asker, VERDICT_BAD_REQUEST, (struct bytes){0});
}

void engine_serve_get(struct transport *transport, struct asker asker)
{
    if (transport->get != NULL) {
        refuse_and_close(transport, asker);
    } else {
        transport_wait(transport, asker);
        engine_flush(transport);
    }
}

void engine_serve_post(struct transport *transport, struct asker asker, struct bytes body,
                       bool is_octet_stream)
{
    static const enum verdict VERDICTS[] = {
        [EIO_POST_OK] = VERDICT_POSTED,
        [EIO_POST_REFUSED] = VERDICT_BAD_REQUEST,
        [EIO_POST_TOO_LARGE] = VERDICT_TOO_LARGE,
    };
    if (is_octet_stream) { /* binary goes as base64 in this version of the protocol */
        refuse_and_close(transport, asker);
        return;
    }
    struct engine *engine = transport->engine;
    engine->stats.bytes_in += body.len;
    enum eio_post_result result = eio_session_post(transport->session, body, clock_monotonic_ms());
    engine_answer(engine, asker, VERDICTS[result], (struct bytes){0});
    engine_flush(transport);
}

static bool is_octet_stream(const h2o_req_t *req)
{
    return bytes_equal(http_header(req, BYTES("content-type")), BYTES("application/octet-stream"));
}

enum eio_sid_state engine_find(struct engine *engine, struct bytes sid,
                               struct transport **ret_transport)
{
    struct transport *transport = map_get(&engine->by_sid, sid);
    *ret_transport = transport;
    if (transport == NULL || transport->state != TRANSPORT_OPEN ||
        transport->session->state == EIO_STATE_CLOSED) {
        return owner_has_moved(engine, sid) ? EIO_SID_WEBSOCKET : EIO_SID_UNKNOWN;
    }
    return transport->session->transport == EIO_WEBSOCKET ? EIO_SID_WEBSOCKET : EIO_SID_POLLING;
}

/* @transport: NULL where the session went to a peer, which only an upgrade is told later than now. */
static void serve_here(struct engine *engine, struct transport *transport, h2o_req_t *req,
                       const struct eio_request *request)
{
    struct asker asker = {.req = req};
    if (request->is_upgrade) {
        begin_upgrade(engine, req, request->query.sid);
    } else if (bytes_equal(request->method, BYTES("GET"))) {
        engine_serve_get(transport, asker);
    } else {
        engine_serve_post(transport, asker, http_bytes(req->entity), is_octet_stream(req));
    }
}

static void serve_elsewhere(struct engine *engine, h2o_req_t *req,
                            const struct eio_request *request)
{
    struct bytes sid = request->query.sid;
    if (request->is_upgrade) {
        relay_upgrade(engine, req, sid);
    } else if (bytes_equal(request->method, BYTES("GET"))) {
        relay_get(engine, req, sid);
    } else {
        relay_post(engine, req, sid, is_octet_stream(req));
    }
}

void engine_serve(struct engine *engine, h2o_req_t *req)
{
    if (cors_serve_preflight(engine->settings.cors, req)) {
        return;
    }
    if (engine->is_closed) {
        refuse_unavailable(engine, req, "this server has shut down; try another one\n");
        return;
    }
    struct eio_request request = {
        .method = http_method(req),
        .origin = http_header(req, BYTES("origin")),
        .is_upgrade = http_is_websocket_upgrade(req),
        .is_allowed = cors_admits(engine->settings.cors, req),
    };
    eio_parse_query(http_query(req), &request.query);
    struct transport *transport = NULL;
    struct bytes sid = request.query.sid;
    bool is_elsewhere = false;
    if (sid.len > 0) {
        request.session = engine_find(engine, sid, &transport);
        is_elsewhere = transport == NULL && relay_is_elsewhere(engine, sid); /* not taken over */
        if (is_elsewhere) {
            request.session = EIO_SID_POLLING; /* its owner knows better, and says so */
        }
    }
    enum eio_error error = eio_check_request(&request);
    if (error != EIO_ERROR_NONE) {
        refuse(engine, req, error);
    } else if (sid.len == 0) {
        open_session(engine, req, request.is_upgrade);
    } else if (is_elsewhere) {
        serve_elsewhere(engine, req, &request);
    } else {
        serve_here(engine, transport, req, &request);
    }
}

/* --- life --------------------------------------------------------------------------------------------------------- */

struct engine *engine_new(h2o_loop_t *loop, const struct engine_settings *settings,
                          const struct engine_callbacks *callbacks)
{
    struct engine *engine = mem_alloc_zeroed(sizeof(*engine));
    engine->loop = loop;
    engine->settings = *settings;
    engine->callbacks = *callbacks;
    map_init(&engine->by_sid, transport_key);
    addresses_init(&engine->addresses, settings->address_connections_max);
    list_init(&engine->open);
    list_init(&engine->leaving);
    list_init(&engine->doomed);
    list_init(&engine->unfinished);
    list_init(&engine->upgrades);
    list_init(&engine->dirty_upgrades);
    timer_init(&engine->leave_timer, transport_on_leave_due);
    raw_sockets_init(&engine->websockets, loop, &transport_socket_callbacks);
    raw_sockets_init(&engine->probes, loop, &upgrade_socket_callbacks);
    watch_init(engine);
    relay_init(engine);
    owner_init(engine);
    return engine;
}

static void end_all(struct engine *engine)
{
    struct list *node;
    while ((node = list_first(&engine->open)) != NULL ||
           (node = list_first(&engine->unfinished)) != NULL ||
           (node = list_first(&engine->leaving)) != NULL) {
        transport_doom(CONTAINER_OF(node, struct transport, link));
    }
    upgrades_doom_all(engine);
    engine_reap(engine);
    relay_fail_all(engine);
}

void engine_close(struct engine *engine)
{
    if (engine != NULL) {
        engine->is_draining = engine->is_closed = true;
        end_all(engine);
    }
}

void engine_free(struct engine *engine)
{
    if (engine == NULL) {
        return;
    }
    end_all(engine); /* a WebSocket whose 101 was on its way when it was closed */
    relay_release(engine);
    owner_release(engine);
    watch_release(engine);
    raw_sockets_release(&engine->websockets);
    raw_sockets_release(&engine->probes);
    timers_clear(engine->settings.timers, &engine->leave_timer);
    map_release(&engine->by_sid);
    addresses_release(&engine->addresses);
    free(engine);
}

void engine_refuse_sessions(struct engine *engine)
{
    engine->is_draining = true;
    relay_let_go(engine);
}

size_t engine_open_count(const struct engine *engine)
{
    return engine->open_count;
}

struct engine_stats engine_stats(const struct engine *engine)
{
    return engine->stats;
}
