/*
 * pg_statements.c - parley_ensure_epoch() of migrations/0004_heads.sql, and the statements that only read.
 */
#include "limits.h"
#include "pg_backend.h"

/* --- parley_ensure_epoch() --- */

enum ensure_step {
    LOOKS,       /* SELECT identity … */
    LOCKS,       /* PERFORM pg_advisory_xact_lock(…) */
    LOOKS_AGAIN, /* SELECT identity, epoch …; what the new one is called; INSERT INTO epochs */
    MOVES_ROOMS, /* UPDATE room_rows … */
    NOTES_HEADS, /* INSERT INTO room_epochs … SELECT … head + 1 FROM rooms */
};

static bool is_current(struct pg_backend *backend, const struct pg_epoch *newest)
{
    return newest != NULL && newest->identity == backend->db->identity &&
           !backend->statement.is_forced;
}

static enum pg_step answer_reason(struct pg_backend *backend, bool has_begun)
{
    struct pg_value *row = pg_answer_row(backend, 1);
    if (has_begun) {
        row[0] = pg_text_value(BYTES("Postgres is another one"));
    }
    return PG_STEP_IS_DONE;
}

static void next_statement(struct pg_backend *backend, enum ensure_step step)
{
    backend->step = step;
    backend->at = 0;
    backend->view = pg_view_now(backend->db, backend->xid);
}

static enum pg_step look_again(struct pg_backend *backend)
{
    const struct pg_epoch *newest = pg_newest_epoch(backend->db, backend->view);
    if (is_current(backend, newest)) {
        return answer_reason(backend, false);
    }
    backend->epoch = MAX_OF(newest != NULL ? newest->epoch + 1 : 1, backend->now_ms / 1000);
    for (size_t i = 0; i < backend->db->room_count; i++) {
        const struct pg_room_version *version =
            pg_room_version(backend->db, backend->view, backend->db->rooms[i]);
        backend->epoch = MAX_OF(backend->epoch, version != NULL ? version->epoch + 1 : 0);
    }
    pg_insert_epoch(backend->db, backend->xid, backend->epoch);
    next_statement(backend, MOVES_ROOMS);
    return PG_STEP_GOES_ON;
}

static enum pg_step move_room(struct pg_backend *backend)
{
    struct pg_database *db = backend->db;
    while (backend->at < db->room_count &&
           pg_room_version(db, backend->view, db->rooms[backend->at]) == NULL) {
        backend->at++;
    }
    if (backend->at == db->room_count) {
        next_statement(backend, NOTES_HEADS);
        return PG_STEP_GOES_ON;
    }
    struct pg_room *room = db->rooms[backend->at];
    if (pg_lock_room(db, backend->xid, room, &backend->waits_for) == PG_WAIT) {
        return PG_STEP_WAITS;
    }
    pg_update_room(db, backend->xid, room, backend->epoch,
                   pg_room_newest(db, backend->xid, room)->floor);
    backend->at++;
    return PG_STEP_GOES_ON;
}

static enum pg_step note_heads(struct pg_backend *backend)
{
    const struct pg_database *db = backend->db;
    for (size_t i = 0; i < db->room_count; i++) {
        if (pg_room_version(db, backend->view, db->rooms[i]) != NULL) {
            pg_insert_room_epoch(backend->xid, db->rooms[i], backend->epoch,
                                 pg_head(db, backend->view, db->rooms[i]) + 1);
        }
    }
    return answer_reason(backend, true);
}

enum pg_step pg_ensure_epoch_step(struct pg_backend *backend)
{
    switch ((enum ensure_step)backend->step) {
    case LOOKS:
        (void)pg_backend_xid(backend);
        if (is_current(backend,
                       pg_newest_epoch(backend->db, pg_view_now(backend->db, backend->xid)))) {
            return answer_reason(backend, false);
        }
        next_statement(backend, LOCKS);
        return PG_STEP_GOES_ON;
    case LOCKS:
        if (pg_lock_advisory(backend->db, backend->xid, PG_EPOCH_LOCK, true, &backend->waits_for) ==
            PG_WAIT) {
            return PG_STEP_WAITS;
        }
        next_statement(backend, LOOKS_AGAIN);
        return PG_STEP_GOES_ON;
    case LOOKS_AGAIN: return look_again(backend);
    case MOVES_ROOMS: return move_room(backend);
    case NOTES_HEADS: return note_heads(backend);
    }
    ASSERT(false);
    return PG_STEP_HAS_FAILED;
}

/* --- reads --- */

static void answer_head(struct pg_backend *backend, struct bytes name)
{
    const struct pg_room *room = pg_find_room(backend->db, backend->view, name);
    struct pg_value *row = pg_answer_row(backend, 2);
    const struct pg_room_version *version =
        room != NULL ? pg_room_version(backend->db, backend->view, room) : NULL;
    row[0] = pg_int8_value(version != NULL ? version->epoch
                                           : pg_newest_epoch(backend->db, backend->view)->epoch);
    row[1] = pg_int8_value(version != NULL ? pg_head(backend->db, backend->view, room) : 0);
}

static uint64_t oldest_of(const struct pg_database *db, struct pg_view view,
                          const struct pg_room *room, uint64_t if_none)
{
    uint64_t oldest = UINT64_MAX;
    for (size_t i = 0; i < room->message_count; i++) {
        if (pg_sees(db, view, room->messages[i].xmin)) {
            oldest = MIN_OF(oldest, room->messages[i].id);
        }
    }
    return oldest == UINT64_MAX ? if_none : oldest;
}

static void add_facts(struct pg_backend *backend, uint64_t id, uint64_t head, uint64_t epoch,
                      uint64_t first_id, uint64_t oldest)
{
    struct pg_value *row = pg_answer_row(backend, 5);
    row[0] = pg_int8_value(id);
    row[1] = pg_int8_value(head);
    row[2] = pg_int8_value(epoch);
    row[3] = pg_int8_value(first_id);
    row[4] = pg_int8_value(oldest);
}

/* One row for each epoch, oldest first: they are inserted in that order. @limit epochs are never reached here. */
static void answer_facts(struct pg_backend *backend)
{
    const struct pg_database *db = backend->db;
    const struct pg_room *room = pg_find_room(db, backend->view, backend->statement.rooms[0]);
    if (room == NULL) {
        add_facts(backend, 0, 0, pg_newest_epoch(db, backend->view)->epoch, 1, 1);
        return;
    }
    uint64_t head = pg_head(db, backend->view, room);
    uint64_t oldest = oldest_of(db, backend->view, room, head + 1);
    for (size_t i = 0; i < room->epoch_count; i++) {
        const struct pg_room_epoch *epoch = &room->epochs[i];
        if (pg_sees(db, backend->view, epoch->xmin)) {
            add_facts(backend, room->id, head, epoch->epoch, epoch->first_id, oldest);
        }
    }
}

static const struct pg_message *message_of(const struct pg_backend *backend,
                                           const struct pg_room *room, uint64_t id)
{
    for (size_t i = 0; i < room->message_count; i++) {
        if (room->messages[i].id == id &&
            pg_sees(backend->db, backend->view, room->messages[i].xmin)) {
            return &room->messages[i];
        }
    }
    return NULL;
}

static void answer_messages(struct pg_backend *backend)
{
    const struct pg_statement *statement = &backend->statement;
    ASSERT(statement->room_id >= 1 && (size_t)statement->room_id <= backend->db->room_count);
    const struct pg_room *room = backend->db->rooms[statement->room_id - 1];
    bool is_descending = statement->is_newest_first;
    int64_t to = MIN_OF(statement->to, (int64_t)room->message_count + 1000);
    for (int64_t n = statement->from; n <= to; n++) {
        int64_t id = is_descending ? to - (n - statement->from) : n;
        const struct pg_message *message = message_of(backend, room, (uint64_t)id);
        if (message != NULL && backend->answer.rows < (size_t)statement->limit) {
            struct pg_value *row = pg_answer_row(backend, 6);
            row[0] = pg_int8_value(message->id);
            row[1] = pg_text_value(message->texts.sender);
            row[2] = pg_text_value(message->texts.session);
            row[3] = pg_text_value(message->texts.client_id);
            row[4] = pg_text_value(message->texts.body);
            row[5] = (struct pg_value){.type = PG_TIME, .number = message->at_ms};
        }
    }
}

/* Those who wait for the standby since before a statement that waits for anything else would have been cancelled. */
static uint64_t count_stuck_commits(const struct pg_backend *backend)
{
    bool is_early = backend->now_ms < STATEMENT_TIMEOUT_MS;
    return backend->waits_for_standby && !is_early
               ? pg_unreplicated_since(backend->db, backend->now_ms - STATEMENT_TIMEOUT_MS)
               : 0;
}

enum pg_step pg_other_step(struct pg_backend *backend)
{
    const struct pg_statement *statement = &backend->statement;
    backend->view = pg_view_now(backend->db, backend->xid);
    const struct pg_epoch *newest = pg_newest_epoch(backend->db, backend->view);
    switch (statement->type) {
    case PG_FACTS: answer_facts(backend); break;
    case PG_MESSAGES: answer_messages(backend); break;
    case PG_HEADS:
    case PG_ROOM_HEAD:
        for (size_t i = 0; i < statement->room_count; i++) {
            answer_head(backend, statement->rooms[i]);
        }
        break;
    case PG_IS_PREPARED:
        pg_answer_row(backend, 1)[0] =
            pg_int8_value(newest != NULL && newest->identity == backend->db->identity);
        break;
    case PG_STUCK_COMMITS:
        pg_answer_row(backend, 1)[0] = pg_int8_value(count_stuck_commits(backend));
        break;
    case PG_NUMBER:
        pg_answer_row(backend, 1)[0] = pg_int8_value((uint64_t)statement->number);
        break;
    case PG_SET_STATEMENT_TIMEOUT:
        backend->statement_timeout_ms = (uint64_t)statement->number;
        break;
    case PG_LOCK_MIGRATIONS:
        if (pg_lock_advisory(backend->db, pg_backend_xid(backend), PG_MIGRATION_LOCK, true,
                             &backend->waits_for) == PG_WAIT) {
            return PG_STEP_WAITS;
        }
        break;
    default: ASSERT(false); break;
    }
    return PG_STEP_IS_DONE;
}
