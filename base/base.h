/*
 * base.h - the few words that every file of both services uses.
 *
 * Three kinds of wrong: our own bug is an ASSERT (on in release builds too, prints and aborts); the world's weather is
 * a MUST_USE enum that says what the caller does next; the peer's fault is a value that closes or refuses just that
 * peer. Running out of memory aborts, as it does in libh2o: memory is bounded by limits, not by failing mallocs.
 */
#ifndef PARLEY_BASE_H
#define PARLEY_BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_USE         __attribute__((warn_unused_result))
#define PRINTF(fmt, arg) __attribute__((format(printf, fmt, arg)))
#define NORETURN         __attribute__((noreturn))
#define UNLIKELY(x)      __builtin_expect(!!(x), 0)
#define COUNT_OF(array)  (sizeof(array) / sizeof((array)[0]))
#define MIN_OF(a, b)     ((a) < (b) ? (a) : (b))
#define MAX_OF(a, b)     ((a) > (b) ? (a) : (b))

/* The object of @type whose member @field is at @pointer. */
#define CONTAINER_OF(pointer, type, field) ((type *)((char *)(pointer)-offsetof(type, field)))

#define ASSERT(condition)                                  \
    do {                                                   \
        if (UNLIKELY(!(condition))) {                      \
            assert_failed(#condition, __FILE__, __LINE__); \
        }                                                  \
    } while (0)

NORETURN void assert_failed(const char *condition, const char *file, int line);

/* malloc, calloc and realloc that abort when there is no memory. Free with free(). Never return NULL for @size > 0. */
MUST_USE void *mem_alloc(size_t size);
MUST_USE void *mem_alloc_zeroed(size_t size);
MUST_USE void *mem_resize(void *block, size_t size);

/* A heap copy of @len bytes with a NUL behind them. Returns owned. */
MUST_USE char *mem_copy_string(const char *data, size_t len);

#endif
