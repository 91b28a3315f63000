/*
 * chat_write.c - what clients are told.
 */
#include "chat.h"
#include "sio.h"

const char *chat_code_name(enum chat_code code)
{
    switch (code) {
    case CHAT_INVALID_MESSAGE: return "invalid_message";
    case CHAT_TOO_LARGE: return "too_large";
    case CHAT_FORBIDDEN: return "forbidden";
    case CHAT_UNAVAILABLE: return "unavailable";
    case CHAT_OVERLOADED: return "overloaded";
    case CHAT_RATE_LIMITED: return "rate_limited";
    }
    ASSERT(!"a chat code");
    return "";
}

/* Ids are strings on the wire, since they may outgrow what JavaScript counts exactly. */
static void write_id(struct buf *out, uint64_t id)
{
    buf_append_char(out, '"');
    buf_append_u64(out, id);
    buf_append_char(out, '"');
}

static void write_text(struct buf *out, const char *text)
{
    json_write_string(out, bytes_of_string(text));
}

void chat_write_auth(struct buf *out, const struct chat_auth *auth)
{
    buf_append_bytes(out, BYTES("{\"username\":"));
    json_write_string(out, buf_bytes(&auth->username));
    if (!auth->echo) {
        buf_append_bytes(out, BYTES(",\"echo\":false"));
    }
    if (auth->presence) {
        buf_append_bytes(out, BYTES(",\"presence\":true"));
    }
    if (auth->has_server_offset) {
        buf_append_bytes(out, BYTES(",\"serverOffset\":"));
        buf_append_u64(out, auth->server_offset);
    }
    if (auth->has_offset) {
        buf_append_bytes(out, BYTES(",\"offset\":\""));
        if (auth->offset_epoch != 0) {
            buf_append_u64(out, auth->offset_epoch);
            buf_append_char(out, '-');
        }
        buf_append_u64(out, auth->offset_id);
        buf_append_char(out, '"');
    }
    if (auth->pid.len > 0) {
        buf_append_bytes(out, BYTES(",\"pid\":"));
        json_write_string(out, auth->pid);
    }
    if (auth->token.len > 0) {
        buf_append_bytes(out, BYTES(",\"token\":"));
        json_write_string(out, buf_bytes(&auth->token));
    }
    buf_append_char(out, '}');
}

void chat_write_refusal(struct buf *out, const char *code, const char *why)
{
    buf_append_bytes(out, BYTES("{\"code\":"));
    write_text(out, code);
    buf_append_bytes(out, BYTES(",\"message\":"));
    write_text(out, why);
    buf_append_char(out, '}');
}

/*
 * 42/nsp,["chat message",content,"id",username,{"at":…,"clientId":…},"epoch-id"]; the last element
 * is the offset that connection state recovery keeps on the client.
 */
void chat_append_message_frame(struct buf *out, struct bytes namespace,
                               const struct chat_message *message)
{
    size_t begin = ws_begin_frame(out);
    sio_append_packet_head(out, SIO_EVENT, namespace);
    buf_append_bytes(out, BYTES("[\"chat message\","));
    json_write_string(out, message->content);
    buf_append_char(out, ',');
    write_id(out, message->id);
    buf_append_char(out, ',');
    json_write_string(out, message->username);
    buf_append_bytes(out, BYTES(",{\"at\":"));
    buf_append_u64(out, message->at_ms);
    if (message->client_id.len > 0) {
        buf_append_bytes(out, BYTES(",\"clientId\":"));
        json_write_string(out, message->client_id);
    }
    buf_append_bytes(out, BYTES("},\""));
    buf_append_u64(out, message->epoch);
    buf_append_char(out, '-');
    buf_append_u64(out, message->id);
    buf_append_bytes(out, BYTES("\"]"));
    ws_end_frame(out, begin, WS_TEXT);
}

/* The event's array in a frame of ours: it ends the frame, and no '[' can stand before it. */
static struct bytes array_of_frame(struct bytes frame)
{
    ASSERT(frame.len > WS_SERVER_HEADER_MAX);
    unsigned length = (unsigned char)frame.data[1];
    struct bytes packet = bytes_skip(frame, length < 126 ? 2 : length == 126 ? 4 : 10);
    const char *array = memchr(packet.data, '[', packet.len);
    ASSERT(array != NULL);
    return bytes_skip(packet, (size_t)(array - packet.data));
}

void chat_append_history_entry(struct buf *out, struct bytes frame)
{
    struct json_iterator elements = json_iterate(array_of_frame(frame));
    enum { NAME, CONTENT, ID, USERNAME, DETAILS, ELEMENTS };
    struct bytes element[ELEMENTS];
    for (int i = 0; i < ELEMENTS; i++) {
        bool is_there = json_next_element(&elements, &element[i]);
        ASSERT(is_there);
    }
    buf_append_bytes(out, BYTES("{\"id\":"));
    buf_append_bytes(out, element[ID]);
    buf_append_bytes(out, BYTES(",\"username\":"));
    buf_append_bytes(out, element[USERNAME]);
    buf_append_bytes(out, BYTES(",\"content\":"));
    buf_append_bytes(out, element[CONTENT]);
    buf_append_char(out, ',');
    buf_append_bytes(out, bytes_skip(element[DETAILS], 1)); /* without its '{' */
}

void chat_write_ack_ok(struct buf *out, uint64_t id, bool duplicate)
{
    buf_append_bytes(out, BYTES("{\"status\":\"ok\",\"id\":"));
    write_id(out, id);
    buf_append_bytes(out,
                     duplicate ? BYTES(",\"duplicate\":true}") : BYTES(",\"duplicate\":false}"));
}

/* "code":…,"message":…  : what both kinds of errors say. */
static void write_reason(struct buf *out, enum chat_code code, const char *message)
{
    buf_append_bytes(out, BYTES("\"code\":"));
    write_text(out, chat_code_name(code));
    buf_append_bytes(out, BYTES(",\"message\":"));
    write_text(out, message);
}

void chat_write_ack_error(struct buf *out, enum chat_code code, const char *message)
{
    buf_append_bytes(out, BYTES("{\"status\":\"error\","));
    write_reason(out, code, message);
    buf_append_char(out, '}');
}

void chat_write_error_event(struct buf *out, enum chat_code code, const char *message,
                            struct bytes client_id, uint64_t retry_after_ms)
{
    buf_append_bytes(out, BYTES("\"chat error\",{"));
    write_reason(out, code, message);
    if (client_id.len > 0) {
        buf_append_bytes(out, BYTES(",\"clientId\":"));
        json_write_string(out, client_id);
    }
    if (retry_after_ms > 0) {
        buf_append_bytes(out, BYTES(",\"retryAfter\":"));
        buf_append_u64(out, retry_after_ms);
    }
    buf_append_char(out, '}');
}

void chat_write_gap_event(struct buf *out, uint64_t from, uint64_t to, const char *reason)
{
    buf_append_bytes(out, BYTES("\"chat gap\",{\"from\":"));
    write_id(out, from);
    buf_append_bytes(out, BYTES(",\"to\":"));
    write_id(out, to);
    buf_append_bytes(out, BYTES(",\"reason\":"));
    write_text(out, reason);
    buf_append_char(out, '}');
}

static void write_names(struct buf *out, const struct bytes *names, size_t count)
{
    buf_append_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            buf_append_char(out, ',');
        }
        json_write_string(out, names[i]);
    }
    buf_append_char(out, ']');
}

void chat_write_presence_event(struct buf *out, uint64_t count, const struct bytes *names,
                               size_t name_count)
{
    buf_append_bytes(out, BYTES("\"chat presence\",{\"count\":"));
    buf_append_u64(out, count);
    if (names != NULL) {
        buf_append_bytes(out, BYTES(",\"names\":"));
        write_names(out, names, name_count);
    }
    buf_append_char(out, '}');
}

void chat_write_typing_event(struct buf *out, const struct bytes *users, size_t user_count,
                             uint64_t more)
{
    buf_append_bytes(out, BYTES("\"chat typing\",{\"users\":"));
    write_names(out, users, user_count);
    buf_append_bytes(out, BYTES(",\"more\":"));
    buf_append_u64(out, more);
    buf_append_char(out, '}');
}
