#include "sio_binary.h"
#include "ws.h"

#include <stdlib.h>

struct sio_assembly {
    struct sio_packet packet; /* slices of `text` */
    uint32_t bytes_max;
    uint32_t count;                     /* how many are there */
    uint32_t ends[SIO_ATTACHMENTS_MAX]; /* of each in `data` */
    struct buf data;                    /* one behind the other */
    char text[];                        /* namespace, payload */
};

struct sio_assembly *sio_assembly_new(const struct sio_packet *packet, uint32_t bytes_max)
{
    bool is_ignored = packet->type == SIO_BINARY_ACK;
    struct bytes namespace = is_ignored ? (struct bytes){0} : packet->namespace;
    struct bytes payload = is_ignored ? (struct bytes){0} : packet->payload;
    struct sio_assembly *assembly = mem_alloc(sizeof(*assembly) + namespace.len + payload.len);
    *assembly = (struct sio_assembly){
        .packet = *packet,
        .bytes_max = bytes_max - (uint32_t)MIN_OF(payload.len, (size_t)bytes_max),
    };
    if (!is_ignored) {
        memcpy(assembly->text, namespace.data, namespace.len);
        memcpy(assembly->text + namespace.len, payload.data, payload.len);
    }
    assembly->packet.namespace = bytes_of(assembly->text, namespace.len);
    assembly->packet.payload = bytes_of(assembly->text + namespace.len, payload.len);
    return assembly;
}

void sio_assembly_free(struct sio_assembly *assembly)
{
    if (assembly != NULL) {
        buf_release(&assembly->data);
        free(assembly);
    }
}

enum sio_assembly_result sio_assembly_add(struct sio_assembly *assembly, struct bytes data)
{
    ASSERT(assembly->count < assembly->packet.attachments);
    if (data.len > assembly->bytes_max - assembly->data.len) {
        return SIO_ASSEMBLY_TOO_MUCH;
    }
    if (assembly->packet.type != SIO_BINARY_ACK) {
        buf_append_bytes(&assembly->data, data);
    }
    assembly->ends[assembly->count++] = (uint32_t)assembly->data.len;
    return assembly->count == assembly->packet.attachments ? SIO_ASSEMBLY_COMPLETE
                                                           : SIO_ASSEMBLY_AWAITS_MORE;
}

uint32_t sio_assembly_attachments(const struct sio_assembly *assembly,
                                  struct bytes ret_attachments[SIO_ATTACHMENTS_MAX])
{
    struct bytes rest = buf_bytes(&assembly->data);
    for (uint32_t i = 0; i < assembly->count; i++) {
        size_t len = assembly->ends[i] - (assembly->data.len - rest.len);
        ret_attachments[i] = bytes_of(rest.data, len);
        rest = bytes_skip(rest, len);
    }
    return assembly->count;
}

size_t sio_assembly_held(const struct sio_assembly *assembly)
{
    const struct sio_packet *packet = &assembly->packet;
    return packet->namespace.len + packet->payload.len + assembly->data.len;
}

const struct sio_packet *sio_assembly_packet(const struct sio_assembly *assembly)
{
    return &assembly->packet;
}

/* --- placeholders ------------------------------------------------------------------------------------------------ */

/* An array or object that is open, and what was seen of it so far. */
struct container {
    bool is_object;
    bool is_placeholder; /* "_placeholder":true */
    bool has_num;        /* "num" below the count of attachments */
};

/* Walks scanned JSON token by token, once. */
struct walker {
    struct bytes rest;
    uint32_t count;
    unsigned depth;
    struct container containers[JSON_DEPTH_MAX];
    struct bytes key; /* whose value comes next; len 0 in arrays */
};

/* Takes the string at the front, with its quotes. */
static struct bytes take_string(struct walker *walker)
{
    size_t len = 1;
    while (walker->rest.data[len] != '"') {
        len += walker->rest.data[len] == '\\' ? 2 : 1;
    }
    struct bytes string = bytes_of(walker->rest.data, len + 1);
    walker->rest = bytes_skip(walker->rest, len + 1);
    return string;
}

static bool ends_word(char c)
{
    return c == ',' || c == ']' || c == '}' || c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Takes the number or word at the front. */
static struct bytes take_word(struct walker *walker)
{
    size_t len = 0;
    while (len < walker->rest.len && !ends_word(walker->rest.data[len])) {
        len++;
    }
    struct bytes word = bytes_of(walker->rest.data, len);
    walker->rest = bytes_skip(walker->rest, len);
    return word;
}

/* @value (its first character is enough, but for numbers) is what walker->key says, in the innermost container. */
static void note_value(struct walker *walker, struct bytes value)
{
    if (walker->key.len == 0) {
        return;
    }
    struct container *container = &walker->containers[walker->depth - 1];
    uint64_t num = 0;
    if (json_string_equals(walker->key, BYTES("_placeholder"))) {
        container->is_placeholder = value.data[0] == 't';
    } else if (json_string_equals(walker->key, BYTES("num"))) {
        container->has_num = json_type_of(value) == JSON_NUMBER &&
                             json_number_to_u64(value, &num) && num < walker->count;
    }
    walker->key = (struct bytes){0};
}

/* Takes the token at the front. False when that ends a placeholder that names nothing. */
static bool take_token(struct walker *walker)
{
    char c = walker->rest.data[0];
    struct bytes one = bytes_of(walker->rest.data, 1);
    switch (c) {
    case '{':
    case '[':
        note_value(walker, one);
        walker->containers[walker->depth++] = (struct container){.is_object = c == '{'};
        break;
    case '}':
    case ']': {
        const struct container *ended = &walker->containers[--walker->depth];
        if (ended->is_placeholder && !ended->has_num) {
            return false;
        }
        break;
    }
    case '"': {
        bool is_key = walker->containers[walker->depth - 1].is_object && walker->key.len == 0;
        struct bytes string = take_string(walker);
        if (is_key) {
            walker->key = string;
        } else {
            note_value(walker, string);
        }
        return true;
    }
    case ' ':
    case '\t':
    case '\r':
    case '\n':
    case ',':
    case ':': break;
    default: note_value(walker, take_word(walker)); return true;
    }
    walker->rest = bytes_skip(walker->rest, 1);
    return true;
}

bool sio_placeholders_are_valid(struct bytes payload, uint32_t count)
{
    ASSERT(json_type_of(payload) == JSON_ARRAY);
    struct walker walker = {.rest = payload, .count = count};
    while (walker.rest.len > 0) {
        if (!take_token(&walker)) {
            return false;
        }
    }
    return true;
}

/* --- out --------------------------------------------------------------------------------------------------------- */

/* The packet's head, with the count of attachments between its type and the rest. */
static void append_head(struct buf *out, enum sio_packet_type type, struct bytes namespace,
                        uint32_t count)
{
    ASSERT(count >= 1 && count <= SIO_ATTACHMENTS_MAX);
    buf_append_char(out, (char)type);
    buf_append_u64(out, count);
    buf_append_char(out, '-');
    if (!bytes_equal(namespace, BYTES("/"))) {
        buf_append_bytes(out, namespace);
        buf_append_char(out, ',');
    }
}

void sio_assembly_append_text(const struct sio_assembly *assembly, struct buf *out)
{
    const struct sio_packet *packet = &assembly->packet;
    if (packet->type == SIO_BINARY_ACK) { /* will be ignored there as here */
        append_head(out, packet->type, BYTES("/"), packet->attachments);
        buf_append_bytes(out, BYTES("0[]"));
        return;
    }
    append_head(out, packet->type, packet->namespace, packet->attachments);
    if (packet->has_ack_id) {
        buf_append_u64(out, packet->ack_id);
    }
    buf_append_bytes(out, packet->payload);
}

/* The rest of the frame that began at @begin, and the attachments' frames. */
static void end_frames(struct buf *out, size_t begin, struct bytes arguments,
                       const struct bytes *attachments, uint32_t count)
{
    buf_append_char(out, '[');
    buf_append_bytes(out, arguments);
    buf_append_char(out, ']');
    ws_end_frame(out, begin, WS_TEXT);
    for (uint32_t i = 0; i < count; i++) {
        ws_append_frame(out, WS_BINARY, attachments[i]);
    }
}

void sio_append_binary_event_frames(struct buf *out, struct bytes namespace, struct bytes arguments,
                                    const struct bytes *attachments, uint32_t count)
{
    size_t begin = ws_begin_frame(out);
    buf_append_char(out, EIO_MESSAGE);
    append_head(out, SIO_BINARY_EVENT, namespace, count);
    end_frames(out, begin, arguments, attachments, count);
}

void sio_append_binary_ack_frames(struct buf *out, struct bytes namespace, uint64_t ack_id,
                                  struct bytes arguments, const struct bytes *attachments,
                                  uint32_t count)
{
    size_t begin = ws_begin_frame(out);
    buf_append_char(out, EIO_MESSAGE);
    append_head(out, SIO_BINARY_ACK, namespace, count);
    buf_append_u64(out, ack_id);
    end_frames(out, begin, arguments, attachments, count);
}
