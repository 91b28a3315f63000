#include "base64.h"

enum {
    BAD = 0xFF,
    PADDING = 64, /* in the alphabet below */
};

void base64_append(struct buf *out, struct bytes data)
{
    static const char ALPHABET[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    const unsigned char *in = (const unsigned char *)data.data;
    char *to = buf_reserve(out, (data.len + 2) / 3 * 4);
    for (size_t i = 0; i < data.len; i += 3) {
        size_t count = MIN_OF(data.len - i, (size_t)3);
        unsigned group = (unsigned)in[i] << 16;
        group |= count > 1 ? (unsigned)in[i + 1] << 8 : 0;
        group |= count > 2 ? (unsigned)in[i + 2] : 0;
        *to++ = ALPHABET[group >> 18];
        *to++ = ALPHABET[group >> 12 & 63];
        *to++ = ALPHABET[count > 1 ? group >> 6 & 63 : PADDING];
        *to++ = ALPHABET[count > 2 ? group & 63 : PADDING];
    }
    out->len += (data.len + 2) / 3 * 4;
}

static unsigned value_of(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return (unsigned)(c - 'A');
    }
    if (c >= 'a' && c <= 'z') {
        return (unsigned)(c - 'a') + 26;
    }
    if (c >= '0' && c <= '9') {
        return (unsigned)(c - '0') + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : BAD;
}

/* Writes the bytes that 2 to 4 characters of 6 bits, the last ones, make: one byte less. */
static unsigned char *write_group(unsigned group, size_t count, unsigned char *to)
{
    group <<= 6 * (4 - (unsigned)count);
    for (size_t i = 0; i + 1 < count; i++) {
        *to++ = (unsigned char)(group >> (16 - 8 * i));
    }
    return to;
}

bool base64_decode(struct bytes text, struct buf *out)
{
    unsigned char *begin = (unsigned char *)buf_reserve(out, text.len / 4 * 3 + 3), *to = begin;
    unsigned group = 0;
    size_t count = 0, padding = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        unsigned value = value_of(c);
        if (value == BAD && (c == '\n' || c == '\r')) {
            continue;
        }
        if (c == '=') {
            padding++;
            continue;
        }
        if (value == BAD || padding > 0) {
            return false;
        }
        group = group << 6 | value;
        if (++count == 4) {
            to = write_group(group, count, to);
            group = 0;
            count = 0;
        }
    }
    if (count == 1 || (padding > 0 && (padding > 2 || count + padding != 4))) {
        return false;
    }
    to = write_group(group, count, to);
    out->len += (size_t)(to - begin);
    return true;
}

/* --- safe in URLs ------------------------------------------------------------------------------------------------- */

static const char URL_ALPHABET[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64url_append(struct buf *out, struct bytes data)
{
    const unsigned char *in = (const unsigned char *)data.data;
    for (size_t i = 0; i < data.len; i += 3) {
        size_t left = MIN_OF((size_t)3, data.len - i);
        uint32_t group = (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
                         (left > 2 ? (uint32_t)in[i + 2] : 0);
        for (size_t j = 0; j <= left; j++) {
            buf_append_char(out, URL_ALPHABET[group >> (18 - 6 * j) & 63]);
        }
    }
}

static int url_value_of(char c)
{
    const char *at = c == '\0' ? NULL : strchr(URL_ALPHABET, c);
    return at == NULL ? -1 : (int)(at - URL_ALPHABET);
}

bool base64url_decode(struct bytes text, struct buf *out)
{
    size_t begin = out->len;
    uint32_t bits = 0;
    int bit_count = 0;
    bool is_good = text.len % 4 != 1;
    for (size_t i = 0; i < text.len && is_good; i++) {
        int value = url_value_of(text.data[i]);
        is_good = value >= 0;
        bits = bits << 6 | (uint32_t)(value & 63);
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            buf_append_char(out, (char)(bits >> bit_count & 0xff));
        }
    }
    is_good = is_good && (bits & ((1u << bit_count) - 1)) == 0; /* no bits that mean nothing */
    out->len = is_good ? out->len : begin;
    return is_good;
}
