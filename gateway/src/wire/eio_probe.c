/*
 * eio_probe.c - upgrades, from the WebSocket's side.
 *
 * Both ways of knowing the session go through the same steps; where it is on this server, the
 * owner's answers are function calls.
 */
#include "eio_probe.h"
#include "eio_impl.h"

/* Unlinks the probe from its session. */
static void forget_session(struct eio_probe *probe)
{
    if (probe->session != NULL) {
        probe->session->probe = NULL;
        probe->session = NULL;
    }
}

/* As the reference does it: a close frame without a status, unless the peer broke the framing. */
static void close_with(struct eio_probe *probe, uint16_t close_code)
{
    if (probe->state == EIO_PROBE_CLOSED || probe->state == EIO_PROBE_UPGRADED) {
        return;
    }
    if (probe->session != NULL) {
        eio_session_upgrade_failed(probe->session);
    }
    forget_session(probe);
    timers_clear(probe->settings->waits->timers, &probe->timeout);
    ws_reader_release(&probe->reader);
    probe->state = EIO_PROBE_CLOSED;
    ws_append_close(&probe->outbox, close_code);
}

static void close_and_tell(struct eio_probe *probe, uint16_t close_code)
{
    if (probe->state != EIO_PROBE_CLOSED && probe->state != EIO_PROBE_UPGRADED) {
        close_with(probe, close_code);
        probe->callbacks->on_output(probe);
    }
}

void eio_probe_session_is_over(struct eio_probe *probe, bool tells)
{
    if (tells) {
        close_and_tell(probe, WS_CLOSE_NO_STATUS);
    } else {
        close_with(probe, WS_CLOSE_NO_STATUS);
    }
}

void eio_probe_close(struct eio_probe *probe)
{
    close_and_tell(probe, WS_CLOSE_NO_STATUS);
}

static void on_timeout(struct timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    eio_probe_close(CONTAINER_OF(timer, struct eio_probe, timeout));
}

void eio_probe_open(struct eio_probe *probe, struct eio_session *session,
                    const struct eio_settings *settings,
                    const struct eio_probe_callbacks *callbacks, uint64_t now_ms)
{
    *probe = (struct eio_probe){
        .settings = settings,
        .callbacks = callbacks,
        .is_elsewhere = session == NULL,
        .state = EIO_PROBE_WAITING,
    };
    ws_reader_init(&probe->reader);
    timer_init(&probe->timeout, on_timeout);
    if (session != NULL && !eio_session_upgrade_claim(session)) {
        eio_probe_close(probe);
        return;
    }
    if (session != NULL) {
        probe->session = session;
        session->probe = probe;
    }
    timers_set(settings->waits->timers, &probe->timeout, now_ms + settings->upgrade_timeout_ms);
}

void eio_probe_release(struct eio_probe *probe)
{
    close_with(probe, WS_CLOSE_NO_STATUS);
    ws_reader_release(&probe->reader);
    buf_release(&probe->outbox);
}

static void send_frame(struct eio_probe *probe, enum ws_opcode opcode, struct bytes payload)
{
    ws_append_frame(&probe->outbox, opcode, payload);
    if (probe->outbox.len > EIO_PROBE_OUTBOX_BYTES_MAX) {
        close_with(probe, WS_CLOSE_NO_STATUS);
        buf_release(&probe->outbox);
    }
    probe->callbacks->on_output(probe);
}

void eio_probe_answer(struct eio_probe *probe)
{
    if (probe->state == EIO_PROBE_ASKED) {
        probe->state = EIO_PROBE_ANSWERED;
        send_frame(probe, WS_TEXT, BYTES("3probe"));
    }
}

static void on_probe(struct eio_probe *probe, uint64_t now_ms)
{
    if (probe->state == EIO_PROBE_ANSWERED) {
        send_frame(probe, WS_TEXT, BYTES("3probe"));
        return;
    }
    probe->state = EIO_PROBE_ASKED;
    if (probe->is_elsewhere) {
        probe->callbacks->on_probe(probe, now_ms);
    } else if (eio_session_upgrade_probed(probe->session)) {
        eio_probe_answer(probe);
    } else {
        eio_probe_close(probe);
    }
}

static void on_upgrade(struct eio_probe *probe, uint64_t now_ms)
{
    struct eio_session *session = probe->session;
    probe->state = EIO_PROBE_MOVING;
    if (probe->is_elsewhere) {
        probe->callbacks->on_upgrade(probe, now_ms);
    } else {
        forget_session(probe);
        eio_session_switch(session, probe, now_ms);
    }
}

void eio_probe_take(struct eio_probe *probe, struct buf *out)
{
    ASSERT(probe->state == EIO_PROBE_MOVING);
    timers_clear(probe->settings->waits->timers, &probe->timeout);
    probe->state = EIO_PROBE_UPGRADED;
    buf_append_bytes(out, buf_bytes(&probe->outbox));
    buf_release(&probe->outbox);
}

static void on_text(struct eio_probe *probe, struct bytes packet, uint64_t now_ms)
{
    bool is_probe = bytes_equal(packet, BYTES("2probe"));
    if (is_probe && (probe->state == EIO_PROBE_WAITING || probe->state == EIO_PROBE_ANSWERED)) {
        on_probe(probe, now_ms);
    } else if (bytes_equal(packet, BYTES("5")) && probe->state == EIO_PROBE_ANSWERED) {
        on_upgrade(probe, now_ms);
    } else {
        eio_probe_close(probe);
    }
}

static void on_ws_event(struct eio_probe *probe, const struct ws_event *event, uint64_t now_ms)
{
    switch (event->type) {
    case WS_EVENT_TEXT: on_text(probe, event->payload, now_ms); break;
    case WS_EVENT_BINARY: eio_probe_close(probe); break;
    case WS_EVENT_PING: send_frame(probe, WS_PONG, event->payload); break;
    case WS_EVENT_CLOSE:
    case WS_EVENT_ERROR: close_and_tell(probe, event->close_code); break;
    case WS_EVENT_NONE:
    case WS_EVENT_PARTIAL:
    case WS_EVENT_PONG: break;
    }
}

static bool is_reading(const struct eio_probe *probe)
{
    return probe->state == EIO_PROBE_WAITING || probe->state == EIO_PROBE_ASKED ||
           probe->state == EIO_PROBE_ANSWERED;
}

size_t eio_probe_receive(struct eio_probe *probe, char *data, size_t len, uint64_t now_ms)
{
    size_t taken = 0;
    while (is_reading(probe) && len > 0) {
        struct ws_event event;
        size_t of_frame = ws_reader_next(&probe->reader, EIO_PROBE_MESSAGE_BYTES_MAX, data + taken,
                                         len - taken, &event);
        if (event.type == WS_EVENT_NONE) {
            return taken;
        }
        taken += of_frame;
        on_ws_event(probe, &event, now_ms);
    }
    if (probe->state == EIO_PROBE_CLOSED) {
        return len;
    }
    return taken;
}

size_t eio_probe_peek(struct eio_probe *probe, struct iovec *ret_iov, size_t iov_max)
{
    if (probe->outbox.len == 0 || iov_max == 0) {
        return 0;
    }
    *ret_iov = (struct iovec){probe->outbox.data, probe->outbox.len};
    return 1;
}

void eio_probe_advance(struct eio_probe *probe, size_t written)
{
    buf_consume(&probe->outbox, written);
}
