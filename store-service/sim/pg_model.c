#include "pg_model.h"

#include <stdlib.h>

enum { SHORT_CLIENT_ID_BYTES = 16 };

/* Makes room for one more of @count elements of @size bytes: at 0, 1, 2, 4, 8, … there is none left. */
static void *grow(void *block, size_t count, size_t size)
{
    bool is_full = (count & (count - 1)) == 0;
    return is_full ? mem_resize(block, MAX_OF(count * 2, (size_t)1) * size) : block;
}

/* --- life --- */

void pg_database_init(struct pg_database *db)
{
    *db = (struct pg_database){.identity = 1};
}

static void room_free(struct pg_room *room)
{
    for (size_t i = 0; i < room->message_count; i++) {
        free(room->messages[i].block);
    }
    free(room->messages);
    free(room->versions);
    free(room->epochs);
    free(room);
}

void pg_database_release(struct pg_database *db)
{
    for (size_t i = 0; i < db->room_count; i++) {
        room_free(db->rooms[i]);
    }
    free(db->rooms);
    free(db->xacts);
    free(db->wal);
    free(db->epochs);
    free(db->locks);
}

/* --- transactions --- */

static struct pg_xact *xact_of(const struct pg_database *db, uint32_t xid)
{
    ASSERT(xid >= 1 && xid <= db->xact_count);
    return &db->xacts[xid - 1];
}

uint32_t pg_begin(struct pg_database *db, uint64_t now_ms)
{
    db->xacts = grow(db->xacts, db->xact_count, sizeof(db->xacts[0]));
    db->xacts[db->xact_count++] = (struct pg_xact){.state = PG_RUNNING, .began_at_ms = now_ms};
    return (uint32_t)db->xact_count;
}

void pg_flush(struct pg_database *db, uint32_t xid)
{
    ASSERT(xact_of(db, xid)->state == PG_RUNNING);
    xact_of(db, xid)->state = PG_FLUSHED;
    xact_of(db, xid)->wal_place = db->wal_count;
    db->wal = grow(db->wal, db->wal_count, sizeof(db->wal[0]));
    db->wal[db->wal_count++] = xid;
}

/* A room's row lock needs no letting go: it counts as long as its locker has not ended. */
static void let_go(struct pg_database *db, uint32_t xid)
{
    size_t kept = 0;
    for (size_t i = 0; i < db->lock_count; i++) {
        if (db->locks[i].xid != xid) {
            db->locks[kept++] = db->locks[i];
        }
    }
    db->lock_count = kept;
}

void pg_commit(struct pg_database *db, uint32_t xid)
{
    struct pg_xact *xact = xact_of(db, xid);
    ASSERT(xact->state == PG_FLUSHED);
    xact->state = PG_COMMITTED;
    xact->commit = ++db->commits;
    let_go(db, xid);
    if (db->on_commit != NULL) {
        db->on_commit(db->user, xid);
    }
}

void pg_abort(struct pg_database *db, uint32_t xid)
{
    ASSERT(xact_of(db, xid)->state == PG_RUNNING);
    xact_of(db, xid)->state = PG_ABORTED;
    let_go(db, xid);
}

bool pg_has_ended(const struct pg_database *db, uint32_t xid)
{
    enum pg_xact_state state = xact_of(db, xid)->state;
    return state == PG_COMMITTED || state == PG_ABORTED;
}

bool pg_is_replicated(const struct pg_database *db, uint32_t xid)
{
    const struct pg_xact *xact = xact_of(db, xid);
    ASSERT(xact->state == PG_FLUSHED || xact->state == PG_COMMITTED);
    return xact->wal_place < db->standby_count;
}

size_t pg_unreplicated_since(const struct pg_database *db, uint64_t ms)
{
    size_t count = 0;
    for (uint32_t xid = 1; xid <= db->xact_count; xid++) {
        const struct pg_xact *xact = xact_of(db, xid);
        count += xact->state == PG_FLUSHED && xact->began_at_ms < ms && !pg_is_replicated(db, xid);
    }
    return count;
}

void pg_crash(struct pg_database *db)
{
    for (uint32_t xid = 1; xid <= db->xact_count; xid++) {
        if (xact_of(db, xid)->state == PG_RUNNING) {
            pg_abort(db, xid);
        }
    }
    for (size_t i = 0; i < db->wal_count; i++) {
        if (xact_of(db, db->wal[i])->state == PG_FLUSHED) {
            pg_commit(db, db->wal[i]);
        }
    }
}

void pg_promote(struct pg_database *db, size_t wal_count)
{
    ASSERT(wal_count >= db->standby_count && wal_count <= db->wal_count);
    while (db->wal_count > wal_count) {
        uint32_t lost = db->wal[--db->wal_count];
        xact_of(db, lost)->state = PG_ABORTED;
        let_go(db, lost);
    }
    if (db->on_promotion != NULL) {
        db->on_promotion(db->user);
    }
    pg_crash(db);
    db->standby_count = db->wal_count;
    db->identity++;
}

/* --- reads --- */

bool pg_sees(const struct pg_database *db, struct pg_view view, uint32_t xmin)
{
    const struct pg_xact *xact = xact_of(db, xmin);
    return (xmin == view.xid && xact->state == PG_RUNNING) ||
           (xact->state == PG_COMMITTED && xact->commit <= view.snapshot);
}

const struct pg_room_version *pg_room_version(const struct pg_database *db, struct pg_view view,
                                              const struct pg_room *room)
{
    for (size_t i = 0; i < room->version_count; i++) {
        const struct pg_room_version *version = &room->versions[i];
        if (pg_sees(db, view, version->xmin) &&
            (version->xmax == 0 || !pg_sees(db, view, version->xmax))) {
            return version;
        }
    }
    return NULL;
}

uint64_t pg_newest_id(const struct pg_database *db, struct pg_view view, const struct pg_room *room,
                      uint64_t floor)
{
    uint64_t newest = floor;
    for (size_t i = 0; i < room->message_count; i++) {
        const struct pg_message *message = &room->messages[i];
        if (message->id > newest && pg_sees(db, view, message->xmin)) {
            newest = message->id;
        }
    }
    return newest;
}

uint64_t pg_head(const struct pg_database *db, struct pg_view view, const struct pg_room *room)
{
    return pg_newest_id(db, view, room, pg_room_version(db, view, room)->floor);
}

const struct pg_room_version *pg_room_newest(const struct pg_database *db, uint32_t xid,
                                             const struct pg_room *room)
{
    return pg_room_version(db, pg_view_now(db, xid), room);
}

struct pg_room *pg_find_room(const struct pg_database *db, struct pg_view view, struct bytes name)
{
    for (size_t i = 0; i < db->room_count; i++) {
        struct pg_room *room = db->rooms[i];
        if (bytes_equal(bytes_of_string(room->name), name) &&
            pg_room_version(db, view, room) != NULL) {
            return room;
        }
    }
    return NULL;
}

/* The rule of parley_dedup_key(): whether the session counts. */
static bool counts_in_session_only(const struct contract_new_message *texts)
{
    return texts->client_id.len < SHORT_CLIENT_ID_BYTES ||
           bytes_start_with(texts->client_id, BYTES("undefined-"));
}

bool pg_is_same_message(const struct contract_new_message *a, const struct contract_new_message *b)
{
    return bytes_equal(a->client_id, b->client_id) && bytes_equal(a->sender, b->sender) &&
           bytes_equal(a->body, b->body) &&
           (!counts_in_session_only(a) || bytes_equal(a->session, b->session));
}

/* FNV-1a of what is the same in all that pg_is_same_message() calls the same. */
static uint64_t hash_of(const struct contract_new_message *texts)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < texts->client_id.len; i++) {
        hash = (hash ^ (unsigned char)texts->client_id.data[i]) * 0x100000001b3u;
    }
    for (size_t i = 0; i < texts->body.len; i++) {
        hash = (hash ^ (unsigned char)texts->body.data[i]) * 0x100000001b3u;
    }
    return hash;
}

const struct pg_message *pg_find_message(const struct pg_database *db, struct pg_view view,
                                         const struct pg_room *room,
                                         const struct contract_new_message *texts)
{
    uint64_t hash = hash_of(texts);
    for (size_t i = 0; i < room->message_count; i++) {
        const struct pg_message *message = &room->messages[i];
        if (message->hash == hash && pg_is_same_message(&message->texts, texts) &&
            pg_sees(db, view, message->xmin)) {
            return message;
        }
    }
    return NULL;
}

const struct pg_epoch *pg_newest_epoch(const struct pg_database *db, struct pg_view view)
{
    const struct pg_epoch *newest = NULL;
    for (size_t i = 0; i < db->epoch_count; i++) {
        const struct pg_epoch *epoch = &db->epochs[i];
        if (pg_sees(db, view, epoch->xmin) && (newest == NULL || epoch->epoch > newest->epoch)) {
            newest = epoch;
        }
    }
    return newest;
}

/* --- writes --- */

/* What a unique key says to @xid where a row of @xmin has it already. */
static enum pg_write meet(const struct pg_database *db, uint32_t xid, uint32_t xmin,
                          uint32_t *ret_blocker)
{
    switch (xact_of(db, xmin)->state) {
    case PG_ABORTED: return PG_WRITTEN;
    case PG_COMMITTED: return PG_CONFLICT;
    case PG_RUNNING:
    case PG_FLUSHED: break;
    }
    if (xmin == xid) {
        return PG_CONFLICT;
    }
    *ret_blocker = xmin;
    return PG_WAIT;
}

static void add_version(struct pg_room *room, struct pg_room_version version)
{
    room->versions = grow(room->versions, room->version_count, sizeof(room->versions[0]));
    room->versions[room->version_count++] = version;
}

enum pg_write pg_insert_room(struct pg_database *db, uint32_t xid, struct bytes name,
                             uint64_t epoch, struct pg_room **ret_room, uint32_t *ret_blocker)
{
    for (size_t i = 0; i < db->room_count; i++) {
        const struct pg_room *other = db->rooms[i];
        if (bytes_equal(bytes_of_string(other->name), name)) {
            enum pg_write met = meet(db, xid, other->versions[0].xmin, ret_blocker);
            if (met != PG_WRITTEN) {
                return met;
            }
        }
    }
    struct pg_room *room = mem_alloc_zeroed(sizeof(*room));
    db->rooms = grow(db->rooms, db->room_count, sizeof(struct pg_room *));
    db->rooms[db->room_count++] = room;
    room->id = db->room_count;
    ASSERT(name.len > 0 && name.len < sizeof(room->name));
    memcpy(room->name, name.data, name.len);
    add_version(room, (struct pg_room_version){.xmin = xid, .epoch = epoch});
    *ret_room = room;
    return PG_WRITTEN;
}

static struct bytes put(char **at, struct bytes text)
{
    struct bytes copy = bytes_of(*at, text.len);
    *at = text.len == 0 ? *at : mempcpy(*at, text.data, text.len);
    return copy;
}

enum pg_write pg_insert_message(struct pg_database *db, uint32_t xid, struct pg_room *room,
                                uint64_t id, uint64_t at_ms,
                                const struct contract_new_message *texts, uint32_t *ret_blocker)
{
    uint64_t hash = hash_of(texts);
    for (size_t i = 0; i < room->message_count; i++) {
        const struct pg_message *other = &room->messages[i];
        if (other->id == id || (other->hash == hash && pg_is_same_message(&other->texts, texts))) {
            enum pg_write met = meet(db, xid, other->xmin, ret_blocker);
            db->violations += met == PG_CONFLICT;
            if (met != PG_WRITTEN) {
                return met;
            }
        }
    }
    struct pg_message message = {.xmin = xid, .id = id, .at_ms = at_ms, .hash = hash};
    message.block = mem_alloc(texts->sender.len + texts->session.len + texts->client_id.len +
                              texts->body.len + 1);
    char *at = message.block;
    message.texts.sender = put(&at, texts->sender);
    message.texts.session = put(&at, texts->session);
    message.texts.client_id = put(&at, texts->client_id);
    message.texts.body = put(&at, texts->body);
    room->messages = grow(room->messages, room->message_count, sizeof(room->messages[0]));
    room->messages[room->message_count++] = message;
    return PG_WRITTEN;
}

void pg_insert_room_epoch(uint32_t xid, struct pg_room *room, uint64_t epoch, uint64_t first_id)
{
    room->epochs = grow(room->epochs, room->epoch_count, sizeof(room->epochs[0]));
    room->epochs[room->epoch_count++] =
        (struct pg_room_epoch){.xmin = xid, .epoch = epoch, .first_id = first_id};
}

void pg_insert_epoch(struct pg_database *db, uint32_t xid, uint64_t epoch)
{
    db->epochs = grow(db->epochs, db->epoch_count, sizeof(db->epochs[0]));
    db->epochs[db->epoch_count++] =
        (struct pg_epoch){.xmin = xid, .epoch = epoch, .identity = db->identity};
}

enum pg_write pg_lock_room(struct pg_database *db, uint32_t xid, struct pg_room *room,
                           uint32_t *ret_blocker)
{
    if (room->locker != 0 && room->locker != xid && !pg_has_ended(db, room->locker)) {
        *ret_blocker = room->locker;
        return PG_WAIT;
    }
    room->locker = xid;
    return PG_WRITTEN;
}

void pg_update_room(struct pg_database *db, uint32_t xid, struct pg_room *room, uint64_t epoch,
                    uint64_t floor)
{
    ASSERT(room->locker == xid);
    const struct pg_room_version *newest = pg_room_newest(db, xid, room);
    ASSERT(newest != NULL);
    room->versions[newest - room->versions].xmax = xid;
    add_version(room, (struct pg_room_version){.xmin = xid, .epoch = epoch, .floor = floor});
}

enum pg_write pg_lock_advisory(struct pg_database *db, uint32_t xid, enum pg_advisory what,
                               bool is_exclusive, uint32_t *ret_blocker)
{
    for (size_t i = 0; i < db->lock_count; i++) {
        const struct pg_advisory_lock *lock = &db->locks[i];
        if (lock->what == what && lock->xid != xid && (is_exclusive || lock->is_exclusive)) {
            *ret_blocker = lock->xid;
            return PG_WAIT;
        }
    }
    db->locks = mem_resize(db->locks, (db->lock_count + 1) * sizeof(db->locks[0]));
    db->locks[db->lock_count++] =
        (struct pg_advisory_lock){.what = what, .is_exclusive = is_exclusive, .xid = xid};
    return PG_WRITTEN;
}
