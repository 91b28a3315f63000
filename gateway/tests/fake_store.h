/*
 * fake_store.h - a store-service and its Postgres, in memory: what the contract promises, no more.
 *
 * Appends are carried out at once and whole, as in one transaction; the caller decides when a request arrives, whether
 * its answer and its broadcasts get out, and how late.
 */
#ifndef PARLEY_TESTS_FAKE_STORE_H
#define PARLEY_TESTS_FAKE_STORE_H

#include "proto/contract.h"

enum { FAKE_ROOMS_MAX = 32, FAKE_EPOCHS_MAX = 32 };

struct fake_message {
    struct buf sender, session, client_id, body;
    uint64_t at_ms;
};

struct fake_room {
    char name[CONTRACT_ROOM_BYTES_MAX + 1];
    struct fake_message *messages; /* of the ids 1 .. head; removed ones included */
    size_t head, capacity;
    uint64_t oldest;
    struct contract_epoch_start epochs[FAKE_EPOCHS_MAX];
    size_t epoch_count;
};

struct fake_store {
    struct fake_room rooms[FAKE_ROOMS_MAX];
    size_t room_count;
    uint64_t epoch, first_epoch;
    uint64_t forgotten;        /* messages that restored backups did not have */
    size_t range_messages_max; /* of one answer, as if more did not fit into 512 KiB */
    /* After COMMIT, and for what was found stored; @event borrows. */
    void (*publish)(void *user, const struct contract_room_event *event);
    void *user;
};

void fake_store_init(struct fake_store *store);
void fake_store_release(struct fake_store *store);

/* The room, made if need be. */
struct fake_room *fake_store_room(struct fake_store *store, struct bytes name);

/* Whether another epoch than the first one has begun. */
static inline bool fake_store_is_another(const struct fake_store *store)
{
    return store->epoch != store->first_epoch;
}

/* Carries out @append, and appends the encoded answer to @out. */
void fake_store_append(struct fake_store *store, const struct contract_append *append,
                       uint64_t now_ms, struct buf *out);

/* Answers @query into @out. */
void fake_store_query(struct fake_store *store, const struct contract_query *query,
                      struct buf *out);

/* Adds @count messages "<prefix><id>" from "someone" that nobody hears of. */
void fake_store_fill(struct fake_store *store, struct bytes name, const char *prefix, size_t count);

/* A backup is restored: every room keeps at most its first @kept messages, and a new epoch begins. */
void fake_store_restore_backup(struct fake_store *store, size_t kept);

/* Puts @message behind the head of @room, whoever has stored it. */
void fake_store_add(struct fake_room *room, const struct contract_new_message *message,
                    uint64_t at_ms);

/* @room keeps its first @kept messages. */
void fake_store_cut(struct fake_store *store, struct fake_room *room, size_t kept);

/* Ids below @oldest are kept no more. */
void fake_store_remove_below(struct fake_store *store, struct bytes room, uint64_t oldest);

#endif
