/*
 * map.h - a hash map from byte strings to pointers.
 *
 * Keys are attacker-chosen (room names, session ids), so they are hashed with SipHash-1-3 under a key drawn at random
 * once per process. Open addressing, 8 bytes a slot, at most 3/4 full: a slot is a value's address, whose 16 upper bits,
 * which are 0 in user space (x86-64 and AArch64 with 48 bits of addresses), hold 16 bits of the hash, so that a search
 * touches hardly any value but the one it finds. The map stores no keys: the value knows its own key, and map_init() is
 * told how to get at it, so that an entry costs no copy.
 *
 * Ownership  Values stay the caller's. A value's key must not change while it is in the map.
 */
#ifndef PARLEY_MAP_H
#define PARLEY_MAP_H

#include "bytes.h"

struct map {
    uint64_t *slots; /* 0: empty; see map.c */
    size_t count;
    size_t capacity; /* 0, or a power of two */
    struct bytes (*key_of)(const void *value);
};

void map_init(struct map *map, struct bytes (*key_of)(const void *value));

/* Gives the slots back; the values are the caller's. */
void map_release(struct map *map);

/* The value with @key, or NULL. */
void *map_get(const struct map *map, struct bytes key);

/* Adds @value. Its key must not be in the map yet. */
void map_add(struct map *map, void *value);

/* Takes out the value with @key and returns it, or NULL when there is none. */
void *map_remove(struct map *map, struct bytes key);

/*
 * Walks all values in no particular order: start with *@cursor 0, ends with NULL. The map must not change meanwhile.
 */
void *map_next(const struct map *map, size_t *cursor);

/* SipHash-1-3 of @key under the process's random key: for tables of the caller's own. */
uint64_t map_hash(struct bytes key);

#endif
