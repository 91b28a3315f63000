#include "batch.h"
#include "config.h"
#include "limits.h"
#include "migrations.h"
#include "pg.h"
#include "queue.h"
#include "text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* queue.h */

static void a_queue_gives_in_the_order_of_arrival_and_keeps_its_bounds(void **state)
{
    (void)state;
    struct queue queue;
    queue_init(&queue, 3, 100);
    struct queue_entry entries[4] = {{.bytes = 40, .owner = 1},
                                     {.bytes = 40, .owner = 2},
                                     {.bytes = 20, .owner = 3},
                                     {.bytes = 0}};
    assert_int_equal(queue_push(&queue, &entries[0]), QUEUE_TAKEN);
    assert_int_equal(queue_push(&queue, &entries[1]), QUEUE_TAKEN);
    struct queue_entry heavy = {.bytes = 21};
    assert_int_equal(queue_push(&queue, &heavy), QUEUE_FULL); /* 101 bytes */
    assert_int_equal(queue_push(&queue, &entries[2]), QUEUE_TAKEN);
    assert_int_equal(queue_push(&queue, &entries[3]), QUEUE_FULL); /* a fourth */
    assert_int_equal(queue_load(&queue).count, 3);

    struct queue_entry *list;
    assert_int_equal(queue_take(&queue, 3, 80, 0, &list), QUEUE_GIVEN);
    assert_ptr_equal(list, &entries[0]);
    assert_ptr_equal(list->next, &entries[1]);
    assert_null(list->next->next);
    assert_int_equal(queue_take(&queue, 3, 1, 0, &list), QUEUE_GIVEN); /* at least one */
    assert_ptr_equal(list, &entries[2]);
    assert_int_equal(queue_take(&queue, 3, 1, 1, &list), QUEUE_IDLE);
    queue_release(&queue);
}

static void an_owner_has_a_quarter_of_the_queue_and_others_the_rest(void **state)
{
    (void)state;
    struct queue queue;
    queue_init(&queue, 8, 400);
    struct queue_entry flood[4] = {{.bytes = 10, .owner = 7},
                                   {.bytes = 10, .owner = 7},
                                   {.bytes = 10, .owner = 7},
                                   {.bytes = 91, .owner = 7}};
    struct queue_entry other = {.bytes = 100, .owner = 8};
    struct queue_entry as_flood = {.bytes = 10, .owner = 7 + QUEUE_SHARES};
    assert_int_equal(queue_push(&queue, &flood[0]), QUEUE_TAKEN);
    assert_int_equal(queue_push(&queue, &flood[3]), QUEUE_CROWDED); /* 101 bytes of 100 */
    assert_int_equal(queue_push(&queue, &flood[1]), QUEUE_TAKEN);
    assert_int_equal(queue_push(&queue, &flood[2]), QUEUE_CROWDED); /* a third of two */
    assert_int_equal(queue_push(&queue, &as_flood), QUEUE_CROWDED);
    assert_int_equal(queue_push(&queue, &other), QUEUE_TAKEN);
    assert_int_equal(queue_load(&queue).count, 3);

    struct queue_entry *list;
    assert_int_equal(queue_take(&queue, 1, 1000, 0, &list), QUEUE_GIVEN);
    assert_int_equal(queue_push(&queue, &flood[2]),
                     QUEUE_TAKEN); /* what was taken counts no more */
    assert_int_equal(queue_take(&queue, 8, 1000, 0, &list), QUEUE_GIVEN);
    assert_int_equal(queue_push(&queue, &flood[3]), QUEUE_TAKEN);
    assert_int_equal(queue_take(&queue, 8, 1000, 0, &list), QUEUE_GIVEN);
    struct queue_entry huge = {.bytes = 401, .owner = 7};
    assert_int_equal(queue_push(&queue, &huge), QUEUE_TAKEN); /* alone, whatever its size */
    assert_int_equal(queue_take(&queue, 8, 1, 0, &list), QUEUE_GIVEN);
    queue_release(&queue);
}

static void a_closed_queue_gives_what_it_has_and_takes_nothing(void **state)
{
    (void)state;
    struct queue queue;
    queue_init(&queue, 3, 10);
    struct queue_entry larger_than_all = {.bytes = 1000};
    struct queue_entry late = {.bytes = 1};
    assert_int_equal(queue_push(&queue, &larger_than_all), QUEUE_TAKEN);
    queue_close(&queue);
    assert_int_equal(queue_push(&queue, &late), QUEUE_FULL);
    struct queue_entry *list;
    assert_int_equal(queue_take(&queue, 1, 1, 1000, &list), QUEUE_GIVEN);
    assert_int_equal(queue_take(&queue, 1, 1, 1000000, &list), QUEUE_CLOSED);
    queue_release(&queue);
}

/* text.h */

static void text_that_postgres_can_hold_is_told_from_what_it_cannot(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        int chars; /* -1: not storable */
    } cases[] = {
        {"", 0, 0},
        {"abc", 3, 3},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, 3},
        {"\xf4\x8f\xbf\xbf", 4, 1},
        {"a\0b", 3, -1},
        {"\x80", 1, -1},
        {"\xc0\x80", 2, -1},
        {"\xc1\xbf", 2, -1},
        {"\xe0\x9f\xbf", 3, -1},
        {"\xed\xa0\x80", 3, -1},
        {"\xf0\x8f\xbf\xbf", 4, -1},
        {"\xf4\x90\x80\x80", 4, -1},
        {"\xf5\x80\x80\x80", 4, -1},
        {"\xe2\x82", 2, -1},
        {"\xe2\x28\xa1", 3, -1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t chars = 4711;
        char *exact = mem_copy_string(cases[i].text, cases[i].len);
        bool is_storable = text_is_storable(bytes_of(exact, cases[i].len), &chars);
        free(exact);
        assert_int_equal(is_storable, cases[i].chars >= 0);
        assert_int_equal(chars, is_storable ? cases[i].chars : 4711);
    }
}

static void one_bad_byte_is_found_wherever_it_stands(void **state)
{
    (void)state;
    static const char bad[] = {0, '\x80', '\xff'};
    char text[24];
    size_t chars = 0;
    memset(text, 'x', sizeof(text));
    assert_true(text_is_storable(bytes_of(text, sizeof(text)), &chars));
    assert_int_equal(chars, sizeof(text));
    for (size_t at = 0; at < sizeof(text); at++) {
        for (size_t i = 0; i < sizeof(bad); i++) {
            text[at] = bad[i];
            assert_false(text_is_storable(bytes_of(text, sizeof(text)), &chars));
        }
        text[at] = 1;
        assert_true(text_is_storable(bytes_of(text, sizeof(text)), &chars));
        text[at] = 'x';
    }
    for (size_t at = 0; at + 2 <= sizeof(text); at++) {
        text[at] = '\xc3';
        text[at + 1] = '\xa4';
        assert_true(text_is_storable(bytes_of(text, sizeof(text)), &chars));
        assert_int_equal(chars, sizeof(text) - 1);
        text[at] = text[at + 1] = 'x';
    }
}

static struct contract_new_message a_message(void)
{
    return (struct contract_new_message){BYTES("ann"), BYTES("s"), BYTES("c"), BYTES("x")};
}

static void a_message_is_refused_one_past_each_limit(void **state)
{
    (void)state;
    static char long_text[STORE_BODY_BYTES_MAX + 1];
    memset(long_text, 'x', sizeof(long_text));
    struct contract_new_message message = a_message();
    assert_null(message_refusal(&message));
    message.body = bytes_of(long_text, STORE_BODY_BYTES_MAX);
    message.client_id = bytes_of(long_text, CONTRACT_CLIENT_ID_BYTES_MAX);
    message.session = bytes_of(long_text, STORE_SESSION_BYTES_MAX);
    message.sender = bytes_of(long_text, CONTRACT_SENDER_CHARS_MAX);
    assert_null(message_refusal(&message));
    struct bytes *fields[] = {&message.body, &message.client_id, &message.session, &message.sender};
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        fields[i]->len++;
        assert_non_null(message_refusal(&message));
        fields[i]->len--;
    }
    message.client_id = BYTES("");
    assert_non_null(message_refusal(&message));
}

/* config.h */

static void shards_are_one_range(void **state)
{
    (void)state;
    struct shard_range range;
    struct buf error = BUF_INIT;
    assert_true(shard_range_parse("0-63", &range, &error));
    assert_int_equal(range.first, 0);
    assert_int_equal(range.last, 63);
    assert_true(shard_range_parse("7", &range, &error));
    assert_int_equal(range.first, 7);
    assert_int_equal(range.last, 7);
    static const char *const wrong[] = {"", "-", "0-64", "5-4", "1,2", "a-b", "0-", "-3", "0-1-2"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        buf_clear(&error);
        assert_false(shard_range_parse(wrong[i], &range, &error));
        assert_true(bytes_start_with(buf_bytes(&error), BYTES("SHARDS is ")));
    }
    assert_int_equal(range.first, 7); /* untouched */
    buf_release(&error);
}

static void passwords_of_nats_are_not_shown(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    nats_url_write_public("nats://a:b@host:1,nats://plain:2,token@bare:3", &out);
    assert_true(bytes_equal(buf_bytes(&out), BYTES("host:1,plain:2,bare:3")));
    buf_release(&out);
}

/* pg.h */

static void an_error_of_postgres_says_what_to_do_next(void **state)
{
    (void)state;
    assert_int_equal(pg_classify("22021"), STORE_REFUSED); /* invalid byte sequence */
    assert_int_equal(pg_classify("23514"), STORE_REFUSED); /* check violation */
    assert_int_equal(pg_classify("54000"), STORE_REFUSED); /* program limit exceeded */
    assert_int_equal(pg_classify("23505"), STORE_RETRY);   /* unique violation */
    assert_int_equal(pg_classify("40001"), STORE_RETRY);   /* serialization failure */
    assert_int_equal(pg_classify("40P01"), STORE_RETRY);   /* deadlock */
    assert_int_equal(pg_classify("55P03"), STORE_BUSY);    /* lock not available */
    assert_int_equal(pg_classify("53100"), STORE_RETRY);   /* disk full */
    assert_int_equal(pg_classify("57P01"), STORE_RETRY);   /* admin shutdown */
    assert_int_equal(pg_classify("0A000"), STORE_RETRY);   /* feature not supported */
    assert_int_equal(pg_classify(NULL), STORE_RETRY);
    assert_true(pg_ends_connection("57P01"));
    assert_true(pg_ends_connection("25006")); /* read-only transaction */
    assert_true(pg_ends_connection("0A000")); /* a cached plan must not change its result's type */
    assert_true(pg_ends_connection("26000")); /* invalid statement name */
    assert_false(pg_ends_connection("40P01"));
    assert_false(pg_ends_connection(NULL));
}

/* migrations.h */

static void migrations_are_numbered_without_holes(void **state)
{
    (void)state;
    assert_true(migrations_count >= 3);
    for (size_t i = 0; i < migrations_count; i++) {
        assert_int_equal(migrations[i].number, i + 1);
        assert_true(strlen(migrations[i].sql) > 0);
    }
}

/* batch.h */

struct collected {
    struct {
        struct bytes room;
        uint64_t epoch, first_id;
        size_t count;
        char session;
    } runs[16];
    size_t count;
};

static void collect(void *user, const struct contract_room_event *event)
{
    struct collected *collected = user;
    assert_true(collected->count < COUNT_OF(collected->runs));
    collected->runs[collected->count].room = event->room;
    collected->runs[collected->count].epoch = event->batch.epoch;
    collected->runs[collected->count].first_id = event->batch.first_id;
    collected->runs[collected->count].count = event->batch.message_count;
    collected->runs[collected->count++].session = event->batch.messages[0].session.data[0];
}

static struct contract_append an_append(const char *room, struct contract_new_message *messages,
                                        size_t count)
{
    return (struct contract_append){
        .room = bytes_of_string(room), .message_count = count, .messages = messages};
}

static void a_batch_knows_its_rooms_once_and_in_order(void **state)
{
    (void)state;
    struct contract_new_message messages[] = {a_message(), a_message()};
    struct contract_append appends[] = {an_append("b", messages, 2), an_append("a", messages, 1),
                                        an_append("b", messages, 1), an_append("aa", messages, 1)};
    struct work works[COUNT_OF(appends)];
    struct work *pointers[COUNT_OF(appends)];
    for (size_t i = 0; i < COUNT_OF(appends); i++) {
        work_init(&works[i], &appends[i], 0);
        pointers[i] = &works[i];
    }
    struct batch batch;
    batch_init(&batch, pointers, COUNT_OF(appends));
    assert_int_equal(batch.room_count, 3);
    assert_true(bytes_equal(batch.rooms[0], BYTES("a")));
    assert_true(bytes_equal(batch.rooms[1], BYTES("aa")));
    assert_true(bytes_equal(batch.rooms[2], BYTES("b")));
    assert_int_equal(batch.item_count, 5);
    assert_ptr_equal(batch.items[0]->work, &works[0]);
    assert_int_equal(batch.items[1]->place, 1);
    assert_ptr_equal(batch.items[4]->work, &works[3]);

    batch_sort_by_room(batch.items, batch.item_count);
    assert_ptr_equal(batch.items[0]->work, &works[1]);
    assert_ptr_equal(batch.items[1]->work, &works[3]);
    assert_int_equal(batch_same_room(batch.items + 2, 3), 3);
    assert_int_equal(batch.items[3]->place, 1); /* as they came */
    assert_ptr_equal(batch.items[4]->work, &works[2]);

    batch_item_store(batch.items[1], 1, 1, false);
    batch_item_refuse(batch.items[3], "no");
    works[1].is_answered = true;
    assert_int_equal(batch_keep_waiting(batch.items, 5), 2);
    assert_int_equal(works[0].pending, 1);
    batch_release(&batch);
    for (size_t i = 0; i < COUNT_OF(works); i++) {
        work_release(&works[i]);
    }
}

static void what_can_never_be_stored_is_no_item(void **state)
{
    (void)state;
    struct contract_new_message messages[] = {a_message(), a_message()};
    messages[0].body = BYTES("a\0b");
    struct contract_append append = an_append("a", messages, 2);
    struct work work;
    work_init(&work, &append, 0);
    struct work *pointer = &work;
    struct batch batch;
    batch_init(&batch, &pointer, 1);
    assert_int_equal(batch.item_count, 1);
    assert_int_equal(batch.items[0]->place, 1);
    assert_int_equal(work.pending, 1);
    assert_int_equal(work.outcomes[0].id, 0);
    assert_true(work.outcomes[0].refusal.len > 0);
    batch_release(&batch);
    work_release(&work);
}

static void a_work_that_commits_of_two_epochs_have_settled_is_known(void **state)
{
    (void)state;
    struct contract_append append = an_append("a", NULL, 0);
    struct work work;
    work_init(&work, &append, 0);
    work_note_commit(&work, 7, 3);
    work_note_commit(&work, 7, 4);
    assert_false(work.spans_epochs);
    work_note_commit(&work, 8, 2);
    assert_true(work.spans_epochs);
    assert_int_equal(work.epoch, 8);
    assert_int_equal(work.head, 2);
    work_release(&work);
}

/* Stores @item under @id, to be published as @session's. */
static void publish_as(struct batch_item *item, uint64_t id, const char *session)
{
    batch_item_store(item, id, 1, false);
    item->is_to_publish = true;
    item->stored_session = bytes_of_string(session);
}

static void runs_are_contiguous_within_a_room_and_fit_into_a_payload(void **state)
{
    (void)state;
    static char text[STORE_BODY_BYTES_MAX];
    struct contract_new_message messages[12];
    for (size_t i = 0; i < COUNT_OF(messages); i++) {
        messages[i] = a_message();
    }
    struct contract_new_message large[9];
    for (size_t i = 0; i < COUNT_OF(large); i++) {
        large[i] = a_message();
        memset(text, 'x', sizeof(text));
        large[i].body = bytes_of(text, sizeof(text));
    }
    struct contract_append appends[] = {an_append("b", messages, 6), an_append("a", large, 9)};
    struct work works[2];
    struct work *pointers[] = {&works[0], &works[1]};
    work_init(&works[0], &appends[0], 0);
    work_init(&works[1], &appends[1], 0);
    works[0].epoch = 7;
    struct batch batch;
    batch_init(&batch, pointers, 2);
    /* Room b: 5, 4, 9, 4 again, one that is not to be published, 10. */
    publish_as(batch.items[0], 5, "s");
    publish_as(batch.items[1], 4, "t");
    publish_as(batch.items[2], 9, "u");
    publish_as(batch.items[3], 4, "t");
    batch_item_store(batch.items[4], 6, 1, true);
    publish_as(batch.items[5], 10, "v");
    for (size_t i = 0; i < COUNT_OF(large); i++) {
        publish_as(batch.items[6 + i], i + 1, "w");
    }
    struct collected collected = {0};
    batch_runs(batch.items, batch.item_count, collect, &collected);
    assert_int_equal(collected.count, 4);
    assert_true(bytes_equal(collected.runs[0].room, BYTES("a"))); /* seven times 64 KiB fit */
    assert_int_equal(collected.runs[0].first_id, 1);
    assert_int_equal(collected.runs[0].count, 7);
    assert_int_equal(collected.runs[1].first_id, 8);
    assert_int_equal(collected.runs[1].count, 2);
    assert_true(bytes_equal(collected.runs[2].room, BYTES("b")));
    assert_int_equal(collected.runs[2].epoch, 7);
    assert_int_equal(collected.runs[2].first_id, 4);
    assert_int_equal(collected.runs[2].count, 2);
    assert_int_equal(collected.runs[2].session, 't');
    assert_int_equal(collected.runs[3].first_id, 9);
    assert_int_equal(collected.runs[3].count, 2);
    batch_release(&batch);
    work_release(&works[0]);
    work_release(&works[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queue_gives_in_the_order_of_arrival_and_keeps_its_bounds),
        cmocka_unit_test(an_owner_has_a_quarter_of_the_queue_and_others_the_rest),
        cmocka_unit_test(a_closed_queue_gives_what_it_has_and_takes_nothing),
        cmocka_unit_test(text_that_postgres_can_hold_is_told_from_what_it_cannot),
        cmocka_unit_test(one_bad_byte_is_found_wherever_it_stands),
        cmocka_unit_test(a_message_is_refused_one_past_each_limit),
        cmocka_unit_test(shards_are_one_range),
        cmocka_unit_test(passwords_of_nats_are_not_shown),
        cmocka_unit_test(an_error_of_postgres_says_what_to_do_next),
        cmocka_unit_test(migrations_are_numbered_without_holes),
        cmocka_unit_test(a_batch_knows_its_rooms_once_and_in_order),
        cmocka_unit_test(what_can_never_be_stored_is_no_item),
        cmocka_unit_test(a_work_that_commits_of_two_epochs_have_settled_is_known),
        cmocka_unit_test(runs_are_contiguous_within_a_room_and_fit_into_a_payload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
