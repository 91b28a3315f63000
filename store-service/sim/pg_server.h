/*
 * pg_server.h - Postgres as its clients meet it: backends, connections to them, and what can happen to both.
 *
 * Whoever has a connection polls it: an answer is there, or the connection is broken, or nothing is known yet.
 *
 * Invariants, checked at each step: no two transactions wait for each other, around however many corners; no unique
 * key is ever needed. A broken one ends the program (promise.h).
 */
#ifndef PARLEY_SIM_PG_SERVER_H
#define PARLEY_SIM_PG_SERVER_H

#include "pg_backend.h"

enum { PG_BACKENDS_MAX = 64, PG_KEEPALIVE_MS = 11000 };

struct pg_server_slot {
    struct pg_backend backend;
    bool is_used, is_frozen;
    bool is_cut;              /* nothing passes any more, not even that the other end is gone */
    uint64_t found_out_at_ms; /* by the client, then: keepalives of src/pg.c's target */
    /* NULL: gone. libpq's name of a connection, which src/pg.h knows as well. */
    struct pg_conn *client;
};

struct pg_conn {
    struct pg_server_slot *slot; /* NULL: it is broken, and the client can tell */
    bool has_answer;
    struct pg_answer answer;
};

struct pg_server {
    struct pg_database db;
    struct pg_server_slot slots[PG_BACKENDS_MAX];
    bool is_synchronous; /* a commit waits for the standby */
    bool is_standby_frozen;
    uint64_t up_at_ms; /* nobody can connect before */
};

void pg_server_init(struct pg_server *server, bool is_synchronous);
void pg_server_release(struct pg_server *server);

/* Returns owned; NULL while Postgres is down, or has no backend left. */
MUST_USE struct pg_conn *pg_server_connect(struct pg_server *server, uint64_t now_ms);

/* Frees @conn. Its backend goes on with what it is at. */
void pg_server_disconnect(struct pg_conn *conn);

/* Sends @statement, which is taken; a connection that is cut or broken loses it. */
void pg_server_send(struct pg_conn *conn, struct pg_statement *statement, uint64_t now_ms);

/* Whether anything of the server's can go on now; and when something is due that waits. */
size_t pg_server_ready(const struct pg_server *server, uint64_t now_ms);
uint64_t pg_server_due_ms(const struct pg_server *server);

/* Lets the @nth of those that are ready go on by one step. */
void pg_server_step(struct pg_server *server, size_t nth, uint64_t now_ms);

/* Faults. @nth counts the backends that there are; returns false when there are not so many. */
bool pg_server_freeze_backend(struct pg_server *server, size_t nth);
bool pg_server_kill_backend(struct pg_server *server, size_t nth);
bool pg_server_break_connection(struct pg_server *server, size_t nth);
bool pg_server_cut_connection(struct pg_server *server, size_t nth, uint64_t now_ms);
void pg_server_thaw(struct pg_server *server); /* all */

/* All backends die. A promotion keeps what the standby has and @extra commits more, if there are so many. */
void pg_server_crash(struct pg_server *server, uint64_t up_at_ms);
void pg_server_promote(struct pg_server *server, size_t extra, uint64_t up_at_ms);

#endif
