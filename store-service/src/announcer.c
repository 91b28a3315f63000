#include "announcer.h"

#include "limits.h"
#include "proto/contract.h"

#include <stdlib.h>

/* A store that is frozen while it tells shall keep nobody else from doing it. */
static const char SETTINGS_SQL[] =
    "SET idle_in_transaction_session_timeout = '5s'; LISTEN parley_unannounced";

static const char TAKE_SQL[] =
    "WITH taken AS ("
    " DELETE FROM unannounced WHERE (room_id, id) IN ("
    "  SELECT u.room_id, u.id FROM unannounced u ORDER BY u.room_id, u.id LIMIT $1"
    "  FOR UPDATE SKIP LOCKED) RETURNING room_id, id) "
    "SELECT r.name, r.epoch, m.id, m.sender, m.session, m.client_id, m.body, m.created_at"
    " FROM taken t JOIN room_rows r ON r.id = t.room_id"
    " JOIN messages m ON m.room_id = t.room_id AND m.id = t.id ORDER BY r.id, m.id";

enum { ROOM, EPOCH, ID, SENDER, SESSION, CLIENT_ID, BODY, AT };

/* Messages of one room without a hole, as they go out in one event. */
struct run {
    const struct announcer_settings *settings;
    struct contract_room_event event;
    size_t bytes;
};

static void run_end(struct run *run)
{
    if (run->event.batch.message_count > 0) {
        struct buf payload = BUF_INIT;
        contract_encode_room_event(&payload, &run->event);
        bus_publish_room(run->settings->bus, run->event.room, buf_bytes(&payload));
        buf_release(&payload);
    }
    run->event.batch.message_count = 0;
    run->bytes = CONTRACT_ENVELOPE_BYTES_MAX;
}

static void run_add(struct run *run, const PGresult *result, int row)
{
    struct contract_stored_message message = {
        .sender = pg_text(result, row, SENDER),
        .session = pg_text(result, row, SESSION),
        .client_id = pg_text(result, row, CLIENT_ID),
        .body = pg_text(result, row, BODY),
        .at_ms = pg_time_ms(result, row, AT),
    };
    struct bytes room = pg_text(result, row, ROOM);
    uint64_t id = (uint64_t)pg_int8(result, row, ID);
    size_t size = contract_stored_message_size(&message), count = run->event.batch.message_count;
    bool goes_on = count > 0 && bytes_equal(room, run->event.room) &&
                   id == run->event.batch.first_id + count &&
                   run->bytes + size <= CONTRACT_MESSAGE_BYTES_MAX;
    if (!goes_on) {
        run_end(run);
        run->event.room = room;
        run->event.batch.epoch = (uint64_t)pg_int8(result, row, EPOCH);
        run->event.batch.first_id = id;
    }
    run->event.batch.messages[run->event.batch.message_count++] = message;
    run->bytes += size;
}

static void tell(const struct announcer_settings *settings, const PGresult *result)
{
    int rows = PQntuples(result);
    struct run run = {.settings = settings, .event.type = CONTRACT_BATCH};
    run.event.batch.messages =
        mem_alloc(((size_t)rows + 1) * sizeof(struct contract_stored_message));
    for (int row = 0; row < rows; row++) {
        run_add(&run, result, row);
    }
    run_end(&run);
    free(run.event.batch.messages);
    stat_add(&settings->stats->messages_announced, (uint64_t)rows);
}

/* Tells some of what is there, in one transaction; how many rows that were is in @ret_rows. */
static bool tell_some(const struct announcer_settings *settings, struct pg *pg, int *ret_rows,
                      struct buf *ret_error)
{
    struct pg_params params;
    pg_params_init(&params);
    pg_param_int8(&params, ANNOUNCED_ROWS_MAX);
    PGresult *result = NULL;
    bool is_done =
        worker_run(pg, "BEGIN", ret_error) &&
        pg_run(pg, TAKE_SQL, &params, STATEMENT_DEADLINE_MS, &result, ret_error) == STORE_COMMITTED;
    if (is_done) {
        *ret_rows = PQntuples(result);
        tell(settings, result);
        PQclear(result);
        is_done = worker_run(pg, "COMMIT", ret_error);
    }
    pg_params_release(&params);
    return is_done;
}

static uint64_t announce(void *user, struct pg *pg, struct buf *ret_error)
{
    const struct announcer_settings *settings = user;
    int rows = 0;
    if (bus_is_connected(settings->bus) && !tell_some(settings, pg, &rows, ret_error)) {
        return WORKER_FAILED;
    }
    return rows == ANNOUNCED_ROWS_MAX ? 0 : ANNOUNCE_IDLE_MS;
}

struct worker *announcer_new(struct announcer_settings *settings, const struct pg_target *target)
{
    return worker_new(&(struct worker_setup){
        .name = "announcer",
        .application_name = "parley-store-announcer",
        .settings_sql = SETTINGS_SQL,
        .target = target,
        .stats = settings->stats,
        .work = announce,
        .user = settings,
    });
}
