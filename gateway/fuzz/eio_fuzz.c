/*
 * eio_fuzz.c - a session under an arbitrary peer, user and clock keeps its promises: on_close once and nothing behind it,
 * a bounded outbox, and nothing but whole frames on the wire.
 */
#include "../tests/client_frames.h"
#include "fuzz.h"
#include "wire/eio.h"

enum {
    PAYLOAD_MAX = 200,
    INBOX_MAX = 150,
    OUTBOX_MAX = 600,
    CLOSE_FRAME_BYTES = 4,
    PIECES_MAX = 3
};

struct world {
    struct eio_session session;
    struct timers timers;
    struct eio_waits waits;
    struct eio_inboxes inboxes;
    struct eio_settings settings;
    struct buf waiting; /* came in, not taken yet */
    struct buf written;
    struct buf frames; /* of the user */
    uint64_t now_ms;
    unsigned closes;
    bool closes_on_message;
    bool was_told; /* on_output since the last peek */
};

static struct world *world_of(struct eio_session *session)
{
    return CONTAINER_OF(session, struct world, session);
}

static void on_message(struct eio_session *session, struct bytes message, bool binary,
                       uint64_t now_ms)
{
    struct world *world = world_of(session);
    ASSERT(session->state == EIO_STATE_OPEN && world->closes == 0);
    ASSERT(message.len <= PAYLOAD_MAX && now_ms == world->now_ms);
    eio_session_send(session, message, binary);
    if (world->closes_on_message) {
        eio_session_close(session, EIO_CLOSE_SERVER, WS_CLOSE_NORMAL, now_ms);
    }
}

static void on_close(struct eio_session *session, enum eio_close_reason reason, uint64_t now_ms)
{
    struct world *world = world_of(session);
    ASSERT(session->state != EIO_STATE_OPEN && now_ms == world->now_ms);
    ASSERT(eio_close_reason_name(reason)[0] != '\0');
    ASSERT(world->closes == 0);
    world->closes++;
}

static void on_output(struct eio_session *session)
{
    world_of(session)->was_told = true;
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
    if (taken > written) {
        ASSERT(session->outbox.len == 0);
        buf_append(eio_session_begin_write(session), world->frames.data + written, taken - written);
        eio_session_end_write(session);
    }
    buf_consume(&world->frames, taken);
}

static void receive(struct world *world, struct bytes data)
{
    buf_append_bytes(&world->waiting, data);
    size_t taken = eio_session_receive(&world->session, world->waiting.data, world->waiting.len,
                                       world->now_ms);
    ASSERT(taken <= world->waiting.len);
    ASSERT(world->session.state == EIO_STATE_OPEN || taken == world->waiting.len);
    buf_consume(&world->waiting, taken);
    ASSERT(world->waiting.len < PAYLOAD_MAX + WS_CLIENT_HEADER_MAX);
}

static void write_some(struct world *world, size_t max)
{
    struct iovec iov[PIECES_MAX];
    size_t count = eio_session_peek(&world->session, iov, PIECES_MAX);
    ASSERT(count <= PIECES_MAX);
    ASSERT(count == 0 || world->session.state != EIO_STATE_CLOSED);
    world->was_told = false;
    size_t written = 0;
    for (size_t i = 0; i < count && written < max; i++) {
        size_t len = MIN_OF(iov[i].iov_len, max - written);
        buf_append(&world->written, iov[i].iov_base, len);
        written += len;
    }
    eio_session_advance(&world->session, written);
}

static void step(struct world *world, struct bytes *input)
{
    unsigned op = fuzz_byte(input), argument = fuzz_byte(input);
    struct buf frame = BUF_INIT;
    switch (op % 8) {
    case 0: receive(world, fuzz_bytes(input, argument)); break;
    case 1:
    case 2:
        client_append_frame(&frame, CLIENT_FIN | (op % 8 == 1 ? WS_TEXT : fuzz_byte(input) & 0x0F),
                            fuzz_bytes(input, argument));
        receive(world, buf_bytes(&frame));
        break;
    case 3:
        world->now_ms += argument;
        timers_run(&world->timers, world->now_ms);
        break;
    case 4: write_some(world, argument); break;
    case 5: eio_session_send(&world->session, fuzz_bytes(input, argument), (op & 8) != 0); break;
    case 6: ws_append_frame(&world->frames, WS_TEXT, fuzz_bytes(input, argument)); break;
    default:
        world->closes_on_message = argument == 1;
        if (argument == 2) {
            eio_session_close(&world->session, EIO_CLOSE_SERVER, WS_CLOSE_GOING_AWAY,
                              world->now_ms);
        }
    }
    buf_release(&frame);
}

/* All that was written is whole frames, but for a last one that was cut off by the end. */
static void check_written(const struct world *world)
{
    struct bytes written = buf_bytes(&world->written), payload;
    enum ws_opcode opcode = WS_TEXT;
    while (server_take_frame(&written, &opcode, &payload)) {
        ASSERT(opcode == WS_TEXT || opcode == WS_BINARY || opcode == WS_PONG || opcode == WS_CLOSE);
        ASSERT(opcode != WS_CLOSE || written.len == 0);
    }
    ASSERT(written.len == 0 || ((unsigned char)written.data[0] & 0xF0) == 0x80);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_of((const char *)data, size);
    struct world world = {.now_ms = 1000,
                          .inboxes = {.bytes_max = INBOX_MAX, .unit_bytes = PAYLOAD_MAX / 64}};
    timers_init(&world.timers);
    eio_waits_init(&world.waits, &world.timers);
    world.settings = (struct eio_settings){
        .ping_interval_ms = 300,
        .ping_timeout_ms = 200,
        .payload_bytes_max = PAYLOAD_MAX,
        .outbox_bytes_max = OUTBOX_MAX,
        .waits = &world.waits,
        .inboxes = &world.inboxes,
        .callbacks = {.on_message = on_message,
                      .on_close = on_close,
                      .on_output = on_output,
                      .peek = peek,
                      .advance = advance},
    };
    eio_session_open(&world.session, &world.settings, "abcdefghij0123456789", EIO_WEBSOCKET,
                     world.now_ms);
    while (input.len > 0) {
        step(&world, &input);
        ASSERT(world.session.outbox.len <= OUTBOX_MAX + CLOSE_FRAME_BYTES);
        ASSERT(world.inboxes.bytes <= INBOX_MAX);
        ASSERT(world.session.outbox.len == 0 || world.session.state != EIO_STATE_CLOSED);
        ASSERT(world.session.outbox.len > 0 || world.session.outbox.data == NULL);
    }
    write_some(&world, SIZE_MAX);
    check_written(&world);
    eio_session_transport_closed(&world.session, world.now_ms);
    ASSERT(world.closes == 1);
    ASSERT(timers_next_due(&world.timers) == TIMER_NEVER);
    eio_session_release(&world.session);
    ASSERT(world.inboxes.bytes == 0);
    timers_release(&world.timers);
    buf_release(&world.waiting);
    buf_release(&world.written);
    buf_release(&world.frames);
    return 0;
}
