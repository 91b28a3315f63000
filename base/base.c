/* base.c - assertions, and allocations that cannot fail. */
#include "base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "parley: assertion failed: %s (%s:%d)\n", condition, file, line);
    abort();
}

static void *check_memory(void *block, size_t size)
{
    if (UNLIKELY(block == NULL && size > 0)) {
        fprintf(stderr, "parley: out of memory, %zu bytes wanted\n", size);
        abort();
    }
    return block;
}

void *mem_alloc(size_t size)
{
    return check_memory(malloc(size), size);
}

void *mem_alloc_zeroed(size_t size)
{
    return check_memory(calloc(1, size), size);
}

void *mem_resize(void *block, size_t size)
{
    return check_memory(realloc(block, size), size);
}

char *mem_copy_string(const char *data, size_t len)
{
    char *copy = mem_alloc(len + 1);
    if (len > 0) {
        memcpy(copy, data, len);
    }
    copy[len] = '\0';
    return copy;
}
