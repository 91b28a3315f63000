/*
 * stores_test.c - stores and the model of Postgres, step by step: what takes a rare schedule, or a minute, by itself.
 */
#include "base/tests/testing.h"
#include "limits.h"
#include "store_process.h"

static struct stores stores;
static uint64_t dice;
static unsigned answers, publishes, publishes_before_the_answer;
static enum contract_status last_status;

static void on_reply(void *user, uint64_t token, struct bytes payload)
{
    (void)user, (void)token;
    struct contract_append_reply *reply = contract_decode_append_reply(payload);
    last_status = reply->status;
    contract_free(reply);
    publishes_before_the_answer = publishes;
    answers++;
}

static void on_publish(void *user, const struct contract_room_event *event)
{
    (void)user, (void)event;
    publishes++;
}

static int set_up(void **state)
{
    (void)state;
    dice = 1;
    answers = publishes = publishes_before_the_answer = 0;
    stores_init(&stores, false);
    stores.dice = &dice;
    stores.now_ms = 1000000;
    stores.on_reply = on_reply;
    stores.on_publish = on_publish;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stores_release(&stores);
    return 0;
}

/* The next step; where nobody is ready, it is later first. */
static void step(void)
{
    while (!stores_step(&stores)) {
        stores.now_ms = MAX_OF(stores_next_ms(&stores), stores.now_ms + 1);
    }
}

/* All that happens up to @ms, and at that moment. */
static void run_until(uint64_t ms)
{
    for (;;) {
        while (stores_step(&stores)) {
        }
        if (stores.now_ms == ms) {
            return;
        }
        stores.now_ms = MIN_OF(MAX_OF(stores_next_ms(&stores), stores.now_ms + 1), ms);
    }
}

static void append(const char *room, const char *client_id)
{
    struct contract_new_message message = {BYTES("ann"), BYTES("session"),
                                           bytes_of_string(client_id), BYTES("text")};
    struct contract_append request = {.room = bytes_of_string(room),
                                      .gateway = BYTES("gateway"),
                                      .message_count = 1,
                                      .messages = &message};
    struct buf payload = BUF_INIT;
    contract_encode_append(&payload, &request);
    assert_true(stores_request(&stores, STORE_APPEND, contract_shard(request.room), 1,
                               buf_bytes(&payload)));
    buf_release(&payload);
}

static void append_and_wait(const char *room, const char *client_id)
{
    unsigned before = answers;
    append(room, client_id);
    while (answers == before) {
        step();
    }
}

static const struct pg_room *room_of(const char *name)
{
    return pg_find_room(&stores.server.db, pg_view_now(&stores.server.db, 0),
                        bytes_of_string(name));
}

static void what_a_store_that_died_had_stored_is_published_before_it_is_acknowledged(void **state)
{
    (void)state;
    stores_start(&stores, 0);
    append("a", "message-0000000001");
    while (room_of("a") == NULL) { /* the commit that makes it brings the message too */
        step();
    }
    assert_int_equal(publishes, 0);
    stores_kill(&stores, 0);
    stores_start(&stores, 1);
    append_and_wait("a", "message-0000000001"); /* late, and not marked as a repeat */
    assert_int_equal(last_status, CONTRACT_OK);
    assert_int_equal(publishes_before_the_answer, 1);
    assert_int_equal(room_of("a")->message_count, 1);
}

/* Stops the backend that has locked @room, in its transaction. */
static void freeze_locker_of(const char *room)
{
    const struct pg_room *locked = room_of(room);
    uint32_t before = locked->locker;
    while (locked->locker == before) {
        step();
    }
    for (size_t i = 0; i < PG_BACKENDS_MAX; i++) {
        struct pg_server_slot *slot = &stores.server.slots[i];
        slot->is_frozen |= slot->is_used && slot->backend.xid == locked->locker;
    }
}

static bool is_beginning_an_epoch(void)
{
    const struct store_process *process = stores.processes[0];
    return !coroutine_has_ended(process->lanes[process->own_lane_count]->coroutine);
}

/* A room of the name is locked by the transaction that begins the epoch, so that nobody can append to it. */
static void an_epoch_that_has_to_wait_for_a_room_lets_go_of_the_others_in_time(void **state)
{
    (void)state;
    stores_start(&stores, 0);
    append_and_wait("a", "message-0000000001");
    append_and_wait("b", "message-0000000002");
    size_t epochs = stores.server.db.epoch_count;
    append("b", "message-0000000003");
    freeze_locker_of("b");
    assert_true(stores_begin_epoch(&stores, 0));
    while (stores.server.db.epoch_count == epochs) {
        step();
    }
    uint64_t began_at_ms = stores.now_ms;
    run_until(began_at_ms + EPOCH_TIMEOUT_MS - 1);
    assert_true(is_beginning_an_epoch());
    assert_false(pg_has_ended(&stores.server.db, room_of("a")->locker));
    run_until(began_at_ms + EPOCH_TIMEOUT_MS);
    assert_false(is_beginning_an_epoch());
    append_and_wait("a", "message-0000000004");
    assert_int_equal(last_status, CONTRACT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            what_a_store_that_died_had_stored_is_published_before_it_is_acknowledged, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            an_epoch_that_has_to_wait_for_a_room_lets_go_of_the_others_in_time, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
