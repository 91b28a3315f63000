#include "check.h"

#include "limits.h"

/*
 * What must not be found: each query gives a sentence for each case. A room's name goes through to_json(), so that one
 * line is one finding whatever the name is.
 *
 * Ids that are missing at a room's begin are not holes: whoever keeps the database may delete old messages.
 */
static const char *const FINDINGS[] = {
    /* holes: the primary key's order, nothing is sorted */
    "SELECT format('room %s: %s missing', coalesce(to_json(r.name)::text, 'number ' || m.room_id),"
    "   CASE WHEN m.id = m.previous + 2 THEN format('the id %s is', m.id - 1)"
    "   ELSE format('the ids %s to %s are', m.previous + 1, m.id - 1) END)"
    " FROM (SELECT room_id, id, lag(id) OVER (PARTITION BY room_id ORDER BY id) AS previous"
    "   FROM messages) m"
    " LEFT JOIN rooms r ON r.id = m.room_id WHERE m.id > m.previous + 1",

    /* head is the newest id; a room whose messages were all deleted keeps its own */
    "SELECT format('room %s: its head is %s, but its newest message is %s', to_json(r.name), "
    "r.head,"
    "   m.newest)"
    " FROM rooms r CROSS JOIN LATERAL (SELECT max(id) AS newest FROM messages WHERE room_id = "
    "r.id) m"
    " WHERE r.head <> m.newest ORDER BY r.id",

    "SELECT format('the messages %s to %s are of room number %s, which there is no row of',"
    "   min(m.id), max(m.id), m.room_id)"
    " FROM messages m WHERE NOT EXISTS (SELECT FROM rooms r WHERE r.id = m.room_id)"
    " GROUP BY m.room_id ORDER BY m.room_id",

    /* the rule is recomputed: what is stored as the key may be wrong, and the unique index damaged */
    "SELECT format('room %s: message %s has a dedup_key that is not its own',"
    "   coalesce(to_json(r.name)::text, 'number ' || m.room_id), m.id)"
    " FROM messages m LEFT JOIN rooms r ON r.id = m.room_id"
    " WHERE m.dedup_key IS DISTINCT FROM"
    "   parley_dedup_key(m.sender, m.session, m.client_id, m.body)",

    "SELECT format('room %s: %s messages are one and the same, the first is %s and the last %s',"
    "   coalesce(to_json(r.name)::text, 'number ' || m.room_id), m.count, m.first, m.last)"
    " FROM (SELECT room_id, count(*) AS count, min(id) AS first, max(id) AS last FROM messages"
    "   GROUP BY room_id, parley_dedup_key(sender, session, client_id, body) HAVING count(*) > 1) m"
    " LEFT JOIN rooms r ON r.id = m.room_id",

    /* epochs: in each room, a later one begins where the one before has ended, or at the same id if it had none */
    "SELECT format('room %s: epoch %s begins at %s, and epoch %s before it at %s: they overlap',"
    "   coalesce(to_json(r.name)::text, 'number ' || e.room_id), e.epoch, e.first_id, "
    "e.epoch_before,"
    "   e.first_before)"
    " FROM (SELECT *, lag(epoch) OVER w AS epoch_before, lag(first_id) OVER w AS first_before"
    "   FROM room_epochs WINDOW w AS (PARTITION BY room_id ORDER BY epoch)) e"
    " LEFT JOIN rooms r ON r.id = e.room_id WHERE e.first_id < e.first_before",

    "SELECT format('room %s: epoch %s begins at %s, but its head is %s', to_json(r.name), e.epoch,"
    "   e.first_id, r.head)"
    " FROM room_epochs e JOIN rooms r ON r.id = e.room_id WHERE e.first_id > r.head + 1"
    " ORDER BY r.id, e.epoch",

    "SELECT format('room %s: the ids up to %s are of no epoch', to_json(r.name), e.first - 1)"
    " FROM rooms r JOIN (SELECT room_id, min(first_id) AS first FROM room_epochs GROUP BY room_id) "
    "e"
    "   ON r.id = e.room_id WHERE e.first > 1 ORDER BY r.id",

    "SELECT format('room %s: it is in epoch %s, but %s', to_json(r.name), r.epoch,"
    "   coalesce('the newest that began there is ' || e.newest, 'none ever began there'))"
    " FROM rooms r LEFT JOIN"
    "   (SELECT room_id, max(epoch) AS newest FROM room_epochs GROUP BY room_id) e"
    "   ON r.id = e.room_id WHERE e.newest IS DISTINCT FROM r.epoch ORDER BY r.id",

    /* a room whose messages were deleted is ahead of the database */
    "SELECT format('room %s: it is in epoch %s, but the database is in %s', to_json(r.name), "
    "r.epoch,"
    "   coalesce(d.newest::text, 'none'))"
    " FROM rooms r CROSS JOIN (SELECT max(epoch) AS newest FROM epochs) d"
    " WHERE r.epoch < d.newest OR d.newest IS NULL ORDER BY r.id",

    /* by to_jsonb(): in a backup of before, the column is not there yet */
    "SELECT format('epoch %s began in %s, but is not in the table epochs', e.epoch,"
    "   CASE WHEN count(*) = 1 THEN 'one room' ELSE count(*) || ' rooms' END)"
    " FROM room_epochs e WHERE to_jsonb(e) ->> 'reason' IS NULL"
    "   AND NOT EXISTS (SELECT FROM epochs d WHERE d.epoch = e.epoch)"
    " GROUP BY e.epoch ORDER BY e.epoch",

    "SELECT format('%s of the table room_epochs are of room number %s, which there is no row of',"
    "   CASE WHEN count(*) = 1 THEN 'one row' ELSE count(*) || ' rows' END, e.room_id)"
    " FROM room_epochs e WHERE NOT EXISTS (SELECT FROM rooms r WHERE r.id = e.room_id)"
    " GROUP BY e.room_id ORDER BY e.room_id",
};

static const char BEGIN_SQL[] = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                                " SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;"
                                " SET LOCAL idle_in_transaction_session_timeout = 0";

static const char SUMMARY_SQL[] =
    "SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM rooms),"
    " (SELECT count(*) FROM rooms r WHERE r.head > 0 AND"
    "   NOT EXISTS (SELECT FROM messages m WHERE m.room_id = r.id AND m.id = 1))";

/* As many lines at a time as are kept in memory. */
static const char FETCH_SQL[] = "FETCH 1000 FROM findings";

static bool run(struct pg *pg, const char *sql, struct buf *ret_error)
{
    return pg_run_script(pg, sql, CHECK_DEADLINE_MS, ret_error) == STORE_COMMITTED;
}

/* Writes the sentences that @sql gives to @out, and adds their number to *@count. */
static bool write_findings(struct pg *pg, const char *sql, FILE *out, uint64_t *count,
                           struct buf *ret_error)
{
    struct buf declare = BUF_INIT;
    buf_append_format(&declare, "DECLARE findings NO SCROLL CURSOR FOR %s", sql);
    buf_append_char(&declare, '\0');
    bool is_well = run(pg, declare.data, ret_error);
    buf_release(&declare);
    for (int rows = 1; is_well && rows > 0;) {
        PGresult *result;
        is_well =
            pg_run(pg, FETCH_SQL, NULL, CHECK_DEADLINE_MS, &result, ret_error) == STORE_COMMITTED;
        rows = is_well ? PQntuples(result) : 0;
        for (int row = 0; row < rows; row++) {
            fprintf(out, "%.*s\n", BYTES_FMT(pg_text(result, row, 0)));
        }
        *count += (uint64_t)rows;
        if (is_well) {
            PQclear(result);
        }
    }
    return is_well && run(pg, "CLOSE findings", ret_error);
}

static bool write_summary(struct pg *pg, FILE *out, uint64_t findings, struct buf *ret_error)
{
    PGresult *result;
    if (pg_run(pg, SUMMARY_SQL, NULL, CHECK_DEADLINE_MS, &result, ret_error) != STORE_COMMITTED) {
        return false;
    }
    long long messages = (long long)pg_int8(result, 0, 0);
    long long rooms = (long long)pg_int8(result, 0, 1);
    fprintf(out, "Looked at %lld message%s in %lld room%s", messages, messages == 1 ? "" : "s",
            rooms, rooms == 1 ? "" : "s");
    long long cut = (long long)pg_int8(result, 0, 2);
    if (cut > 0) {
        fprintf(out, " (in %lld of them the oldest messages are deleted)", cut);
    }
    if (findings == 0) {
        fprintf(out, ": nothing is wrong.\n");
    } else {
        fprintf(out, ": %llu %s wrong.\n", (unsigned long long)findings,
                findings == 1 ? "thing is" : "things are");
    }
    PQclear(result);
    return true;
}

enum check_result check_database(struct pg *pg, FILE *out, struct buf *ret_error)
{
    uint64_t findings = 0;
    bool is_well = run(pg, BEGIN_SQL, ret_error);
    for (size_t i = 0; is_well && i < COUNT_OF(FINDINGS); i++) {
        is_well = write_findings(pg, FINDINGS[i], out, &findings, ret_error);
    }
    is_well =
        is_well && write_summary(pg, out, findings, ret_error) && run(pg, "COMMIT", ret_error);
    if (!is_well || fflush(out) != 0 || ferror(out)) {
        if (ret_error->len == 0) {
            buf_append_bytes(ret_error, BYTES("what was found could not be written"));
        }
        return CHECK_IMPOSSIBLE;
    }
    return findings == 0 ? CHECK_WHOLE : CHECK_DAMAGED;
}
