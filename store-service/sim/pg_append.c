/*
 * pg_append.c - parley_append() of migrations/0011_closed_rooms.sql, of rooms that are open, a snapshot, a row or a lock at a time.
 *
 * That it inserts first, and looks for duplicates where the unique key objects, makes no difference to see: what it inserts
 * under the rooms' locks, and may undo, nobody else sees in between. So the model looks always.
 */
#include "pg_backend.h"

#include <stdlib.h>

/* The statements inside, in their order. */
enum append_step {
    LOOKS_FOR_ROOMS, /* IF EXISTS (…) */
    LOCKS_EPOCH,     /* PERFORM pg_advisory_xact_lock_shared(…) */
    MAKES_ROOMS,     /* INSERT INTO room_rows … ON CONFLICT DO NOTHING, and room_epochs */
    LOCKS_ROOMS,     /* SELECT … FOR UPDATE [SKIP LOCKED] */
    READS_HEADS,     /* SELECT … INTO v_heads */
    FINDS,           /* RETURN QUERY …: its snapshot, and all that it reads */
    STORES,          /* … and what it writes */
};

/* A body that a constraint of the table forbids: the model's way to have a message that Postgres will not take. */
static const struct bytes FORBIDDEN = {.data = "forbidden", .len = 9};

static const struct bytes *sorted_rooms; /* for qsort() */

static int compare_places(const void *a, const void *b)
{
    struct bytes x = sorted_rooms[*(const size_t *)a];
    struct bytes y = sorted_rooms[*(const size_t *)b];
    int order = memcmp(x.data, y.data, MIN_OF(x.len, y.len));
    return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
}

static void next_statement(struct pg_backend *backend, enum append_step step)
{
    backend->step = step;
    backend->at = 0;
    backend->view = pg_view_now(backend->db, backend->xid);
}

void pg_append_release(struct pg_backend *backend)
{
    free(backend->append.order);
    free(backend->append.rooms);
    free(backend->append.messages);
    backend->append = (struct pg_append_state){0};
}

static enum pg_step look_for_rooms(struct pg_backend *backend)
{
    const struct pg_statement *statement = &backend->statement;
    struct pg_append_state *append = &backend->append;
    append->order = mem_alloc((statement->room_count + 1) * sizeof(append->order[0]));
    append->rooms = mem_alloc_zeroed((statement->room_count + 1) * sizeof(append->rooms[0]));
    append->messages =
        mem_alloc_zeroed((statement->message_count + 1) * sizeof(append->messages[0]));
    struct pg_view view = pg_view_now(backend->db, pg_backend_xid(backend));
    bool has_all = true;
    for (size_t i = 0; i < statement->room_count; i++) {
        append->order[i] = i;
        has_all &= pg_find_room(backend->db, view, statement->rooms[i]) != NULL;
    }
    sorted_rooms = statement->rooms;
    qsort(append->order, statement->room_count, sizeof(append->order[0]), compare_places);
    next_statement(backend, has_all ? LOCKS_ROOMS : LOCKS_EPOCH);
    return PG_STEP_GOES_ON;
}

static enum pg_step lock_epoch(struct pg_backend *backend)
{
    if (pg_lock_advisory(backend->db, backend->xid, PG_EPOCH_LOCK, false, &backend->waits_for) ==
        PG_WAIT) {
        return PG_STEP_WAITS;
    }
    next_statement(backend, MAKES_ROOMS);
    return PG_STEP_GOES_ON;
}

static enum pg_step make_room(struct pg_backend *backend)
{
    const struct pg_statement *statement = &backend->statement;
    uint64_t epoch = pg_newest_epoch(backend->db, backend->view)->epoch;
    if (backend->at == statement->room_count) {
        for (size_t i = 0; i < statement->room_count; i++) {
            if (backend->append.rooms[i].is_made) {
                pg_insert_room_epoch(backend->xid, backend->append.rooms[i].room, epoch, 1);
            }
        }
        next_statement(backend, LOCKS_ROOMS);
        return PG_STEP_GOES_ON;
    }
    size_t place = backend->append.order[backend->at];
    if (pg_find_room(backend->db, backend->view, statement->rooms[place]) == NULL) {
        switch (pg_insert_room(backend->db, backend->xid, statement->rooms[place], epoch,
                               &backend->append.rooms[place].room, &backend->waits_for)) {
        case PG_WAIT: return PG_STEP_WAITS;
        case PG_WRITTEN: backend->append.rooms[place].is_made = true; break;
        case PG_CONFLICT: break;
        }
    }
    backend->at++;
    return PG_STEP_GOES_ON;
}

static enum pg_step lock_room(struct pg_backend *backend)
{
    const struct pg_statement *statement = &backend->statement;
    if (backend->at == statement->room_count) {
        next_statement(backend, READS_HEADS);
        return PG_STEP_GOES_ON;
    }
    size_t place = backend->append.order[backend->at];
    struct pg_room *room = pg_find_room(backend->db, backend->view, statement->rooms[place]);
    backend->append.rooms[place].room = NULL;
    if (room != NULL) {
        enum pg_write locked = pg_lock_room(backend->db, backend->xid, room, &backend->waits_for);
        if (locked == PG_WAIT && statement->waits) {
            return PG_STEP_WAITS;
        }
        backend->waits_for = 0;
        if (locked == PG_WRITTEN) {
            const struct pg_room_version *newest = pg_room_newest(backend->db, backend->xid, room);
            backend->append.rooms[place].room = room;
            backend->append.rooms[place].floor = newest->floor;
            backend->append.rooms[place].epoch = newest->epoch;
        }
    }
    backend->at++;
    return PG_STEP_GOES_ON;
}

static enum pg_step read_heads(struct pg_backend *backend)
{
    for (size_t i = 0; i < backend->statement.room_count; i++) {
        struct pg_append_room *room = &backend->append.rooms[i];
        if (room->room != NULL) {
            room->head = pg_newest_id(backend->db, backend->view, room->room, room->floor);
        }
    }
    next_statement(backend, FINDS);
    return PG_STEP_GOES_ON;
}

/* The first message of this call that is the same as message @i, which may be @i itself. */
static size_t first_of_kind(const struct pg_statement *statement, size_t i)
{
    size_t first = 0;
    while (statement->room_of[first] != statement->room_of[i] ||
           !pg_is_same_message(&statement->messages[first], &statement->messages[i])) {
        first++;
    }
    return first;
}

static void find_message(struct pg_backend *backend, size_t i)
{
    const struct pg_statement *statement = &backend->statement;
    size_t place = (size_t)statement->room_of[i] - 1;
    struct pg_append_state *append = &backend->append;
    struct pg_room *room = append->rooms[place].room;
    if (room == NULL) {
        return;
    }
    const struct pg_message *found =
        pg_find_message(backend->db, backend->view, room, &statement->messages[i]);
    size_t first = first_of_kind(statement, i);
    if (found != NULL) {
        append->messages[i].id = found->id;
        append->messages[i].at_ms = found->at_ms;
        append->messages[i].session = found->texts.session;
        append->messages[i].was_found = true;
    } else if (first < i) {
        append->messages[i].id = append->messages[first].id;
        append->messages[i].at_ms = backend->now_ms;
    } else {
        append->messages[i].id = ++append->rooms[place].head;
        append->messages[i].at_ms = backend->now_ms;
        append->messages[i].is_new = true;
    }
}

static enum pg_step find(struct pg_backend *backend)
{
    for (size_t i = 0; i < backend->statement.message_count; i++) {
        find_message(backend, i);
    }
    backend->step = STORES; /* the same statement, with its snapshot */
    return PG_STEP_GOES_ON;
}

/* What it returns: a row for each message of a room that is locked. */
static void answer_messages(struct pg_backend *backend)
{
    const struct pg_statement *statement = &backend->statement;
    const struct pg_append_state *append = &backend->append;
    for (size_t i = 0; i < statement->message_count; i++) {
        size_t place = (size_t)statement->room_of[i] - 1;
        if (append->rooms[place].room != NULL) {
            struct pg_value *row = pg_answer_row(backend, 7);
            row[0] = (struct pg_value){.type = PG_INT4, .number = i + 1};
            row[1] = pg_int8_value(append->messages[i].id);
            row[2] = (struct pg_value){.type = PG_TIME, .number = append->messages[i].at_ms};
            row[3] = (struct pg_value){.type = PG_BOOL, .number = !append->messages[i].is_new};
            if (append->messages[i].was_found) {
                row[4] = pg_text_value(append->messages[i].session);
            }
            row[5] = pg_int8_value(append->rooms[place].epoch);
            row[6] = pg_int8_value(append->rooms[place].head);
        }
    }
}

static enum pg_step store_message(struct pg_backend *backend)
{
    const struct pg_statement *statement = &backend->statement;
    const struct pg_append_state *append = &backend->append;
    while (backend->at < statement->message_count && !append->messages[backend->at].is_new) {
        backend->at++;
    }
    if (backend->at == statement->message_count) {
        answer_messages(backend);
        return PG_STEP_IS_DONE;
    }
    const struct contract_new_message *message = &statement->messages[backend->at];
    if (bytes_start_with(message->body, FORBIDDEN)) {
        backend->answer.sqlstate = "23514"; /* check_violation */
        return PG_STEP_HAS_FAILED;
    }
    switch (pg_insert_message(backend->db, backend->xid,
                              append->rooms[statement->room_of[backend->at] - 1].room,
                              append->messages[backend->at].id, append->messages[backend->at].at_ms,
                              message, &backend->waits_for)) {
    case PG_WAIT: return PG_STEP_WAITS;
    case PG_CONFLICT:
        backend->answer.sqlstate = "23505"; /* unique_violation */
        return PG_STEP_HAS_FAILED;
    case PG_WRITTEN: backend->at++; break;
    }
    return PG_STEP_GOES_ON;
}

enum pg_step pg_append_step(struct pg_backend *backend)
{
    switch ((enum append_step)backend->step) {
    case LOOKS_FOR_ROOMS: return look_for_rooms(backend);
    case LOCKS_EPOCH: return lock_epoch(backend);
    case MAKES_ROOMS: return make_room(backend);
    case LOCKS_ROOMS: return lock_room(backend);
    case READS_HEADS: return read_heads(backend);
    case FINDS: return find(backend);
    case STORES: return store_message(backend);
    }
    ASSERT(false);
    return PG_STEP_HAS_FAILED;
}
