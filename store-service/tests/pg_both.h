/*
 * pg_both.h - Postgres and the model of it, side by side, for pg_model_test.c.
 */
#ifndef PARLEY_PG_BOTH_H
#define PARLEY_PG_BOTH_H

#include "base/tests/testing.h"
#include "pg.h"
#include "pg_backend.h"

enum { SESSIONS = 3, ROOMS = 5, IDS_MAX = 4096, EPOCHS_MAX = 256 };

extern const char *const BOTH_ROOM_NAMES[ROOMS];

struct session {
    PGconn *conn;
    int pid;
    struct pg_backend backend;
    bool is_in_block, has_failed, is_waiting;
    enum pg_statement_type asked;
};

struct both {
    PGconn *watcher;
    struct pg_database db;
    struct session sessions[SESSIONS];
    struct pg_backend reader; /* of the model, as the watcher is of Postgres */
    uint64_t dice, last_text;
    int64_t epochs[EPOCHS_MAX];     /* Postgres's number of each of the model's */
    uint64_t at_ms[ROOMS][IDS_MAX]; /* when each id was stored, as Postgres said at first */
    /* So that a test can see that it tested something. */
    unsigned waits, skips, failures, epochs_begun;
};

/* 0 .. @below - 1 */
uint64_t both_draw(struct both *both, uint64_t below);

/* Sends @sql with parameters, for a binary result. */
void both_send(PGconn *conn, const char *sql, const struct pg_params *params);

/* Checks that @epoch, as Postgres says, is the one that the model calls @mine. */
void both_compare_epoch(const struct both *both, int64_t epoch, const struct pg_value *mine);

/* Checks that what src/read.c asks for is the same in both, whoever is in the middle of what. */
void both_compare_reads(struct both *both);

#endif
