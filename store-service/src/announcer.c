#include "announcer.h"

#include "base/log.h"
#include "database.h"
#include "limits.h"
#include "proto/contract.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct announcer {
    struct bus *bus;
    struct stats *stats;
    struct pg pg;
    uint64_t backoff_ms; /* 0: there is a connection, or was none yet */
    int stop_fd;         /* readable: it is to end */
    atomic_bool is_stopping;
    pthread_t thread;
};

/* Ends the connection, and with it a transaction, and says why; once, and not again for every attempt. */
static void give_up(struct announcer *announcer, struct bytes why)
{
    pg_disconnect(&announcer->pg);
    if (announcer->backoff_ms == 0) {
        LOG(LOG_WARN, "announcer_disconnected", F_BYTES("reason", why),
            F_STR("hint", "what parley_publish() says is told late until it is back"));
    }
    announcer->backoff_ms = announcer->backoff_ms == 0
                                ? BACKOFF_MS_MIN
                                : MIN_OF(announcer->backoff_ms * 2, (uint64_t)BACKOFF_MS_MAX);
}

/* Waits until there is something to do: news, the end, or @timeout_ms. */
static void wait_for_news(struct announcer *announcer, uint64_t timeout_ms)
{
    struct pollfd fds[] = {
        {.fd = announcer->stop_fd, .events = POLLIN},
        {.fd = announcer->pg.conn == NULL ? -1 : PQsocket(announcer->pg.conn), .events = POLLIN},
    };
    (void)poll(fds, COUNT_OF(fds), (int)timeout_ms);
    if (announcer->pg.conn == NULL || fds[1].revents == 0) {
        return;
    }
    if (PQconsumeInput(announcer->pg.conn) == 0 || PQstatus(announcer->pg.conn) != CONNECTION_OK) {
        give_up(announcer, BYTES("Postgres closed the connection"));
        return;
    }
    /* What is told is always all that is there: that it came is enough. */
    for (PGnotify *notice; (notice = PQnotifies(announcer->pg.conn)) != NULL;) {
        PQfreemem(notice);
    }
}

/* --- connecting -------------------------------------------------------------------------------------------------- */

static bool run(struct announcer *announcer, const char *script, struct buf *why)
{
    return pg_run_script(&announcer->pg, script, STATEMENT_DEADLINE_MS, why) == STORE_COMMITTED;
}

/* A store that is frozen while it tells shall keep nobody else from doing it. */
static bool listen_for_news(struct announcer *announcer, struct buf *why)
{
    return pg_connect(&announcer->pg, why) == PG_CONNECTED &&
           run(announcer, "SET application_name = 'parley-store-announcer'", why) &&
           database_prepare(&announcer->pg, false, why) == DATABASE_READY &&
           run(announcer,
               "SET idle_in_transaction_session_timeout = '5s'; LISTEN parley_unannounced", why);
}

static void connect_again(struct announcer *announcer)
{
    struct buf why = BUF_INIT;
    if (listen_for_news(announcer, &why)) {
        LOG(LOG_INFO, "announcer_connected");
        stat_add(&announcer->stats->postgres_connects, 1);
        announcer->backoff_ms = 0;
    } else {
        give_up(announcer, buf_bytes(&why));
    }
    buf_release(&why);
}

/* --- telling ----------------------------------------------------------------------------------------------------- */

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
    struct announcer *announcer;
    struct contract_room_event event;
    size_t bytes;
};

static void run_end(struct run *run)
{
    if (run->event.batch.message_count > 0) {
        struct buf payload = BUF_INIT;
        contract_encode_room_event(&payload, &run->event);
        bus_publish_room(run->announcer->bus, run->event.room, buf_bytes(&payload));
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

static void tell(struct announcer *announcer, const PGresult *result)
{
    int rows = PQntuples(result);
    struct run run = {.announcer = announcer, .event.type = CONTRACT_BATCH};
    run.event.batch.messages =
        mem_alloc(((size_t)rows + 1) * sizeof(struct contract_stored_message));
    for (int row = 0; row < rows; row++) {
        run_add(&run, result, row);
    }
    run_end(&run);
    free(run.event.batch.messages);
    stat_add(&announcer->stats->messages_announced, (uint64_t)rows);
}

/* Tells some of what is there, in one transaction. Returns how many rows that were; less than the most: there is no more. */
static int tell_some(struct announcer *announcer)
{
    struct buf error = BUF_INIT;
    struct pg_params params;
    pg_params_init(&params);
    pg_param_int8(&params, ANNOUNCED_ROWS_MAX);
    PGresult *result = NULL;
    int rows = 0;
    struct pg *pg = &announcer->pg;
    bool is_done =
        pg_run_script(pg, "BEGIN", STATEMENT_DEADLINE_MS, &error) == STORE_COMMITTED &&
        pg_run(pg, TAKE_SQL, &params, STATEMENT_DEADLINE_MS, &result, &error) == STORE_COMMITTED;
    if (is_done) {
        rows = PQntuples(result);
        tell(announcer, result);
        PQclear(result);
        is_done = run(announcer, "COMMIT", &error);
    }
    if (!is_done) {
        give_up(announcer, buf_bytes(&error));
    }
    pg_params_release(&params);
    buf_release(&error);
    return rows;
}

static void *announcer_main(void *argument)
{
    struct announcer *announcer = argument;
    while (!atomic_load(&announcer->is_stopping)) {
        if (announcer->pg.conn == NULL) {
            connect_again(announcer);
        }
        uint64_t wait_ms = announcer->pg.conn == NULL ? announcer->backoff_ms : ANNOUNCE_IDLE_MS;
        if (announcer->pg.conn != NULL && bus_is_connected(announcer->bus) &&
            tell_some(announcer) == ANNOUNCED_ROWS_MAX) {
            continue;
        }
        wait_for_news(announcer, wait_ms);
    }
    pg_release(&announcer->pg);
    return NULL;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

struct announcer *announcer_new(const struct pg_target *target, struct bus *bus,
                                struct stats *stats)
{
    struct announcer *announcer = mem_alloc_zeroed(sizeof(*announcer));
    announcer->bus = bus;
    announcer->stats = stats;
    pg_init(&announcer->pg, target);
    announcer->stop_fd = eventfd(0, EFD_CLOEXEC);
    ASSERT(announcer->stop_fd >= 0);
    ASSERT(pthread_create(&announcer->thread, NULL, announcer_main, announcer) == 0);
    return announcer;
}

void announcer_end(struct announcer *announcer)
{
    atomic_store(&announcer->is_stopping, true);
    ASSERT(eventfd_write(announcer->stop_fd, 1) == 0);
}

void announcer_join(struct announcer *announcer)
{
    pthread_join(announcer->thread, NULL);
}

void announcer_free(struct announcer *announcer)
{
    if (announcer != NULL) {
        close(announcer->stop_fd);
        free(announcer);
    }
}
