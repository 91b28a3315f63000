/*
 * json.h - reading JSON (RFC 8259) in place, and writing strings.
 *
 * No tree: a value is a slice of the text that it stands in. json_scan() checks a whole text once; after that the
 * iterators walk it without checking again and must only be given slices of a text that was scanned. What a client sent
 * can so be echoed byte for byte.
 *
 * Limits  JSON_DEPTH_MAX nested arrays and objects. Nothing recurses.
 */
#ifndef PARLEY_WIRE_JSON_H
#define PARLEY_WIRE_JSON_H

#include "base/bytes.h"

enum { JSON_DEPTH_MAX = 64 };

enum json_type {
    JSON_OBJECT,
    JSON_ARRAY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL
};

/*
 * Whether @text is exactly one JSON value (with blanks around it allowed) in valid UTF-8, nested at most JSON_DEPTH_MAX
 * deep. On success @ret_value is the value without the blanks. Escapes that name lone surrogates are valid JSON and
 * pass; json_string_decode() tells them apart.
 */
MUST_USE bool json_scan(struct bytes text, struct bytes *ret_value);

/* The type of a scanned value. */
enum json_type json_type_of(struct bytes value);

/* Walks the elements of an array, or the members of an object. */
struct json_iterator {
    const char *at;
    const char *end;
};

struct json_iterator json_iterate(struct bytes array_or_object);

/* The next element; false when there are no more. */
bool json_next_element(struct json_iterator *iterator, struct bytes *ret_value);

/* The next member: the key as it stands, with its quotes, and the value; false when there are no more. */
bool json_next_member(struct json_iterator *iterator, struct bytes *ret_key,
                      struct bytes *ret_value);

/* The value of member @key (plain UTF-8) of a scanned object; of several the last, as in JavaScript. */
MUST_USE bool json_object_get(struct bytes object, struct bytes key, struct bytes *ret_value);

enum json_string_result {
    JSON_STRING_OK,
    JSON_STRING_NUL,            /* contains U+0000, which Postgres text cannot hold */
    JSON_STRING_LONE_SURROGATE, /* not a Unicode text */
};

/* Appends the text of a scanned string value, escapes resolved, to @out. @out is unchanged on failure. */
MUST_USE enum json_string_result json_string_decode(struct bytes string, struct buf *out);

/* Whether the text of a scanned string value, escapes resolved, is @text. */
bool json_string_equals(struct bytes string, struct bytes text);

/* A scanned number value that is a non-negative integer below 2^64, written without fraction and exponent. */
MUST_USE bool json_number_to_u64(struct bytes number, uint64_t *ret_value);

/*
 * Appends @text (valid UTF-8) as a JSON string with its quotes. Escapes what JSON.stringify does, so that lengths are
 * the same as in the reference server.
 */
void json_write_string(struct buf *out, struct bytes text);

#endif
