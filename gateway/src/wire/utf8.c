/*
 * utf8.c - a state is the range that the next byte must be in, and how many follow that one.
 *
 * Table 3-7 of the Unicode standard has only two kinds of special cases, both in the byte behind
 * the first: a range cut short against overlong forms, surrogates and what is above U+10FFFF. All
 * other continuation bytes are 80..BF.
 */
#include "utf8.h"

/* low | high << 8 | bytes after that one << 16; never 0 within a character, as low is at least 0x80
 */
#define STATE(low, high, after) ((utf8_state)((low) | (high) << 8 | (after) << 16))

static const uint64_t ASCII_MASK = 0x8080808080808080u;

/* The state behind a character's first byte (not ASCII), or UTF8_START when no character begins
 * with it. */
static utf8_state state_after_lead(unsigned char lead)
{
    if (lead < 0xC2) {
        return UTF8_START;
    }
    if (lead < 0xE0) {
        return STATE(0x80, 0xBF, 0);
    }
    if (lead < 0xF0) {
        return lead == 0xE0   ? STATE(0xA0, 0xBF, 1)
               : lead == 0xED ? STATE(0x80, 0x9F, 1)
                              : STATE(0x80, 0xBF, 1);
    }
    if (lead < 0xF5) {
        return lead == 0xF0   ? STATE(0x90, 0xBF, 2)
               : lead == 0xF4 ? STATE(0x80, 0x8F, 2)
                              : STATE(0x80, 0xBF, 2);
    }
    return UTF8_START;
}

bool utf8_continue(utf8_state *state, struct bytes text)
{
    if (text.len == 0) {
        return true; /* there may be no data to point at */
    }
    utf8_state s = *state;
    const char *at = text.data;
    const char *end = text.data + text.len;
    while (at < end) {
        unsigned char byte = (unsigned char)*at;
        if (s == UTF8_START) {
            /* Eight ASCII bytes at a time: nearly all of what chats and JSON are made of. */
            uint64_t word;
            while ((size_t)(end - at) >= sizeof(word) &&
                   (memcpy(&word, at, sizeof(word)), (word & ASCII_MASK) == 0)) {
                at += sizeof(word);
            }
            if (at == end) {
                break;
            }
            byte = (unsigned char)*at;
            if (byte >= 0x80 && (s = state_after_lead(byte)) == UTF8_START) {
                return false;
            }
        } else {
            if (byte < (s & 0xFF) || byte > (s >> 8 & 0xFF)) {
                return false;
            }
            uint32_t after = s >> 16;
            s = after == 0 ? UTF8_START : STATE(0x80, 0xBF, after - 1);
        }
        at++;
    }
    *state = s;
    return true;
}

bool utf8_is_valid(struct bytes text)
{
    utf8_state state = UTF8_START;
    return utf8_continue(&state, text) && state == UTF8_START;
}

static bool is_lead(char byte)
{
    return ((unsigned char)byte & 0xC0) != 0x80;
}

size_t utf8_count(struct bytes text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        count += is_lead(text.data[i]);
    }
    return count;
}

struct bytes utf8_prefix(struct bytes text, size_t code_points)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (is_lead(text.data[i]) && count++ == code_points) {
            return bytes_of(text.data, i);
        }
    }
    return text;
}

size_t utf8_encode(uint32_t code_point, char ret_bytes[4])
{
    ASSERT(code_point <= 0x10FFFF && (code_point < 0xD800 || code_point > 0xDFFF));
    if (code_point < 0x80) {
        ret_bytes[0] = (char)code_point;
        return 1;
    }
    size_t len = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    for (size_t i = len; i-- > 1; code_point >>= 6) {
        ret_bytes[i] = (char)(0x80 | (code_point & 0x3F));
    }
    static const unsigned char LEAD[] = {0, 0, 0xC0, 0xE0, 0xF0};
    ret_bytes[0] = (char)(LEAD[len] | code_point);
    return len;
}
