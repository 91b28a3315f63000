/*
 * ws.h - WebSocket frames (RFC 6455), server side: a reader of what clients send, and headers of what we send.
 *
 * The reader is handed the bytes that wait in a connection's input buffer and takes whole frames from their front,
 * unmasking in place; it keeps nothing but the fragments of a message that is not complete yet. No extensions.
 *
 * Limits  A message, however many frames it comes in, is at most as long as ws_reader_next() is told; a control frame 125 bytes
 *         (section 5.5). An input buffer so never needs to hold more than that + WS_CLIENT_HEADER_MAX.
 */
#ifndef PARLEY_WIRE_WS_H
#define PARLEY_WIRE_WS_H

#include "base/bytes.h"

enum ws_opcode {
    WS_CONTINUATION = 0x0,
    WS_TEXT = 0x1,
    WS_BINARY = 0x2,
    WS_CLOSE = 0x8,
    WS_PING = 0x9,
    WS_PONG = 0xA,
};

enum {
    WS_CLIENT_HEADER_MAX = 14,
    WS_SERVER_HEADER_MAX = 10, /* servers do not mask */
    WS_CONTROL_BYTES_MAX = 125,
    WS_ACCEPT_BYTES = 28, /* Sec-WebSocket-Accept, without a NUL */
};

/* Close codes, section 7.4.1. */
enum ws_close_code {
    WS_CLOSE_NORMAL = 1000,
    WS_CLOSE_GOING_AWAY = 1001,
    WS_CLOSE_PROTOCOL_ERROR = 1002,
    WS_CLOSE_NO_STATUS = 1005, /* never on the wire */
    WS_CLOSE_INVALID_TEXT = 1007,
    WS_CLOSE_POLICY_VIOLATION = 1008,
    WS_CLOSE_TOO_BIG = 1009,
    WS_CLOSE_TRY_AGAIN_LATER = 1013, /* IANA's register */
};

struct ws_fragments; /* of an unfinished message; on the heap only while there is one */

struct ws_reader {
    struct ws_fragments *fragments;
};

void ws_reader_init(struct ws_reader *reader);
void ws_reader_release(struct ws_reader *reader);

/* Bytes that it keeps. */
size_t ws_reader_held(const struct ws_reader *reader);

enum ws_event_type {
    WS_EVENT_NONE,    /* no whole frame there: come back with more bytes behind these */
    WS_EVENT_PARTIAL, /* a fragment was taken: call again */
    WS_EVENT_TEXT,    /* valid UTF-8 */
    WS_EVENT_BINARY,
    WS_EVENT_PING, /* answer with a pong of the same payload */
    WS_EVENT_PONG,
    WS_EVENT_CLOSE, /* the peer's close frame; answer with close_code (WS_CLOSE_NO_STATUS: an empty close) */
    WS_EVENT_ERROR, /* the peer broke the protocol: close with close_code; the reader must not be used again */
};

struct ws_event {
    enum ws_event_type type;
    uint16_t close_code;
    struct bytes payload; /* of TEXT, BINARY, PING, PONG; borrows, see ws_reader_next() */
};

/*
 * Takes the first frame of the @len bytes at @data, which it may change; a message may have @message_bytes_max bytes, the
 * same in all calls. Returns how many bytes were taken: 0 with
 * WS_EVENT_NONE, any number with WS_EVENT_ERROR, otherwise the frame's length. The payload points into @data or into the reader and is valid until the
 * next call (give it what is left, even if that is nothing, and the reader frees a fragmented message). A frame that is too long or malformed is told as soon as its header is there, without waiting for the rest.
 */
size_t ws_reader_next(struct ws_reader *reader, uint32_t message_bytes_max, char *data, size_t len,
                      struct ws_event *ret_event);

/* Writes the header of an unfragmented server frame with @payload_len bytes of payload; returns its length. */
size_t ws_write_header(char ret_header[WS_SERVER_HEADER_MAX], enum ws_opcode opcode,
                       size_t payload_len);

/* Length of the header that ws_write_header() would write. */
static inline size_t ws_header_len(size_t payload_len)
{
    return payload_len < 126 ? 2 : payload_len < 65536 ? 4 : 10;
}

/* Appends a whole frame. */
void ws_append_frame(struct buf *out, enum ws_opcode opcode, struct bytes payload);

/* Appends a close frame; WS_CLOSE_NO_STATUS makes an empty one. */
void ws_append_close(struct buf *out, uint16_t close_code);

/*
 * Starts a frame whose payload is appended to @out next; ws_end_frame() with the result fills the header in. The header
 * takes the room of the longest one at first and the payload is moved up to it.
 */
size_t ws_begin_frame(struct buf *out);
void ws_end_frame(struct buf *out, size_t begin, enum ws_opcode opcode);

/*
 * Takes the frame at the front of *@frames, which must be whole frames as ws_append_frame() writes them, for whoever
 * sends their payloads another way. The payload is a slice of *@frames.
 */
enum ws_opcode ws_take_server_frame(struct bytes *frames, struct bytes *ret_payload);

/* Value of Sec-WebSocket-Accept for the client's @key, section 4.2.2. */
void ws_accept(struct bytes key, char ret_accept[WS_ACCEPT_BYTES]);

#endif
