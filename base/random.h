/*
 * random.h - unpredictable bytes and ids, from the kernel's generator (getrandom). Any thread.
 */
#ifndef PARLEY_RANDOM_H
#define PARLEY_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void random_fill(void *bytes, size_t len);
uint64_t random_u64(void);

/* Writes @len characters of [A-Za-z0-9_-], 6 random bits each, and no NUL. */
void random_id(char *ret_id, size_t len);

#endif
