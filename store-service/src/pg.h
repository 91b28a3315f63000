/*
 * pg.h - one connection to Postgres: statements with parameters, a deadline for each, and what to do when one fails.
 *
 * Every statement is a transaction of its own unless it says BEGIN. Parameters and results are binary; they, and what
 * errors mean, are in pg_values.c, which needs no connection.
 *
 * Where several servers may be the primary, an old one is not believed: the answer of a server that has become read-only
 * is as good as lost, be it to a SELECT, and so is a commit that somebody let go without its synchronous standby.
 *
 * Thread  A connection belongs to one thread. A target is read-only once made, and shared.
 */
#ifndef PARLEY_STORE_PG_H
#define PARLEY_STORE_PG_H

#include "base/bytes.h"

#include <libpq-fe.h>

/* What the caller must do next, not what Postgres said. */
enum store_result {
    STORE_COMMITTED,
    STORE_RETRY, /* nothing is stored: send the same again */
    STORE_UNKNOWN, /* the answer was lost, or counts for nothing: again, and client ids make it harmless */
    STORE_BUSY, /* nothing is stored, somebody else holds a lock: let others go first */
    STORE_REFUSED, /* will never be stored: split the batch, refuse the guilty message, keep the rest */
};

/* The meaning of an error's SQLSTATE (five characters; NULL when there is none), from a connection that still lives. */
enum store_result pg_classify(const char *sqlstate);

/*
 * Whether an error says of the connection that it is to be closed: it is one to a standby now, or to a Postgres that is
 * shutting down, and the next one may lead elsewhere; or its prepared statements are no good any more.
 */
bool pg_ends_connection(const char *sqlstate);

/* Where to connect to, as libpq's keywords and values, with our defaults where the user has none. */
struct pg_target;

/*
 * Reads a connection string. Returns NULL, with a sentence in @ret_error that names DATABASE_URL and shows nothing of
 * its value, when libpq does not understand it. Returns owned.
 */
MUST_USE struct pg_target *pg_target_new(const char *database_url, struct buf *ret_error);
void pg_target_free(struct pg_target *target);

/* Statements of one connection for pg_run_prepared(). */
enum { PG_PREPARED_MAX = 4 };

struct pg {
    const struct pg_target *target; /* borrowed, must live longer */
    PGconn *conn;                   /* NULL while there is no connection */
    bool is_unreplicated; /* the statement was committed here alone, against synchronous_commit */
    const char *prepared[PG_PREPARED_MAX]; /* names of this connection's */
    int prepared_count;
};

enum pg_connect_result {
    PG_CONNECTED,
    PG_UNREACHABLE, /* not there, or not ready: try again later */
    PG_WRONG,       /* there, but this user, password or database will not do */
};

/* Prepares @pg without connecting. It must stay where it is until pg_release(). */
void pg_init(struct pg *pg, const struct pg_target *target);
void pg_release(struct pg *pg);

/* Connects, which takes at most CONNECT_TIMEOUT_S for each host of the target. On failure @ret_error gets libpq's words, without secrets. */
MUST_USE enum pg_connect_result pg_connect(struct pg *pg, struct buf *ret_error);

/* Closes the connection, if there is one. */
void pg_disconnect(struct pg *pg);

/* For a connection that is idle: whether it is still there, as far as the socket can tell. Does not wait. */
bool pg_is_alive(struct pg *pg);

/* Parameters of one statement, in order. */
enum { PG_PARAMS_MAX = 8 };

struct pg_params {
    struct buf data;
    int count;
    unsigned types[PG_PARAMS_MAX];
    size_t starts[PG_PARAMS_MAX];
};

void pg_params_init(struct pg_params *params);
void pg_params_release(struct pg_params *params);
void pg_param_bool(struct pg_params *params, bool value);
void pg_param_int8(struct pg_params *params, int64_t value);
void pg_param_text(struct pg_params *params, struct bytes text);

/* An array of @count elements: begin, and then exactly so many elements. */
void pg_param_text_array(struct pg_params *params, size_t count);
void pg_param_int4_array(struct pg_params *params, size_t count);
void pg_element_text(struct pg_params *params, struct bytes text);
void pg_element_int4(struct pg_params *params, int32_t value);

/*
 * Runs one statement and waits at most @deadline_ms for its end. @params may be NULL. With STORE_COMMITTED, @ret_result
 * is the caller's to PQclear(). Otherwise @ret_error gets Postgres's sentence, which holds no data of messages; after
 * STORE_UNKNOWN, the connection is closed.
 */
MUST_USE enum store_result pg_run(struct pg *pg, const char *sql, const struct pg_params *params,
                                  uint64_t deadline_ms, PGresult **ret_result,
                                  struct buf *ret_error);

/*
 * As pg_run(), for one of the PG_PREPARED_MAX statements that a connection runs all the time: it is parsed and planned once,
 * which takes three quarters of the time of a small one. @name, which is static, stands for @sql.
 */
MUST_USE enum store_result pg_run_prepared(struct pg *pg, const char *name, const char *sql,
                                           const struct pg_params *params, uint64_t deadline_ms,
                                           PGresult **ret_result, struct buf *ret_error);

/* As pg_run() without parameters and result; @sql may be many statements. */
MUST_USE enum store_result pg_run_script(struct pg *pg, const char *sql, uint64_t deadline_ms,
                                         struct buf *ret_error);

/* Fields of a binary result; they must not be NULL. Slices live as long as @result. */
int64_t pg_int8(const PGresult *result, int row, int column);
int32_t pg_int4(const PGresult *result, int row, int column);
bool pg_bool(const PGresult *result, int row, int column);
struct bytes pg_text(const PGresult *result, int row, int column);
uint64_t pg_time_ms(const PGresult *result, int row,
                    int column); /* timestamptz, as ms since 1970 */

#endif
