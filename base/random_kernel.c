/*
 * random_kernel.c - random_fill() by getrandom(2).
 *
 * Alone in its file, so that a program which brings a random_fill() of its own does not link this one: so
 * gateway/sim has seeded ids, and there is no switch in the services that could have them too.
 */
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
