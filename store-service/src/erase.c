#include "erase.h"

#include "database.h"
#include "limits.h"

/* Somebody's long transaction may hold a room. */
static const char SETTINGS_SQL[] = "SET statement_timeout = 0; SET lock_timeout = 0";

/* The place in the walk, and what was done so far. */
struct erasure {
    struct pg *pg;
    struct bytes user;
    int64_t room, id; /* the message that the walk has come to */
    long long seen, erased, rooms;
    bool is_over;
};

/* Runs a statement that gives one row. */
static bool ask(struct erasure *erasure, const char *sql, const struct pg_params *params,
                PGresult **ret_row, struct buf *ret_error)
{
    return pg_run(erasure->pg, sql, params, DELETE_DEADLINE_MS, ret_row, ret_error) ==
           STORE_COMMITTED;
}

static bool step(struct erasure *erasure, struct buf *ret_error)
{
    struct pg_params params;
    pg_params_init(&params);
    pg_param_text(&params, erasure->user);
    pg_param_int8(&params, erasure->room);
    pg_param_int8(&params, erasure->id);
    pg_param_int8(&params, ERASE_MESSAGES_MAX);
    PGresult *row;
    bool is_done = ask(erasure, "SELECT * FROM parley_erase_step($1, $2, $3, $4::int)", &params,
                       &row, ret_error);
    pg_params_release(&params);
    if (!is_done) {
        return false;
    }
    erasure->is_over = PQntuples(row) == 0;
    if (!erasure->is_over) {
        erasure->seen += pg_int8(row, 0, 0);
        erasure->erased += pg_int8(row, 0, 1);
        erasure->room = pg_int8(row, 0, 2);
        erasure->id = pg_int8(row, 0, 3);
    }
    PQclear(row);
    return true;
}

/* Tells of the rooms that the walk has left behind; also of those of a walk that was stopped. */
static bool tell(struct erasure *erasure, struct buf *ret_error)
{
    for (bool goes_on = true; goes_on;) {
        struct pg_params params;
        pg_params_init(&params);
        pg_param_int8(&params, erasure->is_over ? INT64_MAX : erasure->room);
        PGresult *row;
        bool is_done = ask(erasure, "SELECT parley_tell_of_erasure($1)", &params, &row, ret_error);
        pg_params_release(&params);
        if (!is_done) {
            return false;
        }
        goes_on = pg_bool(row, 0, 0);
        erasure->rooms += goes_on;
        PQclear(row);
    }
    return true;
}

bool erase_user(struct pg *pg, struct bytes user, FILE *out, struct buf *ret_error)
{
    struct erasure erasure = {.pg = pg, .user = user};
    bool is_well =
        database_prepare(pg, false, ret_error) == DATABASE_READY &&
        pg_run_script(pg, SETTINGS_SQL, STATEMENT_DEADLINE_MS, ret_error) == STORE_COMMITTED;
    while (is_well && !erasure.is_over) {
        int64_t room = erasure.room;
        is_well = step(&erasure, ret_error) &&
                  ((room == erasure.room && !erasure.is_over) || tell(&erasure, ret_error));
    }
    if (!is_well) {
        buf_append_format(
            ret_error,
            " (%lld message%s erased before that; the same command goes on with what is left)",
            erasure.erased, erasure.erased == 1 ? " was" : "s were");
        return false;
    }
    fprintf(out, "Looked at %lld message%s: %lld of %.*s %s erased, and %lld room%s told.\n",
            erasure.seen, erasure.seen == 1 ? "" : "s", erasure.erased, BYTES_FMT(user),
            erasure.erased == 1 ? "is" : "are", erasure.rooms,
            erasure.rooms == 1 ? " was" : "s were");
    return true;
}
