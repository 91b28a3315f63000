/*
 * utf8.h - UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef PARLEY_WIRE_UTF8_H
#define PARLEY_WIRE_UTF8_H

#include "base/bytes.h"

/* Between two pieces of a text: UTF8_START, or somewhere inside a character. */
typedef uint32_t utf8_state;
#define UTF8_START ((utf8_state)0)

/*
 * Goes on over @text from *@state. Returns false as soon as no continuation could make the text valid; *@state is then
 * of no more use. A text is complete when it returned true and *@state is UTF8_START.
 */
MUST_USE bool utf8_continue(utf8_state *state, struct bytes text);

MUST_USE bool utf8_is_valid(struct bytes text);

/* How many code points valid @text has. */
size_t utf8_count(struct bytes text);

/* The longest prefix of valid @text with at most @code_points code points. */
struct bytes utf8_prefix(struct bytes text, size_t code_points);

/* Writes @code_point (at most 0x10FFFF, no surrogate) in 1..4 bytes and returns how many. */
size_t utf8_encode(uint32_t code_point, char ret_bytes[4]);

#endif
