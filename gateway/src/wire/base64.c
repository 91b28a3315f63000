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
