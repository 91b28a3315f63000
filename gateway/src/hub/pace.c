#include "pace.h"

#include <stdlib.h>

enum {
    US_PER_MS = 1000,
    US_PER_SECOND = 1000 * 1000,
    SWEPT_PER_TAKE = 2, /* more than come, so that those that are full do not pile up */
};

struct bucket {
    struct list by_use;
    uint64_t full_at_us;
    uint8_t key_len;
    char key[];
};

static struct bytes bucket_key(const void *bucket)
{
    const struct bucket *self = bucket;
    return bytes_of(self->key, self->key_len);
}

void pace_init(struct pace *pace, struct pace_rule rule)
{
    ASSERT(rule.per_second == 0 || rule.burst > 0);
    pace->rule = rule;
    map_init(&pace->buckets, bucket_key);
    list_init(&pace->by_use);
}

static void bucket_free(struct pace *pace, struct bucket *bucket)
{
    map_remove(&pace->buckets, bucket_key(bucket));
    list_leave(&bucket->by_use);
    free(bucket);
}

void pace_release(struct pace *pace)
{
    struct list *node;
    while ((node = list_first(&pace->by_use)) != NULL) {
        bucket_free(pace, CONTAINER_OF(node, struct bucket, by_use));
    }
    map_release(&pace->buckets);
}

/* How long a token takes to come back. */
static uint64_t interval_us(const struct pace *pace)
{
    return US_PER_SECOND / pace->rule.per_second;
}

uint64_t pace_wait_ms(const struct pace *pace, struct bytes key, uint64_t now_ms)
{
    if (pace->rule.per_second == 0) {
        return 0;
    }
    const struct bucket *bucket = map_get(&pace->buckets, key);
    /* With one token left, it is full again when all the others have come back. */
    uint64_t now_us = now_ms * US_PER_MS,
             latest_us = now_us + (pace->rule.burst - 1) * interval_us(pace);
    return bucket == NULL || bucket->full_at_us <= latest_us
               ? 0
               : (bucket->full_at_us - latest_us + US_PER_MS - 1) / US_PER_MS;
}

static struct bucket *bucket_new(struct pace *pace, struct bytes key)
{
    ASSERT(key.len <= PACE_KEY_BYTES_MAX);
    struct bucket *bucket = mem_alloc(sizeof(*bucket) + key.len);
    *bucket = (struct bucket){.key_len = (uint8_t)key.len};
    memcpy(bucket->key, key.data, key.len);
    list_init(&bucket->by_use);
    map_add(&pace->buckets, bucket);
    return bucket;
}

/* Lets go of some that are full again. */
static void sweep(struct pace *pace, uint64_t now_us)
{
    for (unsigned i = 0; i < SWEPT_PER_TAKE; i++) {
        struct list *node = list_first(&pace->by_use);
        struct bucket *oldest = node == NULL ? NULL : CONTAINER_OF(node, struct bucket, by_use);
        if (oldest == NULL || oldest->full_at_us > now_us) {
            return;
        }
        bucket_free(pace, oldest);
    }
}

void pace_take(struct pace *pace, struct bytes key, uint64_t now_ms)
{
    if (pace->rule.per_second == 0) {
        return;
    }
    uint64_t now_us = now_ms * US_PER_MS;
    sweep(pace, now_us);
    struct bucket *bucket = map_get(&pace->buckets, key);
    if (bucket == NULL) {
        if (pace->buckets.count >= PACE_BUCKETS_MAX) {
            return;
        }
        bucket = bucket_new(pace, key);
    }
    bucket->full_at_us = MAX_OF(bucket->full_at_us, now_us) + interval_us(pace);
    list_leave(&bucket->by_use);
    list_append(&pace->by_use, &bucket->by_use);
}
