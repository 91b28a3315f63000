/* client.c - RFC 6455, Engine.IO 4 and Socket.IO 5, from the client's side. */
#include "client.h"
#include "wire/ws.h"

#include <stdio.h>
#include <unistd.h>

enum { MASKED = 0x80, MASK_BYTES = 4 };

/* Its Sec-WebSocket-Key is the one of RFC 6455's example, and so is the answer. */
static const char REQUEST[] = " HTTP/1.1\r\n"
                              "Host: bench\r\n"
                              "Connection: Upgrade\r\n"
                              "Upgrade: websocket\r\n"
                              "Sec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                              "\r\n";
static const char ACCEPT[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

static enum client_result break_with(struct buf *error, const struct client *client,
                                     const char *what, struct bytes detail)
{
    enum { SHOWN_BYTES_MAX = 200 };
    detail.len = MIN_OF(detail.len, (size_t)SHOWN_BYTES_MAX);
    buf_append_format(error, "Connection %u: %s: %.*s", client->index, what, BYTES_FMT(detail));
    return CLIENT_BROKEN;
}

/* Masks differ from frame to frame, as they must; that nobody can guess them does not matter here. */
static uint32_t next_mask(void)
{
    static uint32_t state = 2463534242;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static void append_masked(struct buf *out, enum ws_opcode opcode, struct bytes payload)
{
    char *frame = buf_reserve(out, WS_CLIENT_HEADER_MAX + payload.len);
    size_t at = ws_write_header(frame, opcode, payload.len);
    frame[1] = (char)(frame[1] | MASKED);
    uint32_t mask = next_mask();
    unsigned char key[MASK_BYTES];
    memcpy(key, &mask, sizeof(key));
    memcpy(frame + at, key, sizeof(key));
    at += sizeof(key);
    for (size_t i = 0; i < payload.len; i++) {
        frame[at + i] = (char)((unsigned char)payload.data[i] ^ key[i % MASK_BYTES]);
    }
    out->len += at + payload.len;
}

static void append_namespace(struct buf *out, const struct client_settings *settings, uint32_t room)
{
    if (settings->dialect == CLIENT_PARLEY) {
        buf_append_format(out, "/%s-%u,", settings->room_prefix, room);
    }
}

void client_start(struct client *client, const struct client_settings *settings)
{
    if (settings->dialect == CLIENT_PLAIN) {
        buf_append_format(&client->out, "GET /%s-%u", settings->room_prefix, client->room);
    } else {
        buf_append_bytes(&client->out, BYTES("GET /socket.io/?EIO=4&transport=websocket"));
    }
    buf_append(&client->out, REQUEST, sizeof(REQUEST) - 1);
    client->state = CLIENT_UPGRADING;
}

void client_emit(struct client *client, const struct client_settings *settings,
                 const uint64_t *ack_id, struct bytes arguments)
{
    static struct buf packet; /* one for all, and never given back */
    buf_clear(&packet);
    if (settings->dialect != CLIENT_PLAIN) {
        buf_append_bytes(&packet, BYTES("42"));
        append_namespace(&packet, settings, client->room);
        if (ack_id != NULL) {
            buf_append_u64(&packet, *ack_id);
        }
    }
    buf_append_char(&packet, '[');
    buf_append_bytes(&packet, arguments);
    buf_append_char(&packet, ']');
    append_masked(&client->out, WS_TEXT, buf_bytes(&packet));
}

void client_append_message(struct buf *out, const struct client_settings *settings,
                           struct bytes text, uint64_t number)
{
    buf_append_bytes(out, BYTES("\"chat message\",\""));
    buf_append_bytes(out, text);
    buf_append_char(out, '"');
    switch (settings->dialect) {
    case CLIENT_PARLEY: break;
    case CLIENT_TUTORIAL: /* its clientOffset, unique for ever */
        buf_append_format(out, ",\"%s-%llu\"", settings->room_prefix, (unsigned long long)number);
        break;
    case CLIENT_PLAIN: buf_append_format(out, ",%llu", (unsigned long long)number); break;
    }
}

static void join_room(struct client *client, const struct client_settings *settings, uint32_t room)
{
    struct buf packet = BUF_INIT;
    buf_append_bytes(&packet, BYTES("40"));
    append_namespace(&packet, settings, room);
    client->namespace_len = (uint16_t)(packet.len - 2);
    buf_append_format(&packet, "{\"username\":\"m%u\"%s", client->index,
                      settings->has_echo ? "" : ",\"echo\":false");
    if (settings->handlers.write_auth != NULL) {
        settings->handlers.write_auth(settings->handlers.user, client, &packet);
    } else if (settings->dialect == CLIENT_TUTORIAL) {
        /* It has all: what is sent while the server looks for more would come twice. */
        buf_append_bytes(&packet, BYTES(",\"serverOffset\":2147483647"));
    }
    buf_append_char(&packet, '}');
    append_masked(&client->out, WS_TEXT, buf_bytes(&packet));
    buf_release(&packet);
    client->rooms_left++;
}

static void join(struct client *client, const struct client_settings *settings)
{
    client->state = CLIENT_JOINING;
    client->rooms_left = 0;
    if (settings->rooms_each <= 1) {
        join_room(client, settings, client->room);
        return;
    }
    for (uint32_t i = 0; i < settings->rooms_each; i++) {
        join_room(client, settings, client->index * settings->rooms_each + i);
    }
}

static void on_joined(struct client *client, const struct client_settings *settings,
                      struct bytes reply)
{
    client->state = CLIENT_JOINED;
    if (settings->handlers.on_joined != NULL) {
        settings->handlers.on_joined(settings->handlers.user, client, reply);
    }
}

/* --- packets ---------------------------------------------------------------------------------------------------- */

static enum client_result on_acknowledged(struct client *client,
                                          const struct client_settings *settings,
                                          struct bytes packet, struct buf *error)
{
    struct bytes rest = bytes_skip(packet, MIN_OF(packet.len, (size_t)2 + client->namespace_len));
    const char *array = rest.len == 0 ? NULL : memchr(rest.data, '[', rest.len);
    uint64_t ack_id;
    if (array == NULL || !bytes_to_u64(bytes_of(rest.data, (size_t)(array - rest.data)), &ack_id)) {
        return break_with(error, client, "an acknowledgement without an id", packet);
    }
    settings->handlers.on_ack(settings->handlers.user, client, ack_id,
                              bytes_skip(rest, (size_t)(array - rest.data)));
    return CLIENT_FINE;
}

static enum client_result on_joined_packet(struct client *client,
                                           const struct client_settings *settings,
                                           struct bytes packet, struct buf *error)
{
    size_t head_len = 2 + (size_t)client->namespace_len;
    if (bytes_start_with(packet, BYTES("42")) && packet.len > head_len) {
        settings->handlers.on_event(settings->handlers.user, client, bytes_skip(packet, head_len));
        return CLIENT_FINE;
    }
    if (bytes_start_with(packet, BYTES("43"))) {
        return on_acknowledged(client, settings, packet, error);
    }
    return break_with(error, client, "the server sent a packet that was not awaited", packet);
}

static enum client_result on_packet(struct client *client, const struct client_settings *settings,
                                    struct bytes packet, struct buf *error)
{
    if (settings->dialect == CLIENT_PLAIN) {
        settings->handlers.on_event(settings->handlers.user, client, packet);
        return CLIENT_FINE;
    }
    if (bytes_equal(packet, BYTES("2"))) {
        append_masked(&client->out, WS_TEXT, BYTES("3"));
        return CLIENT_FINE;
    }
    if (client->state == CLIENT_JOINED) {
        return on_joined_packet(client, settings, packet, error);
    }
    if (client->state == CLIENT_OPENING && bytes_start_with(packet, BYTES("0{"))) {
        join(client, settings);
        return CLIENT_FINE;
    }
    if (client->state == CLIENT_JOINING && bytes_start_with(packet, BYTES("40"))) {
        if (--client->rooms_left == 0) {
            on_joined(client, settings,
                      bytes_skip(packet, MIN_OF(packet.len, (size_t)2 + client->namespace_len)));
        }
        return CLIENT_FINE;
    }
    return break_with(error, client, "the server did not let us join", packet);
}

/* --- frames ----------------------------------------------------------------------------------------------------- */

/* The frame at the front of @data: its header's length, or 0 when there is not yet a whole frame. */
static size_t frame_header_len(struct bytes data, size_t *ret_payload_len)
{
    if (data.len < 2) {
        return 0;
    }
    const unsigned char *at = (const unsigned char *)data.data;
    size_t payload_len = at[1];
    size_t header_len = payload_len == 127 ? 10 : payload_len == 126 ? 4 : 2;
    if (data.len < header_len) {
        return 0;
    }
    if (header_len > 2) {
        payload_len = 0;
        for (size_t i = 2; i < header_len; i++) {
            payload_len = payload_len << 8 | at[i];
        }
    }
    if (data.len - header_len < payload_len) {
        return 0;
    }
    *ret_payload_len = payload_len;
    return header_len;
}

static enum client_result on_close(const struct client *client, struct bytes payload,
                                   struct buf *error)
{
    const unsigned char *at = (const unsigned char *)payload.data;
    char what[64];
    snprintf(what, sizeof(what), "the server closed it with code %d",
             payload.len < 2 ? WS_CLOSE_NO_STATUS : at[0] << 8 | at[1]);
    return break_with(error, client, what, bytes_skip(payload, MIN_OF(payload.len, (size_t)2)));
}

static enum client_result on_frame(struct client *client, const struct client_settings *settings,
                                   unsigned char first, struct bytes payload, struct buf *error)
{
    enum { FIN = 0x80 };
    switch (first) {
    case FIN | WS_TEXT: return on_packet(client, settings, payload, error);
    case FIN | WS_PING: append_masked(&client->out, WS_PONG, payload); return CLIENT_FINE;
    case FIN | WS_CLOSE: return on_close(client, payload, error);
    default: return break_with(error, client, "the server sent a strange frame", payload);
    }
}

/* Takes the answer to the upgrade. Sets *@ret_len to its length, 0 when it is not all there. */
static enum client_result on_response(struct client *client, const struct client_settings *settings,
                                      struct bytes data, size_t *ret_len, struct buf *error)
{
    const char *end = memmem(data.data, data.len, "\r\n\r\n", 4);
    *ret_len = 0;
    if (end == NULL) {
        return CLIENT_FINE;
    }
    struct bytes head = bytes_of(data.data, (size_t)(end - data.data) + 4);
    if (!bytes_start_with(head, BYTES("HTTP/1.1 101 ")) ||
        memmem(head.data, head.len, ACCEPT, sizeof(ACCEPT) - 1) == NULL) {
        return break_with(error, client, "the server did not upgrade it", head);
    }
    client->state = CLIENT_OPENING;
    if (settings->dialect == CLIENT_PLAIN) {
        on_joined(client, settings, BYTES(""));
    }
    *ret_len = head.len;
    return CLIENT_FINE;
}

/* Handles what is whole at the front of *@data, and takes it from there. */
static enum client_result take_all(struct client *client, const struct client_settings *settings,
                                   struct bytes *data, struct buf *error)
{
    enum client_result result = CLIENT_FINE;
    if (client->state == CLIENT_UPGRADING) {
        size_t len;
        result = on_response(client, settings, *data, &len, error);
        *data = bytes_skip(*data, len);
        if (len == 0) {
            return result;
        }
    }
    size_t header_len, payload_len = 0;
    while (result == CLIENT_FINE && (header_len = frame_header_len(*data, &payload_len)) != 0) {
        struct bytes payload = bytes_of(data->data + header_len, payload_len);
        result = on_frame(client, settings, (unsigned char)data->data[0], payload, error);
        *data = bytes_skip(*data, header_len + payload_len);
    }
    return result;
}

enum client_result client_receive(struct client *client, const struct client_settings *settings,
                                  char *data, size_t len, struct buf *ret_error)
{
    if (client->in.len == 0) {
        struct bytes rest = bytes_of(data, len);
        enum client_result result = take_all(client, settings, &rest, ret_error);
        buf_append_bytes(&client->in, rest);
        return result;
    }
    buf_append(&client->in, data, len);
    struct bytes rest = buf_bytes(&client->in);
    enum client_result result = take_all(client, settings, &rest, ret_error);
    buf_consume(&client->in, client->in.len - rest.len);
    return result;
}

void client_reset(struct client *client)
{
    if (client->state != CLIENT_UNUSED) {
        close(client->fd);
    }
    client->state = CLIENT_UNUSED;
    client->is_waiting_to_write = false;
    buf_clear(&client->in);
    buf_clear(&client->out);
}

void client_release(struct client *client)
{
    client_reset(client);
    buf_release(&client->in);
    buf_release(&client->out);
}

/* The number whose last digit is in front of *@at, which goes to its first one. */
static uint64_t number_before(struct bytes text, size_t *at)
{
    uint64_t number = 0, scale = 1;
    for (; *at > 0 && text.data[*at - 1] >= '0' && text.data[*at - 1] <= '9'; scale *= 10) {
        number += (uint64_t)(text.data[--*at] - '0') * scale;
    }
    return number;
}

/* The number behind the text of  ["chat message","…",17  . */
static uint64_t number_behind_text(struct bytes event)
{
    enum { TEXT_AT = sizeof("[\"chat message\",\"") - 1 };
    if (event.len <= TEXT_AT) {
        return 0;
    }
    struct bytes rest = bytes_skip(event, TEXT_AT);
    const char *quote = memchr(rest.data, '"', rest.len);
    const char *end = rest.data + rest.len;
    if (quote == NULL || end - quote < 2 || quote[1] != ',') {
        return 0;
    }
    uint64_t number = 0;
    for (const char *at = quote + 2; at < end && *at >= '0' && *at <= '9'; at++) {
        number = number * 10 + (uint64_t)(*at - '0');
    }
    return number;
}

uint64_t client_event_id(enum client_dialect dialect, struct bytes event, uint64_t *ret_epoch)
{
    if (dialect != CLIENT_PARLEY) {
        return number_behind_text(event);
    }
    if (event.len < 3) {
        return 0;
    }
    size_t at = event.len - 2; /* of "] */
    uint64_t id = number_before(event, &at);
    if (ret_epoch != NULL && at > 0) {
        at--;
        *ret_epoch = number_before(event, &at);
    }
    return id;
}
