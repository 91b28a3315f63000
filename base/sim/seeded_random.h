/*
 * seeded_random.h - base/random.h's random_fill() for simulations: ids and keys that a seed decides. And dice.
 *
 * It stands in for base/random_kernel.c, which is not linked then. Thread: one.
 */
#ifndef PARLEY_SIM_SEEDED_RANDOM_H
#define PARLEY_SIM_SEEDED_RANDOM_H

#include <stdint.h>

/* What random_fill() gives from now on depends on @seed alone. */
void seeded_random_set(uint64_t seed);

/* The next number of the row that *@of is the state of: splitmix64. */
uint64_t seeded_random_next(uint64_t *of);

/* Likewise, 0 .. @below - 1. */
static inline uint64_t seeded_random_below(uint64_t *of, uint64_t below)
{
    return (seeded_random_next(of) >> 11) % below;
}

#endif
