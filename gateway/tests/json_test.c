#include "base/tests/testing.h"
#include "wire/json.h"

#include <stdlib.h>

static bool is_json(struct bytes text)
{
    struct bytes value;
    return json_scan(text, &value);
}

static struct bytes scanned(const char *text)
{
    struct bytes value = {0};
    CHECK(json_scan(bytes_of_string(text), &value));
    return value;
}

TEST(what_rfc_8259_allows_is_accepted)
{
    static const char *const VALID[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "10",
        "-12.50e+3",
        "1E5",
        "1e-05",
        "0.1",
        "\"\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\ud800\"",
        "\"\x7F é 😀\"",
        "[]",
        "{}",
        "[[],[{}]]",
        " [ 1 , 2 ] ",
        "\t\r\n{ \"a\" : 1 , \"\" : [ ] }\n",
        "{\"a\":1,\"a\":2}",
    };
    for (size_t i = 0; i < COUNT_OF(VALID); i++) {
        CHECK(is_json(bytes_of_string(VALID[i])));
    }
}

TEST(what_rfc_8259_does_not_allow_is_refused)
{
    static const char *const INVALID[] = {
        "",
        " ",
        "nul",
        "nulll",
        "True",
        "+1",
        "01",
        "-",
        "-a",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x1",
        "1 2",
        "NaN",
        "Infinity",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "\"\t\"",
        "'a'",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{",
        "}",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "{\"a\" 1}",
        "{\"a\":1]",
        "{,}",
        "[]]",
        "\xEF\xBB\xBF[]",
        "/**/1",
        "\"\xFF\"",
        "\"\xED\xA0\x80\"",
        "[1]x",
        "\v1",
    };
    struct bytes value = BYTES("untouched");
    for (size_t i = 0; i < COUNT_OF(INVALID); i++) {
        CHECK(!json_scan(bytes_of_string(INVALID[i]), &value));
    }
    CHECK(!json_scan(bytes_of("\"a\0b\"", 5), &value));
    CHECK(!json_scan(bytes_of("\"\\\0\"", 4), &value));
    CHECK(!json_scan((struct bytes){0}, &value));
    CHECK_TEXT(value, "untouched");
}

TEST(values_may_nest_to_the_limit_and_not_one_deeper)
{
    for (int is_object = 0; is_object <= 1; is_object++) {
        for (int depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
            struct buf text = BUF_INIT;
            for (int i = 0; i < depth; i++) {
                buf_append_bytes(&text, is_object ? BYTES("{\"k\":") : BYTES("["));
            }
            buf_append_bytes(&text, BYTES("1"));
            for (int i = 0; i < depth; i++) {
                buf_append_char(&text, is_object ? '}' : ']');
            }
            assert_int_equal(is_json(buf_bytes(&text)), depth == JSON_DEPTH_MAX);
            buf_release(&text);
        }
    }
}

TEST(a_scanned_value_is_without_the_blanks_around_it)
{
    CHECK_TEXT(scanned(" \t[ 1 ]\r\n"), "[ 1 ]");
    CHECK_TEXT(scanned(" 12 "), "12");
    CHECK_TEXT(scanned("\"a \""), "\"a \"");
}

TEST(types_are_told)
{
    CHECK(json_type_of(scanned("{}")) == JSON_OBJECT);
    CHECK(json_type_of(scanned("[]")) == JSON_ARRAY);
    CHECK(json_type_of(scanned("\"\"")) == JSON_STRING);
    CHECK(json_type_of(scanned("-1")) == JSON_NUMBER);
    CHECK(json_type_of(scanned("0")) == JSON_NUMBER);
    CHECK(json_type_of(scanned("true")) == JSON_TRUE);
    CHECK(json_type_of(scanned("false")) == JSON_FALSE);
    CHECK(json_type_of(scanned("null")) == JSON_NULL);
}

TEST(elements_come_as_they_stand)
{
    static const char *const EXPECTED[] = {"1",    "-2.5e3",        "\"a,]\\\"\"", "[ 1 , [2] ]",
                                           "null", "{\"}\":\"]\"}", "{ }",         "true"};
    struct json_iterator i = json_iterate(
        scanned("[ 1,-2.5e3 ,\"a,]\\\"\",[ 1 , [2] ],null, {\"}\":\"]\"},{ } , true ]"));
    struct bytes value;
    for (size_t n = 0; n < COUNT_OF(EXPECTED); n++) {
        CHECK(json_next_element(&i, &value));
        CHECK_TEXT(value, EXPECTED[n]);
    }
    CHECK(!json_next_element(&i, &value));
    CHECK(!json_next_element(&i, &value));

    i = json_iterate(scanned("[ ]"));
    CHECK(!json_next_element(&i, &value));
}

TEST(members_come_with_their_keys)
{
    struct json_iterator i =
        json_iterate(scanned("{ \"a\" : 1 ,\"b:,}\":{\"c\":[]}, \"\":\"x\" }"));
    struct bytes key, value;
    CHECK(json_next_member(&i, &key, &value));
    CHECK_TEXT(key, "\"a\"");
    CHECK_TEXT(value, "1");
    CHECK(json_next_member(&i, &key, &value));
    CHECK_TEXT(key, "\"b:,}\"");
    CHECK_TEXT(value, "{\"c\":[]}");
    CHECK(json_next_member(&i, &key, &value));
    CHECK_TEXT(key, "\"\"");
    CHECK_TEXT(value, "\"x\"");
    CHECK(!json_next_member(&i, &key, &value));
}

TEST(a_member_is_found_by_its_text_and_the_last_of_several_counts)
{
    struct bytes object = scanned("{\"a\":1,\"b\":{\"z\":9},\"\\u0061\":3,\"\\ud800\":4}");
    struct bytes value;
    CHECK(json_object_get(object, BYTES("a"), &value));
    CHECK_TEXT(value, "3");
    CHECK(json_object_get(object, BYTES("b"), &value));
    CHECK_TEXT(value, "{\"z\":9}");
    CHECK(!json_object_get(object, BYTES("z"), &value));
    CHECK(!json_object_get(scanned("{}"), BYTES("a"), &value));
    CHECK_TEXT(value, "{\"z\":9}");
}

static void check_decoded(const char *string, const char *expected)
{
    struct buf out = BUF_INIT;
    buf_append_char(&out, '>');
    CHECK(json_string_decode(scanned(string), &out) == JSON_STRING_OK);
    CHECK_TEXT(bytes_skip(buf_bytes(&out), 1), expected);
    buf_release(&out);
}

TEST(strings_are_decoded)
{
    check_decoded("\"\"", "");
    check_decoded("\"plain é 😀\"", "plain é 😀");
    check_decoded("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t");
    check_decoded("\"\\u0041\\u00e9\\u65E5\\uFFFF\\u0001\"", "Aé日\xEF\xBF\xBF\x01");
    check_decoded("\"x\\ud83d\\ude00y\"", "x😀y");
    check_decoded("\"\\uD800\\uDC00\\udbff\\udfff\"", "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF");
}

TEST(strings_that_are_no_text_leave_the_output_alone)
{
    static const struct {
        const char *string;
        enum json_string_result result;
    } CASES[] = {
        {"\"a\\u0000\"", JSON_STRING_NUL},
        {"\"a\\ud800\"", JSON_STRING_LONE_SURROGATE},
        {"\"a\\ud800b\"", JSON_STRING_LONE_SURROGATE},
        {"\"a\\ud800\\n\"", JSON_STRING_LONE_SURROGATE},
        {"\"a\\ud800\\u0041\"", JSON_STRING_LONE_SURROGATE},
        {"\"a\\ud800\\ud800\"", JSON_STRING_LONE_SURROGATE},
        {"\"a\\udc00\"", JSON_STRING_LONE_SURROGATE},
        {"\"a\\udc00\\ud800\"", JSON_STRING_LONE_SURROGATE},
        {"\"a\\ud800\\ue000\"", JSON_STRING_LONE_SURROGATE},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct buf out = BUF_INIT;
        buf_append_bytes(&out, BYTES("kept"));
        assert_int_equal(json_string_decode(scanned(CASES[i].string), &out), CASES[i].result);
        CHECK_TEXT(buf_bytes(&out), "kept");
        buf_release(&out);
    }
}

TEST(strings_are_compared_by_their_text)
{
    CHECK(json_string_equals(BYTES("\"\""), (struct bytes){0}));
    CHECK(json_string_equals(BYTES("\"ab\""), BYTES("ab")));
    CHECK(json_string_equals(BYTES("\"\\u0061\\u0062\""), BYTES("ab")));
    CHECK(!json_string_equals(BYTES("\"a\""), BYTES("ab")));
    CHECK(!json_string_equals(BYTES("\"abc\""), BYTES("ab")));
    CHECK(!json_string_equals(BYTES("\"\\u0061\\u0062\\u0063\""), BYTES("ab")));
    CHECK(!json_string_equals(BYTES("\"\\u0000\""), BYTES("a")));
}

TEST(numbers_are_read_up_to_the_largest_integer_and_nothing_else_is)
{
    uint64_t value = 7;
    CHECK(json_number_to_u64(scanned("18446744073709551615"), &value) && value == UINT64_MAX);
    CHECK(!json_number_to_u64(scanned("18446744073709551616"), &value));
    CHECK(!json_number_to_u64(scanned("-1"), &value));
    CHECK(!json_number_to_u64(scanned("-0"), &value));
    CHECK(!json_number_to_u64(scanned("1.0"), &value));
    CHECK(!json_number_to_u64(scanned("1e3"), &value));
    CHECK(value == UINT64_MAX);
    CHECK(json_number_to_u64(scanned("0"), &value) && value == 0);
}

TEST(strings_are_written_as_json_stringify_does)
{
    struct buf out = BUF_INIT;
    json_write_string(&out, BYTES("a\"b\\c/\b\t\n\f\r\x01\x0B\x1F\x7F é 😀 \xE2\x80\xA8"));
    CHECK_TEXT(buf_bytes(&out),
               "\"a\\\"b\\\\c/\\b\\t\\n\\f\\r\\u0001\\u000b\\u001f\x7F é 😀 \xE2\x80\xA8\"");
    buf_clear(&out);
    json_write_string(&out, (struct bytes){0});
    CHECK_TEXT(buf_bytes(&out), "\"\"");
    buf_release(&out);
}

TEST_MAIN(TEST_OF(what_rfc_8259_allows_is_accepted),
          TEST_OF(what_rfc_8259_does_not_allow_is_refused),
          TEST_OF(values_may_nest_to_the_limit_and_not_one_deeper),
          TEST_OF(a_scanned_value_is_without_the_blanks_around_it), TEST_OF(types_are_told),
          TEST_OF(elements_come_as_they_stand), TEST_OF(members_come_with_their_keys),
          TEST_OF(a_member_is_found_by_its_text_and_the_last_of_several_counts),
          TEST_OF(strings_are_decoded), TEST_OF(strings_that_are_no_text_leave_the_output_alone),
          TEST_OF(strings_are_compared_by_their_text),
          TEST_OF(numbers_are_read_up_to_the_largest_integer_and_nothing_else_is),
          TEST_OF(strings_are_written_as_json_stringify_does))
