/* transport.c - what carries a session: its waiting GET, or its WebSocket. */
#include "engine_impl.h"

#include "base/clock.h"
#include <stdlib.h>
#include <sys/socket.h>

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

void transport_doom(struct transport *transport)
{
    if (transport->state == TRANSPORT_DOOMED) {
        return;
    }
    struct engine *engine = transport->engine;
    engine->open_count -= holds_slot(transport);
    transport->state = TRANSPORT_DOOMED;
    owner_end_claim(transport);
    relay_forget_moved(engine, transport->awaits);
    list_leave(&transport->unfinished);
    list_leave(&transport->link);
    list_append(&engine->doomed, &transport->link);
    if (transport->socket != NULL) {
        h2o_socket_read_stop(transport->socket);
    }
}

/* Gives @transport ENGINE_LINGER_MS from now on, behind all that have theirs already. */
static void leave_later(struct transport *transport, enum transport_state state)
{
    struct engine *engine = transport->engine;
    transport->state = (uint8_t)state;
    transport->leaves_until_ms = clock_monotonic_ms() + ENGINE_LINGER_MS;
    list_leave(&transport->link);
    list_append(&engine->leaving, &transport->link);
    if (!timer_is_set(&engine->leave_timer)) {
        timers_set(engine->settings.timers, &engine->leave_timer, transport->leaves_until_ms);
    }
}

static void linger(struct transport *transport)
{
    if (shutdown(h2o_socket_get_fd(transport->socket), SHUT_WR) != 0) {
        transport_doom(transport);
        return;
    }
    transport->engine->open_count--;
    list_leave(&transport->unfinished);
    leave_later(transport, TRANSPORT_LINGERING);
}

/* Has the kernel forget what it holds for a peer that does not read, instead of keeping it for minutes. */
static void discard_unsent(struct transport *transport)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(h2o_socket_get_fd(transport->socket), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
}

void transport_on_leave_due(struct timer *timer, uint64_t now_ms)
{
    struct engine *engine = CONTAINER_OF(timer, struct engine, leave_timer);
    struct list *node;
    while ((node = list_first(&engine->leaving)) != NULL) {
        struct transport *transport = CONTAINER_OF(node, struct transport, link);
        if (transport->leaves_until_ms > now_ms) {
            timers_set(engine->settings.timers, timer, transport->leaves_until_ms);
            return;
        }
        if (transport->state == TRANSPORT_CLOSING) {
            discard_unsent(transport);
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
    if (session->state == EIO_STATE_CLOSED && transport->get == NULL && transport->socket == NULL) {
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

static void go_on_later(struct transport *transport)
{
    if (list_is_empty(&transport->unfinished)) {
        list_append(&transport->engine->unfinished, &transport->unfinished);
    }
}

static void on_writable(h2o_socket_t *socket, const char *error)
{
    struct transport *transport = socket->data;
    transport->is_blocked = false;
    transport->engine->stats.websockets_blocked--;
    if (error != NULL) {
        transport_doom(transport);
    } else if (holds_slot(transport)) {
        go_on_later(transport);
    }
}

/* Adds what was written to *@bytes. */
static enum websocket_write write_once(struct transport *transport, size_t *bytes)
{
    struct iovec pieces[PIECES_MAX];
    size_t count = eio_session_peek(transport->session, pieces, PIECES_MAX);
    if (count == 0) {
        return WEBSOCKET_NOTHING_LEFT;
    }
    size_t written = 0;
    enum websocket_write result = websocket_write(transport->socket, pieces, count, &written);
    if (result != WEBSOCKET_FAILED) {
        eio_session_advance(transport->session, written);
        *bytes += written;
    }
    return result;
}

static void flush_websocket(struct transport *transport)
{
    if (transport->state == TRANSPORT_OPEN && transport->session->state != EIO_STATE_OPEN) {
        leave_later(transport, TRANSPORT_CLOSING);
    }
    if (transport->is_blocked || !list_is_empty(&transport->unfinished)) {
        return; /* it has its turn when the socket, or engine_go_on(), comes to it */
    }
    size_t bytes = 0;
    enum websocket_write result = WEBSOCKET_WRITTEN;
    while (bytes < ENGINE_FLUSH_BYTES && result == WEBSOCKET_WRITTEN) {
        result = write_once(transport, &bytes);
    }
    switch (result) {
    case WEBSOCKET_WRITTEN: go_on_later(transport); break;
    case WEBSOCKET_BLOCKED:
        transport->is_blocked = true;
        transport->engine->stats.websockets_blocked++;
        h2o_socket_notify_write(transport->socket, on_writable);
        break;
    case WEBSOCKET_FAILED: transport_doom(transport); break;
    case WEBSOCKET_NOTHING_LEFT:
        if (transport->state == TRANSPORT_CLOSING) {
            linger(transport);
        }
        break;
    }
}

static void receive(struct transport *transport)
{
    h2o_socket_t *socket = transport->socket;
    if (transport->state == TRANSPORT_LINGERING) {
        h2o_buffer_consume(&socket->input, socket->input->size);
    } else if (holds_slot(transport) && socket->input->size > 0) {
        size_t taken = eio_session_receive(transport->session, socket->input->bytes,
                                           socket->input->size, clock_monotonic_ms());
        transport->engine->stats.bytes_in += taken;
        h2o_buffer_consume(&socket->input, taken);
    }
}

static void on_read(h2o_socket_t *socket, const char *error)
{
    struct transport *transport = socket->data;
    if (error != NULL) {
        transport_doom(transport);
    } else {
        receive(transport);
    }
}

void transport_begin_websocket(struct transport *transport, h2o_socket_t *socket)
{
    transport->engine->stats.websockets++;
    transport->engine->stats.websocket_sessions++;
    transport->socket = socket;
    socket->data = transport;
    h2o_socket_read_start(socket, on_read);
    receive(transport);
}

/* @probe's WebSocket is the session's. What it has read already is handed over by upgrade.c. */
static void take_socket(struct transport *transport, struct eio_probe *probe)
{
    transport->engine->stats.websocket_sessions++;
    transport->socket = upgrade_take_socket(probe);
    transport->socket->data = transport;
    h2o_socket_read_start(transport->socket, on_read);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static struct transport *transport_alloc(struct engine *engine)
{
    struct transport *transport = mem_alloc_zeroed(sizeof(*transport));
    transport->engine = engine;
    transport->state = TRANSPORT_OPEN;
    list_init(&transport->link);
    list_init(&transport->unfinished);
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
                                      struct bytes handover, struct eio_probe *probe,
                                      bool *ret_awaits)
{
    if (map_get(&engine->by_sid, bytes_of(sid, EIO_SID_BYTES)) != NULL) {
        return NULL;
    }
    const struct engine_peers *peers = engine->settings.peers;
    struct transport *transport = transport_alloc(engine);
    transport->session = peers->take_over(peers->user, transport, sid, handover, probe, ret_awaits,
                                          clock_monotonic_ms());
    if (transport->session == NULL) {
        free(transport);
        return NULL;
    }
    begin(transport);
    engine->stats.taken_over++;
    take_socket(transport, probe);
    return transport;
}

struct transport *transport_new(struct engine *engine, enum eio_transport type,
                                h2o_socket_t *socket)
{
    struct transport *transport = transport_alloc(engine);
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
    if (transport->socket == NULL || transport->get != NULL) {
        flush_poll(transport);
    }
    if (transport->socket != NULL) {
        flush_websocket(transport);
    }
}

void engine_on_upgraded(struct transport *transport, struct eio_probe *probe)
{
    transport->engine->stats.upgraded++;
    take_socket(transport, probe);
}

void engine_go_on(struct engine *engine)
{
    struct list *node;
    for (int i = 0;
         i < ENGINE_GO_ON_PER_TURN && (node = list_take_first(&engine->unfinished)) != NULL; i++) {
        engine_flush(CONTAINER_OF(node, struct transport, unfinished));
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
    if (transport->socket != NULL) {
        engine->stats.websockets--;
        engine->stats.websocket_sessions--;
        engine->stats.websockets_blocked -= transport->is_blocked;
        h2o_socket_close(transport->socket);
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

void engine_close_some(struct engine *engine, size_t count,
                       bool (*is_spared)(struct eio_session *session))
{
    LIST_EACH_SAFE (node, following, &engine->open) {
        struct eio_session *session = CONTAINER_OF(node, struct transport, link)->session;
        if (count == 0) {
            return;
        }
        bool may_close =
            session->state == EIO_STATE_OPEN && (is_spared == NULL || !is_spared(session));
        if (may_close) {
            eio_session_close(session, EIO_CLOSE_SERVER, WS_CLOSE_GOING_AWAY, clock_monotonic_ms());
            count--;
        }
    }
}
