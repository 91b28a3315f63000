/*
 * json.c - a scanner that checks a whole text with one bit for each open bracket, and iterators
 * that trust it.
 */
#include "json.h"
#include "utf8.h"

static_assert(JSON_DEPTH_MAX <= 64, "the scanner's stack is the bits of a uint64_t");

struct scanner {
    const char *at;
    const char *end;
    uint64_t objects; /* bit n: the bracket at depth n + 1 is an object's */
    unsigned depth;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && is_blank(*at)) {
        at++;
    }
    return at;
}

static bool scan_char(struct scanner *s, char c)
{
    if (s->at == s->end || *s->at != c) {
        return false;
    }
    s->at++;
    return true;
}

static bool scan_word(struct scanner *s, struct bytes word)
{
    if (!bytes_start_with(bytes_of(s->at, (size_t)(s->end - s->at)), word)) {
        return false;
    }
    s->at += word.len;
    return true;
}

static bool scan_digits(struct scanner *s)
{
    const char *begin = s->at;
    while (s->at < s->end && is_digit(*s->at)) {
        s->at++;
    }
    return s->at > begin;
}

/* [ minus ] int [ frac ] [ exp ], section 6. */
static bool scan_number(struct scanner *s)
{
    scan_char(s, '-');
    if (!scan_char(s, '0') && !scan_digits(s)) {
        return false;
    }
    if (scan_char(s, '.') && !scan_digits(s)) {
        return false;
    }
    if (scan_char(s, 'e') || scan_char(s, 'E')) {
        if (!scan_char(s, '+')) {
            scan_char(s, '-');
        }
        return scan_digits(s);
    }
    return true;
}

/* The value of a hexadecimal digit, or -1. */
static int hex_value(char c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* What stands behind a backslash. */
static bool scan_escape(struct scanner *s)
{
    if (s->at == s->end) {
        return false;
    }
    char c = *s->at++;
    if (c != 'u') {
        return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
    }
    for (int i = 0; i < 4; i++, s->at++) {
        if (s->at == s->end || hex_value(*s->at) < 0) {
            return false;
        }
    }
    return true;
}

static bool scan_string(struct scanner *s)
{
    if (!scan_char(s, '"')) {
        return false;
    }
    while (s->at < s->end) {
        char c = *s->at++;
        if (c == '"') {
            return true;
        }
        if ((unsigned char)c < 0x20 || (c == '\\' && !scan_escape(s))) {
            return false;
        }
    }
    return false;
}

static bool is_in_object(const struct scanner *s)
{
    return (s->objects >> (s->depth - 1) & 1) != 0;
}

/* "key" : */
static bool scan_key(struct scanner *s)
{
    if (!scan_string(s)) {
        return false;
    }
    s->at = skip_blanks(s->at, s->end);
    return scan_char(s, ':');
}

/* Behind an opening bracket. *@ret_is_empty: its closing bracket was taken too. */
static bool scan_open(struct scanner *s, bool is_object, bool *ret_is_empty)
{
    if (s->depth == JSON_DEPTH_MAX) {
        return false;
    }
    uint64_t bit = (uint64_t)1 << s->depth++;
    s->objects = is_object ? s->objects | bit : s->objects & ~bit;
    s->at = skip_blanks(s->at, s->end);
    *ret_is_empty = scan_char(s, is_object ? '}' : ']');
    if (*ret_is_empty) {
        s->depth--;
        return true;
    }
    return !is_object || scan_key(s);
}

/* Behind a whole value: takes the brackets that it closes, and the comma and key before the next
 * one. */
static bool scan_behind_value(struct scanner *s)
{
    while (s->depth > 0) {
        s->at = skip_blanks(s->at, s->end);
        bool in_object = is_in_object(s);
        if (scan_char(s, ',')) {
            s->at = skip_blanks(s->at, s->end);
            return !in_object || scan_key(s);
        }
        if (!scan_char(s, in_object ? '}' : ']')) {
            return false;
        }
        s->depth--;
    }
    return true;
}

/* A value that is no array and no object. */
static bool scan_scalar(struct scanner *s)
{
    switch (*s->at) {
    case '"': return scan_string(s);
    case 't': return scan_word(s, BYTES("true"));
    case 'f': return scan_word(s, BYTES("false"));
    case 'n': return scan_word(s, BYTES("null"));
    default: return scan_number(s);
    }
}

/* One value, from its first byte to its last. */
static bool scan_value(struct scanner *s)
{
    do {
        s->at = skip_blanks(s->at, s->end);
        if (s->at == s->end) {
            return false;
        }
        if (*s->at == '[' || *s->at == '{') {
            bool is_object = *s->at++ == '{';
            bool is_empty = false;
            if (!scan_open(s, is_object, &is_empty)) {
                return false;
            }
            if (!is_empty) {
                continue;
            }
        } else if (!scan_scalar(s)) {
            return false;
        }
        if (!scan_behind_value(s)) {
            return false;
        }
    } while (s->depth > 0);
    return true;
}

bool json_scan(struct bytes text, struct bytes *ret_value)
{
    if (text.len == 0 || !utf8_is_valid(text)) {
        return false;
    }
    struct scanner s = {.at = text.data, .end = text.data + text.len};
    s.at = skip_blanks(s.at, s.end);
    const char *begin = s.at;
    if (!scan_value(&s)) {
        return false;
    }
    const char *end = s.at;
    if (skip_blanks(end, s.end) != s.end) {
        return false;
    }
    *ret_value = bytes_of(begin, (size_t)(end - begin));
    return true;
}

enum json_type json_type_of(struct bytes value)
{
    ASSERT(value.len > 0);
    switch (value.data[0]) {
    case '{': return JSON_OBJECT;
    case '[': return JSON_ARRAY;
    case '"': return JSON_STRING;
    case 't': return JSON_TRUE;
    case 'f': return JSON_FALSE;
    case 'n': return JSON_NULL;
    default: return JSON_NUMBER;
    }
}

/* The end of the scanned string that begins at @at. */
static const char *skip_string(const char *at, const char *end)
{
    for (const char *from = at + 1;;) {
        const char *quote = memchr(from, '"', (size_t)(end - from));
        ASSERT(quote != NULL);
        const char *escapes = quote;
        while (escapes > from && escapes[-1] == '\\') {
            escapes--;
        }
        from = quote + 1;
        bool is_escaped = (quote - escapes) % 2 != 0;
        if (!is_escaped) {
            return from;
        }
    }
}

/* The end of the scanned value that begins at @at. */
static const char *skip_value(const char *at, const char *end)
{
    unsigned depth = 0;
    do {
        ASSERT(at < end);
        switch (*at) {
        case '"': at = skip_string(at, end); break;
        case '[':
        case '{':
            depth++;
            at++;
            break;
        case ']':
        case '}':
            depth--;
            at++;
            break;
        default: at++;
        }
    } while (depth > 0);
    return at;
}

/* As skip_value(), for values that have no mark at their end. */
static const char *skip_scalar(const char *at, const char *end)
{
    while (at < end && !is_blank(*at) && *at != ',' && *at != ']' && *at != '}') {
        at++;
    }
    return at;
}

static struct bytes take_value(struct json_iterator *iterator)
{
    const char *begin = iterator->at;
    ASSERT(begin < iterator->end);
    bool has_end_mark = *begin == '"' || *begin == '[' || *begin == '{';
    iterator->at =
        has_end_mark ? skip_value(begin, iterator->end) : skip_scalar(begin, iterator->end);
    return bytes_of(begin, (size_t)(iterator->at - begin));
}

struct json_iterator json_iterate(struct bytes array_or_object)
{
    ASSERT(array_or_object.len >= 2);
    return (struct json_iterator){
        .at = array_or_object.data + 1,
        .end = array_or_object.data + array_or_object.len - 1,
    };
}

/* Steps to the next element or key, over the comma where there is one. */
static bool step(struct json_iterator *iterator)
{
    iterator->at = skip_blanks(iterator->at, iterator->end);
    if (iterator->at < iterator->end && *iterator->at == ',') {
        iterator->at = skip_blanks(iterator->at + 1, iterator->end);
    }
    return iterator->at < iterator->end;
}

bool json_next_element(struct json_iterator *iterator, struct bytes *ret_value)
{
    if (!step(iterator)) {
        return false;
    }
    *ret_value = take_value(iterator);
    return true;
}

bool json_next_member(struct json_iterator *iterator, struct bytes *ret_key,
                      struct bytes *ret_value)
{
    if (!step(iterator)) {
        return false;
    }
    *ret_key = take_value(iterator);
    iterator->at = skip_blanks(iterator->at, iterator->end) + 1; /* the colon */
    iterator->at = skip_blanks(iterator->at, iterator->end);
    *ret_value = take_value(iterator);
    return true;
}

bool json_object_get(struct bytes object, struct bytes key, struct bytes *ret_value)
{
    struct json_iterator members = json_iterate(object);
    struct bytes found_key, value;
    bool is_found = false;
    while (json_next_member(&members, &found_key, &value)) {
        if (json_string_equals(found_key, key)) {
            *ret_value = value;
            is_found = true;
        }
    }
    return is_found;
}
