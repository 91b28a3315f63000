/*
 * chat_request.c - what clients say: auth, messages, requests for history.
 */
#include "chat.h"
#include "utf8.h"

/* Ids and epochs are numbers in clients' JavaScript: the largest integer that those hold exactly.
 */
#define CHAT_NUMBER_MAX (((uint64_t)1 << 53) - 1)

/* An escape is at most six bytes for one: a longer JSON string cannot fit and is not decoded. */
enum { ESCAPE_BYTES_MAX = 6 };

static bool is_room_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '~' || c == '-';
}

static const struct bytes LOBBY = {"lobby", 5};

bool chat_room_of_namespace(struct bytes namespace, struct bytes *ret_room)
{
    if (namespace.len == 0 || namespace.data[0] != '/') {
        return false;
    }
    struct bytes name = bytes_skip(namespace, 1);
    if (name.len == 0) {
        *ret_room = LOBBY;
        return true;
    }
    if (name.len > CHAT_ROOM_BYTES_MAX || bytes_equal(name, LOBBY) ||
        strchr("_.~-", name.data[0]) != NULL) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (!is_room_char(name.data[i])) {
            return false;
        }
    }
    *ret_room = name;
    return true;
}

struct bytes chat_namespace_of_room(struct bytes room, char namespace[CHAT_ROOM_BYTES_MAX + 1])
{
    ASSERT(room.len >= 1 && room.len <= CHAT_ROOM_BYTES_MAX);
    namespace[0] = '/';
    if (bytes_equal(room, LOBBY)) {
        return bytes_of(namespace, 1);
    }
    memcpy(namespace + 1, room.data, room.len);
    return bytes_of(namespace, room.len + 1);
}

/* The inside of a scanned JSON string without escapes; false for anything else. */
static bool plain_string(struct bytes value, struct bytes *ret_text)
{
    if (json_type_of(value) != JSON_STRING || memchr(value.data, '\\', value.len) != NULL) {
        return false;
    }
    *ret_text = bytes_of(value.data + 1, value.len - 2);
    return true;
}

static bool parse_number(struct bytes text, uint64_t *ret_value)
{
    uint64_t value;
    if (!bytes_to_u64(text, &value) || value > CHAT_NUMBER_MAX) {
        return false;
    }
    *ret_value = value;
    return true;
}

/* A scanned JSON number, or a decimal string. */
static bool parse_number_value(struct bytes value, uint64_t *ret_value)
{
    struct bytes text = value;
    return (json_type_of(value) == JSON_NUMBER || plain_string(value, &text)) &&
           parse_number(text, ret_value);
}

bool chat_offset_parse(struct bytes text, uint64_t *ret_epoch, uint64_t *ret_id)
{
    uint64_t epoch = 0, id;
    const char *dash = text.len > 0 ? memchr(text.data, '-', text.len) : NULL;
    if (dash != NULL) {
        size_t epoch_len = (size_t)(dash - text.data);
        if (!parse_number(bytes_of(text.data, epoch_len), &epoch)) {
            return false;
        }
        text = bytes_skip(text, epoch_len + 1);
    }
    if (!parse_number(text, &id)) {
        return false;
    }
    *ret_epoch = epoch;
    *ret_id = id;
    return true;
}

/* Whether valid UTF-8 has a control character (C0, DEL, C1). */
static bool has_control_character(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c < 0x20 || c == 0x7F || (c == 0xC2 && (unsigned char)text.data[i + 1] < 0xA0)) {
            return true;
        }
    }
    return false;
}

bool chat_name_is_valid(struct bytes name, size_t chars_max)
{
    size_t chars = utf8_count(name);
    return chars >= 1 && chars <= chars_max && !has_control_character(name);
}

static void parse_username(struct bytes value, struct buf *username)
{
    struct buf decoded = BUF_INIT;
    if (json_type_of(value) == JSON_STRING &&
        json_string_decode(value, &decoded) == JSON_STRING_OK &&
        !has_control_character(buf_bytes(&decoded))) {
        /* Copied, so that a very long name does not stay in memory behind its first characters. */
        buf_append_bytes(username, utf8_prefix(buf_bytes(&decoded), CHAT_USERNAME_CHARS_MAX));
    }
    buf_release(&decoded);
}

/* Whether @text is printable ASCII without blanks, and not too long. */
static bool is_token(struct bytes text, size_t bytes_max)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~') {
            return false;
        }
    }
    return text.len <= bytes_max;
}

void chat_auth_parse(struct bytes auth, struct chat_auth *ret_auth)
{
    *ret_auth = (struct chat_auth){.echo = true};
    struct bytes value, text;
    if (auth.len > 0) {
        if (json_object_get(auth, BYTES("username"), &value)) {
            parse_username(value, &ret_auth->username);
        }
        if (json_object_get(auth, BYTES("echo"), &value)) {
            ret_auth->echo = json_type_of(value) != JSON_FALSE;
        }
        if (json_object_get(auth, BYTES("presence"), &value)) {
            ret_auth->presence = json_type_of(value) == JSON_TRUE;
        }
        if (json_object_get(auth, BYTES("serverOffset"), &value)) {
            ret_auth->has_server_offset = parse_number_value(value, &ret_auth->server_offset);
        }
        if (json_object_get(auth, BYTES("offset"), &value)) {
            text = value;
            ret_auth->has_offset =
                (json_type_of(value) == JSON_NUMBER || plain_string(value, &text)) &&
                chat_offset_parse(text, &ret_auth->offset_epoch, &ret_auth->offset_id);
        }
        if (json_object_get(auth, BYTES("pid"), &value) && plain_string(value, &text) &&
            is_token(text, CHAT_PID_BYTES_MAX)) {
            ret_auth->pid = text;
        }
        if (json_object_get(auth, BYTES("token"), &value) && plain_string(value, &text) &&
            is_token(text, CHAT_TOKEN_BYTES_MAX)) {
            buf_append_bytes(&ret_auth->token, text);
        }
    }
    if (ret_auth->username.len == 0) {
        buf_append_bytes(&ret_auth->username, BYTES("anonymous"));
    }
}

void chat_auth_release(struct chat_auth *auth)
{
    buf_release(&auth->username);
    buf_release(&auth->token);
}

static enum chat_parse_result invalid(const char **ret_why, const char *why)
{
    *ret_why = why;
    return CHAT_PARSE_INVALID;
}

/* Decodes into @text, which stays empty on failure. */
static enum chat_parse_result parse_text(struct bytes value, size_t bytes_max, struct buf *text,
                                         const char **ret_why)
{
    if (value.len - 2 <= bytes_max * ESCAPE_BYTES_MAX) {
        switch (json_string_decode(value, text)) {
        case JSON_STRING_OK: break;
        case JSON_STRING_NUL: return invalid(ret_why, "text must not contain U+0000");
        case JSON_STRING_LONE_SURROGATE:
            return invalid(ret_why, "text must not contain lone surrogates");
        }
        if (text->len <= bytes_max) {
            return CHAT_PARSE_OK;
        }
        buf_release(text);
    }
    *ret_why = "content is too long";
    return CHAT_PARSE_TOO_LARGE;
}

/* The optional second argument. */
static enum chat_parse_result parse_client_id(struct bytes value, struct buf *client_id,
                                              const char **ret_why)
{
    static const char WHY[] = "clientId must be a string of 1 to 64 bytes";
    static_assert(CHAT_CLIENT_ID_BYTES_MAX == 64, "as the sentence says");
    if (json_type_of(value) == JSON_NULL) {
        return CHAT_PARSE_OK;
    }
    if (json_type_of(value) != JSON_STRING) {
        return invalid(ret_why, WHY);
    }
    enum chat_parse_result result = parse_text(value, CHAT_CLIENT_ID_BYTES_MAX, client_id, ret_why);
    if (result == CHAT_PARSE_TOO_LARGE || (result == CHAT_PARSE_OK && client_id->len == 0)) {
        return invalid(ret_why, WHY);
    }
    return result;
}

static enum chat_parse_result parse_message(struct json_iterator *arguments, bool has_binary,
                                            size_t content_bytes_max, struct chat_request *request,
                                            const char **ret_why)
{
    struct bytes content, client_id;
    if (!json_next_element(arguments, &content)) {
        return invalid(ret_why, "content is missing");
    }
    /* The id first, since a refusal should name it. */
    if (json_next_element(arguments, &client_id)) {
        enum chat_parse_result result = parse_client_id(client_id, &request->client_id, ret_why);
        if (result != CHAT_PARSE_OK) {
            return result;
        }
    }
    if (has_binary) {
        return invalid(ret_why, "binary is not accepted");
    }
    if (json_type_of(content) != JSON_STRING) {
        return invalid(ret_why, "content must be a string");
    }
    enum chat_parse_result result =
        parse_text(content, content_bytes_max, &request->content, ret_why);
    if (result == CHAT_PARSE_OK && request->content.len == 0) {
        return invalid(ret_why, "content is empty");
    }
    return result;
}

/* The member @key of @object, where it is there and not null. */
static bool get_member(struct bytes object, struct bytes key, struct bytes *ret_value)
{
    struct bytes value;
    if (!json_object_get(object, key, &value) || json_type_of(value) == JSON_NULL) {
        return false;
    }
    *ret_value = value;
    return true;
}

static enum chat_parse_result
parse_history_object(struct bytes object, struct chat_request *request, const char **ret_why)
{
    struct bytes before, after, limit_value;
    bool has_before = get_member(object, BYTES("before"), &before);
    bool has_after = get_member(object, BYTES("after"), &after);
    if (has_before && has_after) {
        return invalid(ret_why, "before and after exclude each other");
    }
    if (has_before) {
        if (!parse_number_value(before, &request->before) || request->before == 0) {
            return invalid(ret_why, "before must be the id of a message");
        }
        request->direction = CHAT_HISTORY_BEFORE;
    }
    if (has_after) {
        if (!parse_number_value(after, &request->after)) {
            return invalid(ret_why, "after must be the id of a message, or 0");
        }
        request->direction = CHAT_HISTORY_AFTER;
    }
    if (get_member(object, BYTES("limit"), &limit_value)) {
        uint64_t limit;
        if (!parse_number_value(limit_value, &limit) || limit == 0) {
            return invalid(ret_why, "limit must be a positive number");
        }
        request->limit = (uint32_t)MIN_OF(limit, (uint64_t)CHAT_HISTORY_LIMIT_MAX);
    }
    return CHAT_PARSE_OK;
}

static enum chat_parse_result parse_history(struct json_iterator *arguments, bool has_binary,
                                            struct chat_request *request, const char **ret_why)
{
    if (has_binary) {
        return invalid(ret_why, "binary is not accepted");
    }
    struct bytes object;
    if (!json_next_element(arguments, &object) || json_type_of(object) == JSON_NULL) {
        return CHAT_PARSE_OK;
    }
    if (json_type_of(object) != JSON_OBJECT) {
        return invalid(ret_why, "the argument must be an object");
    }
    return parse_history_object(object, request, ret_why);
}

static enum chat_parse_result parse_typing(struct json_iterator *arguments,
                                           struct chat_request *request, const char **ret_why)
{
    struct bytes object, value;
    bool is_there = json_next_element(arguments, &object) && json_type_of(object) == JSON_OBJECT &&
                    json_object_get(object, BYTES("typing"), &value) &&
                    (json_type_of(value) == JSON_TRUE || json_type_of(value) == JSON_FALSE);
    if (!is_there) {
        return invalid(ret_why, "the argument must be {typing: true} or {typing: false}");
    }
    request->is_typing = json_type_of(value) == JSON_TRUE;
    return CHAT_PARSE_OK;
}

enum chat_parse_result chat_request_parse(struct bytes payload, bool has_binary,
                                          size_t content_bytes_max,
                                          struct chat_request *ret_request, const char **ret_why)
{
    *ret_request = (struct chat_request){
        .type = CHAT_REQUEST_UNKNOWN,
        .limit = CHAT_HISTORY_LIMIT_DEFAULT,
    };
    struct json_iterator arguments = json_iterate(payload);
    struct bytes name;
    if (!json_next_element(&arguments, &name) || json_type_of(name) != JSON_STRING) {
        return CHAT_PARSE_OK;
    }
    if (json_string_equals(name, BYTES("chat message"))) {
        ret_request->type = CHAT_REQUEST_MESSAGE;
        return parse_message(&arguments, has_binary, content_bytes_max, ret_request, ret_why);
    }
    if (json_string_equals(name, BYTES("chat history"))) {
        ret_request->type = CHAT_REQUEST_HISTORY;
        return parse_history(&arguments, has_binary, ret_request, ret_why);
    }
    if (json_string_equals(name, BYTES("chat typing"))) {
        ret_request->type = CHAT_REQUEST_TYPING;
        return parse_typing(&arguments, ret_request, ret_why);
    }
    return CHAT_PARSE_OK;
}

void chat_request_release(struct chat_request *request)
{
    buf_release(&request->content);
    buf_release(&request->client_id);
}
