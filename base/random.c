/* random.c - getrandom(2), and ids in the URL-safe base64 alphabet. */
#include "random.h"

#include "base.h"
#include <errno.h>
#include <sys/random.h>

void random_fill(void *bytes, size_t len)
{
    unsigned char *to = bytes;
    while (len > 0) {
        ssize_t got = getrandom(to, len, 0);
        /* It fails for no reason but a signal, once the kernel has booted. */
        ASSERT(got > 0 || errno == EINTR);
        if (got > 0) {
            to += got;
            len -= (size_t)got;
        }
    }
}

uint64_t random_u64(void)
{
    uint64_t value;
    random_fill(&value, sizeof(value));
    return value;
}

void random_id(char *ret_id, size_t len)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    random_fill(ret_id, len);
    for (size_t i = 0; i < len; i++) {
        ret_id[i] = alphabet[(unsigned char)ret_id[i] & 63];
    }
}
