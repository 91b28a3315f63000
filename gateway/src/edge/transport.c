/* transport.c - what carries a session: its waiting GET, or its WebSocket. */
#include "engine_impl.h"

#include "base/clock.h"
#include <stdlib.h>

enum { PIECES_MAX = 64 };

struct bytes transport_key(const void *transport)
{
    return bytes_of(((const struct transport *)transport)->session->sid, EIO_SID_BYTES);
}

static bool holds_slot(const struct transport *transport)
{
    return transport->state == TRANSPORT_OPEN || transport->state == TRANSPORT_CLOSING;
}

/* Takes the GET that waits. */
static struct asker take_get(struct transport *transport)
{
    struct poll *poll = transport->get;
    struct asker asker = {.req = poll->watched.req, .asked = poll->asked};
    if (asker.req != NULL) {
        watch_end(transport->engine, &poll->watched);
    }
    transport->get = NULL;
    free(poll);
    return asker;
}

static void on_aborted(struct watched *watched, uint64_t now_ms)
{
    struct poll *poll = CONTAINER_OF(watched, struct poll, watched);
    watched->req->http1_is_persistent = 0;
    transport_on_get_aborted(poll->transport, now_ms);
}

void transport_wait(struct transport *transport, struct asker asker)
{
    ASSERT(transport->get == NULL);
    struct poll *poll = mem_alloc(sizeof(*poll));
    *poll = (struct poll){
        .watched = {.req = asker.req, .on_aborted = on_aborted},
        .asked = asker.asked,
        .transport = transport,
    };
    transport->get = poll;
    if (asker.req != NULL) {
        watch_begin(transport->engine, &poll->watched);
    }
}

void transport_answer_get(struct transport *transport, struct bytes payload)
{
    engine_answer(transport->engine, take_get(transport), VERDICT_PAYLOAD, payload);
}

static void move_to(struct transport *transport, struct list *list)
{
    transport->is_unfinished = list == &transport->engine->unfinished;
    list_leave(&transport->link);
    list_append(list, &transport->link);
}

/* @transport is about to be OPEN no more: its address has room for another one. */
static void leave_address(struct transport *transport)
{
    if (transport->state == TRANSPORT_OPEN) {
        addresses_give_back(&transport->engine->addresses, &transport->address);
    }
}

void transport_doom(struct transport *transport)
{
    if (transport->state == TRANSPORT_DOOMED) {
        return;
    }
    struct engine *engine = transport->engine;
    engine->open_count -= holds_slot(transport);
    leave_address(transport);
    transport->state = TRANSPORT_DOOMED;
    if (transport->came_from_peer) {
        relay_forget_moved(engine, transport->awaits);
    } else {
        owner_end_claim(transport);
    }
    move_to(transport, &engine->doomed);
    raw_socket_stop(&transport->socket);
}

/* Gives @transport ENGINE_LINGER_MS from now on, behind all that have theirs already. */
static void leave_later(struct transport *transport, enum transport_state state)
{
    struct engine *engine = transport->engine;
    uint64_t leaves_at_ms = clock_monotonic_ms() + ENGINE_LINGER_MS;
    leave_address(transport);
    transport->state = (uint8_t)state;
    transport->leaves_at_ms = (uint32_t)leaves_at_ms;
    move_to(transport, &engine->leaving);
    if (!timer_is_set(&engine->leave_timer)) {
        timers_set(engine->settings.timers, &engine->leave_timer, leaves_at_ms);
    }
}

static void linger(struct transport *transport)
{
    if (!raw_socket_end_writing(&transport->socket)) {
        transport_doom(transport);
        return;
    }
    transport->engine->open_count--;
    leave_later(transport, TRANSPORT_LINGERING);
}

void transport_on_leave_due(struct timer *timer, uint64_t now_ms)
{
    struct engine *engine = CONTAINER_OF(timer, struct engine, leave_timer);
    struct list *node;
    while ((node = list_first(&engine->leaving)) != NULL) {
        struct transport *transport = CONTAINER_OF(node, struct transport, link);
        int32_t left_ms = (int32_t)(transport->leaves_at_ms - (uint32_t)now_ms);
        if (left_ms > 0) {
            timers_set(engine->settings.timers, timer, now_ms + (uint64_t)left_ms);
            return;
        }
        if (transport->state == TRANSPORT_CLOSING) {
            raw_socket_discard_unsent(&transport->socket);
        }
        transport_doom(transport);
    }
}

/* --- polling ------------------------------------------------------------------------------------------------------ */

/* Answers the GET that waits, where the session has an answer; over with its session. */
static void flush_poll(struct transport *transport)
{
    struct eio_session *session = transport->session;
    struct buf payload = BUF_INIT;
    if (transport->get != NULL &&
        eio_session_poll(session, &payload, ENGINE_POLL_BYTES_MAX, clock_monotonic_ms())) {
        transport_answer_get(transport, buf_bytes(&payload));
        buf_release(&payload);
    }
    if (session->state != EIO_STATE_OPEN) {
        owner_end_claim(transport);
    }
    if (session->state == EIO_STATE_CLOSED && transport->get == NULL &&
        !transport->socket.is_open) {
        transport_doom(transport);
    }
}

void transport_on_get_aborted(struct transport *transport, uint64_t now_ms)
{
    transport->engine->stats.aborted_polls++;
    transport_answer_get(transport,
                         (struct bytes){0}); /* nobody reads it, but libh2o is done with it */
    eio_session_transport_closed(transport->session, now_ms);
    flush_poll(transport);
}

/* --- WebSocket ---------------------------------------------------------------------------------------------------- */

static struct transport *transport_of(struct raw_socket *socket)
{
    return CONTAINER_OF(socket, struct transport, socket);
}

/* OPEN and with more to write: it has its turn with engine_go_on(). */
static void go_on_later(struct transport *transport)
{
    if (!transport->is_unfinished) {
        move_to(transport, &transport->engine->unfinished);
    }
}

static void on_writable(struct raw_socket *socket)
{
    struct transport *transport = transport_of(socket);
    transport->engine->stats.websockets_blocked--;
    if (transport->state == TRANSPORT_OPEN) {
        go_on_later(transport);
    } else {
        engine_flush(transport);
    }
}

static void on_end(struct raw_socket *socket)
{
    transport_doom(transport_of(socket));
}

static size_t on_bytes(struct raw_socket *socket, char *data, size_t len)
{
    struct transport *transport = transport_of(socket);
    if (!holds_slot(transport)) {
        return len; /* LINGERING */
    }
    size_t taken = eio_session_receive(transport->session, data, len, clock_monotonic_ms());
    transport->engine->stats.bytes_in += taken;
    return taken;
}

const struct raw_socket_callbacks transport_socket_callbacks = {
    .on_bytes = on_bytes, .on_end = on_end, .on_writable = on_writable};

enum flush_result { FLUSH_NOTHING_LEFT, FLUSH_MORE, FLUSH_BLOCKED, FLUSH_FAILED };

/* One write; adds what was written to *@bytes. */
static enum flush_result write_once(struct transport *transport, size_t *bytes)
{
    struct iovec pieces[PIECES_MAX];
    size_t count = eio_session_peek(transport->session, pieces, PIECES_MAX);
    if (count == 0) {
        return FLUSH_NOTHING_LEFT;
    }
    size_t written = 0;
    enum raw_write result = raw_socket_write(&transport->socket, pieces, count, &written);
    if (result == RAW_WRITE_FAILED) {
        return FLUSH_FAILED;
    }
    eio_session_advance(transport->session, written);
    *bytes += written;
    bool was_all = count < PIECES_MAX && written < EIO_PEEK_BYTES;
    return result == RAW_WRITE_BLOCKED ? FLUSH_BLOCKED : was_all ? FLUSH_NOTHING_LEFT : FLUSH_MORE;
}

static void flush_websocket(struct transport *transport)
{
    if (transport->state == TRANSPORT_OPEN && transport->session->state != EIO_STATE_OPEN) {
        leave_later(transport, TRANSPORT_CLOSING);
    }
    if (transport->socket.is_blocked || transport->is_unfinished) {
        return; /* it has its turn when the socket, or engine_go_on(), comes to it */
    }
    size_t bytes = 0; /* a CLOSING one has but its small packets */
    enum flush_result result = FLUSH_MORE;
    while (result == FLUSH_MORE &&
           (bytes < ENGINE_FLUSH_BYTES || transport->state == TRANSPORT_CLOSING)) {
        result = write_once(transport, &bytes);
    }
    switch (result) {
    case FLUSH_MORE: go_on_later(transport); break;
    case FLUSH_BLOCKED: transport->engine->stats.websockets_blocked++; break;
    case FLUSH_FAILED: transport_doom(transport); break;
    case FLUSH_NOTHING_LEFT:
        if (transport->state == TRANSPORT_CLOSING) {
            linger(transport);
        }
        break;
    }
}

size_t engine_write(struct transport *transport, const char *data, size_t len)
{
    bool is_free = transport->state == TRANSPORT_OPEN && transport->socket.is_open &&
                   !transport->socket.is_blocked && !transport->is_unfinished &&
                   transport->get == NULL;
    if (!is_free) {
        return 0;
    }
    size_t written = 0;
    switch (raw_socket_write_one(&transport->socket, data, len, &written)) {
    case RAW_WRITE_DONE: break;
    case RAW_WRITE_BLOCKED: transport->engine->stats.websockets_blocked++; break;
    case RAW_WRITE_FAILED: transport_doom(transport); break;
    }
    return written;
}

void transport_begin_websocket(struct transport *transport, h2o_socket_t *socket)
{
    struct engine *engine = transport->engine;
    engine->stats.websockets++;
    engine->stats.websocket_sessions++;
    raw_socket_open(&engine->websockets, &transport->socket, socket);
    raw_socket_start(&engine->websockets, &transport->socket);
}

/* @probe's WebSocket is the session's. */
static void take_socket(struct transport *transport, struct eio_probe *probe)
{
    transport->engine->stats.websocket_sessions++;
    upgrade_move_socket(probe, transport);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static struct transport *transport_alloc(struct engine *engine)
{
    struct transport *transport = mem_alloc_zeroed(sizeof(*transport));
    transport->engine = engine;
    transport->state = TRANSPORT_OPEN;
    list_init(&transport->link);
    return transport;
}

/* @transport has a session from now on. */
static void begin(struct transport *transport)
{
    struct engine *engine = transport->engine;
    list_append(&engine->open, &transport->link);
    engine->open_count++;
    map_add(&engine->by_sid, transport);
}

struct transport *transport_take_over(struct engine *engine, const char sid[EIO_SID_BYTES],
                                      uint32_t address, struct bytes handover,
                                      struct eio_probe *probe, bool *ret_awaits)
{
    if (map_get(&engine->by_sid, bytes_of(sid, EIO_SID_BYTES)) != NULL) {
        return NULL;
    }
    const struct engine_peers *peers = engine->settings.peers;
    struct transport *transport = transport_alloc(engine);
    transport->address = address;
    transport->session = peers->take_over(peers->user, transport, sid, handover, probe, ret_awaits,
                                          clock_monotonic_ms());
    if (transport->session == NULL) {
        free(transport);
        return NULL;
    }
    transport->came_from_peer = true;
    begin(transport);
    engine->stats.taken_over++;
    take_socket(transport, probe);
    return transport;
}

struct transport *transport_new(struct engine *engine, enum eio_transport type, uint32_t address,
                                h2o_socket_t *socket)
{
    struct transport *transport = transport_alloc(engine);
    transport->address = address;
    transport->session =
        engine->callbacks.open(engine->callbacks.user, transport, type, clock_monotonic_ms());
    begin(transport);
    if (socket != NULL) {
        transport_begin_websocket(transport, socket);
    }
    return transport;
}

void engine_flush(struct transport *transport)
{
    if (!holds_slot(transport)) {
        return;
    }
    if (!transport->socket.is_open || transport->get != NULL) {
        flush_poll(transport);
    }
    if (transport->socket.is_open) {
        flush_websocket(transport);
    }
}

uint32_t engine_source(const struct transport *transport)
{
    return transport->state == TRANSPORT_OPEN ? transport->address : 0;
}

void engine_on_upgraded(struct transport *transport, struct eio_probe *probe)
{
    transport->engine->stats.upgraded++;
    take_socket(transport, probe);
}

void engine_go_on(struct engine *engine)
{
    struct list *node;
    for (int i = 0; i < ENGINE_GO_ON_PER_TURN && (node = list_first(&engine->unfinished)) != NULL;
         i++) {
        struct transport *transport = CONTAINER_OF(node, struct transport, link);
        move_to(transport, &engine->open);
        engine_flush(transport);
    }
}

bool engine_has_work(const struct engine *engine)
{
    return !list_is_empty(&engine->unfinished);
}

static void transport_free(struct transport *transport)
{
    struct engine *engine = transport->engine;
    if (transport->get != NULL) {
        transport_answer_get(transport, (struct bytes){0});
    }
    eio_session_transport_closed(transport->session, clock_monotonic_ms());
    ASSERT(map_remove(&engine->by_sid, transport_key(transport)) == transport);
    engine->callbacks.free(engine->callbacks.user, transport->session);
    if (transport->socket.is_open) {
        engine->stats.websockets--;
        engine->stats.websocket_sessions--;
        engine->stats.websockets_blocked -= transport->socket.is_blocked;
        raw_socket_close(&transport->socket);
    }
    free(transport);
}

void engine_reap(struct engine *engine)
{
    upgrades_flush(engine);
    struct list *node;
    while ((node = list_take_first(&engine->doomed)) != NULL) {
        transport_free(CONTAINER_OF(node, struct transport, link));
    }
}

static void close_some(struct list *list, size_t *count,
                       bool (*is_spared)(struct eio_session *session))
{
    LIST_EACH_SAFE (node, following, list) {
        struct eio_session *session = CONTAINER_OF(node, struct transport, link)->session;
        if (*count == 0) {
            return;
        }
        bool may_close =
            session->state == EIO_STATE_OPEN && (is_spared == NULL || !is_spared(session));
        if (may_close) {
            eio_session_close(session, EIO_CLOSE_SERVER, WS_CLOSE_GOING_AWAY, clock_monotonic_ms());
            (*count)--;
        }
    }
}

void engine_close_some(struct engine *engine, size_t count,
                       bool (*is_spared)(struct eio_session *session))
{
    close_some(&engine->open, &count, is_spared);
    close_some(&engine->unfinished, &count, is_spared);
}
