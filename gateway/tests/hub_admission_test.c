/*
 * hub_admission_test.c - whom a token lets in, for how long, and who is put out before.
 */
#include "base/tests/testing.h"
#include "fake_world.h"
#include "hub/limits.h"

#include <stdio.h>
#include <stdlib.h>

static struct fake_world world;

/* What the token "ann" is good for; "stale", "forged" and "shut" are good for nothing. */
static struct hub_pass good;

static enum hub_admission admit(void *user, struct bytes token, struct bytes room,
                                struct hub_pass *ret_pass, const char **ret_why)
{
    (void)user;
    (void)room;
    *ret_why = "because";
    if (bytes_equal(token, BYTES("stale"))) {
        return HUB_STALE;
    }
    if (bytes_equal(token, BYTES("shut"))) {
        return HUB_FORBIDDEN;
    }
    *ret_pass = good;
    ret_pass->username = bytes_equal(token, BYTES("bob")) ? BYTES("bob") : BYTES("ann");
    return bytes_equal(token, BYTES("forged")) ? HUB_UNAUTHORIZED : HUB_ADMITTED;
}

static int set_up(void **state)
{
    (void)state;
    fake_world_init(&world);
    world.admit = admit;
    fake_gateway_kill(&world.gateways[0]);
    fake_gateway_start(&world, 0, NULL);
    fake_gateway_start(&world, 1, NULL);
    good = (struct hub_pass){
        .id = BYTES("id"),
        .expires_ms = UINT64_MAX,
        .issued_ms = world.now_ms,
        .may_write = true,
    };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_world_release(&world);
    return 0;
}

static struct hub *hub(void)
{
    return world.gateways[0].hub;
}

/* Comes to gateway 0 with a token. Is called "somebody" as long as the token does not say better. */
static struct fake_client *with_token(const char *token)
{
    char auth[64];
    snprintf(auth, sizeof(auth), "\"token\":\"%s\"", token);
    struct fake_client *client = fake_client_new(&world, "somebody");
    fake_client_connect(client, &world.gateways[0]);
    fake_client_join(client, "/", auth);
    fake_world_run(&world, 50);
    return client;
}

TEST(whose_token_is_good_is_in_and_whose_is_not_is_told)
{
    fake_client_saw(with_token("ann"), "joined");
    fake_client_saw(with_token("forged"), "refused Unauthorized");
    fake_client_saw(with_token("shut"), "refused Forbidden");
    struct fake_client *none = fake_client_new(&world, "none");
    fake_client_connect(none, &world.gateways[0]);
    fake_client_join(none, "/", "");
    fake_world_run(&world, 50);
    fake_client_saw(none, "refused Unauthorized");
}

TEST(whose_token_is_stale_hears_nothing_until_the_connection_closes)
{
    struct fake_client *late = with_token("stale");
    fake_world_run(&world, FAREWELL_MS_MIN - 100);
    fake_client_saw(late, "");
    fake_client_join(late, "/other", "\"token\":\"ann\""); /* no more than the first one */
    fake_world_run(&world, FAREWELL_MS_MAX - FAREWELL_MS_MIN + 100);
    fake_client_saw(late, "closed");
    assert_int_equal(hub_stats(hub())->tokens_stale, 1);
}

TEST(who_leaves_before_is_forgotten)
{
    struct fake_client *late = with_token("stale");
    fake_client_drop(late);
    fake_world_run(&world, FAREWELL_MS_MAX);
    assert_int_equal(hub_stats(hub())->clients, 0);
}

TEST(a_pass_ends_when_its_token_expires_and_not_before)
{
    good.expires_ms = world.now_ms + (uint64_t)3 * PASS_CHECK_MS;
    struct fake_client *ann = with_token("ann");
    fake_world_run(&world, (uint64_t)3 * PASS_CHECK_MS - 51);
    fake_client_saw(ann, "joined");
    fake_world_run(&world, 2);
    fake_client_saw(ann, "closed");
    assert_int_equal(hub_stats(hub())->passes_expired, 1);
}

TEST(a_users_tokens_are_revoked_those_of_others_and_later_ones_are_not)
{
    struct fake_client *ann = with_token("ann"), *bob = with_token("bob");
    good.issued_ms = world.now_ms + 1000;
    struct fake_client *later = with_token("ann");
    assert_int_equal(hub_revoke(hub(), HUB_REVOKED_USER, BYTES("ann"), world.now_ms + 1,
                                world.now_ms + 1000000, world.now_ms),
                     1);
    fake_world_run(&world, 10);
    fake_client_saw(ann, "joined, closed");
    fake_client_saw(bob, "joined");
    fake_client_saw(later, "joined");
    good.issued_ms = world.now_ms - 1000;
    struct fake_client *again = with_token("ann");
    fake_client_saw(again, "");
    fake_world_run(&world, FAREWELL_MS_MAX);
    fake_client_saw(again, "closed");
}

TEST(one_token_is_revoked_by_its_id)
{
    struct fake_client *ann = with_token("ann");
    good.id = BYTES("another");
    struct fake_client *other = with_token("ann");
    assert_int_equal(hub_revoke(hub(), HUB_REVOKED_TOKEN, BYTES("id"), world.now_ms + 1,
                                world.now_ms + 1000000, world.now_ms),
                     1);
    fake_world_run(&world, 10);
    fake_client_saw(ann, "joined, closed");
    fake_client_saw(other, "joined");
}

TEST(who_may_only_read_says_nothing)
{
    good.may_write = false;
    struct fake_client *ann = with_token("ann");
    fake_client_send(ann, "/", "hello", "");
    fake_world_run(&world, 50);
    fake_client_saw(ann, "joined, ack 1 error forbidden");
}

TEST(a_pass_goes_along_to_another_gateway)
{
    good.may_write = false;
    good.expires_ms = world.now_ms + 5000;
    struct fake_client *ann = fake_client_new(&world, "ann");
    fake_client_connect_polling(ann, &world.gateways[0]);
    fake_client_join(ann, "/", "\"token\":\"ann\"");
    fake_world_run(&world, 50);
    fake_client_upgrade(ann, &world.gateways[1]);
    fake_world_run(&world, 50);
    fake_client_send(ann, "/", "hello", "");
    fake_world_run(&world, 50);
    fake_client_saw(ann, "joined, ack 1 error forbidden");
    fake_world_run(&world, 5000);
    fake_client_saw(ann, "closed");
}

TEST(who_was_revoked_on_the_way_to_another_gateway_is_put_out_there)
{
    struct fake_client *ann = fake_client_new(&world, "ann");
    fake_client_connect_polling(ann, &world.gateways[0]);
    fake_client_join(ann, "/", "\"token\":\"ann\"");
    fake_world_run(&world, 50);
    hub_revoke(world.gateways[1].hub, HUB_REVOKED_USER, BYTES("ann"), world.now_ms + 1,
               world.now_ms + 1000000, world.now_ms);
    fake_client_upgrade(ann, &world.gateways[1]);
    fake_world_run(&world, 50);
    fake_client_saw(ann, "joined, closed");
}

TEST(who_joins_again_and_again_is_closed)
{
    struct fake_client *ann = with_token("ann");
    unsigned joins = fake_settings(&world).rooms_per_client_max * JOINS_BURST;
    for (unsigned i = 1; i < joins; i++) {
        fake_client_say(ann, "0/other,{\"token\":\"shut\"}");
    }
    fake_world_run(&world, 10);
    assert_int_equal(hub_stats(hub())->rooms_forbidden, joins - 1);
    buf_clear(&ann->seen);
    fake_client_say(ann, "0/other,{\"token\":\"shut\"}");
    fake_world_run(&world, 10);
    fake_client_saw(ann, "closed");
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

TEST_MAIN(IN_A_WORLD(whose_token_is_good_is_in_and_whose_is_not_is_told),
          IN_A_WORLD(whose_token_is_stale_hears_nothing_until_the_connection_closes),
          IN_A_WORLD(who_leaves_before_is_forgotten),
          IN_A_WORLD(a_pass_ends_when_its_token_expires_and_not_before),
          IN_A_WORLD(a_users_tokens_are_revoked_those_of_others_and_later_ones_are_not),
          IN_A_WORLD(one_token_is_revoked_by_its_id), IN_A_WORLD(who_may_only_read_says_nothing),
          IN_A_WORLD(a_pass_goes_along_to_another_gateway),
          IN_A_WORLD(who_was_revoked_on_the_way_to_another_gateway_is_put_out_there),
          IN_A_WORLD(who_joins_again_and_again_is_closed))
