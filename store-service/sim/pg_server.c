#include "pg_server.h"

#include "promise.h"

#include <stdlib.h>

void pg_server_init(struct pg_server *server, bool is_synchronous)
{
    *server = (struct pg_server){.is_synchronous = is_synchronous};
    pg_database_init(&server->db);
}

static void break_connection(struct pg_server_slot *slot)
{
    if (slot->client != NULL) {
        slot->client->slot = NULL;
        slot->client = NULL;
    }
}

static void end_backend(struct pg_server_slot *slot)
{
    break_connection(slot);
    pg_backend_release(&slot->backend);
    *slot = (struct pg_server_slot){0};
}

void pg_server_release(struct pg_server *server)
{
    server->db.on_commit = NULL; /* whoever is told may be gone */
    for (size_t i = 0; i < PG_BACKENDS_MAX; i++) {
        if (server->slots[i].is_used) {
            end_backend(&server->slots[i]);
        }
    }
    pg_database_release(&server->db);
}

/* --- connections --- */

struct pg_conn *pg_server_connect(struct pg_server *server, uint64_t now_ms)
{
    size_t i = 0;
    while (i < PG_BACKENDS_MAX && server->slots[i].is_used) {
        i++;
    }
    if (now_ms < server->up_at_ms || i == PG_BACKENDS_MAX) {
        return NULL;
    }
    struct pg_conn *conn = mem_alloc_zeroed(sizeof(*conn));
    conn->slot = &server->slots[i];
    *conn->slot = (struct pg_server_slot){.is_used = true, .client = conn};
    pg_backend_init(&conn->slot->backend, &server->db, server->is_synchronous);
    return conn;
}

void pg_server_disconnect(struct pg_conn *conn)
{
    struct pg_server_slot *slot = conn->slot;
    if (slot != NULL) {
        slot->client = NULL;
    }
    pg_answer_release(&conn->answer);
    free(conn);
}

void pg_server_send(struct pg_conn *conn, struct pg_statement *statement, uint64_t now_ms)
{
    conn->has_answer = false;
    pg_answer_release(&conn->answer);
    if (conn->slot == NULL || conn->slot->is_cut) {
        pg_statement_release(statement);
    } else {
        pg_backend_start(&conn->slot->backend, statement, now_ms);
    }
}

/* --- steps --- */

/* Idle, and nobody will ever ask it anything: it ends when it finds that out, at once but for one that is cut off. */
static bool is_left(const struct pg_server_slot *slot)
{
    return slot->client == NULL && slot->backend.state == PG_BACKEND_IDLE &&
           !(slot->is_cut && slot->backend.is_in_block);
}

/* The client finds out that its connection leads nowhere; whatever its backend does. */
static bool is_found_out(const struct pg_server_slot *slot, uint64_t now_ms)
{
    return slot->is_cut && slot->client != NULL && now_ms >= slot->found_out_at_ms;
}

static bool is_idle_for_too_long(const struct pg_server_slot *slot, uint64_t now_ms)
{
    return slot->backend.state == PG_BACKEND_IDLE && now_ms >= pg_backend_due_ms(&slot->backend);
}

static bool is_ready(const struct pg_server_slot *slot, uint64_t now_ms)
{
    if (!slot->is_used || is_found_out(slot, now_ms)) {
        return slot->is_used;
    }
    return !slot->is_frozen && (pg_backend_can_step(&slot->backend, now_ms) || is_left(slot) ||
                                is_idle_for_too_long(slot, now_ms));
}

static bool is_standby_ready(const struct pg_server *server)
{
    return !server->is_standby_frozen && server->db.standby_count < server->db.wal_count;
}

size_t pg_server_ready(const struct pg_server *server, uint64_t now_ms)
{
    size_t ready = is_standby_ready(server);
    for (size_t i = 0; i < PG_BACKENDS_MAX; i++) {
        ready += is_ready(&server->slots[i], now_ms);
    }
    return ready;
}

uint64_t pg_server_due_ms(const struct pg_server *server)
{
    uint64_t due_ms = UINT64_MAX;
    for (size_t i = 0; i < PG_BACKENDS_MAX; i++) {
        const struct pg_server_slot *slot = &server->slots[i];
        if (slot->is_used && !slot->is_frozen) {
            due_ms = MIN_OF(due_ms, pg_backend_due_ms(&slot->backend));
        }
        if (slot->is_cut && slot->client != NULL) {
            due_ms = MIN_OF(due_ms, slot->found_out_at_ms);
        }
    }
    return due_ms;
}

static const struct pg_backend *backend_of(const struct pg_server *server, uint32_t xid)
{
    for (size_t i = 0; i < PG_BACKENDS_MAX; i++) {
        if (server->slots[i].is_used && server->slots[i].backend.xid == xid) {
            return &server->slots[i].backend;
        }
    }
    return NULL;
}

static void check_no_deadlock(const struct pg_server *server, const struct pg_backend *backend)
{
    const struct pg_backend *other = backend;
    for (size_t i = 0; i <= PG_BACKENDS_MAX && other != NULL && other->waits_for != 0; i++) {
        other = backend_of(server, other->waits_for);
        if (other == backend) {
            promise_broken("transaction %u waits for itself: a deadlock", backend->xid);
        }
    }
}

static void check(const struct pg_server *server, const struct pg_backend *backend)
{
    check_no_deadlock(server, backend);
    if (server->db.violations > 0) {
        promise_broken(
            "only a unique key kept a message from being stored twice, or two under one id");
    }
}

static void send_answer(struct pg_server_slot *slot)
{
    struct pg_answer answer = slot->backend.answer;
    slot->backend.answer = (struct pg_answer){0};
    if (slot->client != NULL && !slot->is_cut) {
        slot->client->answer = answer;
        slot->client->has_answer = true;
    } else {
        pg_answer_release(&answer);
    }
}

static void step_slot(struct pg_server *server, struct pg_server_slot *slot, uint64_t now_ms)
{
    if (is_found_out(slot, now_ms)) {
        break_connection(slot);
        return;
    }
    if (slot->backend.state == PG_BACKEND_IDLE) {
        end_backend(slot); /* it was left, or idle in a transaction for too long */
        return;
    }
    bool is_answering = slot->backend.state == PG_BACKEND_ANSWERS;
    pg_backend_step(&slot->backend, now_ms);
    if (is_answering) {
        send_answer(slot);
    }
    check(server, &slot->backend);
}

void pg_server_step(struct pg_server *server, size_t nth, uint64_t now_ms)
{
    if (is_standby_ready(server) && nth-- == 0) {
        server->db.standby_count++;
        return;
    }
    for (size_t i = 0; i < PG_BACKENDS_MAX; i++) {
        if (is_ready(&server->slots[i], now_ms) && nth-- == 0) {
            step_slot(server, &server->slots[i], now_ms);
            return;
        }
    }
    ASSERT(false);
}

/* --- faults --- */

/* Those that are at work come first: what happens to the others matters less. */
static struct pg_server_slot *nth_slot(struct pg_server *server, size_t nth)
{
    for (int is_idle = 0; is_idle <= 1; is_idle++) {
        for (size_t i = 0; i < PG_BACKENDS_MAX; i++) {
            struct pg_server_slot *slot = &server->slots[i];
            bool is_one =
                slot->is_used && (slot->backend.state == PG_BACKEND_IDLE) == (is_idle == 1);
            if (is_one && nth-- == 0) {
                return slot;
            }
        }
    }
    return NULL;
}

bool pg_server_freeze_backend(struct pg_server *server, size_t nth)
{
    struct pg_server_slot *slot = nth_slot(server, nth);
    if (slot != NULL) {
        slot->is_frozen = true;
    }
    return slot != NULL;
}

bool pg_server_kill_backend(struct pg_server *server, size_t nth)
{
    struct pg_server_slot *slot = nth_slot(server, nth);
    if (slot != NULL) {
        end_backend(slot);
    }
    return slot != NULL;
}

bool pg_server_break_connection(struct pg_server *server, size_t nth)
{
    struct pg_server_slot *slot = nth_slot(server, nth);
    if (slot != NULL) {
        break_connection(slot);
    }
    return slot != NULL;
}

bool pg_server_cut_connection(struct pg_server *server, size_t nth, uint64_t now_ms)
{
    struct pg_server_slot *slot = nth_slot(server, nth);
    if (slot != NULL && !slot->is_cut) {
        slot->is_cut = true;
        slot->found_out_at_ms = now_ms + PG_KEEPALIVE_MS;
    }
    return slot != NULL;
}

void pg_server_thaw(struct pg_server *server)
{
    server->is_standby_frozen = false;
    for (size_t i = 0; i < PG_BACKENDS_MAX; i++) {
        server->slots[i].is_frozen = false;
    }
}

/* Without a chance to commit what is durable already: that is for the recovery. */
static void kill_all(struct pg_server *server)
{
    for (size_t i = 0; i < PG_BACKENDS_MAX; i++) {
        if (server->slots[i].is_used) {
            server->slots[i].backend.xid = 0;
            server->slots[i].backend.state = PG_BACKEND_IDLE;
            end_backend(&server->slots[i]);
        }
    }
}

void pg_server_crash(struct pg_server *server, uint64_t up_at_ms)
{
    kill_all(server);
    pg_crash(&server->db);
    server->up_at_ms = up_at_ms;
}

/* When an epoch that begins has a number that none had before, lost ones included: they are numbered by the second. */
static uint64_t next_epoch_ms(const struct pg_database *db)
{
    uint64_t newest = 0;
    for (size_t i = 0; i < db->epoch_count; i++) {
        newest = MAX_OF(newest, db->epochs[i].epoch);
    }
    return (newest + 1) * 1000;
}

void pg_server_promote(struct pg_server *server, size_t extra, uint64_t up_at_ms)
{
    kill_all(server);
    pg_promote(&server->db, MIN_OF(server->db.standby_count + extra, server->db.wal_count));
    server->up_at_ms = MAX_OF(up_at_ms, next_epoch_ms(&server->db));
}
