/*
 * hub_bounds_test.c - what a hub keeps for all rooms and all clients together has bounds, and what happens there is told.
 */
#include "base/tests/testing.h"
#include "fake_world.h"
#include "hub/hub_impl.h"
#include "hub_limits.h"

#include <stdio.h>
#include <stdlib.h>

static struct fake_world world;
enum { TEXT_BYTES = 16384 };
static char text[TEXT_BYTES + 1]; /* a long one */

static void check_limits(void *user)
{
    (void)user;
    const char *wrong = hub_limits_broken(world.gateways[0].hub);
    if (wrong != NULL) {
        fake_failed("%s", wrong);
    }
}

static int set_up(void **state)
{
    (void)state;
    fake_world_init(&world);
    world.on_moment = check_limits;
    memset(text, 'x', TEXT_BYTES);
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

static struct fake_client *connected(void)
{
    struct fake_client *client = fake_client_new(&world, "ann");
    client->is_quiet = true;
    fake_client_connect(client, &world.gateways[0]);
    return client;
}

enum { ROOMS = 24, ROOMS_OF_CLIENT = 4, CLIENTS = ROOMS / ROOMS_OF_CLIENT };

TEST(messages_of_all_rooms_together_are_bounded_and_the_one_past_it_is_overloaded)
{
    struct fake_client *clients[CLIENTS];
    char namespace[16];
    for (size_t i = 0; i < ROOMS; i++) {
        if (i % ROOMS_OF_CLIENT == 0) {
            clients[i / ROOMS_OF_CLIENT] = connected();
        }
        snprintf(namespace, sizeof(namespace), "/%zu", i);
        fake_client_join(clients[i / ROOMS_OF_CLIENT], namespace, "");
    }
    fake_world_run(&world, 100);
    world.append_mode = FAKE_STORE_SILENT;
    const struct hub_stats *stats = hub_stats(hub());
    size_t i = 0;
    for (; hub()->send_bytes + TEXT_BYTES <= SENDS_BYTES_MAX; i++) {
        snprintf(namespace, sizeof(namespace), "/%zu", i % ROOMS);
        fake_client_send(clients[i % ROOMS / ROOMS_OF_CLIENT], namespace, text, "");
        if (i % ROOMS == 0) {
            fake_world_run(&world,
                           0); /* what was sent first is in flight, and the queues take the rest */
        }
        assert_int_equal(stats->by.messages_refused[CHAT_OVERLOADED], 0);
    }
    snprintf(namespace, sizeof(namespace), "/%zu", i % ROOMS);
    fake_client_send(clients[i % ROOMS / ROOMS_OF_CLIENT], namespace, text, "one-too-many");
    fake_world_run(&world, 0);
    assert_int_equal(stats->by.messages_refused[CHAT_OVERLOADED], 1);
    assert_int_equal(stats->messages_in, i);
    world.append_mode = FAKE_STORE_UP;
    fake_world_run(&world, 30000);
    assert_int_equal(hub()->send_bytes, 0);
}

/* A broadcast of @room with the ids from @first on, of 30 long messages, as it comes from NATS. */
static struct contract_room_event *broadcast(struct bytes room, uint64_t first)
{
    static struct contract_stored_message messages[30];
    for (size_t i = 0; i < COUNT_OF(messages); i++) {
        messages[i] = (struct contract_stored_message){
            .sender = BYTES("bob"), .client_id = BYTES("c"), .body = bytes_of(text, TEXT_BYTES)};
    }
    struct contract_room_event event = {
        .room = room,
        .type = CONTRACT_BATCH,
        .batch = {.epoch = 1,
                  .first_id = first,
                  .message_count = COUNT_OF(messages),
                  .messages = messages},
    };
    struct buf out = BUF_INIT;
    contract_encode_room_event(&out, &event);
    struct contract_room_event *decoded = contract_decode_room_event(buf_bytes(&out));
    buf_release(&out);
    return decoded;
}

TEST(what_is_ahead_of_the_logs_of_all_rooms_is_bounded_and_the_one_past_it_is_not_kept)
{
    struct fake_client *ann = connected();
    fake_client_join(ann, "/a", "");
    fake_client_join(ann, "/b", "");
    fake_world_run(&world, 100);
    world.query_mode = FAKE_STORE_SILENT; /* what is missing does not come */
    uint64_t first = 1001;
    hub_on_room_event(hub(), broadcast(BYTES("a"), first), world.now_ms);
    size_t each = hub()->ahead_bytes;
    assert_true(each > (size_t)30 * TEXT_BYTES);
    for (size_t i = 1; (i + 1) * each <= AHEAD_BYTES_MAX; i++) {
        hub_on_room_event(hub(), broadcast(i % 2 == 0 ? BYTES("a") : BYTES("b"), first += 100),
                          world.now_ms);
        assert_int_equal(hub()->ahead_bytes, (i + 1) * each);
    }
    assert_int_equal(hub_stats(hub())->ahead_dropped, 0);
    size_t full = hub()->ahead_bytes;
    hub_on_room_event(hub(), broadcast(BYTES("b"), first + 100), world.now_ms);
    assert_int_equal(hub()->ahead_bytes, full);
    assert_int_equal(hub_stats(hub())->ahead_dropped, 1);
    fake_client_drop(ann);
    world.query_mode = FAKE_STORE_UP;
    fake_world_run(&world, 60000); /* the rooms go, and what they kept */
    assert_int_equal(hub()->ahead_bytes, 0);
}

TEST(what_clients_have_yet_to_read_is_bounded_for_all_of_them_and_those_with_the_most_are_closed)
{
    fake_store_fill(&world.store, BYTES("lobby"), text, 50);
    size_t count = OUTBOXES_BYTES_MAX / (HISTORY_BYTES_MAX + 1) + 64;
    for (size_t i = 0; i < count; i++) {
        struct fake_client *client = connected();
        fake_client_join(client, "/", "\"serverOffset\":50");
        fake_world_run(&world, 5);
        client->window = client->window_left = 0;
        fake_client_say(client, "2900[\"chat history\",{}]");
        fake_client_say(client, "2901[\"chat history\",{}]");
        fake_world_run(&world, 1);
        assert_true(hub()->outbox_bytes <= OUTBOXES_BYTES_MAX + CLIENT_OUTBOX_BYTES_MAX);
    }
    const struct hub_stats *stats = hub_stats(hub());
    assert_true(stats->by.clients_closed[EIO_CLOSE_OUTBOX_FULL] > 0);
    struct fake_client *reader = connected(); /* who reads is not touched */
    fake_client_join(reader, "/", "\"serverOffset\":50");
    fake_world_run(&world, 10);
    fake_client_send(reader, "/", "hello", "");
    fake_world_run(&world, 100);
    fake_client_saw(reader, "joined, ack 1 ok 51");
    for (size_t i = 0; i < world.client_count; i++) {
        if (world.clients[i]->client != NULL) {
            fake_client_drop(world.clients[i]);
        }
    }
    assert_int_equal(hub()->outbox_bytes, 0);
}

static void start_again(uint32_t rooms_max, uint32_t rooms_per_source_max)
{
    fake_gateway_kill(&world.gateways[0]);
    struct hub_settings settings = fake_settings(&world);
    settings.rooms_max = rooms_max;
    settings.rooms_per_source_max = rooms_per_source_max;
    fake_gateway_start(&world, 0, &settings);
}

static void join_all(struct fake_client *client, const char *namespaces)
{
    char namespace[] = "/?";
    for (; *namespaces != '\0'; namespaces++) {
        namespace[1] = *namespaces;
        fake_client_join(client, namespace, "");
        fake_world_run(&world, 50);
    }
}

TEST(as_many_rooms_as_may_are_open_and_one_more_when_one_is_not_needed)
{
    start_again(3, 0);
    struct fake_client *ann = connected(), *bob = connected(), *carl = connected();
    join_all(ann, "abc");
    fake_client_saw(ann, "/a joined, /b joined, /c joined");
    join_all(carl, "da");
    fake_client_saw(carl, "/a joined");
    fake_client_say(ann, "1/c,");
    fake_client_say(ann, "1/b,");
    fake_world_run(&world, 50);
    assert_int_equal(hub_stats(hub())->rooms, 3); /* for the grace time */
    join_all(bob, "d");
    fake_client_saw(bob, "/d joined");
    join_all(bob, "b"); /* still there: c had not been needed for longer */
    fake_client_saw(bob, "/b joined");
    assert_int_equal(world.gateways[0].subscribes, 4);
    assert_int_equal(hub_stats(hub())->rooms, 3);
    assert_int_equal(hub_stats(hub())->rooms_refused_full, 1);
    fake_world_run(&world, FAREWELL_MS_MAX); /* who was not answered comes again, maybe elsewhere */
    fake_client_saw(carl, "closed");
    assert_int_equal(hub_stats(hub())->rooms, 3);
}

static struct fake_client *connected_from(uint32_t source)
{
    world.source = source;
    return connected();
}

TEST(an_address_opens_as_many_rooms_as_it_may_and_joins_all_that_others_have_open)
{
    start_again(100, 2);
    struct fake_client *ann = connected_from(1), *carl = connected_from(1),
                       *bob = connected_from(2);
    join_all(ann, "ab");
    join_all(carl, "ca");
    fake_client_saw(carl, "/c refused Too many rooms are open from your address, /a joined");
    join_all(bob, "c");
    fake_client_saw(bob, "/c joined");
    join_all(carl, "cd");
    fake_client_saw(carl, "/c joined, /d refused Too many rooms are open from your address");
    fake_client_drop(ann); /* b is idle, a is not */
    fake_world_run(&world, 50);
    join_all(carl, "be");
    fake_client_saw(carl, "/b joined, /e refused Too many rooms are open from your address");
    assert_int_equal(hub_stats(hub())->rooms_refused_address, 3);
}

TEST(a_room_counts_for_the_address_of_somebody_who_is_in_it)
{
    start_again(100, 2);
    struct fake_client *ann = connected_from(1), *bob = connected_from(2);
    join_all(ann, "ab");
    join_all(bob, "abc");
    fake_client_saw(bob, "/a joined, /b joined, /c joined");
    fake_client_drop(ann);
    fake_world_run(&world, 50);
    struct fake_client *carl = connected_from(1); /* the number is given again */
    join_all(carl, "de");
    fake_client_saw(carl, "/d joined, /e joined");
    join_all(bob, "f"); /* a, b and c are its */
    fake_client_saw(bob, "/f refused Too many rooms are open from your address");
}

#define IN_A_WORLD(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

TEST_MAIN(
    IN_A_WORLD(messages_of_all_rooms_together_are_bounded_and_the_one_past_it_is_overloaded),
    IN_A_WORLD(what_is_ahead_of_the_logs_of_all_rooms_is_bounded_and_the_one_past_it_is_not_kept),
    IN_A_WORLD(
        what_clients_have_yet_to_read_is_bounded_for_all_of_them_and_those_with_the_most_are_closed),
    IN_A_WORLD(as_many_rooms_as_may_are_open_and_one_more_when_one_is_not_needed),
    IN_A_WORLD(an_address_opens_as_many_rooms_as_it_may_and_joins_all_that_others_have_open),
    IN_A_WORLD(a_room_counts_for_the_address_of_somebody_who_is_in_it))
