/*
 * pg_model.h - what Postgres keeps for the store-service: versions of rows, transactions, snapshots, locks, its log.
 *
 * A model of the tables of migrations/0001_tables.sql, of what 0004_heads.sql makes of rooms (the table room_rows, and the
 * view rooms on it), and of the two advisory locks (0002_epochs.sql, and MIGRATION_LOCK in src/database.c), as Postgres
 * treats them under READ COMMITTED; pg_backend.h has the statements. What it takes over from Postgres, so that a design
 * that is wrong there is wrong here:
 *
 *   - A row is there for those whose snapshot is newer than the commit of its inserting transaction. A snapshot is the
 *     number of commits that were visible when it was taken.
 *   - A commit is durable (its record is in the log) before anybody sees it, and locks are kept until it is seen.
 *   - An update leaves the old version to old snapshots. A row's lock is about its newest version: who gets it goes on
 *     with that version, whatever its snapshot says.
 *   - A unique key counts what is committed, visible or not; and makes who would break it wait for the transaction that
 *     is about to.
 *   - The standby has a prefix of the log. A crash keeps all of the log, a promotion what the standby has.
 *
 * Not there: vacuum, plans, anything about pages and indexes. Nor deleting (the triggers of 0004_heads.sql, and
 * 0005_delete_room.sql), so that every floor is 0.
 *
 * Thread  One.
 */
#ifndef PARLEY_SIM_PG_MODEL_H
#define PARLEY_SIM_PG_MODEL_H

#include "proto/contract.h"

enum pg_xact_state {
    PG_RUNNING,
    PG_FLUSHED, /* it will be committed after a crash, but nobody sees it yet */
    PG_COMMITTED,
    PG_ABORTED,
};

struct pg_xact {
    enum pg_xact_state state;
    uint64_t began_at_ms;
    uint64_t commit;  /* its number among the commits that were seen */
    size_t wal_place; /* of its commit record */
};

/* Whose eyes: a snapshot, and the transaction whose own rows are seen as well (0: none). */
struct pg_view {
    uint64_t snapshot;
    uint32_t xid;
};

struct pg_room_version {
    uint32_t xmin, xmax; /* xmax 0: nobody updated it */
    uint64_t epoch, floor;
};

struct pg_message {
    uint32_t xmin;
    uint64_t id, at_ms;
    uint64_t hash; /* of what parley_dedup_key() looks at */
    struct contract_new_message texts;
    char *block; /* holds the texts */
};

struct pg_room_epoch {
    uint32_t xmin;
    uint64_t epoch, first_id;
};

/* A row of `room_rows`, with what the other tables have of it. */
struct pg_room {
    uint64_t id;
    char name[CONTRACT_ROOM_BYTES_MAX + 1];
    uint32_t locker; /* the last who locked it; 0: nobody did */
    struct pg_room_version *versions;
    size_t version_count;
    struct pg_message *messages;
    size_t message_count;
    struct pg_room_epoch *epochs;
    size_t epoch_count;
};

struct pg_epoch {
    uint32_t xmin;
    uint64_t epoch, identity;
};

enum pg_advisory { PG_MIGRATION_LOCK, PG_EPOCH_LOCK };

struct pg_advisory_lock {
    enum pg_advisory what;
    bool is_exclusive;
    uint32_t xid;
};

struct pg_database {
    struct pg_xact *xacts; /* of the xids 1 .. xact_count */
    size_t xact_count;
    uint64_t commits; /* that are seen: a snapshot taken now */
    uint32_t *wal;    /* xids of commit records, in order */
    size_t wal_count;
    size_t standby_count; /* so many of them are at the standby too */
    uint64_t identity;    /* of this system and timeline */
    struct pg_room **rooms;
    size_t room_count;
    struct pg_epoch *epochs;
    size_t epoch_count;
    struct pg_advisory_lock *locks;
    size_t lock_count;
    unsigned violations; /* of unique keys: the last line of defence, which nobody should need */
    /* A transaction is seen from now on. */
    void (*on_commit)(void *user, uint32_t xid);
    /* A promotion has lost what the standby did not have; what it had, and nobody has seen, is seen next. */
    void (*on_promotion)(void *user);
    void *user;
};

void pg_database_init(struct pg_database *db);
void pg_database_release(struct pg_database *db);

/* Transactions. */

uint32_t pg_begin(struct pg_database *db, uint64_t now_ms);
void pg_flush(struct pg_database *db, uint32_t xid); /* writes the commit record, and syncs */
void pg_commit(struct pg_database *db,
               uint32_t xid); /* one that is flushed: is seen, and lets its locks go */
void pg_abort(struct pg_database *db, uint32_t xid);
bool pg_has_ended(const struct pg_database *db, uint32_t xid);

/* Whether the standby has the commit record of @xid. */
bool pg_is_replicated(const struct pg_database *db, uint32_t xid);

/* How many transactions that began before @ms are durable here, and not at the standby. */
size_t pg_unreplicated_since(const struct pg_database *db, uint64_t ms);

static inline struct pg_view pg_view_now(const struct pg_database *db, uint32_t xid)
{
    return (struct pg_view){.snapshot = db->commits, .xid = xid};
}

/* All that runs is aborted; what is flushed is seen. */
void pg_crash(struct pg_database *db);

/* The standby takes over, with the first @wal_count commits, at least what it has: another identity. */
void pg_promote(struct pg_database *db, size_t wal_count);

/* Reads. NULL, 0: there is none. */

bool pg_sees(const struct pg_database *db, struct pg_view view, uint32_t xmin);
struct pg_room *pg_find_room(const struct pg_database *db, struct pg_view view, struct bytes name);
const struct pg_room_version *pg_room_version(const struct pg_database *db, struct pg_view view,
                                              const struct pg_room *room);
/* The newest message id above @floor; @floor where there is none. */
uint64_t pg_newest_id(const struct pg_database *db, struct pg_view view, const struct pg_room *room,
                      uint64_t floor);
/* The head that the view rooms has. @room must be seen. */
uint64_t pg_head(const struct pg_database *db, struct pg_view view, const struct pg_room *room);
/* What who has just locked @room finds there: what @xid made of it, or else the newest that is committed. */
const struct pg_room_version *pg_room_newest(const struct pg_database *db, uint32_t xid,
                                             const struct pg_room *room);
/* Whether parley_dedup_key() is the same for both. */
bool pg_is_same_message(const struct contract_new_message *a, const struct contract_new_message *b);
const struct pg_message *pg_find_message(const struct pg_database *db, struct pg_view view,
                                         const struct pg_room *room,
                                         const struct contract_new_message *texts);
const struct pg_epoch *pg_newest_epoch(const struct pg_database *db, struct pg_view view);

/* Writes, by the transaction @xid. */

enum pg_write {
    PG_WRITTEN,
    PG_CONFLICT, /* a unique key is taken */
    PG_WAIT,     /* for the end of *ret_blocker; then again */
};

/* Inserts a room with floor 0. Writes @ret_room with PG_WRITTEN alone, likewise @ret_blocker with PG_WAIT. */
MUST_USE enum pg_write pg_insert_room(struct pg_database *db, uint32_t xid, struct bytes name,
                                      uint64_t epoch, struct pg_room **ret_room,
                                      uint32_t *ret_blocker);
MUST_USE enum pg_write pg_insert_message(struct pg_database *db, uint32_t xid, struct pg_room *room,
                                         uint64_t id, uint64_t at_ms,
                                         const struct contract_new_message *texts,
                                         uint32_t *ret_blocker);
void pg_insert_room_epoch(uint32_t xid, struct pg_room *room, uint64_t epoch, uint64_t first_id);
void pg_insert_epoch(struct pg_database *db, uint32_t xid, uint64_t epoch);

/* Locks the row; PG_WRITTEN or PG_WAIT. */
MUST_USE enum pg_write pg_lock_room(struct pg_database *db, uint32_t xid, struct pg_room *room,
                                    uint32_t *ret_blocker);

/* Updates a row that @xid has locked. */
void pg_update_room(struct pg_database *db, uint32_t xid, struct pg_room *room, uint64_t epoch,
                    uint64_t floor);

/* Until the end of @xid; PG_WRITTEN or PG_WAIT. */
MUST_USE enum pg_write pg_lock_advisory(struct pg_database *db, uint32_t xid, enum pg_advisory what,
                                        bool is_exclusive, uint32_t *ret_blocker);

#endif
