#include "base/tests/testing.h"
#include "client_frames.h"
#include "wire/chat.h"

#include <stdlib.h>

enum { CONTENT_MAX = 100 };

static struct bytes scanned(struct bytes text)
{
    struct bytes value = {0};
    CHECK(json_scan(text, &value));
    return value;
}

TEST(only_well_formed_namespaces_are_rooms)
{
    struct bytes room = {0};
    CHECK(chat_room_of_namespace(BYTES("/"), &room));
    CHECK_TEXT(room, "lobby");
    static const char *const VALID[] = {"/a", "/9", "/Lobby", "/lobby2", "/a_.~-Z", "/a..", "/0-"};
    for (size_t i = 0; i < COUNT_OF(VALID); i++) {
        CHECK(chat_room_of_namespace(bytes_of_string(VALID[i]), &room));
        CHECK_TEXT(room, VALID[i] + 1);
    }
    static const char *const WRONG[] = {
        "",   "a",    "//",  "/lobby", "/_a", "/.a", "/~a",  "/-a", "/a b",  "/a/b", "/a*",  "/a>",
        "/é", "/a\n", "/a,", "/a%20",  "/*",  "/>",  "/a\"", "/a$", "/a\\b", "/@",   "lobby"};
    for (size_t i = 0; i < COUNT_OF(WRONG); i++) {
        CHECK(!chat_room_of_namespace(bytes_of_string(WRONG[i]), &room));
    }
    CHECK(!chat_room_of_namespace(bytes_of("/a\0", 3), &room));
    CHECK(!chat_room_of_namespace(bytes_of("/\0", 2), &room));
    CHECK(!chat_room_of_namespace((struct bytes){0}, &room));
}

TEST(a_room_s_name_has_64_characters_at_most)
{
    char namespace[1 + CHAT_ROOM_BYTES_MAX + 1];
    memset(namespace, 'x', sizeof(namespace));
    namespace[0] = '/';
    struct bytes room;
    CHECK(chat_room_of_namespace(bytes_of(namespace, sizeof(namespace) - 1), &room));
    assert_int_equal(room.len, CHAT_ROOM_BYTES_MAX);
    CHECK(!chat_room_of_namespace(bytes_of(namespace, sizeof(namespace)), &room));
    assert_int_equal(room.len, CHAT_ROOM_BYTES_MAX);
}

static struct chat_auth auth_of(const char *json)
{
    struct chat_auth auth;
    memset(&auth, 0xFF, sizeof(auth));
    chat_auth_parse(scanned(bytes_of_string(json)), &auth);
    return auth;
}

static void check_username(const char *json, const char *expected)
{
    struct chat_auth auth = auth_of(json);
    CHECK_TEXT(buf_bytes(&auth.username), expected);
    chat_auth_release(&auth);
}

TEST(without_auth_everything_has_its_default)
{
    struct chat_auth auth;
    memset(&auth, 0xFF, sizeof(auth));
    chat_auth_parse((struct bytes){0}, &auth);
    CHECK_TEXT(buf_bytes(&auth.username), "anonymous");
    CHECK(auth.echo && !auth.has_server_offset && !auth.has_offset && auth.pid.len == 0);
    chat_auth_release(&auth);
}

TEST(what_was_read_of_auth_is_written_so_that_it_reads_the_same)
{
    static const char *const AUTHS[] = {
        "{}",
        "{\"username\":\"Ann \\\"\\\\ \\u00e9\",\"serverOffset\":\"0\",\"junk\":[1,{}]}",
        "{\"echo\":false,\"presence\":true,\"offset\":\"3-17\",\"pid\":\"a.b\\u002dc\"}",
        "{\"offset\":9007199254740991,\"pid\":\"a.b-c\",\"serverOffset\":9007199254740991}",
    };
    for (size_t i = 0; i < COUNT_OF(AUTHS); i++) {
        struct chat_auth auth = auth_of(AUTHS[i]);
        struct buf text = BUF_INIT;
        chat_write_auth(&text, &auth);
        buf_append_char(&text, '\0');
        struct chat_auth again = auth_of(text.data);
        CHECK(bytes_equal(buf_bytes(&auth.username), buf_bytes(&again.username)));
        CHECK(auth.echo == again.echo && auth.presence == again.presence);
        CHECK(auth.has_server_offset == again.has_server_offset &&
              auth.has_offset == again.has_offset);
        CHECK(!auth.has_server_offset || auth.server_offset == again.server_offset);
        CHECK(!auth.has_offset ||
              (auth.offset_epoch == again.offset_epoch && auth.offset_id == again.offset_id));
        CHECK(bytes_equal(auth.pid, again.pid));
        chat_auth_release(&auth);
        chat_auth_release(&again);
        buf_release(&text);
    }
}

TEST(auth_is_read)
{
    struct chat_auth auth =
        auth_of("{\"username\":\"Ann\\u00e9\",\"serverOffset\":17,\"echo\":false,"
                "\"offset\":\"3-18\",\"pid\":\"k.abc-_=\",\"other\":[1]}");
    CHECK_TEXT(buf_bytes(&auth.username), "Anné");
    CHECK(!auth.echo && auth.has_server_offset && auth.server_offset == 17);
    CHECK(auth.has_offset && auth.offset_epoch == 3 && auth.offset_id == 18);
    CHECK_TEXT(auth.pid, "k.abc-_=");
    chat_auth_release(&auth);
}

TEST(a_username_is_cut_at_32_characters)
{
    struct buf json = BUF_INIT, expected = BUF_INIT;
    buf_append_bytes(&json, BYTES("{\"username\":\""));
    for (int i = 0; i < CHAT_USERNAME_CHARS_MAX; i++) {
        buf_append_bytes(&json, BYTES("😀"));
        buf_append_bytes(&expected, BYTES("😀"));
    }
    size_t len = json.len;
    buf_append_bytes(&expected, BYTES("\0"));
    buf_append_bytes(&json, BYTES("\"}\0"));
    check_username(json.data, expected.data);
    json.len = len;
    buf_append_bytes(&json, BYTES("x\"}\0"));
    check_username(json.data, expected.data);
    buf_release(&json);
    buf_release(&expected);
}

TEST(a_username_that_cannot_be_shown_counts_as_absent)
{
    static const char *const WRONG[] = {
        "\"\"",         "1",           "null",          "[\"a\"]",     "\"a\\n\"", "\"\\u0000\"",
        "\"a\\ud800\"", "\"\\u007f\"", "\"a\\u0085b\"", "\"\\u009f\"", "{}",       "true"};
    for (size_t i = 0; i < COUNT_OF(WRONG); i++) {
        struct buf json = BUF_INIT;
        buf_append_format(&json, "{\"username\":%s}%c", WRONG[i], '\0');
        json.len--;
        check_username(json.data, "anonymous");
        buf_release(&json);
    }
    check_username("{\"username\":\"\\u00a0x\"}", "\xC2\xA0x");
}

TEST(offsets_of_the_wrong_form_count_as_absent)
{
    static const struct {
        const char *json;
        bool has_offset;
        uint64_t offset;
    } CASES[] = {
        {"{\"serverOffset\":0}", true, 0},
        {"{\"serverOffset\":\"0\"}", true, 0},
        {"{\"serverOffset\":\"17\"}", true, 17},
        {"{\"serverOffset\":9007199254740991}", true, 9007199254740991},
        {"{\"serverOffset\":9007199254740992}", false, 0},
        {"{\"serverOffset\":\"9007199254740992\"}", false, 0},
        {"{\"serverOffset\":-1}", false, 0},
        {"{\"serverOffset\":1.5}", false, 0},
        {"{\"serverOffset\":\"\"}", false, 0},
        {"{\"serverOffset\":\"1x\"}", false, 0},
        {"{\"serverOffset\":\"1-2\"}", false, 0},
        {"{\"serverOffset\":null}", false, 0},
        {"{\"serverOffset\":[1]}", false, 0},
        {"{}", false, 0},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct chat_auth auth = auth_of(CASES[i].json);
        assert_int_equal(auth.has_server_offset, CASES[i].has_offset);
        assert_int_equal(auth.server_offset, CASES[i].offset);
        chat_auth_release(&auth);
    }
}

TEST(offsets_are_an_epoch_and_an_id_or_an_id)
{
    uint64_t epoch = 7, id = 7;
    CHECK(chat_offset_parse(BYTES("0"), &epoch, &id) && epoch == 0 && id == 0);
    CHECK(chat_offset_parse(BYTES("12"), &epoch, &id) && epoch == 0 && id == 12);
    CHECK(chat_offset_parse(BYTES("3-12"), &epoch, &id) && epoch == 3 && id == 12);
    CHECK(chat_offset_parse(BYTES("9007199254740991-9007199254740991"), &epoch, &id));
    CHECK(epoch == 9007199254740991 && id == 9007199254740991);
    static const char *const WRONG[] = {"",
                                        "-",
                                        "1-",
                                        "-1",
                                        "1-2-3",
                                        "01",
                                        "1-02",
                                        "a",
                                        "1-a",
                                        "a-1",
                                        " 1",
                                        "1 ",
                                        "+1",
                                        "1.0",
                                        "--1",
                                        "9007199254740992",
                                        "1-9007199254740992",
                                        "9007199254740992-1",
                                        "18446744073709551616"};
    for (size_t i = 0; i < COUNT_OF(WRONG); i++) {
        CHECK(!chat_offset_parse(bytes_of_string(WRONG[i]), &epoch, &id));
    }
    CHECK(epoch == 9007199254740991 && id == 9007199254740991);
    struct chat_auth auth = auth_of("{\"offset\":12}");
    CHECK(auth.has_offset && auth.offset_epoch == 0 && auth.offset_id == 12);
    chat_auth_release(&auth);
}

TEST(a_pid_is_printable_ascii_of_512_bytes_at_most)
{
    for (size_t len = CHAT_PID_BYTES_MAX; len <= CHAT_PID_BYTES_MAX + 1; len++) {
        struct buf json = BUF_INIT;
        buf_append_bytes(&json, BYTES("{\"pid\":\""));
        for (size_t i = 0; i < len; i++) {
            buf_append_char(&json, 'p');
        }
        buf_append_bytes(&json, BYTES("\"}"));
        buf_append_char(&json, '\0');
        struct chat_auth auth = auth_of(json.data);
        assert_int_equal(auth.pid.len, len <= CHAT_PID_BYTES_MAX ? len : 0);
        chat_auth_release(&auth);
        buf_release(&json);
    }
    static const char *const WRONG[] = {"{\"pid\":\"é\"}",       "{\"pid\":\"a b\"}",
                                        "{\"pid\":\"\\u0061\"}", "{\"pid\":1}",
                                        "{\"pid\":\"\"}",        "{\"pid\":\"\x7F\"}"};
    for (size_t i = 0; i < COUNT_OF(WRONG); i++) {
        struct chat_auth auth = auth_of(WRONG[i]);
        assert_int_equal(auth.pid.len, 0);
        chat_auth_release(&auth);
    }
}

/* Parses @json; @ret_request must be released. */
static enum chat_parse_result parse(const char *json, struct chat_request *ret_request)
{
    const char *why = NULL;
    memset(ret_request, 0xFF, sizeof(*ret_request));
    enum chat_parse_result result =
        chat_request_parse(scanned(bytes_of_string(json)), false, CONTENT_MAX, ret_request, &why);
    assert_int_equal(result == CHAT_PARSE_OK, why == NULL);
    return result;
}

static void check_message(const char *json, const char *content, const char *client_id)
{
    struct chat_request request;
    assert_int_equal(parse(json, &request), CHAT_PARSE_OK);
    assert_int_equal(request.type, CHAT_REQUEST_MESSAGE);
    CHECK_TEXT(buf_bytes(&request.content), content);
    CHECK_TEXT(buf_bytes(&request.client_id), client_id);
    chat_request_release(&request);
}

static void check_refusal(const char *json, enum chat_parse_result result, const char *client_id)
{
    struct chat_request request;
    assert_int_equal(parse(json, &request), result);
    CHECK(request.type != CHAT_REQUEST_UNKNOWN);
    CHECK_TEXT(buf_bytes(&request.client_id), client_id);
    chat_request_release(&request);
}

TEST(messages_are_read_with_and_without_a_client_id)
{
    check_message("[\"chat message\",\"hi\"]", "hi", "");
    check_message("[\"chat message\",\"hi\",\"id-1\"]", "hi", "id-1");
    check_message("[\"chat message\",\"hi\",null]", "hi", "");
    check_message("[\"chat message\",\"hi\",\"id-1\",{\"further\":1},2]", "hi", "id-1");
    check_message("[\"\\u0063hat message\",\"\\ud83d\\ude00\\n\"]", "😀\n", "");
}

TEST(messages_that_are_none_are_refused_under_their_client_id)
{
    check_refusal("[\"chat message\"]", CHAT_PARSE_INVALID, "");
    check_refusal("[\"chat message\",1,\"c\"]", CHAT_PARSE_INVALID, "c");
    check_refusal("[\"chat message\",null,\"c\"]", CHAT_PARSE_INVALID, "c");
    check_refusal("[\"chat message\",{\"a\":1},\"c\"]", CHAT_PARSE_INVALID, "c");
    check_refusal("[\"chat message\",\"\",\"c\"]", CHAT_PARSE_INVALID, "c");
    check_refusal("[\"chat message\",\"a\\u0000\",\"c\"]", CHAT_PARSE_INVALID, "c");
    check_refusal("[\"chat message\",\"a\\ud800\",\"c\"]", CHAT_PARSE_INVALID, "c");
    check_refusal("[\"chat message\",\"a\",1]", CHAT_PARSE_INVALID, "");
    check_refusal("[\"chat message\",\"a\",\"\"]", CHAT_PARSE_INVALID, "");
    check_refusal("[\"chat message\",\"a\",\"\\u0000\"]", CHAT_PARSE_INVALID, "");
    check_refusal("[\"chat message\",\"a\",\"\\udc00\"]", CHAT_PARSE_INVALID, "");
}

/* A message with content of @content_len characters, each written as @unit, and an id of @id_len. */
static enum chat_parse_result parse_lengths(size_t content_len, const char *unit, size_t id_len)
{
    struct buf json = BUF_INIT;
    buf_append_bytes(&json, BYTES("[\"chat message\",\""));
    for (size_t i = 0; i < content_len; i++) {
        buf_append_bytes(&json, bytes_of_string(unit));
    }
    buf_append_bytes(&json, BYTES("\",\""));
    for (size_t i = 0; i < id_len; i++) {
        buf_append_char(&json, 'i');
    }
    buf_append_bytes(&json, BYTES("\"]"));
    struct chat_request request;
    const char *why;
    enum chat_parse_result result =
        chat_request_parse(scanned(buf_bytes(&json)), false, CONTENT_MAX, &request, &why);
    assert_int_equal(request.content.len > 0, result == CHAT_PARSE_OK);
    chat_request_release(&request);
    buf_release(&json);
    return result;
}

TEST(content_and_client_id_may_be_as_long_as_their_limits_and_not_one_byte_longer)
{
    assert_int_equal(parse_lengths(CONTENT_MAX, "c", 1), CHAT_PARSE_OK);
    assert_int_equal(parse_lengths(CONTENT_MAX + 1, "c", 1), CHAT_PARSE_TOO_LARGE);
    assert_int_equal(parse_lengths(CONTENT_MAX, "\\u0061", 1), CHAT_PARSE_OK);
    assert_int_equal(parse_lengths(CONTENT_MAX + 1, "\\u0061", 1), CHAT_PARSE_TOO_LARGE);
    assert_int_equal(parse_lengths(CONTENT_MAX / 2, "é", 1), CHAT_PARSE_OK);
    assert_int_equal(parse_lengths(CONTENT_MAX / 2 + 1, "é", 1), CHAT_PARSE_TOO_LARGE);
    assert_int_equal(parse_lengths((size_t)CONTENT_MAX * 100, "c", 1), CHAT_PARSE_TOO_LARGE);
    assert_int_equal(parse_lengths(1, "c", CHAT_CLIENT_ID_BYTES_MAX), CHAT_PARSE_OK);
    assert_int_equal(parse_lengths(1, "c", CHAT_CLIENT_ID_BYTES_MAX + 1), CHAT_PARSE_INVALID);
    assert_int_equal(parse_lengths(1, "c", (size_t)CHAT_CLIENT_ID_BYTES_MAX * 100),
                     CHAT_PARSE_INVALID);
}

TEST(binary_is_refused)
{
    struct chat_request request;
    const char *why = NULL;
    struct bytes message = BYTES("[\"chat message\",\"hi\",\"c\"]");
    assert_int_equal(chat_request_parse(message, true, CONTENT_MAX, &request, &why),
                     CHAT_PARSE_INVALID);
    CHECK_TEXT(buf_bytes(&request.client_id), "c");
    CHECK(why != NULL);
    chat_request_release(&request);
    assert_int_equal(
        chat_request_parse(BYTES("[\"chat history\"]"), true, CONTENT_MAX, &request, &why),
        CHAT_PARSE_INVALID);
    chat_request_release(&request);
    assert_int_equal(chat_request_parse(BYTES("[\"other\"]"), true, CONTENT_MAX, &request, &why),
                     CHAT_PARSE_OK);
    assert_int_equal(request.type, CHAT_REQUEST_UNKNOWN);
    chat_request_release(&request);
}

TEST(other_events_are_unknown_and_fine)
{
    static const char *const OTHERS[] = {"[\"chat\"]", "[12,\"a\"]", "[\"chat messages\",\"hi\"]",
                                         "[\"Chat message\",\"hi\"]", "[\"\"]"};
    for (size_t i = 0; i < COUNT_OF(OTHERS); i++) {
        struct chat_request request;
        assert_int_equal(parse(OTHERS[i], &request), CHAT_PARSE_OK);
        assert_int_equal(request.type, CHAT_REQUEST_UNKNOWN);
        chat_request_release(&request);
    }
}

TEST(requests_for_history_are_read)
{
    static const struct {
        const char *json;
        uint64_t before, after;
        uint32_t limit;
        int direction;
    } CASES[] = {
        {"[\"chat history\"]", 0, 0, 50, CHAT_HISTORY_NEWEST},
        {"[\"chat history\",null]", 0, 0, 50, CHAT_HISTORY_NEWEST},
        {"[\"chat history\",{}]", 0, 0, 50, CHAT_HISTORY_NEWEST},
        {"[\"chat history\",{\"before\":null,\"after\":null,\"limit\":null}]", 0, 0, 50,
         CHAT_HISTORY_NEWEST},
        {"[\"chat history\",{\"before\":17}]", 17, 0, 50, CHAT_HISTORY_BEFORE},
        {"[\"chat history\",{\"before\":\"17\",\"limit\":\"3\"}]", 17, 0, 3, CHAT_HISTORY_BEFORE},
        {"[\"chat history\",{\"after\":0,\"limit\":1}]", 0, 0, 1, CHAT_HISTORY_AFTER},
        {"[\"chat history\",{\"after\":\"9007199254740991\"}]", 0, 9007199254740991, 50,
         CHAT_HISTORY_AFTER},
        {"[\"chat history\",{\"limit\":100}]", 0, 0, 100, CHAT_HISTORY_NEWEST},
        {"[\"chat history\",{\"limit\":101}]", 0, 0, 100, CHAT_HISTORY_NEWEST},
        {"[\"chat history\",{\"limit\":4294967297}]", 0, 0, 100, CHAT_HISTORY_NEWEST},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct chat_request request;
        assert_int_equal(parse(CASES[i].json, &request), CHAT_PARSE_OK);
        assert_int_equal(request.type, CHAT_REQUEST_HISTORY);
        assert_int_equal(request.direction, CASES[i].direction);
        assert_int_equal(request.before, CASES[i].before);
        assert_int_equal(request.after, CASES[i].after);
        assert_int_equal(request.limit, CASES[i].limit);
        chat_request_release(&request);
    }
}

TEST(requests_for_history_that_mean_nothing_are_refused)
{
    static const char *const WRONG[] = {
        "[\"chat history\",1]",
        "[\"chat history\",[]]",
        "[\"chat history\",\"before\"]",
        "[\"chat history\",{\"before\":1,\"after\":1}]",
        "[\"chat history\",{\"before\":0}]",
        "[\"chat history\",{\"before\":-1}]",
        "[\"chat history\",{\"before\":\"x\"}]",
        "[\"chat history\",{\"before\":9007199254740992}]",
        "[\"chat history\",{\"after\":1.5}]",
        "[\"chat history\",{\"after\":{}}]",
        "[\"chat history\",{\"limit\":0}]",
        "[\"chat history\",{\"limit\":-1}]",
        "[\"chat history\",{\"limit\":true}]",
    };
    for (size_t i = 0; i < COUNT_OF(WRONG); i++) {
        check_refusal(WRONG[i], CHAT_PARSE_INVALID, "");
    }
}

static void check_frame(const char *namespace, const struct chat_message *message,
                        const char *packet, const char *history_entry)
{
    struct buf frame = BUF_INIT, entry = BUF_INIT;
    chat_append_message_frame(&frame, bytes_of_string(namespace), message);
    struct bytes frames = buf_bytes(&frame), payload = {0};
    enum ws_opcode opcode = WS_CONTINUATION;
    CHECK(server_take_frame(&frames, &opcode, &payload));
    CHECK(opcode == WS_TEXT && frames.len == 0);
    CHECK_TEXT(payload, packet);
    chat_append_history_entry(&entry, buf_bytes(&frame));
    CHECK_TEXT(buf_bytes(&entry), history_entry);
    buf_release(&frame);
    buf_release(&entry);
}

TEST(messages_are_shown_and_told_in_histories)
{
    struct chat_message message = {
        .epoch = 3,
        .id = 17,
        .at_ms = 1700000000123,
        .username = BYTES("Ann \"A\""),
        .content = BYTES("[\"hi\"],\n😀"),
        .client_id = BYTES("c\\1"),
    };
    check_frame("/room", &message,
                "42/room,[\"chat message\",\"[\\\"hi\\\"],\\n😀\",\"17\",\"Ann \\\"A\\\"\","
                "{\"at\":1700000000123,\"clientId\":\"c\\\\1\"},\"3-17\"]",
                "{\"id\":\"17\",\"username\":\"Ann \\\"A\\\"\",\"content\":\"[\\\"hi\\\"],\\n😀\","
                "\"at\":1700000000123,\"clientId\":\"c\\\\1\"}");
    message = (struct chat_message){
        .epoch = 1, .id = UINT64_MAX, .at_ms = 0, .username = BYTES("b"), .content = BYTES("x")};
    check_frame("/", &message,
                "42[\"chat message\",\"x\",\"18446744073709551615\",\"b\",{\"at\":0},"
                "\"1-18446744073709551615\"]",
                "{\"id\":\"18446744073709551615\",\"username\":\"b\",\"content\":\"x\",\"at\":0}");
}

TEST(history_entries_are_read_from_frames_of_every_length_form)
{
    static const size_t LENGTHS[] = {1, 60, 126, 1000, 65536};
    for (size_t i = 0; i < COUNT_OF(LENGTHS); i++) {
        char *content = mem_alloc(LENGTHS[i]);
        memset(content, 'x', LENGTHS[i]);
        struct chat_message message = {.epoch = 1,
                                       .id = 2,
                                       .at_ms = 3,
                                       .username = BYTES("n"),
                                       .content = bytes_of(content, LENGTHS[i])};
        struct buf frame = BUF_INIT, entry = BUF_INIT;
        chat_append_message_frame(&frame, BYTES("/room"), &message);
        chat_append_history_entry(&entry, buf_bytes(&frame));
        struct bytes value;
        CHECK(json_object_get(scanned(buf_bytes(&entry)), BYTES("content"), &value));
        assert_int_equal(value.len, LENGTHS[i] + 2);
        buf_release(&frame);
        buf_release(&entry);
        free(content);
    }
}

TEST(acknowledgements_errors_and_gaps_have_their_exact_form)
{
    struct buf out = BUF_INIT;
    chat_write_ack_ok(&out, 17, false);
    CHECK_TEXT(buf_bytes(&out), "{\"status\":\"ok\",\"id\":\"17\",\"duplicate\":false}");
    buf_clear(&out);
    chat_write_ack_ok(&out, 1, true);
    CHECK_TEXT(buf_bytes(&out), "{\"status\":\"ok\",\"id\":\"1\",\"duplicate\":true}");
    buf_clear(&out);
    chat_write_ack_error(&out, CHAT_TOO_LARGE, "content is \"too\" long");
    CHECK_TEXT(buf_bytes(&out), "{\"status\":\"error\",\"code\":\"too_large\",\"message\":"
                                "\"content is \\\"too\\\" long\"}");
    buf_clear(&out);
    chat_write_error_event(&out, CHAT_UNAVAILABLE, "later", BYTES("c1"), 250);
    CHECK_TEXT(buf_bytes(&out), "\"chat error\",{\"code\":\"unavailable\",\"message\":\"later\","
                                "\"clientId\":\"c1\",\"retryAfter\":250}");
    buf_clear(&out);
    chat_write_error_event(&out, CHAT_INVALID_MESSAGE, "no", (struct bytes){0}, 0);
    CHECK_TEXT(buf_bytes(&out), "\"chat error\",{\"code\":\"invalid_message\",\"message\":\"no\"}");
    buf_clear(&out);
    chat_write_gap_event(&out, 1, 5, "limit");
    CHECK_TEXT(buf_bytes(&out), "\"chat gap\",{\"from\":\"1\",\"to\":\"5\",\"reason\":\"limit\"}");
    buf_release(&out);
}

TEST(presence_and_typing_have_their_exact_form)
{
    static const struct bytes NAMES[] = {{"a\"b", 3}, {"ann", 3}};
    struct buf out = BUF_INIT;
    chat_write_presence_event(&out, 2, NAMES, 2);
    CHECK_TEXT(buf_bytes(&out), "\"chat presence\",{\"count\":2,\"names\":[\"a\\\"b\",\"ann\"]}");
    buf_clear(&out);
    chat_write_presence_event(&out, 10000, NULL, 0);
    CHECK_TEXT(buf_bytes(&out), "\"chat presence\",{\"count\":10000}");
    buf_clear(&out);
    chat_write_typing_event(&out, NAMES, 2, 3);
    CHECK_TEXT(buf_bytes(&out), "\"chat typing\",{\"users\":[\"a\\\"b\",\"ann\"],\"more\":3}");
    buf_clear(&out);
    chat_write_typing_event(&out, NULL, 0, 0);
    CHECK_TEXT(buf_bytes(&out), "\"chat typing\",{\"users\":[],\"more\":0}");
    buf_release(&out);
}

static enum chat_parse_result parse_typing(const char *json, bool *ret_is_typing)
{
    struct chat_request request;
    const char *why = NULL;
    enum chat_parse_result result =
        chat_request_parse(scanned(bytes_of_string(json)), false, CONTENT_MAX, &request, &why);
    assert_int_equal(request.type, CHAT_REQUEST_TYPING);
    *ret_is_typing = request.is_typing;
    chat_request_release(&request);
    return result;
}

TEST(typing_is_true_or_false_and_nothing_else)
{
    bool is_typing = false;
    assert_int_equal(parse_typing("[\"chat typing\",{\"typing\":true}]", &is_typing),
                     CHAT_PARSE_OK);
    CHECK(is_typing);
    assert_int_equal(parse_typing("[\"chat typing\",{\"typing\":false}]", &is_typing),
                     CHAT_PARSE_OK);
    CHECK(!is_typing);
    static const char *const WRONG[] = {"[\"chat typing\"]", "[\"chat typing\",true]",
                                        "[\"chat typing\",{}]", "[\"chat typing\",{\"typing\":1}]",
                                        "[\"chat typing\",{\"typing\":\"true\"}]"};
    for (size_t i = 0; i < COUNT_OF(WRONG); i++) {
        assert_int_equal(parse_typing(WRONG[i], &is_typing), CHAT_PARSE_INVALID);
    }
}

TEST(presence_is_asked_for_with_true_alone)
{
    static const char *const NOT[] = {"{}", "{\"presence\":false}", "{\"presence\":1}",
                                      "{\"presence\":\"true\"}"};
    for (size_t i = 0; i < COUNT_OF(NOT); i++) {
        struct chat_auth auth = auth_of(NOT[i]);
        CHECK(!auth.presence);
        chat_auth_release(&auth);
    }
    struct chat_auth auth = auth_of("{\"presence\":true}");
    CHECK(auth.presence);
    chat_auth_release(&auth);
}

TEST(codes_have_their_documented_names)
{
    static const char *const NAMES[] = {"invalid_message", "too_large",  "forbidden",
                                        "unavailable",     "overloaded", "rate_limited"};
    for (int code = CHAT_INVALID_MESSAGE; code <= CHAT_RATE_LIMITED; code++) {
        assert_string_equal(chat_code_name((enum chat_code)code), NAMES[code]);
    }
}

TEST_MAIN(TEST_OF(only_well_formed_namespaces_are_rooms),
          TEST_OF(a_room_s_name_has_64_characters_at_most),
          TEST_OF(without_auth_everything_has_its_default),
          TEST_OF(what_was_read_of_auth_is_written_so_that_it_reads_the_same),
          TEST_OF(auth_is_read), TEST_OF(a_username_is_cut_at_32_characters),
          TEST_OF(a_username_that_cannot_be_shown_counts_as_absent),
          TEST_OF(offsets_of_the_wrong_form_count_as_absent),
          TEST_OF(offsets_are_an_epoch_and_an_id_or_an_id),
          TEST_OF(a_pid_is_printable_ascii_of_512_bytes_at_most),
          TEST_OF(messages_are_read_with_and_without_a_client_id),
          TEST_OF(messages_that_are_none_are_refused_under_their_client_id),
          TEST_OF(content_and_client_id_may_be_as_long_as_their_limits_and_not_one_byte_longer),
          TEST_OF(binary_is_refused), TEST_OF(other_events_are_unknown_and_fine),
          TEST_OF(requests_for_history_are_read),
          TEST_OF(requests_for_history_that_mean_nothing_are_refused),
          TEST_OF(messages_are_shown_and_told_in_histories),
          TEST_OF(history_entries_are_read_from_frames_of_every_length_form),
          TEST_OF(acknowledgements_errors_and_gaps_have_their_exact_form),
          TEST_OF(presence_and_typing_have_their_exact_form),
          TEST_OF(typing_is_true_or_false_and_nothing_else),
          TEST_OF(presence_is_asked_for_with_true_alone),
          TEST_OF(codes_have_their_documented_names))
