/*
 * client_frames.h - WebSocket frames as clients send them, and server frames read back: for tests
 * and fuzzing.
 */
#ifndef PARLEY_TESTS_CLIENT_FRAMES_H
#define PARLEY_TESTS_CLIENT_FRAMES_H

#include "wire/ws.h"

enum { CLIENT_FIN = 0x80 };

/* Appends a frame with first byte @first (FIN, RSV, opcode), masked with a key that changes every
 * bit. */
static inline void client_append_frame(struct buf *out, unsigned first, struct bytes payload)
{
    static const unsigned char KEY[4] = {0xA5, 0x5A, 0xFF, 0x81};
    char header[WS_SERVER_HEADER_MAX];
    size_t header_len = ws_write_header(header, WS_TEXT, payload.len);
    header[0] = (char)first;
    header[1] = (char)(header[1] | 0x80);
    buf_append(out, header, header_len);
    buf_append(out, KEY, sizeof(KEY));
    for (size_t i = 0; i < payload.len; i++) {
        buf_append_char(out, (char)((unsigned char)payload.data[i] ^ KEY[i % 4]));
    }
}

/*
 * Takes the unfragmented, unmasked frame at the front of *@frames. Returns false when there is no
 * whole one, or not such a frame.
 */
static inline bool server_take_frame(struct bytes *frames, enum ws_opcode *ret_opcode,
                                     struct bytes *ret_payload)
{
    if (frames->len < 2 || ((unsigned char)frames->data[0] & 0xF0) != 0x80) {
        return false;
    }
    size_t len = (unsigned char)frames->data[1];
    size_t extended = len == 126 ? 2 : len == 127 ? 8 : 0;
    if (len > 127 || frames->len < 2 + extended) {
        return false;
    }
    if (extended > 0) {
        len = 0;
        for (size_t i = 0; i < extended; i++) {
            len = len << 8 | (unsigned char)frames->data[2 + i];
        }
    }
    if (frames->len - 2 - extended < len) {
        return false;
    }
    *ret_opcode = (enum ws_opcode)(frames->data[0] & 0x0F);
    *ret_payload = bytes_of(frames->data + 2 + extended, len);
    *frames = bytes_skip(*frames, 2 + extended + len);
    return true;
}

#endif
