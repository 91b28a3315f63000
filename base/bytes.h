/*
 * bytes.h - borrowed byte slices, and growing buffers with a stated maximum.
 *
 * A `struct bytes` never owns what it points at. A `struct buf` owns its heap block; an empty one owns nothing, so a
 * connection that is idle pays for the struct alone.
 */
#ifndef PARLEY_BYTES_H
#define PARLEY_BYTES_H

#include "base.h"
#include <string.h>

struct bytes {
    const char *data; /* not NUL-terminated; may be NULL when len is 0 */
    size_t len;
};

/* A slice over a string literal. */
#define BYTES(literal) ((struct bytes){.data = (literal), .len = sizeof(literal) - 1})

/* For printf's "%.*s". */
#define BYTES_FMT(b) (int)(b).len, (b).data

static inline struct bytes bytes_of(const char *data, size_t len)
{
    return (struct bytes){.data = data, .len = len};
}

static inline struct bytes bytes_of_string(const char *string)
{
    return bytes_of(string, strlen(string));
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool bytes_start_with(struct bytes all, struct bytes prefix)
{
    return all.len >= prefix.len &&
           (prefix.len == 0 || memcmp(all.data, prefix.data, prefix.len) == 0);
}

static inline struct bytes bytes_skip(struct bytes b, size_t n)
{
    ASSERT(n <= b.len);
    return b.len == n ? (struct bytes){0} : bytes_of(b.data + n, b.len - n);
}

/*
 * Reads all of @text as a decimal number without sign, blanks or leading zeros ("0" itself is fine).
 * Returns false, and leaves @ret_value, when it is anything else or does not fit.
 */
MUST_USE bool bytes_to_u64(struct bytes text, uint64_t *ret_value);

/* A heap copy with a NUL behind it. Returns owned. */
MUST_USE char *bytes_to_string(struct bytes b);

/* At most BUF_BYTES_MAX bytes: whoever may be asked for more has a smaller limit of its own. */
struct buf {
    char *data;
    uint32_t len;
    uint32_t capacity;
};

#define BUF_BYTES_MAX ((size_t)UINT32_MAX)

#define BUF_INIT ((struct buf){0})

/* Gives the block back. The buffer is empty and usable afterwards. */
void buf_release(struct buf *buf);

static inline struct bytes buf_bytes(const struct buf *buf)
{
    return bytes_of(buf->data, buf->len);
}

/* Forgets the content, keeps the block. */
static inline void buf_clear(struct buf *buf)
{
    buf->len = 0;
}

/* Makes room for @extra more bytes and returns where they go; the caller adds what it wrote to buf->len. */
char *buf_reserve(struct buf *buf, size_t extra);

void buf_append(struct buf *buf, const void *data, size_t len);
void buf_append_bytes(struct buf *buf, struct bytes b);
void buf_append_char(struct buf *buf, char c);
void buf_append_u64(struct buf *buf, uint64_t value);
void buf_append_format(struct buf *buf, const char *format, ...) PRINTF(2, 3);

/* Removes the first @n bytes; gives the block back when nothing is left. */
void buf_consume(struct buf *buf, size_t n);

#endif
