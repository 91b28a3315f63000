/*
 * eio.c - sessions: their life, their heartbeat, and the WebSocket. Polling is in
 * eio_polling.c, the change from one to the other in eio_upgrade.c.
 *
 * What is sent goes to the outbox and nowhere else; whoever owns the socket fetches it from there.
 * Sending calls nothing back but on_output (a probe's included), so that callers need not fear for
 * what they hold; see eio_session_outbox_was_filled().
 */
#include "eio.h"
#include "eio_impl.h"

const char *eio_close_reason_name(enum eio_close_reason reason)
{
    switch (reason) {
    case EIO_CLOSE_TRANSPORT: return "transport";
    case EIO_CLOSE_PEER: return "peer";
    case EIO_CLOSE_PING_TIMEOUT: return "ping_timeout";
    case EIO_CLOSE_PROTOCOL: return "protocol";
    case EIO_CLOSE_OUTBOX_FULL: return "outbox_full";
    case EIO_CLOSE_SERVER: return "server";
    case EIO_CLOSE_UNAUTHORIZED: return "unauthorized";
    case EIO_CLOSE_INBOX_FULL: return "inbox_full";
    case EIO_CLOSE_MOVED: return "moved";
    }
    ASSERT(!"a close reason");
    return "";
}

/* Nothing is left to write, and nothing will be: gives back all memory. */
static void enter_closed(struct eio_session *session)
{
    eio_wait_end(session);
    session->state = EIO_STATE_CLOSED;
    buf_release(&session->outbox);
}

void eio_session_leave_open(struct eio_session *session, enum eio_state state,
                            enum eio_close_reason reason)
{
    ASSERT(session->state == EIO_STATE_OPEN);
    eio_wait_end(session);
    session->state = (uint8_t)state;
    session->close_reason = (uint8_t)reason;
    session->owes_ping = false;
    if (session->probe != NULL) {
        eio_probe_session_is_over(session->probe, true);
    }
    if (state == EIO_STATE_CLOSED) {
        enter_closed(session);
    }
}

static void set_inbox(struct eio_session *session, uint8_t units)
{
    struct eio_inboxes *inboxes = session->settings->inboxes;
    inboxes->bytes += (size_t)units * inboxes->unit_bytes;
    inboxes->bytes -= (size_t)session->inbox_units * inboxes->unit_bytes;
    session->inbox_units = units;
}

void eio_session_note_inbox(struct eio_session *session, size_t unread, uint64_t now_ms)
{
    const struct eio_inboxes *inboxes = session->settings->inboxes;
    const struct eio_callbacks *callbacks = &session->settings->callbacks;
    if (inboxes == NULL) {
        return;
    }
    size_t bytes = unread + ws_reader_held(&session->reader) +
                   (callbacks->held != NULL ? callbacks->held(session) : 0);
    size_t units = bytes / inboxes->unit_bytes;
    if (units == session->inbox_units) {
        return;
    }
    ASSERT(units <= UINT8_MAX);
    set_inbox(session, (uint8_t)units);
    if (units > 0 && inboxes->bytes > inboxes->bytes_max) {
        eio_session_close(session, EIO_CLOSE_INBOX_FULL, WS_CLOSE_TRY_AGAIN_LATER, now_ms);
        set_inbox(session, 0);
    }
}

void eio_session_outbox_was_filled(struct eio_session *session)
{
    if (session->outbox.len > session->settings->outbox_bytes_max) {
        eio_session_leave_open(session, EIO_STATE_CLOSED, EIO_CLOSE_OUTBOX_FULL);
        session->owes_on_close = true;
        eio_wait_for_nothing(session);
    }
    session->settings->callbacks.on_output(session);
}

static void send_frame(struct eio_session *session, enum ws_opcode opcode, struct bytes payload)
{
    ws_append_frame(&session->outbox, opcode, payload);
    eio_session_outbox_was_filled(session);
}

void eio_session_pay_on_close(struct eio_session *session, uint64_t now_ms)
{
    if (session->owes_on_close) {
        session->owes_on_close = false;
        eio_wait_end(session);
        session->settings->callbacks.on_close(session, EIO_CLOSE_OUTBOX_FULL, now_ms);
    }
}

void eio_session_end_closing(struct eio_session *session)
{
    ASSERT(session->state == EIO_STATE_CLOSING);
    enter_closed(session);
}

void eio_append_ping(struct buf *out)
{
    static const char PACKET[] = {EIO_PING};
    ws_append_frame(out, WS_TEXT, bytes_of(PACKET, sizeof(PACKET)));
}

static void send_ping(struct eio_session *session)
{
    session->awaits_pong = true;
    if (session->transport == EIO_POLLING) {
        session->owes_ping = true;
        session->settings->callbacks.on_output(session);
    } else {
        eio_append_ping(&session->outbox);
        eio_session_outbox_was_filled(session);
    }
}

void eio_session_on_due(struct eio_session *session, uint64_t now_ms)
{
    const struct eio_settings *settings = session->settings;
    if (session->owes_on_close) {
        eio_session_pay_on_close(session, now_ms);
    } else if (session->state == EIO_STATE_CLOSING) { /* over polling: nobody came for the end */
        enter_closed(session);
        settings->callbacks.on_output(session);
    } else if (session->awaits_pong) {
        eio_session_close(session, EIO_CLOSE_PING_TIMEOUT, WS_CLOSE_GOING_AWAY, now_ms);
    } else {
        eio_wait_begin(session, EIO_WAIT_PONG, now_ms, settings->ping_timeout_ms);
        send_ping(session);
    }
}

void eio_session_init(struct eio_session *session, const struct eio_settings *settings,
                      const char sid[EIO_SID_BYTES], enum eio_transport transport)
{
    *session = (struct eio_session){
        .settings = settings,
        .state = EIO_STATE_OPEN,
        .transport = (uint8_t)transport,
    };
    memcpy(session->sid, sid, EIO_SID_BYTES);
    ws_reader_init(&session->reader);
    list_init(&session->wait_link);
}

void eio_session_open(struct eio_session *session, const struct eio_settings *settings,
                      const char sid[EIO_SID_BYTES], enum eio_transport transport, uint64_t now_ms)
{
    eio_session_init(session, settings, sid, transport);
    eio_wait_begin(session, EIO_WAIT_PING, now_ms, settings->ping_interval_ms);
    size_t begin = ws_begin_frame(&session->outbox);
    buf_append_char(&session->outbox, EIO_OPEN);
    eio_write_open(&session->outbox, settings, sid, transport);
    ws_end_frame(&session->outbox, begin, WS_TEXT);
    eio_session_outbox_was_filled(session);
}

void eio_session_release(struct eio_session *session)
{
    if (session->probe != NULL) {
        eio_probe_session_is_over(session->probe, false);
    }
    enter_closed(session);
    ws_reader_release(&session->reader);
    if (session->inbox_units > 0) {
        set_inbox(session, 0);
    }
    session->owes_on_close = false;
}

void eio_session_close(struct eio_session *session, enum eio_close_reason reason,
                       uint16_t close_code, uint64_t now_ms)
{
    if (session->state != EIO_STATE_OPEN) {
        return;
    }
    if (session->transport == EIO_WEBSOCKET) {
        eio_session_leave_open(session, EIO_STATE_CLOSING, reason);
        ws_append_close(&session->outbox, close_code);
    } else if (reason == EIO_CLOSE_SERVER) {
        eio_session_leave_open(session, EIO_STATE_CLOSING, reason);
        eio_wait_begin(session, EIO_WAIT_LAST_GET, now_ms, EIO_CLOSE_WAIT_MS);
    } else {
        eio_session_leave_open(session, EIO_STATE_CLOSED, reason);
    }
    session->settings->callbacks.on_output(session);
    session->settings->callbacks.on_close(session, reason, now_ms);
}

void eio_session_transport_closed(struct eio_session *session, uint64_t now_ms)
{
    if (session->state == EIO_STATE_OPEN) {
        eio_session_leave_open(session, EIO_STATE_CLOSED, EIO_CLOSE_TRANSPORT);
        session->settings->callbacks.on_close(session, EIO_CLOSE_TRANSPORT, now_ms);
    } else if (session->state == EIO_STATE_CLOSING) {
        enter_closed(session);
    } else {
        eio_session_pay_on_close(session, now_ms);
    }
}

/* Any pong counts, asked for or not, as in the reference. */
static void on_pong(struct eio_session *session, uint64_t now_ms)
{
    session->awaits_pong = false;
    eio_wait_begin(session, EIO_WAIT_PING, now_ms, session->settings->ping_interval_ms);
}

void eio_session_take_packet(struct eio_session *session, struct bytes packet, uint64_t now_ms)
{
    switch (packet.len > 0 ? packet.data[0] : '\0') {
    case EIO_MESSAGE:
        session->settings->callbacks.on_message(session, bytes_skip(packet, 1), false, now_ms);
        break;
    case EIO_PONG: on_pong(session, now_ms); break;
    case EIO_CLOSE: eio_session_close(session, EIO_CLOSE_PEER, WS_CLOSE_NORMAL, now_ms); break;
    case EIO_OPEN:
    case EIO_UPGRADE:
    case EIO_NOOP: break; /* mean nothing from a client, and the reference does not mind them */
    case EIO_PING:        /* only a probe's, before an upgrade; clients do not ping in protocol 4 */
    default: eio_session_close(session, EIO_CLOSE_PROTOCOL, WS_CLOSE_PROTOCOL_ERROR, now_ms);
    }
}

static void on_ws_event(struct eio_session *session, const struct ws_event *event, uint64_t now_ms)
{
    switch (event->type) {
    case WS_EVENT_TEXT: eio_session_take_packet(session, event->payload, now_ms); break;
    case WS_EVENT_BINARY:
        session->settings->callbacks.on_message(session, event->payload, true, now_ms);
        break;
    case WS_EVENT_PING: send_frame(session, WS_PONG, event->payload); break;
    case WS_EVENT_CLOSE:
        eio_session_close(session, EIO_CLOSE_PEER, event->close_code, now_ms);
        break;
    case WS_EVENT_ERROR:
        eio_session_close(session, EIO_CLOSE_PROTOCOL, event->close_code, now_ms);
        break;
    case WS_EVENT_NONE:
    case WS_EVENT_PARTIAL:
    case WS_EVENT_PONG: break;
    }
}

size_t eio_session_receive(struct eio_session *session, char *data, size_t len, uint64_t now_ms)
{
    ASSERT(session->transport == EIO_WEBSOCKET);
    if (len == 0) {
        return 0;
    }
    size_t taken = 0;
    while (session->state == EIO_STATE_OPEN) {
        struct ws_event event;
        taken += ws_reader_next(&session->reader, session->settings->payload_bytes_max,
                                data + taken, len - taken, &event);
        if (event.type != WS_EVENT_NONE) {
            on_ws_event(session, &event, now_ms);
            continue;
        }
        eio_session_note_inbox(session, len - taken, now_ms);
        if (session->state == EIO_STATE_OPEN) {
            return taken;
        }
    }
    ws_reader_release(&session->reader);
    eio_session_pay_on_close(session, now_ms);
    eio_session_note_inbox(session, 0, now_ms);
    return len;
}

void eio_session_send(struct eio_session *session, struct bytes message, bool binary)
{
    if (session->state != EIO_STATE_OPEN) {
        return;
    }
    if (binary) {
        send_frame(session, WS_BINARY, message);
        return;
    }
    size_t begin = ws_begin_frame(&session->outbox);
    buf_append_char(&session->outbox, EIO_MESSAGE);
    buf_append_bytes(&session->outbox, message);
    ws_end_frame(&session->outbox, begin, WS_TEXT);
    eio_session_outbox_was_filled(session);
}

struct buf *eio_session_begin_write(struct eio_session *session)
{
    return session->state == EIO_STATE_OPEN ? &session->outbox : NULL;
}

void eio_session_end_write(struct eio_session *session)
{
    eio_session_outbox_was_filled(session);
}

size_t eio_session_peek(struct eio_session *session, struct iovec *ret_iov, size_t iov_max)
{
    const struct eio_callbacks *callbacks = &session->settings->callbacks;
    size_t count = 0;
    if (session->outbox.len > 0 && count < iov_max) {
        ret_iov[count++] = (struct iovec){session->outbox.data, session->outbox.len};
    }
    if (session->state == EIO_STATE_OPEN && callbacks->peek != NULL && count < iov_max) {
        count += callbacks->peek(session, ret_iov + count, iov_max - count);
    }
    return count;
}

void eio_session_advance(struct eio_session *session, size_t written)
{
    if (session->settings->bytes_written != NULL) {
        *session->settings->bytes_written += written;
    }
    size_t of_outbox = MIN_OF(written, session->outbox.len);
    buf_consume(&session->outbox, of_outbox);
    if (written > of_outbox) {
        ASSERT(session->settings->callbacks.advance != NULL);
        session->settings->callbacks.advance(session, written - of_outbox);
    }
    if (session->state == EIO_STATE_CLOSING && session->transport == EIO_WEBSOCKET &&
        session->outbox.len == 0) {
        enter_closed(session);
    }
}
