/*
 * ws.c - RFC 6455 frames.
 *
 * The common case, a whole unfragmented frame, is unmasked and validated where it stands; only
 * fragments are copied, since their frames leave the input buffer before their message is complete.
 */
#include "ws.h"
#include "utf8.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdlib.h>

enum {
    FIN = 0x80,
    RSV = 0x70,
    OPCODE = 0x0F,
    CONTROL = 0x8, /* of an opcode */
    MASKED = 0x80,
    LENGTH = 0x7F,
    LENGTH_16 = 126,
    LENGTH_64 = 127,
    MASK_BYTES = 4,
};

struct ws_fragments {
    enum ws_opcode opcode; /* of the message: text or binary */
    bool is_told;          /* complete, and its event was returned: gone with the next call */
    utf8_state utf8;
    struct buf payload;
};

/* A frame's header, as far as the reader needs it. */
struct frame {
    enum ws_opcode opcode;
    bool fin;
    size_t header_len; /* with the mask */
    uint64_t payload_len;
};

void ws_reader_init(struct ws_reader *reader)
{
    *reader = (struct ws_reader){0};
}

void ws_reader_release(struct ws_reader *reader)
{
    if (reader->fragments != NULL) {
        buf_release(&reader->fragments->payload);
        free(reader->fragments);
        reader->fragments = NULL;
    }
}

static bool is_control(enum ws_opcode opcode)
{
    return (opcode & CONTROL) != 0;
}

/* Big-endian, as everything in a frame. */
static uint64_t read_number(const char *data, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        value = value << 8 | (unsigned char)data[i];
    }
    return value;
}

static void write_number(char *data, size_t len, uint64_t value)
{
    for (size_t i = len; i-- > 0; value >>= 8) {
        data[i] = (char)(value & 0xFF);
    }
}

static void set_error(struct ws_event *event, uint16_t close_code)
{
    *event = (struct ws_event){.type = WS_EVENT_ERROR, .close_code = close_code};
}

/* What the first two bytes alone make wrong: section 5.2, and 5.4 for the order of fragments. */
static bool first_bytes_are_legal(const struct ws_reader *reader, unsigned char first,
                                  unsigned char second)
{
    if ((first & RSV) != 0 || (second & MASKED) == 0) {
        return false;
    }
    switch (first & OPCODE) {
    case WS_CONTINUATION: return reader->fragments != NULL;
    case WS_TEXT:
    case WS_BINARY: return reader->fragments == NULL;
    case WS_CLOSE:
    case WS_PING:
    case WS_PONG: return (first & FIN) != 0 && (second & LENGTH) <= WS_CONTROL_BYTES_MAX;
    default: return false;
    }
}

size_t ws_reader_held(const struct ws_reader *reader)
{
    return reader->fragments != NULL ? reader->fragments->payload.len : 0;
}

/*
 * Reads the header at @data. Returns true with *@ret_frame when it is whole and legal; otherwise
 * false, with *ret_event NONE (more bytes are needed) or ERROR.
 */
static bool read_header(const struct ws_reader *reader, uint32_t message_bytes_max,
                        const char *data, size_t len, struct frame *ret_frame,
                        struct ws_event *ret_event)
{
    *ret_event = (struct ws_event){.type = WS_EVENT_NONE};
    if (len < 2) {
        return false;
    }
    unsigned char first = (unsigned char)data[0];
    unsigned char second = (unsigned char)data[1];
    if (!first_bytes_are_legal(reader, first, second)) {
        set_error(ret_event, WS_CLOSE_PROTOCOL_ERROR);
        return false;
    }
    uint64_t payload_len = second & LENGTH;
    size_t extended = payload_len == LENGTH_16 ? 2 : payload_len == LENGTH_64 ? 8 : 0;
    if (len < 2 + extended) {
        return false;
    }
    if (extended > 0) {
        payload_len = read_number(data + 2, extended);
        /* The shortest form must be used, and the top bit of the longest must be 0. */
        if (payload_len < (extended == 2 ? LENGTH_16 : 0x10000) || payload_len > INT64_MAX) {
            set_error(ret_event, WS_CLOSE_PROTOCOL_ERROR);
            return false;
        }
    }
    enum ws_opcode opcode = (enum ws_opcode)(first & OPCODE);
    size_t before = reader->fragments != NULL ? reader->fragments->payload.len : 0;
    if (!is_control(opcode) && payload_len > message_bytes_max - before) {
        set_error(ret_event, WS_CLOSE_TOO_BIG);
        return false;
    }
    ret_frame->opcode = opcode;
    ret_frame->fin = (first & FIN) != 0;
    ret_frame->header_len = 2 + extended + MASK_BYTES;
    ret_frame->payload_len = payload_len;
    return len >= ret_frame->header_len && len - ret_frame->header_len >= payload_len;
}

/* Section 5.3; the key stands before the payload. */
static void unmask(char *payload, size_t len)
{
    const char *key = payload - MASK_BYTES;
    uint64_t word, keys;
    memcpy(&keys, key, MASK_BYTES);
    memcpy((char *)&keys + MASK_BYTES, key, MASK_BYTES);
    size_t i = 0;
    for (; len - i >= sizeof(word); i += sizeof(word)) {
        memcpy(&word, payload + i, sizeof(word));
        word ^= keys;
        memcpy(payload + i, &word, sizeof(word));
    }
    for (; i < len; i++) {
        payload[i] = (char)(payload[i] ^ key[i % MASK_BYTES]);
    }
}

/* Codes that may be in a close frame: section 7.4, and IANA's register as of 1012 to 1014. */
static bool is_close_code(uint64_t code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static void read_close(struct bytes payload, struct ws_event *ret_event)
{
    ret_event->type = WS_EVENT_CLOSE;
    ret_event->close_code = WS_CLOSE_NO_STATUS;
    if (payload.len == 0) {
        return;
    }
    uint64_t code = payload.len >= 2 ? read_number(payload.data, 2) : 0;
    if (!is_close_code(code)) {
        set_error(ret_event, WS_CLOSE_PROTOCOL_ERROR);
    } else if (!utf8_is_valid(bytes_skip(payload, 2))) {
        set_error(ret_event, WS_CLOSE_INVALID_TEXT);
    } else {
        ret_event->close_code = (uint16_t)code;
    }
}

static void read_control(enum ws_opcode opcode, struct bytes payload, struct ws_event *ret_event)
{
    if (opcode == WS_CLOSE) {
        read_close(payload, ret_event);
    } else {
        ret_event->type = opcode == WS_PING ? WS_EVENT_PING : WS_EVENT_PONG;
        ret_event->payload = payload;
    }
}

static void read_whole_message(enum ws_opcode opcode, struct bytes payload,
                               struct ws_event *ret_event)
{
    if (opcode == WS_TEXT && !utf8_is_valid(payload)) {
        set_error(ret_event, WS_CLOSE_INVALID_TEXT);
        return;
    }
    ret_event->type = opcode == WS_TEXT ? WS_EVENT_TEXT : WS_EVENT_BINARY;
    ret_event->payload = payload;
}

static void read_fragment(struct ws_reader *reader, const struct frame *frame, struct bytes payload,
                          struct ws_event *ret_event)
{
    struct ws_fragments *fragments = reader->fragments;
    if (fragments == NULL) {
        fragments = mem_alloc_zeroed(sizeof(*fragments));
        fragments->opcode = frame->opcode;
        reader->fragments = fragments;
    }
    if (fragments->opcode == WS_TEXT && (!utf8_continue(&fragments->utf8, payload) ||
                                         (frame->fin && fragments->utf8 != UTF8_START))) {
        set_error(ret_event, WS_CLOSE_INVALID_TEXT);
        return;
    }
    buf_append_bytes(&fragments->payload, payload);
    ret_event->type = WS_EVENT_PARTIAL;
    if (frame->fin) {
        fragments->is_told = true;
        ret_event->type = fragments->opcode == WS_TEXT ? WS_EVENT_TEXT : WS_EVENT_BINARY;
        ret_event->payload = buf_bytes(&fragments->payload);
    }
}

size_t ws_reader_next(struct ws_reader *reader, uint32_t message_bytes_max, char *data, size_t len,
                      struct ws_event *ret_event)
{
    if (reader->fragments != NULL && reader->fragments->is_told) {
        ws_reader_release(reader);
    }
    struct frame frame;
    if (!read_header(reader, message_bytes_max, data, len, &frame, ret_event)) {
        /* What follows a broken frame cannot be understood: it is taken with it. */
        return ret_event->type == WS_EVENT_ERROR ? len : 0;
    }
    size_t payload_len = (size_t)frame.payload_len;
    unmask(data + frame.header_len, payload_len);
    struct bytes payload = bytes_of(data + frame.header_len, payload_len);
    if (is_control(frame.opcode)) {
        read_control(frame.opcode, payload, ret_event);
    } else if (frame.fin && reader->fragments == NULL) {
        read_whole_message(frame.opcode, payload, ret_event);
    } else {
        read_fragment(reader, &frame, payload, ret_event);
    }
    return frame.header_len + payload_len;
}

size_t ws_write_header(char ret_header[WS_SERVER_HEADER_MAX], enum ws_opcode opcode,
                       size_t payload_len)
{
    size_t header_len = ws_header_len(payload_len);
    ret_header[0] = (char)(FIN | opcode);
    if (header_len == 2) {
        ret_header[1] = (char)payload_len;
    } else {
        ret_header[1] = header_len == 4 ? LENGTH_16 : LENGTH_64;
        write_number(ret_header + 2, header_len - 2, payload_len);
    }
    return header_len;
}

void ws_append_frame(struct buf *out, enum ws_opcode opcode, struct bytes payload)
{
    char *header = buf_reserve(out, ws_header_len(payload.len) + payload.len);
    out->len += ws_write_header(header, opcode, payload.len);
    buf_append_bytes(out, payload);
}

void ws_append_close(struct buf *out, uint16_t close_code)
{
    char payload[2];
    write_number(payload, sizeof(payload), close_code);
    ws_append_frame(out, WS_CLOSE,
                    bytes_of(payload, close_code == WS_CLOSE_NO_STATUS ? 0 : sizeof(payload)));
}

size_t ws_begin_frame(struct buf *out)
{
    size_t begin = out->len;
    buf_reserve(out, WS_SERVER_HEADER_MAX);
    out->len += WS_SERVER_HEADER_MAX;
    return begin;
}

void ws_end_frame(struct buf *out, size_t begin, enum ws_opcode opcode)
{
    ASSERT(begin + WS_SERVER_HEADER_MAX <= out->len);
    size_t payload_len = out->len - begin - WS_SERVER_HEADER_MAX;
    char *frame = out->data + begin;
    memmove(frame + ws_header_len(payload_len), frame + WS_SERVER_HEADER_MAX, payload_len);
    out->len = begin + ws_write_header(frame, opcode, payload_len) + payload_len;
}

enum ws_opcode ws_take_server_frame(struct bytes *frames, struct bytes *ret_payload)
{
    ASSERT(frames->len >= 2);
    size_t payload_len = (unsigned char)frames->data[1];
    size_t header_len = payload_len == LENGTH_16 ? 4 : payload_len == LENGTH_64 ? 10 : 2;
    ASSERT(frames->len >= header_len);
    if (header_len > 2) {
        payload_len = (size_t)read_number(frames->data + 2, header_len - 2);
    }
    ASSERT(payload_len <= frames->len - header_len);
    enum ws_opcode opcode = (enum ws_opcode)(frames->data[0] & OPCODE);
    *ret_payload = bytes_of(frames->data + header_len, payload_len);
    *frames = bytes_skip(*frames, header_len + payload_len);
    return opcode;
}

void ws_accept(struct bytes key, char ret_accept[WS_ACCEPT_BYTES])
{
    static const char GUID[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    struct buf text = BUF_INIT;
    buf_append_bytes(&text, key);
    buf_append(&text, GUID, sizeof(GUID) - 1);
    unsigned char digest[SHA_DIGEST_LENGTH];
    SHA1((const unsigned char *)text.data, text.len, digest);
    buf_release(&text);
    unsigned char accept[WS_ACCEPT_BYTES + 1]; /* EVP_EncodeBlock() ends with a NUL */
    EVP_EncodeBlock(accept, digest, sizeof(digest));
    memcpy(ret_accept, accept, WS_ACCEPT_BYTES);
}
