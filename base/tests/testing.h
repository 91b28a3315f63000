/*
 * testing.h - what cmocka needs in front of it, and short names for tests that read as sentences.
 *
 *     TEST(a_buffer_that_was_never_used_owns_nothing) { … }
 *     TEST_MAIN(TEST_OF(a_buffer_that_was_never_used_owns_nothing))
 */
#ifndef PARLEY_TESTING_H
#define PARLEY_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TEST(name)    static void name(void **state __attribute__((unused)))
#define TEST_OF(name) cmocka_unit_test(name)
/* The program's main(): runs the tests one after the other, all between @set_up and @tear_down (or
 * NULL). */
#define TEST_MAIN_WITH(set_up, tear_down, ...)                   \
    int main(void)                                               \
    {                                                            \
        const struct CMUnitTest tests[] = {__VA_ARGS__};         \
        return cmocka_run_group_tests(tests, set_up, tear_down); \
    }
#define TEST_MAIN(...) TEST_MAIN_WITH(NULL, NULL, __VA_ARGS__)

#define CHECK(condition) assert_true(condition)

/* Checks that @actual (struct bytes) holds the same as @expected (a C string). */
#define CHECK_TEXT(actual, expected)            \
    do {                                        \
        struct bytes actual_ = (actual);        \
        char *text_ = bytes_to_string(actual_); \
        assert_string_equal(text_, expected);   \
        free(text_);                            \
    } while (0)

#endif
