/*
 * queue.h - a bounded queue between NATS's threads, which put requests in, and lanes, which take them.
 *
 * An entry is embedded in what it stands for. First in, first out. Each has an owner, of whose entries so many may wait
 * and no more, so that one that floods leaves room for the others.
 *
 * Thread      Any; a mutex inside.
 * Invariants  1. load.count <= entries_max; load.bytes <= bytes_max, but for a single entry that is larger by itself.
 *             2. An owner has a share of at most a QUEUE_SHARE_PART of both, but one entry in any case. Owners whose
 *                numbers have the same remainder are as one.
 *             3. Once closed, nothing enters; what is inside can still be taken.
 */
#ifndef PARLEY_STORE_QUEUE_H
#define PARLEY_STORE_QUEUE_H

#include "base/base.h"

#include <pthread.h>

enum { QUEUE_SHARES = 1024, QUEUE_SHARE_PART = 4 };

struct queue_entry {
    struct queue_entry *next;
    size_t bytes;
    uint64_t owner;
};

struct queue_load {
    size_t count, bytes;
};

struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct queue_entry *first, **last;
    struct queue_load load;
    struct queue_load shares[QUEUE_SHARES];
    size_t entries_max, bytes_max;
    bool is_closed;
};

enum queue_push_result {
    QUEUE_TAKEN,
    /* The entry is still the caller's: */
    QUEUE_FULL,    /* or closed */
    QUEUE_CROWDED, /* its owner's share is full */
};

enum queue_take_result {
    QUEUE_GIVEN,
    QUEUE_IDLE,   /* nothing came in time */
    QUEUE_CLOSED, /* and empty: nothing will ever come */
};

void queue_init(struct queue *queue, size_t entries_max, size_t bytes_max);

/* Nobody may use @queue any more, and it is empty. */
void queue_release(struct queue *queue);

MUST_USE enum queue_push_result queue_push(struct queue *queue, struct queue_entry *entry);

/*
 * Takes what waits, up to @entries_max entries and @bytes_max bytes but at least one entry, as a list in @ret_list;
 * waits for it at most @wait_ms.
 */
MUST_USE enum queue_take_result queue_take(struct queue *queue, size_t entries_max,
                                           size_t bytes_max, uint64_t wait_ms,
                                           struct queue_entry **ret_list);

/* Lets nothing in any more and wakes everyone who waits. */
void queue_close(struct queue *queue);

/* What is in it now. */
struct queue_load queue_load(struct queue *queue);

#endif
