#include "export.h"

#include "limits.h"

#include <errno.h>

static const char ROOM_SQL[] = "SELECT id, head FROM rooms WHERE name = $1";

/* $1: a room's id, $2, $3: behind which message, and up to which, $4: messages at most. */
static const char LINES_SQL[] =
    "SELECT m.id, row_to_json(l)::text FROM messages m CROSS JOIN LATERAL"
    " (SELECT m.id::text AS id, m.sender AS username, m.body AS content,"
    "   floor(extract(epoch FROM m.created_at) * 1000)::bigint AS at, m.client_id AS \"clientId\") "
    "l"
    " WHERE m.room_id = $1 AND m.id > $2 AND m.id <= $3 ORDER BY m.id LIMIT $4";

static bool ask(struct pg *pg, const char *sql, struct pg_params *params, PGresult **ret_result,
                struct buf *ret_error)
{
    bool is_done =
        pg_run(pg, sql, params, STATEMENT_DEADLINE_MS, ret_result, ret_error) == STORE_COMMITTED;
    pg_params_release(params);
    return is_done;
}

static bool find_room(struct pg *pg, struct bytes room, int64_t *ret_id, int64_t *ret_head,
                      struct buf *ret_error)
{
    struct pg_params params;
    pg_params_init(&params);
    pg_param_text(&params, room);
    PGresult *result;
    if (!ask(pg, ROOM_SQL, &params, &result, ret_error)) {
        return false;
    }
    bool is_there = PQntuples(result) == 1;
    if (is_there) {
        *ret_id = pg_int8(result, 0, 0);
        *ret_head = pg_int8(result, 0, 1);
    } else {
        buf_append_bytes(ret_error, BYTES("nobody has ever said anything in a room of that name."));
    }
    PQclear(result);
    return is_there;
}

/* Writes a piece, and moves *@behind to its last message. *@ret_rows: 0, there was none. */
static bool write_lines(struct pg *pg, int64_t room_id, int64_t *behind, int64_t head, FILE *out,
                        int *ret_rows, struct buf *ret_error)
{
    struct pg_params params;
    pg_params_init(&params);
    pg_param_int8(&params, room_id);
    pg_param_int8(&params, *behind);
    pg_param_int8(&params, head);
    pg_param_int8(&params, EXPORT_MESSAGES_MAX);
    PGresult *result;
    if (!ask(pg, LINES_SQL, &params, &result, ret_error)) {
        return false;
    }
    *ret_rows = PQntuples(result);
    for (int row = 0; row < *ret_rows; row++) {
        struct bytes line = pg_text(result, row, 1);
        fwrite(line.data, 1, line.len, out);
        fputc('\n', out);
        *behind = pg_int8(result, row, 0);
    }
    PQclear(result);
    if (fflush(out) != 0 || ferror(out)) {
        buf_append_format(ret_error, "what was read could not be written: %s", strerror(errno));
        return false;
    }
    return true;
}

bool export_room(struct pg *pg, struct bytes room, FILE *out, struct buf *ret_error)
{
    int64_t room_id, head, behind = 0;
    bool is_well = find_room(pg, room, &room_id, &head, ret_error);
    for (int rows = 1; is_well && rows > 0;) {
        is_well = write_lines(pg, room_id, &behind, head, out, &rows, ret_error);
    }
    return is_well;
}
