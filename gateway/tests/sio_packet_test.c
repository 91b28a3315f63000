#include "base/tests/testing.h"
#include "wire/sio.h"

#include <stdio.h>
#include <stdlib.h>

static enum sio_result parse(const char *text)
{
    struct sio_packet packet;
    return sio_parse(bytes_of_string(text), &packet);
}

static struct sio_packet parsed(const char *text)
{
    struct sio_packet packet;
    memset(&packet, 0xFF, sizeof(packet));
    assert_int_equal(sio_parse(bytes_of_string(text), &packet), SIO_OK);
    return packet;
}

TEST(each_part_of_a_packet_may_be_absent)
{
    struct sio_packet p = parsed("0");
    CHECK(p.type == SIO_CONNECT && !p.has_ack_id && p.payload.len == 0 && p.attachments == 0);
    CHECK_TEXT(p.namespace, "/");

    p = parsed("0{\"a\":1}");
    CHECK_TEXT(p.namespace, "/");
    CHECK_TEXT(p.payload, "{\"a\":1}");

    p = parsed("0/room,{\"a\":1}");
    CHECK_TEXT(p.namespace, "/room");
    CHECK_TEXT(p.payload, "{\"a\":1}");

    p = parsed("0/room"); /* without its comma */
    CHECK_TEXT(p.namespace, "/room");
    CHECK(p.payload.len == 0);

    p = parsed("2/room,12[\"a\"]");
    CHECK_TEXT(p.namespace, "/room");
    CHECK(p.has_ack_id && p.ack_id == 12);
    CHECK_TEXT(p.payload, "[\"a\"]");

    p = parsed("212 [ \"a\" , {} ] ");
    CHECK(p.has_ack_id && p.ack_id == 12);
    CHECK_TEXT(p.payload, "[ \"a\" , {} ]");

    p = parsed("3/,0[]");
    CHECK(p.type == SIO_ACK && p.has_ack_id && p.ack_id == 0);
    CHECK_TEXT(p.namespace, "/");

    p = parsed("1/room,");
    CHECK(p.type == SIO_DISCONNECT);
    CHECK_TEXT(p.namespace, "/room");

    p = parsed("4{\"message\":\"no\"}");
    CHECK(p.type == SIO_CONNECT_ERROR);

    p = parsed("52-/room,7[\"a\",{\"_placeholder\":true,\"num\":0}]");
    CHECK(p.type == SIO_BINARY_EVENT && p.attachments == 2 && p.ack_id == 7);
    p = parsed("61-7[{\"_placeholder\":true,\"num\":0}]");
    CHECK(p.type == SIO_BINARY_ACK && p.attachments == 1 && p.ack_id == 7);
}

TEST(ack_id_at_the_limit_and_one_past)
{
    struct sio_packet p = parsed("21234567890[1]");
    CHECK(p.ack_id == 1234567890);
    CHECK(sio_parse(BYTES("212345678901[1]"), &p) == SIO_BAD_ACK);
    CHECK(p.ack_id == 1234567890); /* untouched on failure */
    assert_int_equal(parse("2999999999999999999999999999[1]"), SIO_BAD_ACK);
    assert_int_equal(parse("3[]"), SIO_BAD_ACK);
    assert_int_equal(parse("3/room,[]"), SIO_BAD_ACK);
    assert_int_equal(parse("2abc[1]"), SIO_BAD_PAYLOAD);
    assert_int_equal(parse("2-1[1]"), SIO_BAD_PAYLOAD);
    assert_int_equal(parse("21.5[1]"), SIO_BAD_PAYLOAD);
}

TEST(attachments_at_the_limit_and_one_past)
{
    assert_int_equal(parsed("510-[\"a\"]").attachments, SIO_ATTACHMENTS_MAX);
    assert_int_equal(parsed("50-[\"a\"]").attachments, 0);
    static const char *const WRONG[] = {"5",
                                        "5[\"a\"]",
                                        "5-[\"a\"]",
                                        "51[\"a\"]",
                                        "51",
                                        "511-[\"a\"]",
                                        "5100-[\"a\"]",
                                        "500000000001-[\"a\"]",
                                        "5a-[\"a\"]",
                                        "51.5-[\"a\"]",
                                        "618446744073709551617-1[]"};
    for (size_t i = 0; i < COUNT_OF(WRONG); i++) {
        assert_int_equal(parse(WRONG[i]), SIO_BAD_ATTACHMENTS);
    }
}

TEST(unknown_types_are_refused)
{
    static const char *const WRONG[] = {"", "7", "9[]", "a", "/", "[\"a\"]", "\x7F"};
    for (size_t i = 0; i < COUNT_OF(WRONG); i++) {
        assert_int_equal(parse(WRONG[i]), SIO_BAD_TYPE);
    }
}

TEST(payloads_of_the_wrong_form_are_refused)
{
    static const char *const WRONG[] = {
        "0[]",
        "0\"a\"",
        "0null",
        "0{",
        "0/room,[]",
        "1{}",
        "1/room,[]",
        "2",
        "2{}",
        "2[]",
        "2[ ]",
        "2\"a\"",
        "2[{}]",
        "2[null]",
        "2[true]",
        "2[[\"a\"]]",
        "2[\"a\"",
        "2[\"a\"]]",
        "2[\"a\",]",
        "2/room",
        "2/room,",
        "212",
        "312",
        "31{}",
        "31\"a\"",
        "4",
        "4[]",
        "41",
        "50-{}",
        "60-1{}",
        "2[\"\xED\xA0\x80\"]",
        "2garbage",
    };
    for (size_t i = 0; i < COUNT_OF(WRONG); i++) {
        assert_int_equal(parse(WRONG[i]), SIO_BAD_PAYLOAD);
    }
    assert_int_equal(parse("01"), SIO_OK); /* an ack id, which means nothing here */
}

TEST(reserved_event_names_are_refused_however_they_are_written)
{
    static const char *const RESERVED[] = {"connect",       "connect_error", "disconnect",
                                           "disconnecting", "newListener",   "removeListener"};
    for (size_t i = 0; i < COUNT_OF(RESERVED); i++) {
        char text[64];
        snprintf(text, sizeof(text), "2[\"%s\"]", RESERVED[i]);
        assert_int_equal(parse(text), SIO_RESERVED_EVENT);
        snprintf(text, sizeof(text), "2[\"\\u%04x%s\",1]", RESERVED[i][0], RESERVED[i] + 1);
        assert_int_equal(parse(text), SIO_RESERVED_EVENT);
        snprintf(text, sizeof(text), "50-[\"%s\"]", RESERVED[i]);
        assert_int_equal(parse(text), SIO_RESERVED_EVENT);
        snprintf(text, sizeof(text), "2[\"%sx\"]", RESERVED[i]);
        assert_int_equal(parse(text), SIO_OK);
        snprintf(text, sizeof(text), "31[\"%s\"]", RESERVED[i]);
        assert_int_equal(parse(text), SIO_OK);
    }
    assert_int_equal(parse("2[\"Connect\"]"), SIO_OK);
    assert_int_equal(parse("2[\"\"]"), SIO_OK);
}

TEST(an_event_s_name_may_be_a_number)
{
    struct sio_packet p = parsed("2[12,\"a\",[2]]");
    struct bytes name, argument;
    struct json_iterator arguments;
    sio_event_split(p.payload, &name, &arguments);
    CHECK_TEXT(name, "12");
    CHECK(json_next_element(&arguments, &argument));
    CHECK_TEXT(argument, "\"a\"");
    CHECK(json_next_element(&arguments, &argument));
    CHECK_TEXT(argument, "[2]");
    CHECK(!json_next_element(&arguments, &argument));
}

TEST(frames_name_their_namespace_unless_it_is_the_default)
{
    struct buf out = BUF_INIT;
    sio_append_event_frame(&out, BYTES("/"), BYTES("\"a\",1"));
    CHECK_TEXT(buf_bytes(&out), "\x81\x09"
                                "42[\"a\",1]");
    buf_clear(&out);
    sio_append_event_frame(&out, BYTES("/r"), BYTES("\"a\""));
    CHECK_TEXT(buf_bytes(&out), "\x81\x0A"
                                "42/r,[\"a\"]");
    buf_clear(&out);
    sio_append_ack_frame(&out, BYTES("/r"), 17, (struct bytes){0});
    CHECK_TEXT(buf_bytes(&out), "\x81\x09"
                                "43/r,17[]");
    buf_release(&out);
}

TEST_MAIN(TEST_OF(each_part_of_a_packet_may_be_absent), TEST_OF(ack_id_at_the_limit_and_one_past),
          TEST_OF(attachments_at_the_limit_and_one_past), TEST_OF(unknown_types_are_refused),
          TEST_OF(payloads_of_the_wrong_form_are_refused),
          TEST_OF(reserved_event_names_are_refused_however_they_are_written),
          TEST_OF(an_event_s_name_may_be_a_number),
          TEST_OF(frames_name_their_namespace_unless_it_is_the_default))
