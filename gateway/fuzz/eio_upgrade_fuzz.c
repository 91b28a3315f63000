/*
 * eio_upgrade_fuzz.c - a session over polling, a client that GETs, POSTs, aborts and opens WebSockets in any order, and
 * time. What the session sends arrives in order, each message once, by whatever transport, until it closes; WebSockets
 * get nothing but what is theirs; and nobody points at what is gone.
 *
 * Input: pairs of an operation and its argument, see step().
 */
#include "../tests/client_frames.h"
#include "fuzz.h"
#include "wire/eio_probe.h"

#include <stdlib.h>

enum { PAYLOAD_MAX = 200, OUTBOX_MAX = 600, SOCKETS_MAX = 3, CLOSE_FRAME_BYTES = 4 };

/* A WebSocket; the first one that is upgraded is the session's. */
struct socket {
    struct eio_probe probe;
    struct world *world;
    struct buf waiting; /* came in, not taken yet */
    struct buf written;
};

struct world {
    struct eio_session session;
    struct timers timers;
    struct eio_waits waits;
    struct eio_settings settings;
    struct socket *sockets[SOCKETS_MAX];
    struct socket *current; /* the session's transport */
    struct buf frames;      /* of the user */
    uint64_t now_ms;
    /* Messages are numbers. Those of the outbox and those of the user overtake each other, but not themselves. */
    unsigned sent, arrived, user_sent, user_arrived;
    unsigned closes;
    bool get_waits;
    bool is_told; /* on_output since the last poll or peek */
};

static struct world *world_of(struct eio_session *session)
{
    return CONTAINER_OF(session, struct world, session);
}

static void on_message(struct eio_session *session, struct bytes message, bool binary,
                       uint64_t now_ms)
{
    struct world *world = world_of(session);
    (void)binary;
    ASSERT(session->state == EIO_STATE_OPEN && world->closes == 0 && now_ms == world->now_ms);
    if (bytes_equal(message, BYTES("close"))) {
        eio_session_close(session, EIO_CLOSE_SERVER, WS_CLOSE_NORMAL, now_ms);
    }
}

static void on_close(struct eio_session *session, enum eio_close_reason reason, uint64_t now_ms)
{
    struct world *world = world_of(session);
    (void)reason;
    ASSERT(session->state != EIO_STATE_OPEN && now_ms == world->now_ms && world->closes == 0);
    ASSERT(session->probe == NULL);
    world->closes++;
}

static void on_output(struct eio_session *session)
{
    world_of(session)->is_told = true;
}

static size_t peek(struct eio_session *session, struct iovec *ret_iov, size_t iov_max)
{
    struct world *world = world_of(session);
    ASSERT(session->state == EIO_STATE_OPEN && iov_max > 0);
    *ret_iov = (struct iovec){world->frames.data, world->frames.len};
    return world->frames.len > 0 ? 1 : 0;
}

static void advance(struct eio_session *session, size_t written)
{
    struct world *world = world_of(session);
    struct bytes rest = buf_bytes(&world->frames), payload;
    enum ws_opcode opcode;
    while (world->frames.len - rest.len < written) {
        ASSERT(server_take_frame(&rest, &opcode, &payload));
    }
    size_t taken = world->frames.len - rest.len;
    ASSERT(taken == written || session->transport == EIO_WEBSOCKET);
    if (taken > written) {
        ASSERT(session->outbox.len == 0);
        buf_append(eio_session_begin_write(session), world->frames.data + written, taken - written);
        eio_session_end_write(session);
    }
    buf_consume(&world->frames, taken);
}

static void on_upgraded(struct eio_session *session, struct eio_probe *probe, uint64_t now_ms)
{
    struct world *world = world_of(session);
    ASSERT(now_ms == world->now_ms && world->current == NULL);
    world->current = CONTAINER_OF(probe, struct socket, probe);
}

static void on_probe_output(struct eio_probe *probe)
{
    ASSERT(probe->state != EIO_PROBE_UPGRADED);
}

static const struct eio_probe_callbacks PROBE = {.on_output = on_probe_output};

/* A message packet of ours came: 'm' or 'u', and a byte that counts. */
static void arrive(struct world *world, struct bytes message)
{
    ASSERT(message.len == 2);
    unsigned *next = message.data[0] == 'm' ? &world->arrived : &world->user_arrived;
    ASSERT((unsigned char)message.data[1] == *next % 10 + '0');
    (*next)++;
}

static void arrive_packet(struct world *world, struct bytes packet, bool by_websocket)
{
    ASSERT(packet.len > 0);
    switch (packet.data[0]) {
    case EIO_MESSAGE: arrive(world, bytes_skip(packet, 1)); break;
    case EIO_PING: ASSERT(packet.len == 1); break;
    case EIO_OPEN: break;
    case EIO_PONG: ASSERT(by_websocket && bytes_equal(packet, BYTES("3probe"))); break;
    default: ASSERT(!by_websocket && (packet.data[0] == EIO_NOOP || packet.data[0] == EIO_CLOSE));
    }
}

static void arrive_payload(struct world *world, struct bytes payload)
{
    while (payload.len > 0) {
        const char *end = memchr(payload.data, 0x1E, payload.len);
        size_t len = end != NULL ? (size_t)(end - payload.data) : payload.len;
        arrive_packet(world, bytes_of(payload.data, len), false);
        payload = bytes_skip(payload, end != NULL ? len + 1 : len);
        ASSERT(end == NULL || payload.len > 0);
    }
}

/* What a socket has written so far, whole frames of it. */
static void arrive_frames(struct world *world, struct socket *socket)
{
    struct bytes frames = buf_bytes(&socket->written), payload;
    enum ws_opcode opcode;
    while (server_take_frame(&frames, &opcode, &payload)) {
        ASSERT(opcode == WS_TEXT || opcode == WS_PONG || opcode == WS_CLOSE);
        if (opcode == WS_TEXT) {
            arrive_packet(world, payload, true);
        }
    }
    buf_consume(&socket->written, socket->written.len - frames.len);
}

static void poll_once(struct world *world, size_t bytes_max)
{
    struct buf out = BUF_INIT;
    bool is_probed =
        world->session.state == EIO_STATE_OPEN && world->session.upgrade == EIO_UPGRADE_PROBED;
    world->is_told = false;
    bool is_answered = eio_session_poll(&world->session, &out, bytes_max, world->now_ms);
    ASSERT(is_answered == (out.len > 0));
    ASSERT(is_answered || world->session.state == EIO_STATE_OPEN);
    if (is_probed) {
        ASSERT(bytes_equal(buf_bytes(&out), BYTES("6")) ||
               bytes_equal(buf_bytes(&out), BYTES("2\x1e\x36")));
    }
    arrive_payload(world, buf_bytes(&out));
    buf_release(&out);
    world->get_waits = !is_answered;
}

static void socket_open(struct world *world, size_t at)
{
    struct socket *socket = mem_alloc_zeroed(sizeof(*socket));
    socket->world = world;
    world->sockets[at] = socket;
    bool is_taken = world->session.probe != NULL || world->session.state != EIO_STATE_OPEN ||
                    world->session.transport == EIO_WEBSOCKET;
    eio_probe_open(&socket->probe, &world->session, &world->settings, &PROBE, world->now_ms);
    ASSERT(is_taken == (socket->probe.state == EIO_PROBE_CLOSED));
}

static void socket_close(struct world *world, size_t at)
{
    struct socket *socket = world->sockets[at];
    world->sockets[at] = NULL;
    eio_probe_release(&socket->probe);
    if (world->current == socket) {
        eio_session_transport_closed(&world->session, world->now_ms);
    }
    buf_release(&socket->waiting);
    buf_release(&socket->written);
    free(socket);
}

static void socket_receive(struct world *world, struct socket *socket, struct bytes data)
{
    struct buf *waiting = &socket->waiting;
    buf_append_bytes(waiting, data);
    size_t taken = eio_probe_receive(&socket->probe, waiting->data, waiting->len, world->now_ms);
    ASSERT(taken <= waiting->len);
    buf_consume(waiting, taken);
    if (world->current == socket) {
        taken = eio_session_receive(&world->session, waiting->data, waiting->len, world->now_ms);
        ASSERT(taken <= waiting->len);
        buf_consume(waiting, taken);
    }
    ASSERT(waiting->len < PAYLOAD_MAX + WS_CLIENT_HEADER_MAX);
}

static void socket_write(struct world *world, struct socket *socket, size_t max)
{
    struct iovec iov[3];
    bool is_current = world->current == socket;
    size_t count = is_current ? eio_session_peek(&world->session, iov, 3)
                              : eio_probe_peek(&socket->probe, iov, 3);
    ASSERT(count == 0 || !is_current || world->session.state != EIO_STATE_CLOSED);
    size_t written = 0;
    for (size_t i = 0; i < count && written < max; i++) {
        size_t len = MIN_OF(iov[i].iov_len, max - written);
        buf_append(&socket->written, iov[i].iov_base, len);
        written += len;
    }
    if (is_current) {
        world->is_told = false;
        eio_session_advance(&world->session, written);
    } else {
        eio_probe_advance(&socket->probe, written);
    }
    arrive_frames(world, socket);
}

static void send_message(struct world *world)
{
    char message[2] = {'m', (char)(world->sent % 10 + '0')};
    bool is_open = world->session.state == EIO_STATE_OPEN;
    eio_session_send(&world->session, bytes_of(message, sizeof(message)), false);
    world->sent += is_open;
}

static void send_user_message(struct world *world)
{
    char packet[3] = {EIO_MESSAGE, 'u', (char)(world->user_sent++ % 10 + '0')};
    ws_append_frame(&world->frames, WS_TEXT, bytes_of(packet, sizeof(packet)));
    world->is_told = true;
}

static void client_sends(struct world *world, struct socket *socket, unsigned argument,
                         struct bytes *input)
{
    static const char *const PACKETS[] = {"2probe", "5", "3", "4hello", "4close", "1", "6", "2"};
    struct buf frame = BUF_INIT;
    switch (argument % 10) {
    case 8: client_append_frame(&frame, CLIENT_FIN | WS_PING, BYTES("ping")); break;
    case 9: buf_append_bytes(&frame, fuzz_bytes(input, argument / 10)); break;
    default:
        client_append_frame(&frame, CLIENT_FIN | WS_TEXT,
                            bytes_of_string(PACKETS[argument % 10 % 8]));
    }
    /* Cut in two, where the argument says. */
    size_t first = MIN_OF(frame.len, (size_t)(argument / 10));
    socket_receive(world, socket, bytes_of(frame.data, first));
    socket_receive(world, socket, bytes_skip(buf_bytes(&frame), first));
    buf_release(&frame);
}

static void get(struct world *world, unsigned argument)
{
    if (world->session.state == EIO_STATE_CLOSED || world->session.transport == EIO_WEBSOCKET) {
        return; /* refused before it comes here */
    }
    if (world->get_waits) { /* a second one */
        eio_session_close(&world->session, EIO_CLOSE_PROTOCOL, WS_CLOSE_PROTOCOL_ERROR,
                          world->now_ms);
        poll_once(world, SIZE_MAX);
        ASSERT(!world->get_waits);
        return;
    }
    poll_once(world, 1 + argument);
}

static void post(struct world *world, struct bytes body)
{
    enum eio_post_result result = eio_session_post(&world->session, body, world->now_ms);
    ASSERT(result != EIO_POST_TOO_LARGE || body.len > PAYLOAD_MAX);
    ASSERT(result != EIO_POST_REFUSED || world->session.state == EIO_STATE_CLOSED ||
           world->session.transport == EIO_WEBSOCKET);
}

static void step(struct world *world, struct bytes *input)
{
    unsigned op = fuzz_byte(input), argument = fuzz_byte(input);
    size_t at = op / 16 % SOCKETS_MAX;
    struct socket *socket = world->sockets[at];
    switch (op % 16) {
    case 0:
    case 1: get(world, argument); break;
    case 2: post(world, fuzz_bytes(input, argument)); break;
    case 3: post(world, argument % 2 == 0 ? BYTES("3") : BYTES("4a\x1e\x33\x1e\x34\x62")); break;
    case 4:
    case 5: send_message(world); break;
    case 6: send_user_message(world); break;
    case 7:
        world->now_ms += argument * (op >= 128 ? 50 : 1);
        timers_run(&world->timers, world->now_ms);
        break;
    case 8:
        if (world->get_waits && world->session.transport == EIO_POLLING) { /* an aborted GET */
            world->get_waits = false;
            eio_session_transport_closed(&world->session, world->now_ms);
        }
        break;
    case 9:
        if (argument < 4) {
            eio_session_close(&world->session, EIO_CLOSE_SERVER, WS_CLOSE_GOING_AWAY,
                              world->now_ms);
        }
        break;
    case 10:
        if (socket != NULL && argument % 4 == 0) {
            socket_close(world, at);
        }
        break;
    case 11:
    case 12:
        if (socket != NULL) {
            socket_write(world, socket, argument);
        }
        break;
    default:
        if (socket == NULL) {
            socket_open(world, at);
        } else {
            client_sends(world, socket, argument, input);
        }
    }
}

/* What a server does at the end of a turn, and what must be true then. */
static void end_turn(struct world *world)
{
    const struct eio_session *session = &world->session;
    if (world->get_waits && world->is_told) {
        poll_once(world, 100);
    }
    ASSERT(!world->get_waits ||
           (session->state == EIO_STATE_OPEN && session->upgrade != EIO_UPGRADE_PROBED &&
            session->transport == EIO_POLLING));
    ASSERT(session->outbox.len <= OUTBOX_MAX + CLOSE_FRAME_BYTES);
    unsigned linked = 0;
    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        const struct socket *socket = world->sockets[i];
        if (socket != NULL && socket->probe.session != NULL) {
            ASSERT(session->probe == &socket->probe && session->state == EIO_STATE_OPEN);
            ASSERT((session->upgrade == EIO_UPGRADE_PROBED) ==
                   (socket->probe.state == EIO_PROBE_ANSWERED));
            linked++;
        }
    }
    ASSERT(linked == (session->probe != NULL));
    ASSERT(session->state != EIO_STATE_OPEN || linked > 0 ||
           session->upgrade == (world->current != NULL ? EIO_UPGRADE_DONE : EIO_UPGRADE_NONE));
}

/* A session that lives to the end has delivered all. */
static void check_all_arrived(struct world *world)
{
    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        if (world->sockets[i] != NULL && world->sockets[i] != world->current) {
            socket_close(world, i);
        }
    }
    if (world->session.state != EIO_STATE_OPEN) {
        return;
    }
    if (world->current != NULL) {
        socket_write(world, world->current, SIZE_MAX);
    } else {
        poll_once(world, SIZE_MAX); /* may be the open packet alone */
        poll_once(world, SIZE_MAX);
    }
    ASSERT(world->arrived == world->sent && world->user_arrived == world->user_sent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_of((const char *)data, size);
    struct world world = {.now_ms = 1000};
    timers_init(&world.timers);
    eio_waits_init(&world.waits, &world.timers);
    world.settings = (struct eio_settings){
        .ping_interval_ms = 300,
        .ping_timeout_ms = 200,
        .upgrade_timeout_ms = 1000,
        .payload_bytes_max = PAYLOAD_MAX,
        .outbox_bytes_max = OUTBOX_MAX,
        .waits = &world.waits,
        .callbacks = {.on_message = on_message,
                      .on_close = on_close,
                      .on_output = on_output,
                      .peek = peek,
                      .advance = advance,
                      .on_upgraded = on_upgraded},
    };
    eio_session_open(&world.session, &world.settings, "abcdefghij0123456789", EIO_POLLING,
                     world.now_ms);
    while (input.len > 0) {
        step(&world, &input);
        end_turn(&world);
    }
    check_all_arrived(&world);
    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        if (world.sockets[i] != NULL) {
            socket_close(&world, i);
        }
    }
    eio_session_transport_closed(&world.session, world.now_ms);
    ASSERT(world.closes == 1);
    eio_session_release(&world.session);
    ASSERT(timers_next_due(&world.timers) == TIMER_NEVER);
    timers_release(&world.timers);
    buf_release(&world.frames);
    return 0;
}
