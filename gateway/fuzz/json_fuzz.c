/*
 * json_fuzz.c - what json_scan() lets pass can be walked, decoded and written again; and libjansson, where it is
 * installed, is of the same opinion.
 */
#include "fuzz.h"
#include "json_opinion.h"
#include "wire/json.h"
#include "wire/utf8.h"

static void check_string(struct bytes string)
{
    struct buf text = BUF_INIT, written = BUF_INIT, again = BUF_INIT;
    buf_append_char(&text, '>');
    if (json_string_decode(string, &text) == JSON_STRING_OK) {
        struct bytes decoded = bytes_skip(buf_bytes(&text), 1);
        ASSERT(utf8_is_valid(decoded));
        ASSERT(decoded.len == 0 || memchr(decoded.data, '\0', decoded.len) == NULL);
        ASSERT(decoded.len <= string.len - 2);
        ASSERT(json_string_equals(string, decoded));
        json_write_string(&written, decoded);
        struct bytes value;
        ASSERT(json_scan(buf_bytes(&written), &value) && json_type_of(value) == JSON_STRING);
        ASSERT(json_string_decode(value, &again) == JSON_STRING_OK);
        ASSERT(bytes_equal(buf_bytes(&again), decoded));
    } else {
        ASSERT(text.len == 1);
    }
    buf_release(&text);
    buf_release(&written);
    buf_release(&again);
}

/* Walks @value, which stands within @around. Recurses as deep as values nest, JSON_DEPTH_MAX at most. */
static void walk(struct bytes value, struct bytes around, unsigned depth)
{
    ASSERT(depth <= JSON_DEPTH_MAX);
    ASSERT(value.data >= around.data && value.data + value.len <= around.data + around.len);
    struct bytes alone, key, element, found;
    ASSERT(json_scan(value, &alone) && alone.len == value.len);
    enum json_type type = json_type_of(value);
    if (type == JSON_STRING) {
        check_string(value);
    } else if (type == JSON_NUMBER) {
        uint64_t number;
        (void)!json_number_to_u64(value, &number);
    } else if (type == JSON_ARRAY) {
        struct json_iterator i = json_iterate(value);
        while (json_next_element(&i, &element)) {
            walk(element, value, depth + 1);
        }
    } else if (type == JSON_OBJECT) {
        struct json_iterator i = json_iterate(value);
        (void)!json_object_get(value, BYTES("a"), &found);
        while (json_next_member(&i, &key, &element)) {
            check_string(key);
            walk(element, value, depth + 1);
        }
    }
}

/* The deepest nesting of brackets outside of strings, in a text that is JSON. */
static unsigned depth_of(struct bytes text)
{
    unsigned depth = 0, deepest = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (in_string) {
            i += c == '\\';
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            depth++;
            deepest = MAX_OF(deepest, depth);
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return deepest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of((const char *)data, size);
    struct bytes value;
    bool is_scanned = json_scan(text, &value);
    if (is_scanned) {
        walk(value, text, 0);
    }
    enum json_opinion opinion = size > 0 ? json_opinion_of(text.data, size) : JSON_OPINION_NO;
    ASSERT(opinion != JSON_OPINION_YES || is_scanned || depth_of(text) > JSON_DEPTH_MAX);
    ASSERT(opinion != JSON_OPINION_NO || !is_scanned);
    return 0;
}
