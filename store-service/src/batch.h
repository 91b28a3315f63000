/*
 * batch.h - what a write lane commits together: append requests of many rooms, message by message. Pure.
 *
 * A request becomes a `struct work`, each of its messages an item. Items keep the order in which they came, and are
 * tried in slices of that order: all at once; and after Postgres refused, half by half, down to the guilty one.
 *
 * Invariants  1. Of two items of one room, the earlier is never settled after the later one was stored: messages of a
 *                room keep their order.
 *             2. work->pending is the number of its items that are not settled. A work leaves (is_answered) when that is
 *                0, or earlier; its other items then count for nothing.
 * Ownership   A batch borrows its works; a work's slices borrow from its request.
 */
#ifndef PARLEY_STORE_BATCH_H
#define PARLEY_STORE_BATCH_H

#include "proto/contract.h"

struct work {
    const struct contract_append *append;
    struct contract_outcome *outcomes; /* one for each message; refusals are static strings */
    size_t pending;
    uint64_t epoch, head; /* of the room, after the newest commit that touched it; 0: none yet */
    uint64_t arrived_us;
    bool
        spans_epochs; /* commits of two settled it: an id of the older one may be another message's */
    bool is_answered;
    bool is_postponed; /* its room is locked by somebody else: it leaves, to be tried later */
    uint32_t room;     /* place in batch->rooms */
};

struct batch_item {
    struct work *work;
    size_t place;       /* of the message in its request */
    bool is_settled;    /* has its outcome */
    bool is_to_publish; /* by the commit that was just made */
    /* of the row, where that is not this request's; valid while is_to_publish */
    struct bytes stored_session;
};

struct batch {
    struct bytes *rooms; /* each once, in byte order: the order of the locks */
    size_t room_count;
    struct batch_item **items;
    size_t item_count;
    struct batch_item *item_block;
};

static inline const struct contract_new_message *batch_item_message(const struct batch_item *item)
{
    return &item->work->append->messages[item->place];
}

static inline struct contract_outcome *batch_item_outcome(const struct batch_item *item)
{
    return &item->work->outcomes[item->place];
}

/* Prepares @work for @append: nothing settled. */
void work_init(struct work *work, const struct contract_append *append, uint64_t arrived_us);
void work_release(struct work *work);

/* Notes what a commit that settles items of @work says of its room. */
void work_note_commit(struct work *work, uint64_t epoch, uint64_t head);

/*
 * Makes a batch of @works, in their order. Messages that can never be stored (text.h) are settled at once, and are no
 * items. Assigns work->room.
 */
void batch_init(struct batch *batch, struct work **works, size_t work_count);
void batch_release(struct batch *batch);

/* Gives @item its outcome: committed under @id, or refused with the sentence @refusal (a literal). */
void batch_item_store(struct batch_item *item, uint64_t id, uint64_t at_ms, bool duplicate);
/* Its room is closed for writing. */
void batch_item_forbid(struct batch_item *item);
void batch_item_refuse(struct batch_item *item, const char *refusal);

/* Moves the items of @items that still want to be stored to the front, in order; returns how many they are. */
size_t batch_keep_waiting(struct batch_item **items, size_t count);

/* Sorts @items by room, and within a room as they came. */
void batch_sort_by_room(struct batch_item **items, size_t count);

/* How many of the @count items, at least one, at the front of @items are of one room. */
size_t batch_same_room(struct batch_item *const *items, size_t count);

/*
 * From the items that are to be published, calls @on_run for each run of one room with ascending ids without a hole,
 * which fits into a payload. An id that two items have is in it once. Order of rooms: as in batch->rooms.
 */
void batch_runs(struct batch_item *const *items, size_t count,
                void (*on_run)(void *user, const struct contract_room_event *event), void *user);

#endif
