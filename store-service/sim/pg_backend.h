/*
 * pg_backend.h - one backend of Postgres, walking through a statement step by step.
 *
 * Between any two steps others may run, or the backend may be frozen or killed. A step is as much as happens at one
 * moment in Postgres, too: a snapshot and what is read with it; one row locked, inserted or updated; the commit record
 * that is written; the commit that is seen; the answer that is sent. What it models:
 *
 *   PG_APPEND         parley_append() of migrations/0011_closed_rooms.sql (pg_append.c)
 *   PG_ENSURE_EPOCH   parley_ensure_epoch() of the same file (pg_statements.c, as are the others)
 *   PG_FACTS, PG_MESSAGES, PG_HEADS    the statements of src/read_sql.h
 *   PG_ROOM_HEAD      look_up_head() in src/append.c
 *   the rest          what src/database.c asks
 *
 * store-service/tests/pg_model_test.c holds both functions and what src/read.c reads against Postgres: who changes a
 * function, or a statement, changes these files too.
 *
 * A statement outside of BEGIN … COMMIT is a transaction of its own. One whose client has gone is carried out to its
 * end, as Postgres does it.
 */
#ifndef PARLEY_SIM_PG_BACKEND_H
#define PARLEY_SIM_PG_BACKEND_H

#include "pg_model.h"

enum pg_statement_type {
    PG_APPEND,
    PG_ENSURE_EPOCH,
    PG_FACTS,
    PG_MESSAGES,
    PG_HEADS,
    PG_ROOM_HEAD,
    PG_IS_PREPARED,
    PG_STUCK_COMMITS,
    PG_NUMBER, /* answers @number */
    PG_BEGIN,
    PG_LOCK_MIGRATIONS,
    PG_SET_STATEMENT_TIMEOUT, /* SET LOCAL … = @number ms */
    PG_COMMIT,
    PG_ROLLBACK,
};

/* What is asked, and its parameters; texts point into @block, or live longer. */
struct pg_statement {
    enum pg_statement_type type;
    struct bytes *rooms;
    size_t room_count;
    int32_t *room_of; /* of each message: place in @rooms, from 1 on */
    struct contract_new_message *messages;
    size_t message_count;
    bool waits;     /* PG_APPEND's p_wait */
    bool is_forced; /* PG_ENSURE_EPOCH's p_forced */
    bool is_newest_first;
    int64_t room_id, from, to, limit, number;
    char *block;
};

void pg_statement_release(struct pg_statement *statement);

enum pg_type { PG_NULL, PG_BOOL, PG_INT4, PG_INT8, PG_TIME, PG_TEXT };

struct pg_value {
    enum pg_type type;
    uint64_t number;   /* of PG_TIME: ms since 1970 */
    struct bytes text; /* as long as the database */
};

struct pg_answer {
    const char *sqlstate; /* NULL: all went well */
    struct pg_value *values;
    size_t rows, columns;
};

void pg_answer_release(struct pg_answer *answer);

/* What parley_append() has found out so far. */
struct pg_append_state {
    size_t *order; /* places of rooms, by name */
    /* Of each room, once it is locked; NULL: it is not. */
    struct pg_append_room {
        struct pg_room *room;
        uint64_t floor, epoch;
        uint64_t head; /* grows with each new message */
        bool is_made;
    } * rooms;
    struct {
        uint64_t id, at_ms;
        struct bytes session; /* of one that was found */
        bool was_found, is_new;
    } * messages;
};

enum pg_backend_state {
    PG_BACKEND_IDLE,
    PG_BACKEND_RUNS,
    PG_BACKEND_FLUSHES,
    PG_BACKEND_SHOWS, /* after the standby has it, where that is waited for */
    PG_BACKEND_ANSWERS,
};

struct pg_backend {
    struct pg_database *db;
    enum pg_backend_state state;
    bool waits_for_standby;
    uint64_t lock_timeout_ms, statement_timeout_ms, idle_timeout_ms; /* 0: none */
    bool is_in_block, has_failed;                                    /* between BEGIN and COMMIT */
    uint32_t xid;       /* 0: this transaction has none yet */
    uint32_t waits_for; /* the transaction whose end is waited for; 0: none */
    uint64_t waits_since_ms, began_at_ms;
    struct pg_statement statement;
    unsigned step;       /* where it is within the statement ... */
    size_t at;           /* ... and which of many rows */
    struct pg_view view; /* of the statement inside that is at work */
    uint64_t epoch, now_ms;
    struct pg_append_state append;
    struct pg_answer answer; /* valid from PG_BACKEND_ANSWERS on */
};

/* A new session, with the settings that src/pg.c makes. */
void pg_backend_init(struct pg_backend *backend, struct pg_database *db, bool waits_for_standby);

/* The session ends: what is not durable is undone. */
void pg_backend_release(struct pg_backend *backend);

/* An idle backend begins @statement, which it takes. */
void pg_backend_start(struct pg_backend *backend, struct pg_statement *statement, uint64_t now_ms);

/* Whether there is something to do now. When not, but something is waited for: until when at most; else UINT64_MAX. */
bool pg_backend_can_step(const struct pg_backend *backend, uint64_t now_ms);
uint64_t pg_backend_due_ms(const struct pg_backend *backend);

/* The next step of one that can. After the one of PG_BACKEND_ANSWERS it is idle; @backend->answer is the caller's. */
void pg_backend_step(struct pg_backend *backend, uint64_t now_ms);

/* --- between pg_backend.c, pg_append.c and pg_statements.c --- */

enum pg_step {
    PG_STEP_GOES_ON,
    PG_STEP_WAITS, /* @backend->waits_for was set */
    PG_STEP_IS_DONE,
    PG_STEP_HAS_FAILED, /* @backend->answer.sqlstate was set */
};

MUST_USE enum pg_step pg_append_step(struct pg_backend *backend);
void pg_append_release(struct pg_backend *backend);
MUST_USE enum pg_step pg_ensure_epoch_step(struct pg_backend *backend);
MUST_USE enum pg_step pg_other_step(struct pg_backend *backend);

/* The backend's transaction, begun if need be. */
uint32_t pg_backend_xid(struct pg_backend *backend);

/* Adds a row of @columns fields to the answer; returns the first. */
struct pg_value *pg_answer_row(struct pg_backend *backend, size_t columns);

static inline struct pg_value pg_int8_value(uint64_t number)
{
    return (struct pg_value){.type = PG_INT8, .number = number};
}

static inline struct pg_value pg_text_value(struct bytes text)
{
    return (struct pg_value){.type = PG_TEXT, .text = text};
}

#endif
