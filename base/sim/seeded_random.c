#include "seeded_random.h"

#include "base/random.h"

static uint64_t state;

void seeded_random_set(uint64_t seed)
{
    state = seed;
}

uint64_t seeded_random_next(uint64_t *of)
{
    uint64_t mixed = *of += 0x9E3779B97F4A7C15u; /* splitmix64 */
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9u;
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBu;
    return mixed ^ mixed >> 31;
}

void random_fill(void *bytes, size_t len)
{
    unsigned char *to = bytes;
    for (size_t i = 0; i < len; i++) {
        to[i] = (unsigned char)(seeded_random_next(&state) >> 32);
    }
}
