/*
 * map.c - linear probing. An entry that leaves lets those behind it move up, so that there are no
 * tombstones and a lookup ends at the first empty slot.
 */
#include "map.h"

#include "random.h"
#include <pthread.h>
#include <stdlib.h>

enum { MAP_CAPACITY_MIN = 8 };

static uint64_t hash_key[2];
static pthread_once_t hash_key_once = PTHREAD_ONCE_INIT;

static void draw_hash_key(void)
{
    random_fill(hash_key, sizeof(hash_key));
}

static inline uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

static inline void sip_absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

/* SipHash-1-3: Aumasson and Bernstein, "SipHash: a fast short-input PRF", with one and three
 * rounds. */
static uint64_t siphash13(const uint64_t key[2], struct bytes text)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                     key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
    size_t at = 0;
    for (; text.len - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, text.data + at, 8);
        sip_absorb(v, word);
    }
    uint64_t last = (uint64_t)text.len << 56;
    for (size_t i = 0; at + i < text.len; i++) {
        last |= (uint64_t)(unsigned char)text.data[at + i] << (8 * i);
    }
    sip_absorb(v, last);
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) {
        sip_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t map_hash(struct bytes key)
{
    pthread_once(&hash_key_once, draw_hash_key);
    return siphash13(hash_key, key);
}

void map_init(struct map *map, struct bytes (*key_of)(const void *value))
{
    *map = (struct map){.key_of = key_of};
}

void map_release(struct map *map)
{
    free(map->slots);
    *map = (struct map){.key_of = map->key_of};
}

/* --- slots -------------------------------------------------------------------------------------------------------- */

#define ADDRESS ((UINT64_C(1) << 48) - 1)

static void *slot_value(uint64_t slot)
{
    return (void *)(uintptr_t)(slot & ADDRESS);
}

static uint64_t slot_of(void *value, uint64_t hash)
{
    uint64_t address = (uintptr_t)value;
    ASSERT(address != 0 && (address & ~ADDRESS) == 0);
    return address | (hash & ~ADDRESS);
}

/* Where the value of @slot would be, were nothing in its way. */
static size_t slot_home(const struct map *map, uint64_t slot)
{
    return map_hash(map->key_of(slot_value(slot))) & (map->capacity - 1);
}

/* The slot that holds @key, or the empty one where it belongs. The map has at least one empty slot. */
static uint64_t *find_slot(const struct map *map, uint64_t hash, struct bytes key)
{
    size_t mask = map->capacity - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        uint64_t *slot = &map->slots[i];
        bool may_be = ((*slot ^ hash) & ~ADDRESS) == 0;
        if (*slot == 0 || (may_be && bytes_equal(map->key_of(slot_value(*slot)), key))) {
            return slot;
        }
    }
}

void *map_get(const struct map *map, struct bytes key)
{
    return map->count == 0 ? NULL : slot_value(*find_slot(map, map_hash(key), key));
}

static void grow(struct map *map)
{
    uint64_t *old = map->slots;
    size_t old_capacity = map->capacity;
    map->capacity = MAX_OF(old_capacity * 2, (size_t)MAP_CAPACITY_MIN);
    map->slots = mem_alloc_zeroed(map->capacity * sizeof(*map->slots));
    size_t mask = map->capacity - 1;
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i] != 0) {
            size_t to = slot_home(map, old[i]);
            while (map->slots[to] != 0) {
                to = (to + 1) & mask;
            }
            map->slots[to] = old[i];
        }
    }
    free(old);
}

void map_add(struct map *map, void *value)
{
    if ((map->count + 1) * 4 > map->capacity * 3) {
        grow(map);
    }
    struct bytes key = map->key_of(value);
    uint64_t hash = map_hash(key);
    uint64_t *slot = find_slot(map, hash, key);
    ASSERT(*slot == 0);
    *slot = slot_of(value, hash);
    map->count++;
}

void *map_remove(struct map *map, struct bytes key)
{
    if (map->count == 0) {
        return NULL;
    }
    uint64_t *slot = find_slot(map, map_hash(key), key);
    void *value = slot_value(*slot);
    if (value == NULL) {
        return NULL;
    }
    size_t mask = map->capacity - 1;
    size_t hole = (size_t)(slot - map->slots);
    for (size_t i = (hole + 1) & mask; map->slots[i] != 0; i = (i + 1) & mask) {
        /* An entry may move to the hole unless its own place lies behind the hole. */
        size_t home = slot_home(map, map->slots[i]);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            map->slots[hole] = map->slots[i];
            hole = i;
        }
    }
    map->slots[hole] = 0;
    map->count--;
    return value;
}

void *map_next(const struct map *map, size_t *cursor)
{
    while (*cursor < map->capacity) {
        uint64_t slot = map->slots[(*cursor)++];
        if (slot != 0) {
            return slot_value(slot);
        }
    }
    return NULL;
}
