/*
 * eio_polling.c - HTTP long-polling: payloads, that is packets joined by 0x1E.
 *
 * A payload out is a transcription of the frames that a WebSocket would be given. It stops between
 * packets only, so nothing is ever half sent, and what eio_session_advance() is told ends at a
 * frame's end.
 */
#include "base64.h"
#include "eio.h"
#include "eio_impl.h"
#include "utf8.h"

enum {
    SEPARATOR = 0x1E,
    BINARY = 'b', /* of a packet in base64 */
    PIECES_MAX = 16,
};

/* --- out --------------------------------------------------------------------------------------------------------- */

/* A payload that is being written. */
struct payload {
    struct buf *out;
    size_t begin;
    size_t bytes_max;
    bool is_over; /* a packet came that must be the last */
};

static bool is_full(const struct payload *payload)
{
    return payload->is_over || payload->out->len - payload->begin >= payload->bytes_max;
}

static void separate(struct payload *payload)
{
    if (payload->out->len > payload->begin) {
        buf_append_char(payload->out, SEPARATOR);
    }
}

static void add_packet(struct payload *payload, enum eio_packet_type type)
{
    separate(payload);
    buf_append_char(payload->out, (char)type);
}

/* Transcribes the frame at the front of *@frames. */
static void add_frame(struct payload *payload, struct bytes *frames)
{
    struct bytes packet;
    enum ws_opcode opcode = ws_take_server_frame(frames, &packet);
    ASSERT(opcode == WS_TEXT || opcode == WS_BINARY); /* nothing else is sent over polling */
    separate(payload);
    if (opcode == WS_TEXT) {
        buf_append_bytes(payload->out, packet);
        /* Alone in its response, as the reference sends it. */
        payload->is_over = packet.len > 0 && packet.data[0] == EIO_OPEN;
    } else {
        buf_append_char(payload->out, BINARY);
        base64_append(payload->out, packet);
    }
}

/* Transcribes what peek gives, until it gives nothing or the payload is full. */
static void add_frames(struct payload *payload, struct eio_session *session)
{
    struct iovec pieces[PIECES_MAX];
    size_t count = 1;
    while (!is_full(payload) && (count = eio_session_peek(session, pieces, PIECES_MAX)) > 0) {
        size_t written = 0;
        for (size_t i = 0; i < count && !is_full(payload); i++) {
            struct bytes frames = bytes_of(pieces[i].iov_base, pieces[i].iov_len);
            while (frames.len > 0 && !is_full(payload)) {
                add_frame(payload, &frames);
            }
            written += pieces[i].iov_len - frames.len;
        }
        eio_session_advance(session, written);
    }
}

/* What a GET gets for which the session is over: only who does not know it yet is told. */
static enum eio_packet_type last_word(const struct eio_session *session)
{
    bool is_known_there = session->transport == EIO_WEBSOCKET ||
                          session->close_reason == EIO_CLOSE_PEER ||
                          session->close_reason == EIO_CLOSE_MOVED;
    return is_known_there ? EIO_NOOP : EIO_CLOSE;
}

bool eio_session_poll(struct eio_session *session, struct buf *out, size_t bytes_max,
                      uint64_t now_ms)
{
    struct payload payload = {.out = out, .begin = out->len, .bytes_max = bytes_max};
    if (session->owes_ping) {
        session->owes_ping = false;
        add_packet(&payload, EIO_PING);
    }
    if (session->state == EIO_STATE_CLOSED || session->transport == EIO_WEBSOCKET) {
        add_packet(&payload, last_word(session));
    } else if (session->state == EIO_STATE_CLOSING) {
        payload.bytes_max = SIZE_MAX;
        add_frames(&payload, session);
        add_packet(&payload, EIO_CLOSE);
        eio_session_end_closing(session);
    } else if (session->upgrade == EIO_UPGRADE_PROBED) {
        add_packet(&payload, EIO_NOOP);
    } else {
        add_frames(&payload, session);
    }
    eio_session_pay_on_close(session, now_ms);
    return out->len > payload.begin;
}

/* --- in ---------------------------------------------------------------------------------------------------------- */

/* A packet of a payload that is valid UTF-8. */
static void take_packet(struct eio_session *session, struct bytes packet, uint64_t now_ms)
{
    if (packet.len == 0 || packet.data[0] != BINARY) {
        eio_session_take_packet(session, packet, now_ms);
        return;
    }
    struct buf message = BUF_INIT;
    if (base64_decode(bytes_skip(packet, 1), &message)) {
        session->settings->callbacks.on_message(session, buf_bytes(&message), true, now_ms);
    } else {
        eio_session_close(session, EIO_CLOSE_PROTOCOL, WS_CLOSE_PROTOCOL_ERROR, now_ms);
    }
    buf_release(&message);
}

static void take_payload(struct eio_session *session, struct bytes payload, uint64_t now_ms)
{
    if (!utf8_is_valid(payload)) {
        eio_session_close(session, EIO_CLOSE_PROTOCOL, WS_CLOSE_INVALID_TEXT, now_ms);
        return;
    }
    bool is_last = false;
    while (!is_last && session->state == EIO_STATE_OPEN) {
        const char *at = payload.len > 0 ? memchr(payload.data, SEPARATOR, payload.len) : NULL;
        size_t len = at != NULL ? (size_t)(at - payload.data) : payload.len;
        struct bytes packet = bytes_of(payload.data, len);
        is_last = at == NULL;
        payload = bytes_skip(payload, is_last ? len : len + 1);
        take_packet(session, packet, now_ms);
    }
}

enum eio_post_result eio_session_post(struct eio_session *session, struct bytes body,
                                      uint64_t now_ms)
{
    if (body.len > session->settings->payload_bytes_max) {
        return EIO_POST_TOO_LARGE;
    }
    if (session->transport == EIO_WEBSOCKET || session->state == EIO_STATE_CLOSED) {
        return EIO_POST_REFUSED;
    }
    if (session->state == EIO_STATE_OPEN) {
        take_payload(session, body, now_ms);
        eio_session_pay_on_close(session, now_ms);
        eio_session_note_inbox(session, 0, now_ms);
    }
    bool is_refused = session->state == EIO_STATE_CLOSED && session->close_reason != EIO_CLOSE_PEER;
    return is_refused ? EIO_POST_REFUSED : EIO_POST_OK;
}
