/* bytes.c - growing buffers, and numbers from text. */
#include "bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUF_CAPACITY_MIN = 64, U64_DIGITS_MAX = 20 };

bool bytes_to_u64(struct bytes text, uint64_t *ret_value)
{
    if (text.len == 0 || text.len > U64_DIGITS_MAX || (text.len > 1 && text.data[0] == '0')) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)(unsigned char)text.data[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value)) {
            return false;
        }
    }
    *ret_value = value;
    return true;
}

char *bytes_to_string(struct bytes b)
{
    return mem_copy_string(b.data, b.len);
}

void buf_release(struct buf *buf)
{
    free(buf->data);
    *buf = BUF_INIT;
}

char *buf_reserve(struct buf *buf, size_t extra)
{
    ASSERT(extra <= BUF_BYTES_MAX - buf->len);
    size_t wanted = buf->len + extra;
    if (wanted > buf->capacity || buf->data == NULL) {
        /* Half as much again, so that many small appends cost a constant number of copies each. */
        size_t grown = MIN_OF(buf->capacity + (size_t)buf->capacity / 2, BUF_BYTES_MAX);
        size_t capacity = MAX_OF(MAX_OF(wanted, grown), (size_t)BUF_CAPACITY_MIN);
        buf->data = mem_resize(buf->data, capacity);
        buf->capacity = (uint32_t)capacity;
    }
    return buf->data + buf->len;
}

void buf_append(struct buf *buf, const void *data, size_t len)
{
    if (len > 0) {
        memcpy(buf_reserve(buf, len), data, len);
        buf->len += (uint32_t)len;
    }
}

void buf_append_bytes(struct buf *buf, struct bytes b)
{
    buf_append(buf, b.data, b.len);
}

void buf_append_char(struct buf *buf, char c)
{
    *buf_reserve(buf, 1) = c;
    buf->len++;
}

void buf_append_u64(struct buf *buf, uint64_t value)
{
    char digits[U64_DIGITS_MAX];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buf_append(buf, digits + at, sizeof(digits) - at);
}

void buf_append_format(struct buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ASSERT(len >= 0);
    char *to =
        buf_reserve(buf, (size_t)len + 1); /* vsnprintf ends with a NUL, which is not counted */
    vsnprintf(to, (size_t)len + 1, format, again);
    va_end(again);
    buf->len += (size_t)len;
}

void buf_consume(struct buf *buf, size_t n)
{
    ASSERT(n <= buf->len);
    if (n == buf->len) {
        buf_release(buf);
    } else if (n > 0) {
        memmove(buf->data, buf->data + n, buf->len - n);
        buf->len -= n;
    }
}
