/*
 * proxy_header_test.c - what balancers say in front of a connection, and what is none of that.
 */
#include "base/tests/testing.h"
#include "edge/proxy_header.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define REQUEST   "GET / HTTP/1.1\r\n"

static char shown[INET6_ADDRSTRLEN + 16];

/* "192.0.2.1 40000" for a whole header; "own" where it names nobody. It has to end in front of @input's REQUEST, if there is one. */
static const char *peer_of(struct bytes input)
{
    struct sockaddr_storage peer;
    size_t len = 0;
    switch (proxy_header_read(input, &len, &peer)) {
    case PROXY_HEADER_PARTIAL: return "partial";
    case PROXY_HEADER_WRONG: return "wrong";
    case PROXY_HEADER_WHOLE: break;
    }
    CHECK(bytes_equal(bytes_skip(input, len), BYTES(REQUEST)));
    if (peer.ss_family == AF_UNSPEC) {
        return "own";
    }
    bool is_ipv4 = peer.ss_family == AF_INET;
    const struct sockaddr_in *ipv4 = (struct sockaddr_in *)&peer;
    const struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&peer;
    char address[INET6_ADDRSTRLEN];
    CHECK(inet_ntop(peer.ss_family,
                    is_ipv4 ? (const void *)&ipv4->sin_addr : (const void *)&ipv6->sin6_addr,
                    address, sizeof(address)) != NULL);
    snprintf(shown, sizeof(shown), "%s %u", address,
             ntohs(is_ipv4 ? ipv4->sin_port : ipv6->sin6_port));
    return shown;
}

#define PEER_OF(literal) peer_of(BYTES(literal))

TEST(a_header_names_who_is_behind_the_balancer)
{
    assert_string_equal(PEER_OF("PROXY TCP4 192.0.2.1 198.51.100.1 40000 80\r\n" REQUEST),
                        "192.0.2.1 40000");
    assert_string_equal(PEER_OF("PROXY TCP6 2001:db8::1 ::1 65535 0\r\n" REQUEST),
                        "2001:db8::1 65535");
    assert_string_equal(PEER_OF(SIGNATURE
                                "\x21\x11\x00\x0c"
                                "\xc0\x00\x02\x01\xc6\x33\x64\x01\x9c\x40\x00\x50" REQUEST),
                        "192.0.2.1 40000");
    assert_string_equal(PEER_OF(SIGNATURE
                                "\x21\x21\x00\x24"
                                "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                                "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x9c\x40\x00\x50" REQUEST),
                        "2001:db8::1 40000");
    /* With a TLV behind the addresses, which is not looked at. */
    assert_string_equal(
        PEER_OF(SIGNATURE
                "\x21\x11\x00\x10"
                "\xc0\x00\x02\x01\xc6\x33\x64\x01\x9c\x40\x00\x50\x04\x00\x01\x00" REQUEST),
        "192.0.2.1 40000");
}

TEST(a_balancer_speaks_for_itself_or_for_somebody_without_an_address)
{
    assert_string_equal(PEER_OF("PROXY UNKNOWN\r\n" REQUEST), "own");
    assert_string_equal(PEER_OF("PROXY UNKNOWN ffff::1 any thing\r\n" REQUEST), "own");
    assert_string_equal(PEER_OF(SIGNATURE "\x20\x00\x00\x00" REQUEST), "own");
    /* LOCAL, whatever addresses come with it. */
    assert_string_equal(PEER_OF(SIGNATURE
                                "\x20\x11\x00\x0c"
                                "\xc0\x00\x02\x01\xc6\x33\x64\x01\x9c\x40\x00\x50" REQUEST),
                        "own");
    assert_string_equal(PEER_OF(SIGNATURE "\x21\x31\x00\x01/" REQUEST), "own");
}

TEST(a_header_may_come_in_any_pieces)
{
    const struct bytes sound[] = {
        BYTES("PROXY TCP4 192.0.2.1 198.51.100.1 40000 80\r\n"),
        BYTES("PROXY UNKNOWN\r\n"),
        BYTES(SIGNATURE "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x01\x9c\x40\x00\x50"),
        BYTES(SIGNATURE "\x20\x00\x00\x00"),
    };
    assert_string_equal(PEER_OF(""), "partial");
    for (size_t i = 0; i < COUNT_OF(sound); i++) {
        for (size_t len = 1; len < sound[i].len; len++) {
            char *piece = mem_alloc(len); /* no longer: AddressSanitizer sees who reads on */
            memcpy(piece, sound[i].data, len);
            assert_string_equal(peer_of(bytes_of(piece, len)), "partial");
            free(piece);
        }
    }
}

TEST(what_is_no_header_is_found_out_at_its_first_wrong_byte)
{
    assert_string_equal(PEER_OF("G"), "wrong");
    assert_string_equal(PEER_OF(REQUEST), "wrong");
    assert_string_equal(PEER_OF("PROXI"), "wrong");
    assert_string_equal(PEER_OF("PROXY\r\n"), "wrong");
    assert_string_equal(PEER_OF("\r\n\r\n\r"), "wrong");
    assert_string_equal(PEER_OF("PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n"), "wrong");
    assert_string_equal(PEER_OF("PROXY TCP4 somewhere\r\n"), "wrong");
    assert_string_equal(PEER_OF("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n"), "wrong");
    assert_string_equal(PEER_OF("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n"), "wrong");
    assert_string_equal(PEER_OF("PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n"), "wrong");
    assert_string_equal(PEER_OF("PROXY TCP4 2001:db8::1 ::1 1 2\r\n"), "wrong");
    assert_string_equal(PEER_OF("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n"), "wrong");
    assert_string_equal(PEER_OF("PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n"), "wrong");
    assert_string_equal(PEER_OF("PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n"), "wrong");
    assert_string_equal(PEER_OF(SIGNATURE "\x11\x11\x00\x0c"), "wrong"); /* version 1 */
    assert_string_equal(PEER_OF(SIGNATURE "\x22\x11\x00\x0c"),
                        "wrong"); /* a command that there is not */
    assert_string_equal(PEER_OF(SIGNATURE "\x21\x11\x00\x0b"), "wrong"); /* too short for IPv4 */
    assert_string_equal(PEER_OF(SIGNATURE "\x21\x21\x00\x23"), "wrong"); /* too short for IPv6 */
}

static void put(char *at, struct bytes bytes)
{
    memcpy(at, bytes.data, bytes.len);
}

TEST(a_header_of_the_longest_and_one_byte_more)
{
    char text[PROXY_HEADER_BYTES_MAX + 1] = "PROXY UNKNOWN ";
    memset(text + 14, 'x', 107 - 14 - 2);
    put(text + 105, BYTES("\r\n"));
    assert_string_equal(peer_of(bytes_of(text, 106)), "partial");
    struct sockaddr_storage peer;
    size_t len;
    CHECK(proxy_header_read(bytes_of(text, 107), &len, &peer) == PROXY_HEADER_WHOLE);
    assert_int_equal(len, 107);
    put(text + 105, BYTES("x\r\n"));
    assert_string_equal(peer_of(bytes_of(text, 108)), "wrong");

    for (int more = 0; more <= 1; more++) {
        memset(text, 0, sizeof(text));
        size_t rest = PROXY_HEADER_BYTES_MAX - 16 + (size_t)more;
        put(text, BYTES(SIGNATURE "\x21\x11"));
        text[14] = (char)(rest >> 8);
        text[15] = (char)rest;
        enum proxy_header header = proxy_header_read(bytes_of(text, 16 + rest), &len, &peer);
        assert_int_equal(header, more ? PROXY_HEADER_WRONG : PROXY_HEADER_WHOLE);
    }
}

TEST_MAIN(cmocka_unit_test(a_header_names_who_is_behind_the_balancer),
          cmocka_unit_test(a_balancer_speaks_for_itself_or_for_somebody_without_an_address),
          cmocka_unit_test(a_header_may_come_in_any_pieces),
          cmocka_unit_test(what_is_no_header_is_found_out_at_its_first_wrong_byte),
          cmocka_unit_test(a_header_of_the_longest_and_one_byte_more))
