/*
 * chat_fuzz.c - whatever clients say, what is read of it keeps the limits, is text that Postgres can hold, and comes out
 * again as it went in.
 */
#include "../tests/client_frames.h"
#include "fuzz.h"
#include "wire/chat.h"
#include "wire/utf8.h"

enum { CONTENT_MAX = 60 };

/* No NUL, valid, and at most @bytes_max long. */
static void check_text(struct bytes text, size_t bytes_max)
{
    ASSERT(text.len <= bytes_max && utf8_is_valid(text));
    ASSERT(text.len == 0 || memchr(text.data, '\0', text.len) == NULL);
}

static void check_auth(struct bytes json)
{
    struct chat_auth auth;
    chat_auth_parse(json, &auth);
    check_text(buf_bytes(&auth.username), (size_t)4 * CHAT_USERNAME_CHARS_MAX);
    size_t chars = utf8_count(buf_bytes(&auth.username));
    ASSERT(chars >= 1 && chars <= CHAT_USERNAME_CHARS_MAX);
    ASSERT(auth.pid.len <= CHAT_PID_BYTES_MAX);
    ASSERT(auth.server_offset < (uint64_t)1 << 53 && auth.offset_id < (uint64_t)1 << 53);
    chat_auth_release(&auth);
}

static void check_decodes_to(struct bytes string, struct bytes text)
{
    ASSERT(json_type_of(string) == JSON_STRING && json_string_equals(string, text));
}

/* A message's frame is read back as what it was made of. */
static void check_frame(const struct chat_request *request)
{
    struct chat_message message = {
        .epoch = 1,
        .id = 2,
        .at_ms = 3,
        .username = buf_bytes(&request->content),
        .content = buf_bytes(&request->content),
        .client_id = buf_bytes(&request->client_id),
    };
    struct buf frame = BUF_INIT, entry = BUF_INIT;
    chat_append_message_frame(&frame, BYTES("/room"), &message);
    struct bytes frames = buf_bytes(&frame), payload, object, value;
    enum ws_opcode opcode;
    ASSERT(server_take_frame(&frames, &opcode, &payload) && opcode == WS_TEXT && frames.len == 0);
    ASSERT(bytes_start_with(payload, BYTES("42/room,")));
    ASSERT(json_scan(bytes_skip(payload, 8), &value) && json_type_of(value) == JSON_ARRAY);

    chat_append_history_entry(&entry, buf_bytes(&frame));
    ASSERT(json_scan(buf_bytes(&entry), &object) && json_type_of(object) == JSON_OBJECT);
    ASSERT(json_object_get(object, BYTES("content"), &value));
    check_decodes_to(value, message.content);
    ASSERT(json_object_get(object, BYTES("username"), &value));
    check_decodes_to(value, message.username);
    ASSERT(json_object_get(object, BYTES("clientId"), &value) == (message.client_id.len > 0));
    if (message.client_id.len > 0) {
        check_decodes_to(value, message.client_id);
    }
    buf_release(&frame);
    buf_release(&entry);
}

static void check_request(struct bytes json, bool has_binary)
{
    struct chat_request request;
    const char *why = NULL;
    enum chat_parse_result result =
        chat_request_parse(json, has_binary, CONTENT_MAX, &request, &why);
    ASSERT((result == CHAT_PARSE_OK) == (why == NULL));
    ASSERT(request.limit >= 1 && request.limit <= CHAT_HISTORY_LIMIT_MAX);
    ASSERT(request.before == 0 || request.after == 0);
    check_text(buf_bytes(&request.client_id), CHAT_CLIENT_ID_BYTES_MAX);
    check_text(buf_bytes(&request.content), CONTENT_MAX);
    if (result == CHAT_PARSE_OK && request.type == CHAT_REQUEST_MESSAGE) {
        ASSERT(request.content.len > 0 && !has_binary);
        check_frame(&request);
    }
    chat_request_release(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_of((const char *)data, size), json, room;
    unsigned flags = fuzz_byte(&input);
    if (chat_room_of_namespace(input, &room)) {
        check_text(room, CHAT_ROOM_BYTES_MAX);
        ASSERT(room.len > 0);
    }
    uint64_t epoch, id;
    if (chat_offset_parse(input, &epoch, &id)) {
        ASSERT(epoch < (uint64_t)1 << 53 && id < (uint64_t)1 << 53);
    }
    if (!json_scan(input, &json)) {
        return 0;
    }
    if (json_type_of(json) == JSON_OBJECT) {
        check_auth(json);
    } else if (json_type_of(json) == JSON_ARRAY) {
        check_request(json, (flags & 1) != 0);
    }
    return 0;
}
