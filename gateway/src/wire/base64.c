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

/* Decodes 2 to 4 characters to one byte less. */
static bool decode_group(const char *text, size_t count, unsigned char *ret_bytes)
{
    unsigned group = 0, seen = 0;
    for (size_t i = 0; i < 4; i++) {
        unsigned value = i < count ? value_of(text[i]) : 0;
        seen |= value;
        group = group << 6 | (value & 63);
    }
    for (size_t i = 0; i + 1 < count; i++) {
        ret_bytes[i] = (unsigned char)(group >> (16 - 8 * i));
    }
    return seen < 64;
}

bool base64_decode(struct bytes text, struct buf *out)
{
    if (text.len > 0 && text.len % 4 == 0) {
        text.len -= text.data[text.len - 1] == '=';
        text.len -= text.len % 4 == 3 && text.data[text.len - 1] == '=';
    }
    if (text.len % 4 == 1) {
        return false;
    }
    unsigned char *to = (unsigned char *)buf_reserve(out, text.len / 4 * 3 + 3);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i += 4) {
        size_t count = MIN_OF(text.len - i, (size_t)4);
        if (!decode_group(text.data + i, count, to + len)) {
            return false;
        }
        len += count - 1;
    }
    out->len += len;
    return true;
}
