#include "base/map.h"
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>

struct item {
    char key[16];
    bool is_in;
};

static struct bytes item_key(const void *value)
{
    return bytes_of_string(((const struct item *)value)->key);
}

TEST(an_empty_map_has_nothing_and_owns_nothing)
{
    struct map map;
    size_t cursor = 0;
    map_init(&map, item_key);
    CHECK(map_get(&map, BYTES("a")) == NULL);
    CHECK(map_remove(&map, BYTES("a")) == NULL);
    CHECK(map_next(&map, &cursor) == NULL);
    CHECK(map.slots == NULL);
    map_release(&map);
}

TEST(keys_with_zero_bytes_and_the_empty_key_are_keys)
{
    struct item empty = {.key = ""};
    struct map map;
    map_init(&map, item_key);
    map_add(&map, &empty);
    CHECK(map_get(&map, (struct bytes){0}) == &empty);
    CHECK(map_get(&map, BYTES("\0")) == NULL);
    CHECK(map_remove(&map, BYTES("")) == &empty);
    CHECK(map.count == 0);
    map_release(&map);
}

/* Adds and removes at random, and compares with the flags that the items carry. */
TEST(a_map_agrees_with_a_plain_list_through_many_changes)
{
    enum { ITEMS = 300, STEPS = 60000 };
    static struct item items[ITEMS];
    struct map map;
    map_init(&map, item_key);
    srand(1);
    for (int i = 0; i < ITEMS; i++) {
        snprintf(items[i].key, sizeof(items[i].key), "key %d", i);
    }
    size_t count = 0;
    for (int step = 0; step < STEPS; step++) {
        struct item *item = &items[rand() % ITEMS];
        CHECK(map_get(&map, item_key(item)) == (item->is_in ? item : NULL));
        if (item->is_in) {
            CHECK(map_remove(&map, item_key(item)) == item);
        } else {
            map_add(&map, item);
        }
        item->is_in = !item->is_in;
        count += item->is_in ? 1 : (size_t)-1;
        CHECK(map.count == count);
    }
    for (int i = 0; i < ITEMS; i++) {
        CHECK(map_get(&map, item_key(&items[i])) == (items[i].is_in ? &items[i] : NULL));
    }
    CHECK(map.count * 4 <= map.capacity * 3);
    map_release(&map);
}

TEST(a_walk_meets_every_value_once)
{
    enum { ITEMS = 100 };
    static struct item items[ITEMS];
    struct map map;
    map_init(&map, item_key);
    for (int i = 0; i < ITEMS; i++) {
        snprintf(items[i].key, sizeof(items[i].key), "%d", i);
        map_add(&map, &items[i]);
    }
    size_t cursor = 0, met = 0;
    for (struct item *item; (item = map_next(&map, &cursor)) != NULL; met++) {
        CHECK(!item->is_in);
        item->is_in = true;
    }
    CHECK(met == ITEMS);
    map_release(&map);
}

TEST(the_hash_is_stable_within_the_process_and_sees_every_byte)
{
    char text[33] = {0};
    for (size_t len = 0; len <= 32; len++) {
        uint64_t before = map_hash(bytes_of(text, len));
        CHECK(map_hash(bytes_of(text, len)) == before);
        for (size_t i = 0; i < len; i++) {
            text[i] ^= 1;
            CHECK(map_hash(bytes_of(text, len)) != before);
            text[i] ^= 1;
        }
        CHECK(map_hash(bytes_of(text, len + 1)) != before || len == 32);
    }
}

TEST_MAIN(TEST_OF(an_empty_map_has_nothing_and_owns_nothing),
          TEST_OF(keys_with_zero_bytes_and_the_empty_key_are_keys),
          TEST_OF(a_map_agrees_with_a_plain_list_through_many_changes),
          TEST_OF(a_walk_meets_every_value_once),
          TEST_OF(the_hash_is_stable_within_the_process_and_sees_every_byte))
