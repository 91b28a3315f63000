#include "base/bytes.h"
#include "base/random.h"
#include "testing.h"

#include <stdlib.h>

TEST(a_number_is_read_up_to_the_largest_and_not_one_past)
{
    uint64_t value = 7;
    CHECK(bytes_to_u64(BYTES("0"), &value) && value == 0);
    CHECK(bytes_to_u64(BYTES("18446744073709551615"), &value) && value == UINT64_MAX);
    CHECK(!bytes_to_u64(BYTES("18446744073709551616"), &value));
    CHECK(!bytes_to_u64(BYTES("99999999999999999999"), &value));
    CHECK(!bytes_to_u64(BYTES("111111111111111111111"), &value));
    CHECK(value == UINT64_MAX); /* untouched on failure */
}

TEST(a_number_with_anything_else_around_it_is_refused)
{
    static const char *const wrong[] = {"",   "-1",  "+1",  " 1",  "1 ", "01",
                                        "00", "1.0", "1e3", "0x1", "١"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        uint64_t value = 7;
        CHECK(!bytes_to_u64(bytes_of_string(wrong[i]), &value));
        CHECK(value == 7);
    }
}

TEST(slices_compare_by_content_and_length)
{
    CHECK(bytes_equal((struct bytes){0}, BYTES("")));
    CHECK(bytes_equal(BYTES("a\0b"), bytes_of("a\0b", 3)));
    CHECK(!bytes_equal(BYTES("a\0b"), BYTES("a\0c")));
    CHECK(!bytes_equal(BYTES("a"), BYTES("ab")));
    CHECK(bytes_start_with(BYTES("abc"), BYTES("ab")));
    CHECK(bytes_start_with(BYTES("abc"), (struct bytes){0}));
    CHECK(!bytes_start_with(BYTES("ab"), BYTES("abc")));
    CHECK(bytes_equal(bytes_skip(BYTES("abc"), 1), BYTES("bc")));
    CHECK(bytes_skip(BYTES("abc"), 3).len == 0);
}

TEST(a_buffer_that_was_never_used_owns_nothing)
{
    struct buf buf = BUF_INIT;
    buf_append(&buf, NULL, 0);
    buf_append_bytes(&buf, (struct bytes){0});
    CHECK(buf.data == NULL && buf.capacity == 0);
    buf_release(&buf);
}

TEST(a_buffer_keeps_everything_in_order_while_it_grows)
{
    struct buf buf = BUF_INIT;
    for (uint64_t i = 0; i < 10000; i++) {
        buf_append_u64(&buf, i);
        buf_append_char(&buf, ' ');
    }
    struct bytes rest = buf_bytes(&buf);
    for (uint64_t i = 0; i < 10000; i++) {
        uint64_t value;
        size_t len = (size_t)((const char *)memchr(rest.data, ' ', rest.len) - rest.data);
        CHECK(bytes_to_u64(bytes_of(rest.data, len), &value) && value == i);
        rest = bytes_skip(rest, len + 1);
    }
    CHECK(rest.len == 0);
    buf_release(&buf);
    CHECK(buf.data == NULL && buf.len == 0 && buf.capacity == 0);
}

TEST(numbers_are_written_from_the_smallest_to_the_largest)
{
    struct buf buf = BUF_INIT;
    buf_append_u64(&buf, 0);
    buf_append_char(&buf, ' ');
    buf_append_u64(&buf, UINT64_MAX);
    CHECK_TEXT(buf_bytes(&buf), "0 18446744073709551615");
    buf_release(&buf);
}

TEST(a_format_may_be_longer_than_what_the_buffer_has_left)
{
    struct buf buf = BUF_INIT;
    buf_append_char(&buf, '<');
    buf_append_format(&buf, "%0200d", 1);
    buf_append_format(&buf, "%s", "");
    CHECK(buf.len == 201 && buf.data[200] == '1');
    buf_release(&buf);
}

TEST(consuming_keeps_the_rest_and_gives_the_block_back_at_the_end)
{
    struct buf buf = BUF_INIT;
    buf_append_bytes(&buf, BYTES("hello world"));
    buf_consume(&buf, 0);
    buf_consume(&buf, 6);
    CHECK_TEXT(buf_bytes(&buf), "world");
    buf_consume(&buf, 5);
    CHECK(buf.data == NULL && buf.capacity == 0);
    buf_consume(&buf, 0);
}

TEST(clearing_forgets_the_content_and_keeps_the_block)
{
    struct buf buf = BUF_INIT;
    buf_append_bytes(&buf, BYTES("hello"));
    char *block = buf.data;
    buf_clear(&buf);
    CHECK(buf.len == 0 && buf.data == block);
    buf_release(&buf);
}

TEST(a_copy_of_a_slice_ends_with_a_nul)
{
    char *copy = bytes_to_string(bytes_of("abcdef", 3));
    assert_string_equal(copy, "abc");
    free(copy);
    copy = bytes_to_string((struct bytes){0});
    assert_string_equal(copy, "");
    free(copy);
}

TEST(random_ids_use_the_whole_alphabet_and_nothing_else)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    bool seen[64] = {0};
    char id[4097];
    id[4096] = '#';
    random_id(id,
              4096); /* misses one of 64 characters with a chance of 64 × (63/64)^4096 = 10^-26 */
    for (size_t i = 0; i < 4096; i++) {
        const char *at = strchr(alphabet, id[i]);
        CHECK(at != NULL && id[i] != '\0');
        seen[at - alphabet] = true;
    }
    for (size_t i = 0; i < 64; i++) {
        CHECK(seen[i]);
    }
    CHECK(id[4096] == '#');
    CHECK(random_u64() != random_u64());
}

TEST_MAIN(TEST_OF(a_number_is_read_up_to_the_largest_and_not_one_past),
          TEST_OF(a_number_with_anything_else_around_it_is_refused),
          TEST_OF(slices_compare_by_content_and_length),
          TEST_OF(a_buffer_that_was_never_used_owns_nothing),
          TEST_OF(a_buffer_keeps_everything_in_order_while_it_grows),
          TEST_OF(numbers_are_written_from_the_smallest_to_the_largest),
          TEST_OF(a_format_may_be_longer_than_what_the_buffer_has_left),
          TEST_OF(consuming_keeps_the_rest_and_gives_the_block_back_at_the_end),
          TEST_OF(clearing_forgets_the_content_and_keeps_the_block),
          TEST_OF(a_copy_of_a_slice_ends_with_a_nul),
          TEST_OF(random_ids_use_the_whole_alphabet_and_nothing_else))
