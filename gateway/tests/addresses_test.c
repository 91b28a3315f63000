/*
 * addresses_test.c - how many connections an address may have, and what is kept of those that have none.
 */
#include "base/tests/testing.h"
#include "edge/addresses.h"

#include <stdio.h>

static struct addresses addresses;

static int tear_down(void **state)
{
    (void)state;
    addresses_release(&addresses);
    return 0;
}

/* The share of one more connection from @text; 0: there may be no more. */
static uint32_t take(const char *text)
{
    struct address address;
    uint32_t share = 0;
    CHECK(address_parse(bytes_of_string(text), &address));
    return addresses_take(&addresses, &address, &share) ? share : 0;
}

TEST(as_many_as_may_and_not_one_more_until_one_goes)
{
    addresses_init(&addresses, 3);
    uint32_t first = take("192.0.2.1");
    assert_int_not_equal(first, 0);
    assert_int_not_equal(take("192.0.2.1"), 0);
    assert_int_not_equal(take("192.0.2.1"), 0);
    assert_int_equal(take("192.0.2.1"), 0);
    assert_int_not_equal(take("192.0.2.2"), 0); /* somebody else's are their own */
    addresses_give_back(&addresses, &first);
    assert_int_equal(first, 0);
    assert_int_not_equal(take("192.0.2.1"), 0);
    assert_int_equal(take("192.0.2.1"), 0);
}

TEST(a_network_of_ipv6_counts_as_one_address)
{
    addresses_init(&addresses, 1);
    assert_int_not_equal(take("2001:db8:1:2::1"), 0);
    assert_int_equal(take("2001:db8:1:2:ffff::2"), 0);
    assert_int_not_equal(take("2001:db8:1:3::1"), 0);
    assert_int_not_equal(take("::1"), 0);
    assert_int_not_equal(take("192.0.2.1"), 0); /* ::ffff:192.0.2.1 is not of ::/64 */
    assert_int_equal(take("::ffff:192.0.2.1"), 0);
}

TEST(who_has_no_connection_any_more_is_forgotten)
{
    addresses_init(&addresses, 1);
    for (unsigned i = 0; i < 1000; i++) {
        char text[32];
        snprintf(text, sizeof(text), "10.0.%u.%u", i / 250, i % 250);
        uint32_t share = take(text);
        assert_int_not_equal(share, 0);
        addresses_give_back(&addresses, &share);
    }
    assert_int_equal(addresses.count, 1);
    assert_int_equal(addresses.by_network.count, 0);
}

TEST(a_limit_of_0_is_none)
{
    addresses_init(&addresses, 0);
    uint32_t share = take("192.0.2.1");
    for (int i = 0; i < 100; i++) {
        assert_int_equal(take("192.0.2.1"), share);
        assert_int_not_equal(take("192.0.2.2"), share);
    }
}

TEST_MAIN(cmocka_unit_test_teardown(as_many_as_may_and_not_one_more_until_one_goes, tear_down),
          cmocka_unit_test_teardown(a_network_of_ipv6_counts_as_one_address, tear_down),
          cmocka_unit_test_teardown(who_has_no_connection_any_more_is_forgotten, tear_down),
          cmocka_unit_test_teardown(a_limit_of_0_is_none, tear_down))
