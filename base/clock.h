/*
 * clock.h - the two clocks. Only edge code and main() read them; everything below gets the time as an argument.
 */
#ifndef PARLEY_CLOCK_H
#define PARLEY_CLOCK_H

#include <stdint.h>

/* CPU time that the calling thread has used, in microseconds. */
uint64_t clock_thread_cpu_us(void);

/* Milliseconds and microseconds of CLOCK_MONOTONIC: for timeouts and durations. */
uint64_t clock_monotonic_ms(void);
uint64_t clock_monotonic_us(void);

/* Milliseconds since 1970-01-01 UTC: for people and for what is stored. */
uint64_t clock_wall_ms(void);

#endif
