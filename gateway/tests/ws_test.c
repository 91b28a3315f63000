#include "base/tests/testing.h"
#include "client_frames.h"

#include <stdlib.h>

enum { MESSAGE_BYTES_MAX = 100000 };

/* Whole input for a reader, which is handed it frame by frame. */
struct input {
    struct ws_reader reader;
    struct buf bytes;
    size_t taken;
};

static void input_init(struct input *input)
{
    *input = (struct input){0};
    ws_reader_init(&input->reader);
}

static void input_release(struct input *input)
{
    ws_reader_release(&input->reader);
    buf_release(&input->bytes);
}

static void send_frame(struct input *input, unsigned first, const char *payload)
{
    client_append_frame(&input->bytes, first, bytes_of_string(payload));
}

static struct ws_event next(struct input *input)
{
    struct ws_event event;
    input->taken +=
        ws_reader_next(&input->reader, MESSAGE_BYTES_MAX, input->bytes.data + input->taken,
                       input->bytes.len - input->taken, &event);
    return event;
}

static void expect(struct input *input, enum ws_event_type type, const char *payload)
{
    struct ws_event event = next(input);
    assert_int_equal(event.type, type);
    CHECK_TEXT(event.payload, payload);
}

static void expect_nothing(struct input *input)
{
    assert_int_equal(next(input).type, WS_EVENT_NONE);
    assert_int_equal(input->taken, input->bytes.len);
}

/* That a fresh reader ends with @close_code after the frames @count before. */
static void expect_error(struct input *input, unsigned partial_before, uint16_t close_code)
{
    while (partial_before-- > 0) {
        assert_int_equal(next(input).type, WS_EVENT_PARTIAL);
    }
    struct ws_event event = next(input);
    assert_int_equal(event.type, WS_EVENT_ERROR);
    assert_int_equal(event.close_code, close_code);
    input_release(input);
}

/* What a reader makes of these raw bytes alone. */
static struct ws_event read_raw(struct bytes raw)
{
    struct input input;
    input_init(&input);
    buf_append_bytes(&input.bytes, raw);
    struct ws_event event = next(&input);
    event.payload = (struct bytes){0};
    input_release(&input);
    return event;
}

static void expect_raw_error(struct bytes raw, uint16_t close_code)
{
    struct ws_event event = read_raw(raw);
    assert_int_equal(event.type, WS_EVENT_ERROR);
    assert_int_equal(event.close_code, close_code);
}

TEST(whole_messages_of_every_length_form_come_unmasked)
{
    static const size_t LENGTHS[] = {0, 1, 7, 8, 9, 125, 126, 127, 65535, 65536, MESSAGE_BYTES_MAX};
    for (size_t i = 0; i < COUNT_OF(LENGTHS); i++) {
        char *payload = mem_alloc(LENGTHS[i] + 1);
        for (size_t n = 0; n < LENGTHS[i]; n++) {
            payload[n] = (char)('a' + n % 26);
        }
        struct input input;
        input_init(&input);
        client_append_frame(&input.bytes, CLIENT_FIN | WS_TEXT, bytes_of(payload, LENGTHS[i]));
        client_append_frame(&input.bytes, CLIENT_FIN | WS_BINARY, bytes_of(payload, LENGTHS[i]));
        struct ws_event event = next(&input);
        assert_int_equal(event.type, WS_EVENT_TEXT);
        CHECK(bytes_equal(event.payload, bytes_of(payload, LENGTHS[i])));
        event = next(&input);
        assert_int_equal(event.type, WS_EVENT_BINARY);
        CHECK(bytes_equal(event.payload, bytes_of(payload, LENGTHS[i])));
        expect_nothing(&input);
        input_release(&input);
        free(payload);
    }
}

TEST(no_prefix_of_a_frame_is_taken)
{
    struct buf frame = BUF_INIT;
    char payload[300];
    memset(payload, 'x', sizeof(payload));
    client_append_frame(&frame, CLIENT_FIN | WS_TEXT, bytes_of(payload, sizeof(payload)));
    struct ws_reader reader;
    ws_reader_init(&reader);
    for (size_t len = 0; len < frame.len; len++) {
        struct ws_event event;
        assert_int_equal(ws_reader_next(&reader, MESSAGE_BYTES_MAX, frame.data, len, &event), 0);
        assert_int_equal(event.type, WS_EVENT_NONE);
    }
    struct ws_event event;
    assert_int_equal(ws_reader_next(&reader, MESSAGE_BYTES_MAX, frame.data, frame.len, &event),
                     frame.len);
    assert_int_equal(event.type, WS_EVENT_TEXT);
    ws_reader_release(&reader);
    buf_release(&frame);
}

TEST(fragments_are_joined_and_control_frames_come_between_them)
{
    struct input input;
    input_init(&input);
    send_frame(&input, WS_TEXT, "a");
    send_frame(&input, CLIENT_FIN | WS_PING, "p");
    send_frame(&input, WS_CONTINUATION, "");
    send_frame(&input, WS_CONTINUATION, "b");
    send_frame(&input, CLIENT_FIN | WS_PONG, "q");
    send_frame(&input, CLIENT_FIN | WS_CONTINUATION, "c");
    send_frame(&input, CLIENT_FIN | WS_TEXT, "whole");
    send_frame(&input, WS_BINARY, "\xFF");
    send_frame(&input, CLIENT_FIN | WS_CONTINUATION, "\xFE");
    expect(&input, WS_EVENT_PARTIAL, "");
    expect(&input, WS_EVENT_PING, "p");
    expect(&input, WS_EVENT_PARTIAL, "");
    expect(&input, WS_EVENT_PARTIAL, "");
    expect(&input, WS_EVENT_PONG, "q");
    expect(&input, WS_EVENT_TEXT, "abc");
    expect(&input, WS_EVENT_TEXT, "whole");
    expect(&input, WS_EVENT_PARTIAL, "");
    expect(&input, WS_EVENT_BINARY, "\xFF\xFE");
    CHECK(input.reader.fragments != NULL);
    expect_nothing(&input);
    CHECK(input.reader.fragments == NULL); /* an idle connection keeps nothing */
    input_release(&input);
}

TEST(a_message_may_be_as_long_as_the_limit_and_not_one_longer)
{
    /* Length 100001 as 64 bits; told without waiting for the mask or the payload. */
    expect_raw_error(BYTES("\x81\xFF\0\0\0\0\0\x01\x86\xA1"), WS_CLOSE_TOO_BIG);
    assert_int_equal(read_raw(BYTES("\x81\xFF\0\0\0\0\0\x01\x86\xA0")).type, WS_EVENT_NONE);

    for (size_t extra = 0; extra <= 1; extra++) {
        struct input input;
        input_init(&input);
        char *half = mem_alloc_zeroed(MESSAGE_BYTES_MAX / 2 + 1);
        client_append_frame(&input.bytes, WS_BINARY, bytes_of(half, MESSAGE_BYTES_MAX / 2));
        client_append_frame(&input.bytes, CLIENT_FIN | WS_PING, BYTES("still fine"));
        client_append_frame(&input.bytes, CLIENT_FIN | WS_CONTINUATION,
                            bytes_of(half, MESSAGE_BYTES_MAX / 2 + extra));
        free(half);
        expect(&input, WS_EVENT_PARTIAL, "");
        expect(&input, WS_EVENT_PING, "still fine");
        if (extra == 0) {
            struct ws_event event = next(&input);
            assert_int_equal(event.type, WS_EVENT_BINARY);
            assert_int_equal(event.payload.len, MESSAGE_BYTES_MAX);
            input_release(&input);
        } else {
            expect_error(&input, 0, WS_CLOSE_TOO_BIG);
        }
    }
}

TEST(malformed_headers_are_told_before_the_rest_of_the_frame_came)
{
    expect_raw_error(BYTES("\x81\x01"), WS_CLOSE_PROTOCOL_ERROR);       /* not masked */
    expect_raw_error(BYTES("\xC1\x81"), WS_CLOSE_PROTOCOL_ERROR);       /* RSV1 */
    expect_raw_error(BYTES("\xA1\x81"), WS_CLOSE_PROTOCOL_ERROR);       /* RSV2 */
    expect_raw_error(BYTES("\x91\x81"), WS_CLOSE_PROTOCOL_ERROR);       /* RSV3 */
    expect_raw_error(BYTES("\x09\x80"), WS_CLOSE_PROTOCOL_ERROR);       /* fragmented ping */
    expect_raw_error(BYTES("\x08\x80"), WS_CLOSE_PROTOCOL_ERROR);       /* fragmented close */
    expect_raw_error(BYTES("\x89\xFE"), WS_CLOSE_PROTOCOL_ERROR);       /* ping of more than 125 */
    expect_raw_error(BYTES("\x88\xFF"), WS_CLOSE_PROTOCOL_ERROR);       /* close of more than 125 */
    expect_raw_error(BYTES("\x80\x81"), WS_CLOSE_PROTOCOL_ERROR);       /* continues nothing */
    expect_raw_error(BYTES("\x00\x81"), WS_CLOSE_PROTOCOL_ERROR);       /* likewise */
    expect_raw_error(BYTES("\x81\xFE\0\x7D"), WS_CLOSE_PROTOCOL_ERROR); /* 125 in 16 bits */
    expect_raw_error(BYTES("\x81\xFF\0\0\0\0\0\0\xFF\xFF"), WS_CLOSE_PROTOCOL_ERROR);
    expect_raw_error(BYTES("\x81\xFF\x80\0\0\0\0\0\0\0"), WS_CLOSE_PROTOCOL_ERROR); /* 2^63 */
    expect_raw_error(BYTES("\x81\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), WS_CLOSE_TOO_BIG);
    assert_int_equal(read_raw(BYTES("\x81\xFE\0\x7E")).type, WS_EVENT_NONE);
}

TEST(reserved_opcodes_are_refused)
{
    static const unsigned char OPCODES[] = {3, 4, 5, 6, 7, 11, 12, 13, 14, 15};
    for (size_t i = 0; i < COUNT_OF(OPCODES); i++) {
        char header[] = {(char)(CLIENT_FIN | OPCODES[i]), (char)0x80};
        expect_raw_error(bytes_of(header, sizeof(header)), WS_CLOSE_PROTOCOL_ERROR);
    }
}

TEST(a_message_begins_only_where_the_last_one_has_ended)
{
    static const unsigned FIRSTS[] = {WS_TEXT, CLIENT_FIN | WS_TEXT, CLIENT_FIN | WS_BINARY};
    for (size_t i = 0; i < COUNT_OF(FIRSTS); i++) {
        struct input input;
        input_init(&input);
        send_frame(&input, WS_TEXT, "a");
        send_frame(&input, FIRSTS[i], "b");
        expect_error(&input, 1, WS_CLOSE_PROTOCOL_ERROR);
    }
}

TEST(a_control_frame_may_hold_125_bytes)
{
    char payload[WS_CONTROL_BYTES_MAX + 1] = {0};
    memset(payload, 'x', WS_CONTROL_BYTES_MAX);
    struct input input;
    input_init(&input);
    send_frame(&input, CLIENT_FIN | WS_PING, payload);
    expect(&input, WS_EVENT_PING, payload);
    input_release(&input);
}

TEST(invalid_utf8_is_refused_in_whole_messages_and_as_soon_as_a_fragment_shows_it)
{
    struct input input;
    input_init(&input);
    send_frame(&input, CLIENT_FIN | WS_TEXT, "a\xC3");
    expect_error(&input, 0, WS_CLOSE_INVALID_TEXT);

    input_init(&input);
    send_frame(&input, WS_TEXT, "\xCE\xBA\xE1\xBD");
    send_frame(&input, WS_CONTINUATION, "\xB9\xED\xA0");
    expect_error(&input, 1, WS_CLOSE_INVALID_TEXT);

    input_init(&input); /* ends within a character */
    send_frame(&input, WS_TEXT, "\xCE\xBA");
    send_frame(&input, CLIENT_FIN | WS_CONTINUATION, "\xE1\xBD");
    expect_error(&input, 1, WS_CLOSE_INVALID_TEXT);

    input_init(&input); /* a character may be cut by fragments */
    send_frame(&input, WS_TEXT, "\xF0\x9F");
    send_frame(&input, CLIENT_FIN | WS_PING, "\xFF");
    send_frame(&input, CLIENT_FIN | WS_CONTINUATION, "\x98\x80");
    expect(&input, WS_EVENT_PARTIAL, "");
    expect(&input, WS_EVENT_PING, "\xFF");
    expect(&input, WS_EVENT_TEXT, "😀");
    input_release(&input);
}

static struct ws_event read_close(struct bytes payload)
{
    struct buf frame = BUF_INIT;
    client_append_frame(&frame, CLIENT_FIN | WS_CLOSE, payload);
    struct ws_event event = read_raw(buf_bytes(&frame));
    buf_release(&frame);
    return event;
}

TEST(close_codes_are_answered_with_themselves_or_refused)
{
    static const struct {
        uint16_t first, last;
        bool is_valid;
    } RANGES[] = {
        {0, 999, false},     {1000, 1003, true}, {1004, 1006, false},  {1007, 1014, true},
        {1015, 2999, false}, {3000, 4999, true}, {5000, 65535, false},
    };
    for (size_t i = 0; i < COUNT_OF(RANGES); i++) {
        for (unsigned code = RANGES[i].first; code <= RANGES[i].last; code++) {
            char payload[] = {(char)(code >> 8), (char)code, 'b', 'y', 'e'};
            struct ws_event event = read_close(bytes_of(payload, sizeof(payload)));
            assert_int_equal(event.type, RANGES[i].is_valid ? WS_EVENT_CLOSE : WS_EVENT_ERROR);
            assert_int_equal(event.close_code, RANGES[i].is_valid ? code : WS_CLOSE_PROTOCOL_ERROR);
        }
    }
}

TEST(close_payloads_are_checked)
{
    struct ws_event event = read_close((struct bytes){0});
    assert_int_equal(event.type, WS_EVENT_CLOSE);
    assert_int_equal(event.close_code, WS_CLOSE_NO_STATUS);

    event = read_close(BYTES("\x03"));
    assert_int_equal(event.type, WS_EVENT_ERROR);
    assert_int_equal(event.close_code, WS_CLOSE_PROTOCOL_ERROR);

    event = read_close(BYTES("\x03\xE8\xC3"));
    assert_int_equal(event.type, WS_EVENT_ERROR);
    assert_int_equal(event.close_code, WS_CLOSE_INVALID_TEXT);
}

TEST(frames_that_are_written_in_either_way_are_the_same)
{
    static const size_t LENGTHS[] = {0, 1, 125, 126, 65535, 65536};
    for (size_t i = 0; i < COUNT_OF(LENGTHS); i++) {
        char *payload = mem_alloc_zeroed(LENGTHS[i] + 1);
        struct buf whole = BUF_INIT, pieces = BUF_INIT;
        buf_append_bytes(&whole, BYTES("before"));
        ws_append_frame(&whole, WS_TEXT, bytes_of(payload, LENGTHS[i]));

        buf_append_bytes(&pieces, BYTES("before"));
        size_t begin = ws_begin_frame(&pieces);
        buf_append(&pieces, payload, LENGTHS[i] / 2);
        buf_append(&pieces, payload, LENGTHS[i] - LENGTHS[i] / 2);
        ws_end_frame(&pieces, begin, WS_TEXT);
        CHECK(bytes_equal(buf_bytes(&whole), buf_bytes(&pieces)));

        struct bytes frames = bytes_skip(buf_bytes(&whole), 6), read = {0};
        enum ws_opcode opcode = WS_CONTINUATION;
        CHECK(server_take_frame(&frames, &opcode, &read));
        CHECK(opcode == WS_TEXT && read.len == LENGTHS[i] && frames.len == 0);
        assert_int_equal(whole.len, 6 + ws_header_len(LENGTHS[i]) + LENGTHS[i]);
        buf_release(&whole);
        buf_release(&pieces);
        free(payload);
    }
}

TEST(a_close_frame_holds_its_code_or_nothing)
{
    struct buf out = BUF_INIT;
    ws_append_close(&out, WS_CLOSE_TOO_BIG);
    ws_append_close(&out, WS_CLOSE_NO_STATUS);
    CHECK(bytes_equal(buf_bytes(&out), BYTES("\x88\x02\x03\xF1\x88\x00")));
    buf_release(&out);
}

TEST(the_accept_value_is_that_of_the_rfc_s_example)
{
    char accept[WS_ACCEPT_BYTES];
    ws_accept(BYTES("dGhlIHNhbXBsZSBub25jZQ=="), accept);
    CHECK_TEXT(bytes_of(accept, sizeof(accept)), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST_MAIN(TEST_OF(whole_messages_of_every_length_form_come_unmasked),
          TEST_OF(no_prefix_of_a_frame_is_taken),
          TEST_OF(fragments_are_joined_and_control_frames_come_between_them),
          TEST_OF(a_message_may_be_as_long_as_the_limit_and_not_one_longer),
          TEST_OF(malformed_headers_are_told_before_the_rest_of_the_frame_came),
          TEST_OF(reserved_opcodes_are_refused),
          TEST_OF(a_message_begins_only_where_the_last_one_has_ended),
          TEST_OF(a_control_frame_may_hold_125_bytes),
          TEST_OF(invalid_utf8_is_refused_in_whole_messages_and_as_soon_as_a_fragment_shows_it),
          TEST_OF(close_codes_are_answered_with_themselves_or_refused),
          TEST_OF(close_payloads_are_checked),
          TEST_OF(frames_that_are_written_in_either_way_are_the_same),
          TEST_OF(a_close_frame_holds_its_code_or_nothing),
          TEST_OF(the_accept_value_is_that_of_the_rfc_s_example))
