#include "base/tests/testing.h"
#include "wire/eio_handshake.h"

#include <stdio.h>
#include <stdlib.h>

/* A request that is fine: each test spoils what it is about. */
static struct eio_request request(const char *query)
{
    struct eio_request request = {.method = BYTES("GET"), .is_allowed = true};
    eio_parse_query(bytes_of_string(query), &request.query);
    return request;
}

static void expect_error(struct eio_request request, enum eio_error error)
{
    assert_int_equal(eio_check_request(&request), error);
}

TEST(a_handshake_names_a_transport_and_version_4)
{
    struct eio_request r = request("EIO=4&transport=polling");
    expect_error(r, EIO_ERROR_NONE);
    r = request("EIO=4&transport=websocket");
    expect_error(r, EIO_ERROR_BAD_REQUEST); /* without an upgrade */
    r.is_upgrade = true;
    expect_error(r, EIO_ERROR_NONE);
    expect_error(request("EIO=4&transport=polling&sid="),
                 EIO_ERROR_NONE); /* an empty one is none */
    expect_error(request("transport=polling"), EIO_ERROR_VERSION);
    expect_error(request("EIO=3&transport=polling"), EIO_ERROR_VERSION);
    expect_error(request("EIO=abc&transport=polling"), EIO_ERROR_VERSION);
    expect_error(request("EIO=4"), EIO_ERROR_TRANSPORT);
    expect_error(request("EIO=4&transport=webtransport"), EIO_ERROR_TRANSPORT);
    expect_error(request(""), EIO_ERROR_TRANSPORT);
}

TEST(the_first_check_that_fails_is_told)
{
    /* Everything is wrong; what is put right, one after the other, uncovers the next. */
    struct eio_request r = request("EIO=3&transport=abc&sid=x");
    r.method = BYTES("POST");
    r.origin = BYTES("http://a\x01");
    r.is_allowed = false;
    expect_error(r, EIO_ERROR_TRANSPORT);
    r.query.transport = BYTES("websocket");
    expect_error(r, EIO_ERROR_BAD_REQUEST);
    r.origin = BYTES("http://a");
    expect_error(r, EIO_ERROR_SID);
    r.session = EIO_SID_POLLING;
    expect_error(r, EIO_ERROR_BAD_REQUEST);
    r.query.sid = (struct bytes){0};
    expect_error(r, EIO_ERROR_METHOD);
    r.method = BYTES("GET");
    expect_error(r, EIO_ERROR_BAD_REQUEST);
    r.is_upgrade = true;
    expect_error(r, EIO_ERROR_FORBIDDEN);
    r.is_allowed = true;
    expect_error(r, EIO_ERROR_VERSION);
    r.query.eio = BYTES("4");
    expect_error(r, EIO_ERROR_NONE);
}

TEST(a_session_s_request_must_fit_its_transport)
{
    struct eio_request r = request("EIO=4&transport=polling&sid=x");
    expect_error(r, EIO_ERROR_SID);
    r.session = EIO_SID_POLLING;
    expect_error(r, EIO_ERROR_NONE);
    r.method = BYTES("POST");
    expect_error(r, EIO_ERROR_NONE);
    r.is_allowed = false;
    expect_error(r, EIO_ERROR_FORBIDDEN);
    r.is_allowed = true; /* the version is asked for at the handshake only */
    r.query.eio = (struct bytes){0};
    expect_error(r, EIO_ERROR_NONE);
    r.session = EIO_SID_WEBSOCKET; /* polling after the upgrade */
    expect_error(r, EIO_ERROR_BAD_REQUEST);
    r.query.transport = BYTES("websocket"); /* and no upgrade is asked for */
    expect_error(r, EIO_ERROR_BAD_REQUEST);
    r.method = BYTES("PUT");
    r.session = EIO_SID_POLLING;
    r.query.transport = BYTES("polling");
    expect_error(r, EIO_ERROR_BAD_REQUEST);
}

TEST(a_second_websocket_passes_and_is_closed_later)
{
    struct eio_request r = request("EIO=4&transport=websocket&sid=x");
    r.is_upgrade = true;
    r.session = EIO_SID_POLLING;
    expect_error(r, EIO_ERROR_NONE);
    r.session = EIO_SID_WEBSOCKET;
    expect_error(r, EIO_ERROR_NONE);
    r.session = EIO_SID_UNKNOWN;
    expect_error(r, EIO_ERROR_SID);
}

TEST(a_websocket_for_polling_is_refused)
{
    struct eio_request r = request("EIO=4&transport=polling");
    r.is_upgrade = true;
    expect_error(r, EIO_ERROR_BAD_REQUEST);
    r = request("EIO=4&transport=polling&sid=x");
    r.is_upgrade = true;
    expect_error(r, EIO_ERROR_SID);
    r.session = EIO_SID_POLLING;
    expect_error(r, EIO_ERROR_BAD_REQUEST);
}

TEST(an_origin_with_control_characters_is_refused)
{
    for (int c = 0; c < 256; c++) {
        char origin[] = {'a', (char)c, 'b'};
        struct eio_request r = request("EIO=4&transport=polling");
        r.origin = bytes_of(origin, sizeof(origin));
        bool is_bad = (c < ' ' && c != '\t') || c == 127;
        expect_error(r, is_bad ? EIO_ERROR_BAD_REQUEST : EIO_ERROR_NONE);
    }
}

TEST(errors_are_told_in_json_with_the_reference_s_words)
{
    static const char *const MESSAGES[] = {
        "Transport unknown", "Session ID unknown", "Bad handshake method",
        "Bad request",       "Forbidden",          "Unsupported protocol version"};
    for (int code = 0; code < (int)COUNT_OF(MESSAGES); code++) {
        char json[100];
        snprintf(json, sizeof(json), "{\"code\":%d,\"message\":\"%s\"}", code, MESSAGES[code]);
        struct eio_refusal refusal = eio_refusal((enum eio_error)code, false);
        CHECK_TEXT(refusal.body, json);
        assert_int_equal(refusal.status, code == EIO_ERROR_FORBIDDEN ? 403 : 400);
        assert_string_equal(refusal.content_type, "application/json");
        CHECK(!refusal.closes_connection);
    }
}

TEST(a_refused_upgrade_gets_the_bare_message_and_the_connection_closes)
{
    struct eio_refusal refusal = eio_refusal(EIO_ERROR_FORBIDDEN, true);
    CHECK_TEXT(refusal.body, "Forbidden");
    assert_int_equal(refusal.status, 400);
    assert_string_equal(refusal.reason, "Bad Request");
    assert_string_equal(refusal.content_type, "text/html");
    CHECK(refusal.closes_connection);
}

TEST_MAIN(TEST_OF(a_handshake_names_a_transport_and_version_4),
          TEST_OF(the_first_check_that_fails_is_told),
          TEST_OF(a_session_s_request_must_fit_its_transport),
          TEST_OF(a_second_websocket_passes_and_is_closed_later),
          TEST_OF(a_websocket_for_polling_is_refused),
          TEST_OF(an_origin_with_control_characters_is_refused),
          TEST_OF(errors_are_told_in_json_with_the_reference_s_words),
          TEST_OF(a_refused_upgrade_gets_the_bare_message_and_the_connection_closes))
