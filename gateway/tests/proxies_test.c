/*
 * proxies_test.c - whom X-Forwarded-For is believed from, and what of it.
 */
#include "base/tests/testing.h"
#include "edge/proxies.h"

#include <arpa/inet.h>
#include <stdlib.h>

static struct proxies proxies;
static char shown[INET6_ADDRSTRLEN];

static const char *show(const struct address *address)
{
    CHECK(inet_ntop(AF_INET6, address->bytes, shown, sizeof(shown)) != NULL);
    return strncmp(shown, "::ffff:", 7) == 0 ? shown + 7 : shown;
}

static struct address parse(const char *text)
{
    struct address address;
    CHECK(address_parse(bytes_of_string(text), &address));
    return address;
}

/* Where it comes from, when @peer has connected and says @forwarded. */
static const char *behind(const char *peer, const char *forwarded)
{
    struct address address = parse(peer);
    (void)proxies_look_behind(&proxies, bytes_of_string(forwarded), &address);
    return show(&address);
}

TEST(who_is_not_trusted_is_not_believed)
{
    CHECK(proxies_parse("", &proxies) == NULL);
    assert_string_equal(behind("10.0.0.1", "192.0.2.9"), "10.0.0.1");
    CHECK(proxies_parse("10.0.0.0/8", &proxies) == NULL);
    assert_string_equal(behind("11.0.0.1", "192.0.2.9"), "11.0.0.1");
}

TEST(a_trusted_proxy_says_who_is_behind_it)
{
    CHECK(proxies_parse("10.0.0.0/8", &proxies) == NULL);
    assert_string_equal(behind("10.0.0.1", "192.0.2.9"), "192.0.2.9");
    assert_string_equal(behind("10.0.0.1", " 192.0.2.9:4711 "), "192.0.2.9");
    assert_string_equal(behind("10.0.0.1", "2001:db8::1"), "2001:db8::1");
    assert_string_equal(behind("10.0.0.1", "[2001:db8::1]:443"), "2001:db8::1");
}

TEST(what_a_client_wrote_in_front_is_not_believed)
{
    CHECK(proxies_parse("10.0.0.0/8, 192.0.2.1", &proxies) == NULL);
    assert_string_equal(behind("10.0.0.1", "1.1.1.1, 198.51.100.7"), "198.51.100.7");
    assert_string_equal(behind("10.0.0.1", "1.1.1.1,198.51.100.7 ,192.0.2.1"), "198.51.100.7");
}

TEST(where_the_list_makes_no_sense_the_last_known_counts)
{
    CHECK(proxies_parse("10.0.0.0/8", &proxies) == NULL);
    const char *const nonsense[] = {"",          ",",    "unknown",    "1.1.1.1, ",
                                    "1.1.1.1,,", "[::1", "10.0.0.256", "_x:1"};
    for (size_t i = 0; i < COUNT_OF(nonsense); i++) {
        assert_string_equal(behind("10.0.0.1", nonsense[i]), "10.0.0.1");
    }
    assert_string_equal(behind("10.0.0.1", "1.1.1.1, secret, 10.0.0.2"), "10.0.0.2");
}

TEST(a_line_in_front_counts_while_all_behind_it_are_trusted)
{
    CHECK(proxies_parse("10.0.0.0/8", &proxies) == NULL);
    struct address address = parse("10.0.0.1");
    CHECK(proxies_look_behind(&proxies, BYTES("10.0.0.3, 10.0.0.2"), &address));
    assert_string_equal(show(&address), "10.0.0.3");
    CHECK(proxies_look_behind(&proxies, BYTES("192.0.2.9"), &address));
    assert_string_equal(show(&address), "192.0.2.9");
    CHECK(!proxies_look_behind(&proxies, BYTES("1.1.1.1"), &address));
    assert_string_equal(show(&address), "192.0.2.9");
}

static bool trusts(const char *text)
{
    struct address address = parse(text);
    return proxies_trust(&proxies, &address);
}

TEST(a_network_ends_where_its_prefix_says)
{
    CHECK(proxies_parse("172.16.0.0/12,2001:db8:8000::/33,192.0.2.1,::1/128", &proxies) == NULL);
    CHECK(trusts("172.16.0.0") && trusts("172.31.255.255"));
    CHECK(!trusts("172.15.255.255") && !trusts("172.32.0.0"));
    CHECK(trusts("2001:db8:ffff::") && !trusts("2001:db8:7fff::"));
    CHECK(trusts("192.0.2.1") && !trusts("192.0.2.2"));
    CHECK(trusts("::1") && !trusts("::2"));
    CHECK(proxies_parse("0.0.0.0/0", &proxies) == NULL);
    CHECK(trusts("203.0.113.5") && !trusts("2001:db8::1"));
    CHECK(proxies_parse("::/0", &proxies) == NULL);
    CHECK(trusts("203.0.113.5") && trusts("2001:db8::1"));
}

TEST(what_is_no_network_is_refused)
{
    const char *const wrong[] = {"localhost",  "10.0.0.0/33", "::/129", "10.0.0.0/",
                                 "10.0.0.0/x", "10.0.0/8",    "/8",     "10.0.0.0/8/8"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        CHECK(proxies_parse(wrong[i], &proxies) != NULL);
    }
}

TEST(as_many_networks_as_may_and_one_more)
{
    struct buf text = BUF_INIT;
    for (unsigned i = 0; i < PROXIES_MAX; i++) {
        buf_append_format(&text, "10.0.0.%u,", i);
    }
    char *most = bytes_to_string(buf_bytes(&text));
    CHECK(proxies_parse(most, &proxies) == NULL);
    assert_int_equal(proxies.count, PROXIES_MAX);
    buf_append_bytes(&text, BYTES("10.0.1.0"));
    char *more = bytes_to_string(buf_bytes(&text));
    CHECK(proxies_parse(more, &proxies) != NULL);
    free(most);
    free(more);
    buf_release(&text);
}

TEST_MAIN(cmocka_unit_test(who_is_not_trusted_is_not_believed),
          cmocka_unit_test(a_trusted_proxy_says_who_is_behind_it),
          cmocka_unit_test(what_a_client_wrote_in_front_is_not_believed),
          cmocka_unit_test(where_the_list_makes_no_sense_the_last_known_counts),
          cmocka_unit_test(a_line_in_front_counts_while_all_behind_it_are_trusted),
          cmocka_unit_test(a_network_ends_where_its_prefix_says),
          cmocka_unit_test(what_is_no_network_is_refused),
          cmocka_unit_test(as_many_networks_as_may_and_one_more))
