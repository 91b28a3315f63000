#include "base/tests/testing.h"
#include "wire/utf8.h"

/* A decoder after the definition of UTF-8, to compare with: slow, and not clever. */
static bool reference_is_valid(const unsigned char *text, size_t len)
{
    size_t i = 0;
    while (i < len) {
        unsigned char lead = text[i++];
        if (lead < 0x80) {
            continue;
        }
        unsigned more = (lead & 0xE0) == 0xC0   ? 1
                        : (lead & 0xF0) == 0xE0 ? 2
                        : (lead & 0xF8) == 0xF0 ? 3
                                                : 0;
        if (more == 0 || len - i < more) {
            return false;
        }
        uint32_t code_point = lead & (0x3Fu >> more);
        for (unsigned j = 0; j < more; j++) {
            if ((text[i] & 0xC0) != 0x80) {
                return false;
            }
            code_point = code_point << 6 | (text[i++] & 0x3F);
        }
        static const uint32_t MIN[] = {0, 0x80, 0x800, 0x10000};
        if (code_point < MIN[more] || code_point > 0x10FFFF ||
            (code_point >= 0xD800 && code_point <= 0xDFFF)) {
            return false;
        }
    }
    return true;
}

/* Bytes at the borders of every rule. */
static const unsigned char BORDERS[] = {
    0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF,
    0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
};

TEST(every_sequence_of_border_bytes_is_judged_as_the_definition_does)
{
    enum { N = COUNT_OF(BORDERS) };
    for (unsigned n = 0; n < N * N * N * N; n++) {
        unsigned char text[4] = {BORDERS[n % N], BORDERS[n / N % N], BORDERS[n / N / N % N],
                                 BORDERS[n / N / N / N]};
        for (size_t len = 1; len <= sizeof(text); len++) {
            bool is_valid = utf8_is_valid(bytes_of((const char *)text, len));
            assert_int_equal(is_valid, reference_is_valid(text, len));
        }
    }
}

TEST(every_code_point_is_encoded_as_valid_text_and_counted_as_one)
{
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        if (c == 0xD800) {
            c = 0xE000;
        }
        char text[4];
        size_t len = utf8_encode(c, text);
        size_t expected = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        assert_int_equal(len, expected);
        CHECK(utf8_is_valid(bytes_of(text, len)));
        assert_int_equal(utf8_count(bytes_of(text, len)), 1);
    }
    char text[4];
    CHECK(utf8_encode(0x1F600, text) == 4 && memcmp(text, "😀", 4) == 0);
}

TEST(an_invalid_byte_is_found_at_every_place_of_a_long_ascii_text)
{
    char text[40];
    for (size_t i = 0; i < sizeof(text); i++) {
        memset(text, 'a', sizeof(text));
        CHECK(utf8_is_valid(bytes_of(text, sizeof(text))));
        text[i] = (char)0xFF;
        CHECK(!utf8_is_valid(bytes_of(text, sizeof(text))));
    }
}

TEST(a_text_cut_anywhere_goes_on_from_its_state)
{
    const struct bytes text = BYTES("abcdefgh κόσμε 😀 日本語 12345678");
    for (size_t cut = 0; cut <= text.len; cut++) {
        utf8_state s = UTF8_START;
        CHECK(utf8_continue(&s, bytes_of(text.data, cut)));
        bool is_between = cut == text.len || ((unsigned char)text.data[cut] & 0xC0) != 0x80;
        assert_int_equal(s == UTF8_START, is_between);
        CHECK(utf8_continue(&s, bytes_skip(text, cut)));
        CHECK(s == UTF8_START);
    }
}

TEST(a_text_that_cannot_become_valid_is_refused_at_once)
{
    utf8_state s = UTF8_START;
    CHECK(utf8_continue(&s, BYTES("\xF4")));
    CHECK(!utf8_continue(&s, BYTES("\x90"))); /* above U+10FFFF, whatever follows */
    s = UTF8_START;
    CHECK(!utf8_continue(&s, BYTES("\xED\xA0"))); /* a surrogate */
    CHECK(!utf8_is_valid(BYTES("\xE2\x82")));     /* not complete */
    CHECK(utf8_is_valid((struct bytes){0}));
}

TEST(a_prefix_ends_between_characters)
{
    const struct bytes text = BYTES("aé日😀b");
    static const size_t LENGTHS[] = {0, 1, 3, 6, 10, 11, 11};
    for (size_t i = 0; i < COUNT_OF(LENGTHS); i++) {
        assert_int_equal(utf8_prefix(text, i).len, LENGTHS[i]);
    }
    assert_int_equal(utf8_count(text), 5);
    assert_int_equal(utf8_prefix((struct bytes){0}, 3).len, 0);
}

TEST_MAIN(TEST_OF(every_sequence_of_border_bytes_is_judged_as_the_definition_does),
          TEST_OF(every_code_point_is_encoded_as_valid_text_and_counted_as_one),
          TEST_OF(an_invalid_byte_is_found_at_every_place_of_a_long_ascii_text),
          TEST_OF(a_text_cut_anywhere_goes_on_from_its_state),
          TEST_OF(a_text_that_cannot_become_valid_is_refused_at_once),
          TEST_OF(a_prefix_ends_between_characters))
