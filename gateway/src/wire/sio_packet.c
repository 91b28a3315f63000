/*
 * sio_packet.c - Socket.IO packets: text to struct, and frames of the packets that are sent most.
 */
#include "sio.h"
#include "ws.h"

/* Takes the decimal digits at the front of *@text. Returns how many there are. */
static size_t take_digits(struct bytes *text, uint64_t *ret_value)
{
    uint64_t value = 0;
    size_t count = 0;
    for (; count < text->len && text->data[count] >= '0' && text->data[count] <= '9'; count++) {
        /* May wrap around: whoever calls this refuses so many digits. */
        value = value * 10 + (uint64_t)(text->data[count] - '0');
    }
    *text = bytes_skip(*text, count);
    *ret_value = value;
    return count;
}

/* <attachments>- */
static bool take_attachments(struct bytes *text, uint32_t *ret_attachments)
{
    enum { DIGITS_MAX = 2 };
    static_assert(SIO_ATTACHMENTS_MAX < 100, "a count has at most DIGITS_MAX digits");
    uint64_t count = 0;
    size_t digits = take_digits(text, &count);
    if (digits == 0 || digits > DIGITS_MAX || count > SIO_ATTACHMENTS_MAX || text->len == 0 ||
        text->data[0] != '-') {
        return false;
    }
    *text = bytes_skip(*text, 1);
    *ret_attachments = (uint32_t)count;
    return true;
}

/* /nsp,  with the comma optional at the end of the text. */
static struct bytes take_namespace(struct bytes *text)
{
    if (text->len == 0 || text->data[0] != '/') {
        return BYTES("/");
    }
    const char *comma = memchr(text->data, ',', text->len);
    size_t len = comma != NULL ? (size_t)(comma - text->data) : text->len;
    struct bytes namespace = bytes_of(text->data, len);
    *text = bytes_skip(*text, comma != NULL ? len + 1 : len);
    return namespace;
}

static bool take_ack_id(struct bytes *text, struct sio_packet *packet)
{
    size_t digits = take_digits(text, &packet->ack_id);
    packet->has_ack_id = digits > 0;
    return digits <= SIO_ACK_DIGITS_MAX;
}

static bool is_reserved(struct bytes name)
{
    static const struct bytes RESERVED[] = {
        {"connect", 7},        {"connect_error", 13}, {"disconnect", 10},
        {"disconnecting", 13}, {"newListener", 11},   {"removeListener", 14},
    };
    for (size_t i = 0; i < COUNT_OF(RESERVED); i++) {
        if (json_string_equals(name, RESERVED[i])) {
            return true;
        }
    }
    return false;
}

static enum sio_result check_event(struct bytes payload)
{
    if (payload.len == 0 || json_type_of(payload) != JSON_ARRAY) {
        return SIO_BAD_PAYLOAD;
    }
    struct json_iterator elements = json_iterate(payload);
    struct bytes name;
    if (!json_next_element(&elements, &name)) {
        return SIO_BAD_PAYLOAD;
    }
    switch (json_type_of(name)) {
    case JSON_NUMBER: return SIO_OK;
    case JSON_STRING: return is_reserved(name) ? SIO_RESERVED_EVENT : SIO_OK;
    default: return SIO_BAD_PAYLOAD;
    }
}

/* Whether ids and payload are what the packet's type asks for. */
static enum sio_result check(const struct sio_packet *packet)
{
    struct bytes payload = packet->payload;
    switch (packet->type) {
    case SIO_CONNECT:
        return payload.len == 0 || json_type_of(payload) == JSON_OBJECT ? SIO_OK : SIO_BAD_PAYLOAD;
    case SIO_DISCONNECT: return payload.len == 0 ? SIO_OK : SIO_BAD_PAYLOAD;
    case SIO_EVENT:
    case SIO_BINARY_EVENT: return check_event(payload);
    case SIO_ACK:
    case SIO_BINARY_ACK:
        if (!packet->has_ack_id) {
            return SIO_BAD_ACK;
        }
        return payload.len > 0 && json_type_of(payload) == JSON_ARRAY ? SIO_OK : SIO_BAD_PAYLOAD;
    case SIO_CONNECT_ERROR:
        return payload.len > 0 && (json_type_of(payload) == JSON_OBJECT ||
                                   json_type_of(payload) == JSON_STRING)
                   ? SIO_OK
                   : SIO_BAD_PAYLOAD;
    }
    return SIO_BAD_TYPE;
}

enum sio_result sio_parse(struct bytes text, struct sio_packet *ret_packet)
{
    if (text.len == 0 || text.data[0] < SIO_CONNECT || text.data[0] > SIO_BINARY_ACK) {
        return SIO_BAD_TYPE;
    }
    struct sio_packet packet = {.type = (enum sio_packet_type)text.data[0]};
    text = bytes_skip(text, 1);
    if ((packet.type == SIO_BINARY_EVENT || packet.type == SIO_BINARY_ACK) &&
        !take_attachments(&text, &packet.attachments)) {
        return SIO_BAD_ATTACHMENTS;
    }
    packet.namespace = take_namespace(&text);
    if (!take_ack_id(&text, &packet)) {
        return SIO_BAD_ACK;
    }
    if (text.len > 0 && !json_scan(text, &packet.payload)) {
        return SIO_BAD_PAYLOAD;
    }
    enum sio_result result = check(&packet);
    if (result == SIO_OK) {
        *ret_packet = packet;
    }
    return result;
}

void sio_event_split(struct bytes payload, struct bytes *ret_name,
                     struct json_iterator *ret_arguments)
{
    struct json_iterator elements = json_iterate(payload);
    bool has_name = json_next_element(&elements, ret_name);
    ASSERT(has_name);
    *ret_arguments = elements;
}

void sio_append_packet_head(struct buf *out, enum sio_packet_type type, struct bytes namespace)
{
    buf_append_char(out, EIO_MESSAGE);
    buf_append_char(out, (char)type);
    if (!bytes_equal(namespace, BYTES("/"))) {
        buf_append_bytes(out, namespace);
        buf_append_char(out, ',');
    }
}

static void append_array(struct buf *out, struct bytes elements)
{
    buf_append_char(out, '[');
    buf_append_bytes(out, elements);
    buf_append_char(out, ']');
}

void sio_append_event_frame(struct buf *out, struct bytes namespace, struct bytes arguments)
{
    size_t begin = ws_begin_frame(out);
    sio_append_packet_head(out, SIO_EVENT, namespace);
    append_array(out, arguments);
    ws_end_frame(out, begin, WS_TEXT);
}

void sio_append_ack_frame(struct buf *out, struct bytes namespace, uint64_t ack_id,
                          struct bytes arguments)
{
    size_t begin = ws_begin_frame(out);
    sio_append_packet_head(out, SIO_ACK, namespace);
    buf_append_u64(out, ack_id);
    append_array(out, arguments);
    ws_end_frame(out, begin, WS_TEXT);
}
