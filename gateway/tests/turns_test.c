/*
 * turns_test.c - rows take turns, whatever their lengths.
 */
#include "base/tests/testing.h"
#include "hub/turns.h"

struct asker {
    struct turn turn;
    uint32_t source;
};

static struct turns turns;
static struct asker askers[100];

static int set_up(void **state)
{
    (void)state;
    turns_init(&turns);
    for (size_t i = 0; i < COUNT_OF(askers); i++) {
        turn_init(&askers[i].turn);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(askers); i++) {
        turns_leave(&turns, &askers[i].turn);
    }
    turns_release(&turns);
    return 0;
}

static void ask(size_t i, uint32_t source)
{
    askers[i].source = source;
    turns_add(&turns, &askers[i].turn, source);
}

static struct asker *next(void)
{
    struct turn *turn = turns_take(&turns);
    return turn == NULL ? NULL : CONTAINER_OF(turn, struct asker, turn);
}

TEST(those_of_one_source_come_in_their_order)
{
    for (size_t i = 0; i < 5; i++) {
        ask(i, 7);
    }
    for (size_t i = 0; i < 5; i++) {
        assert_ptr_equal(next(), &askers[i]);
    }
    assert_null(next());
}

TEST(who_asks_for_one_thing_waits_for_one_of_each_other_source)
{
    for (size_t i = 0; i < 90; i++) {
        ask(i, (uint32_t)(1 + i % 3));
    }
    ask(90, 1000);
    for (size_t i = 0; i < 3; i++) {
        assert_ptr_equal(next(), &askers[i]);
    }
    assert_ptr_equal(next(), &askers[90]);
}

TEST(rows_take_turns)
{
    ask(0, 1);
    ask(1, 1);
    ask(2, 2);
    ask(3, 2);
    assert_ptr_equal(next(), &askers[0]);
    assert_ptr_equal(next(), &askers[2]);
    ask(4, 3);
    assert_ptr_equal(next(), &askers[1]);
    assert_ptr_equal(next(), &askers[3]);
    assert_ptr_equal(next(), &askers[4]);
    assert_null(next());
}

TEST(who_has_gone_gets_no_turn)
{
    ask(0, 1);
    ask(1, 1);
    ask(2, 2);
    turns_leave(&turns, &askers[0].turn);
    assert_false(turn_is_waiting(&askers[0].turn));
    assert_ptr_equal(next(), &askers[1]);
    turns_leave(&turns, &askers[2].turn);
    turns_leave(&turns, &askers[2].turn);
    assert_null(next());
    assert_true(turns_are_empty(&turns));
    assert_int_equal(turns.rows.count, 0);
}

TEST(what_everybody_needs_comes_first)
{
    ask(0, 1);
    ask(1, 0);
    ask(2, 0);
    ask(3, 2);
    assert_ptr_equal(next(), &askers[1]);
    assert_ptr_equal(next(), &askers[2]);
    assert_ptr_equal(next(), &askers[0]);
    ask(4, 0);
    assert_ptr_equal(next(), &askers[4]);
    assert_ptr_equal(next(), &askers[3]);
}

TEST(what_two_wait_for_goes_to_the_row_of_who_has_nothing_else_in_it)
{
    for (size_t i = 0; i < 5; i++) {
        ask(i, 1);
    }
    turns_hasten(&turns, &askers[4].turn, 1);
    turns_hasten(&turns, &askers[4].turn, 2);
    turns_hasten(&turns, &askers[3].turn, 2);
    assert_ptr_equal(next(), &askers[0]);
    assert_ptr_equal(next(), &askers[4]);
    turns_hasten(&turns, &askers[4].turn, 3); /* which waits no more */
    assert_ptr_equal(next(), &askers[1]);
}

TEST_MAIN(
    cmocka_unit_test_setup_teardown(what_everybody_needs_comes_first, set_up, tear_down),
    cmocka_unit_test_setup_teardown(what_two_wait_for_goes_to_the_row_of_who_has_nothing_else_in_it,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(those_of_one_source_come_in_their_order, set_up, tear_down),
    cmocka_unit_test_setup_teardown(who_asks_for_one_thing_waits_for_one_of_each_other_source,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(rows_take_turns, set_up, tear_down),
    cmocka_unit_test_setup_teardown(who_has_gone_gets_no_turn, set_up, tear_down))
