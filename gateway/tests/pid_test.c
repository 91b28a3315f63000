/*
 * pid_test.c - session tokens: what was signed comes back, and nothing else is believed.
 */
#include "base/tests/testing.h"
#include "hub/pid.h"

#include <stdlib.h>

static const char KEY_A[] = "a:000102030405060708090a0b0c0d0e0f",
                  BOTH[] = "b:101112131415161718191a1b1c1d1e1f,a:000102030405060708090a0b0c0d0e0f";

static struct pid_keys keys_of(const char *text)
{
    struct pid_keys keys;
    CHECK(pid_keys_parse(bytes_of_string(text), &keys) == NULL);
    return keys;
}

static struct pid longest(void)
{
    return (struct pid){
        .sid = BYTES("ABCDEFGHIJ0123456789"),
        .room = BYTES("rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"),
        .user = BYTES("|a|b||\xF0\x9F\x98\x80\xF0\x9F\x98\x80\xF0\x9F\x98\x80"),
        .epoch = UINT64_MAX,
        .start = UINT64_MAX,
        .issued_ms = UINT64_MAX,
    };
}

static bool is_believed(const struct pid_keys *keys, struct bytes token)
{
    struct buf storage = BUF_INIT;
    struct pid pid;
    bool is_good = pid_verify(keys, token, &storage, &pid);
    buf_release(&storage);
    return is_good;
}

TEST(what_was_signed_comes_back_also_with_bars_in_the_name)
{
    struct pid_keys keys = keys_of(KEY_A);
    struct pid in = longest(), out;
    struct buf token = BUF_INIT, storage = BUF_INIT;
    pid_sign(&keys, &in, &token);
    CHECK(token.len <= CHAT_PID_BYTES_MAX);
    CHECK(pid_verify(&keys, buf_bytes(&token), &storage, &out));
    CHECK(bytes_equal(in.sid, out.sid) && bytes_equal(in.room, out.room) &&
          bytes_equal(in.user, out.user));
    CHECK(out.epoch == in.epoch && out.start == in.start && out.issued_ms == in.issued_ms);
    buf_release(&token);
    buf_release(&storage);
}

TEST(no_token_with_a_changed_lost_or_added_byte_is_believed)
{
    struct pid_keys keys = keys_of(KEY_A);
    struct pid pid = longest();
    struct buf token = BUF_INIT;
    pid_sign(&keys, &pid, &token);
    for (size_t i = 0; i < token.len; i++) {
        char kept = token.data[i];
        for (int bit = 0; bit < 7; bit++) {
            token.data[i] = (char)(kept ^ (1 << bit));
            CHECK(!is_believed(&keys, buf_bytes(&token)));
        }
        token.data[i] = kept;
        CHECK(!is_believed(&keys, bytes_of(token.data, i)));
    }
    CHECK(is_believed(&keys, buf_bytes(&token)));
    buf_append_char(&token, 'A');
    CHECK(!is_believed(&keys, buf_bytes(&token)));
    buf_release(&token);
}

TEST(a_rotated_key_still_verifies_and_an_unknown_one_does_not)
{
    struct pid_keys old = keys_of(KEY_A), both = keys_of(BOTH), made;
    struct pid pid = longest();
    struct buf by_old = BUF_INIT, by_both = BUF_INIT;
    pid_sign(&old, &pid, &by_old);
    pid_sign(&both, &pid, &by_both);
    CHECK(is_believed(&both, buf_bytes(&by_old)) && is_believed(&both, buf_bytes(&by_both)));
    CHECK(!is_believed(&old, buf_bytes(&by_both)));
    pid_keys_make(&made);
    CHECK(!is_believed(&made, buf_bytes(&by_old)));
    buf_release(&by_old);
    buf_release(&by_both);
}

TEST(keys_that_are_wrong_are_told_and_change_nothing)
{
    static const char *const WRONG[] = {
        "",
        ":000102030405060708090a0b0c0d0e0f",
        "a:00",
        "a:000102030405060708090a0b0c0d0e0",
        "a b:000102030405060708090a0b0c0d0e0f",
        "a",
        "a:000102030405060708090a0b0c0d0e0g",
        "12345678901234567:000102030405060708090a0b0c0d0e0f",
    };
    struct pid_keys keys = {.count = 77};
    for (size_t i = 0; i < COUNT_OF(WRONG); i++) {
        CHECK(pid_keys_parse(bytes_of_string(WRONG[i]), &keys) != NULL);
    }
    assert_int_equal(keys.count, 77);
}

TEST(eight_keys_are_taken_and_a_ninth_is_refused)
{
    struct buf text = BUF_INIT;
    struct pid_keys keys;
    for (int i = 0; i < PID_KEYS_MAX; i++) {
        buf_append_format(&text, "%sk%d:000102030405060708090a0b0c0d0e0f", i > 0 ? "," : "", i);
    }
    CHECK(pid_keys_parse(buf_bytes(&text), &keys) == NULL);
    assert_int_equal(keys.count, PID_KEYS_MAX);
    buf_append_bytes(&text, BYTES(",k8:000102030405060708090a0b0c0d0e0f"));
    CHECK(pid_keys_parse(buf_bytes(&text), &keys) != NULL);
    buf_release(&text);
}

TEST_MAIN(TEST_OF(what_was_signed_comes_back_also_with_bars_in_the_name),
          TEST_OF(no_token_with_a_changed_lost_or_added_byte_is_believed),
          TEST_OF(a_rotated_key_still_verifies_and_an_unknown_one_does_not),
          TEST_OF(keys_that_are_wrong_are_told_and_change_nothing),
          TEST_OF(eight_keys_are_taken_and_a_ninth_is_refused))
