/*
 * room_log_test.c - segments and logs: what is kept, what leaves, and what a byte belongs to.
 */
#include "base/tests/testing.h"
#include "hub/limits.h"
#include "hub/room_log.h"

#include <stdlib.h>

static struct bytes frame_of(size_t len)
{
    static char bytes[SEGMENT_BYTES_MAX * 2];
    memset(bytes, 'f', sizeof(bytes));
    return bytes_of(bytes, len);
}

static void append(struct room_log *log, size_t len)
{
    CHECK(room_log_append(log, log->head + 1, 7, frame_of(len)) == ROOM_LOG_APPENDED);
}

TEST(a_byte_belongs_to_the_frame_that_it_lies_in)
{
    struct segment *segment = segment_new(10, 100);
    segment_append(segment, 1, BYTES("abc"));
    segment_append(segment, 2, BYTES("d"));
    segment_append(segment, 3, BYTES("efgh"));
    static const uint64_t IDS[] = {10, 10, 10, 11, 12, 12, 12, 12};
    for (uint32_t at = 0; at < COUNT_OF(IDS); at++) {
        assert_int_equal(segment_id_at(segment, at), IDS[at]);
    }
    CHECK_TEXT(segment_frame(segment, 12), "efgh");
    assert_int_equal(segment_offset(segment, 13), 8);
    CHECK(!segment_covers(segment, 9) && !segment_covers(segment, 13));
    segment_free(segment);
}

TEST(a_segment_is_full_when_the_next_frame_does_not_fit)
{
    struct segment *segment = segment_new(1, 8);
    segment_append(segment, 1, BYTES("12345"));
    CHECK(segment_has_room(segment, 3) && !segment_has_room(segment, 4));
    segment_free(segment);
}

TEST(only_the_next_id_joins_a_log)
{
    struct log_budget budget = {.bytes_max = 1 << 20, .room_bytes_max = 1 << 20};
    struct room_log log;
    room_log_init(&log, &budget);
    room_log_reset(&log, 41);
    assert_int_equal(room_log_first(&log), 42);
    CHECK(room_log_append(&log, 43, 1, BYTES("x")) == ROOM_LOG_AHEAD);
    CHECK(room_log_append(&log, 41, 1, BYTES("x")) == ROOM_LOG_KNOWN);
    CHECK(room_log_append(&log, 42, 1, BYTES("x")) == ROOM_LOG_APPENDED);
    CHECK(room_log_append(&log, 42, 1, BYTES("y")) == ROOM_LOG_KNOWN);
    CHECK_TEXT(segment_frame(room_log_find(&log, 42), 42), "x");
    CHECK(room_log_find(&log, 41) == NULL && room_log_find(&log, 43) == NULL);
    room_log_release(&log);
    assert_int_equal(budget.bytes, 0);
}

TEST(a_room_keeps_its_newest_messages_within_its_bound)
{
    struct log_budget budget = {.bytes_max = 1 << 20, .room_bytes_max = 20000};
    struct room_log log;
    room_log_init(&log, &budget);
    for (int i = 0; i < 1000; i++) {
        append(&log, 100);
        CHECK(log.bytes <= budget.room_bytes_max + SEGMENT_BYTES_MAX);
        CHECK(room_log_find(&log, log.head) != NULL);
    }
    CHECK(room_log_first(&log) > 500 && room_log_first(&log) < 1000);
    for (uint64_t id = room_log_first(&log); id <= log.head; id++) {
        CHECK(segment_covers(room_log_find(&log, id), id));
    }
    room_log_release(&log);
    assert_int_equal(budget.bytes, 0);
}

/* One that begins a segment of all its bound would lose all the others for it. */
TEST(a_full_log_never_forgets_what_is_a_little_behind_its_head)
{
    struct log_budget budget = {.bytes_max = 1 << 24, .room_bytes_max = 1 << 16};
    struct room_log log;
    room_log_init(&log, &budget);
    for (int i = 0; i < 5000; i++) {
        append(&log, 190);
        size_t kept = (log.head - room_log_first(&log) + 1) * 190;
        if (log.head > 500) {
            CHECK(kept >=
                  budget.room_bytes_max / 2); /* what a frame needs beside its bytes is the rest */
        }
    }
    room_log_release(&log);
}

TEST(a_busy_room_takes_the_memory_of_quiet_ones_but_not_its_own_newest)
{
    struct log_budget budget = {.bytes_max = 30000, .room_bytes_max = 1 << 20};
    struct room_log quiet, busy;
    room_log_init(&quiet, &budget);
    room_log_init(&busy, &budget);
    append(&quiet, 100);
    for (int i = 0; i < 500; i++) {
        append(&busy, 300);
    }
    assert_int_equal(room_log_first(&quiet), 2); /* nothing is left of it, but where it stands */
    append(&quiet, 100);
    CHECK(room_log_find(&quiet, 2) != NULL);
    append(&busy, SEGMENT_BYTES_MAX + 5);
    CHECK(room_log_find(&busy, busy.head) != NULL);
    room_log_release(&quiet);
    room_log_release(&busy);
    assert_int_equal(budget.bytes, 0);
    CHECK(budget.oldest == NULL && budget.newest == NULL);
}

TEST_MAIN(TEST_OF(a_byte_belongs_to_the_frame_that_it_lies_in),
          TEST_OF(a_segment_is_full_when_the_next_frame_does_not_fit),
          TEST_OF(only_the_next_id_joins_a_log),
          TEST_OF(a_room_keeps_its_newest_messages_within_its_bound),
          TEST_OF(a_full_log_never_forgets_what_is_a_little_behind_its_head),
          TEST_OF(a_busy_room_takes_the_memory_of_quiet_ones_but_not_its_own_newest))
