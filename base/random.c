/* random.c - numbers and ids in the URL-safe base64 alphabet, out of random_fill(): random_kernel.c. */
#include "random.h"

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
