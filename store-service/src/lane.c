#include "lane.h"

#include "base/clock.h"
#include "base/log.h"
#include "database.h"
#include "limits.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

struct lane {
    struct lane_setup setup;
    char *name;
    pthread_t thread;
    struct pg pg;
    uint64_t connect_backoff_ms; /* 0: the last attempt to connect did not fail */
    uint64_t next_attempt_ms;
    uint64_t statement_backoff_ms; /* 0: the last statement did not fail */
    bool was_ready;
    atomic_bool is_connected;
    atomic_bool is_away;
    pthread_mutex_t trouble_mutex;
    struct buf trouble; /* why it is not connected; under trouble_mutex */
};

static void sleep_ms(uint64_t ms)
{
    struct timespec time = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

static void set_trouble(struct lane *lane, struct bytes why)
{
    pthread_mutex_lock(&lane->trouble_mutex);
    buf_clear(&lane->trouble);
    buf_append_bytes(&lane->trouble, why);
    pthread_mutex_unlock(&lane->trouble_mutex);
}

static uint64_t grow_backoff(uint64_t *backoff_ms)
{
    *backoff_ms =
        *backoff_ms == 0 ? BACKOFF_MS_MIN : MIN_OF(*backoff_ms * 2, (uint64_t)BACKOFF_MS_MAX);
    return *backoff_ms;
}

/*
 * Statements that are planned once, here and in parley_append(), must not keep a plan from when tables were small: all that a
 * lane asks for is found by an index. (And what a forbidden scan seems to cost is no reason to compile a statement.)
 */
static const char SETTINGS_SQL[] = "SET enable_seqscan = off; SET jit = off";

/* Connects and prepares the database. Leaves the reason in @why when that fails. */
static enum pg_connect_result connect_and_prepare(struct lane *lane, struct buf *why)
{
    enum pg_connect_result result = pg_connect(&lane->pg, why);
    if (result != PG_CONNECTED) {
        return result;
    }
    enum database_result prepared = database_prepare(&lane->pg, false, why);
    if (prepared == DATABASE_READY &&
        pg_run_script(&lane->pg, SETTINGS_SQL, STATEMENT_DEADLINE_MS, why) != STORE_COMMITTED) {
        prepared = DATABASE_LATER;
    }
    if (prepared == DATABASE_READY && lane->setup.appends) {
        prepared = database_look_for_stuck_commits(&lane->pg, why);
    }
    switch (prepared) {
    case DATABASE_READY: return PG_CONNECTED;
    case DATABASE_LATER: pg_disconnect(&lane->pg); return PG_UNREACHABLE;
    case DATABASE_WRONG: pg_disconnect(&lane->pg); return PG_WRONG;
    }
    return PG_UNREACHABLE;
}

static void try_to_connect(struct lane *lane)
{
    struct buf why = BUF_INIT;
    enum pg_connect_result result = connect_and_prepare(lane, &why);
    if (result == PG_CONNECTED) {
        stat_add(&lane->setup.stats->postgres_connects, 1);
        LOG(LOG_INFO, "postgres_connected", F_STR("lane", lane->name));
        lane->connect_backoff_ms = 0;
        atomic_store(&lane->is_connected, true);
        atomic_store(&lane->is_away, false);
        lane->was_ready = true;
        lane->setup.events.on_ready(lane->setup.events.user);
    } else {
        if (lane->connect_backoff_ms == 0) { /* once, and not again for every attempt */
            LOG(LOG_WARN, "postgres_unreachable", F_STR("lane", lane->name),
                F_BYTES("reason", buf_bytes(&why)),
                F_STR("hint", "waiting for the Postgres of DATABASE_URL"));
        }
        set_trouble(lane, buf_bytes(&why));
        atomic_store(&lane->is_away, true);
        if (result == PG_WRONG && !lane->was_ready) {
            lane->setup.events.on_wrong(lane->setup.events.user, buf_bytes(&why));
        }
        lane->next_attempt_ms = clock_monotonic_ms() + grow_backoff(&lane->connect_backoff_ms);
    }
    buf_release(&why);
}

struct pg *lane_connection(struct lane *lane)
{
    if (lane->pg.conn == NULL) {
        uint64_t now_ms = clock_monotonic_ms();
        if (now_ms < lane->next_attempt_ms) {
            sleep_ms(lane->next_attempt_ms - now_ms);
        }
        try_to_connect(lane);
    }
    return lane->pg.conn == NULL ? NULL : &lane->pg;
}

enum queue_push_result lane_put_back(struct lane *lane, struct queue_entry *entry)
{
    return queue_push(lane->setup.queue, entry);
}

void lane_after_failure(struct lane *lane, enum store_result result, const struct buf *error)
{
    LOG(LOG_WARN, result == STORE_UNKNOWN ? "postgres_answer_lost" : "postgres_failed",
        F_STR("lane", lane->name), F_BYTES("reason", buf_bytes(error)));
    if (lane->pg.conn == NULL) {
        atomic_store(&lane->is_connected, false);
        set_trouble(lane, buf_bytes(error));
    }
    sleep_ms(grow_backoff(&lane->statement_backoff_ms));
}

void lane_after_success(struct lane *lane)
{
    lane->statement_backoff_ms = 0;
}

static void look_after_connection(struct lane *lane)
{
    if (lane->pg.conn == NULL) {
        if (clock_monotonic_ms() >= lane->next_attempt_ms) {
            try_to_connect(lane);
        }
    } else if (!pg_is_alive(&lane->pg)) {
        LOG(LOG_WARN, "postgres_disconnected", F_STR("lane", lane->name));
        set_trouble(lane, BYTES("Postgres closed the connection"));
        atomic_store(&lane->is_connected, false);
        pg_disconnect(&lane->pg);
        try_to_connect(lane);
    }
}

static uint64_t time_to_wait(const struct lane *lane)
{
    if (lane->pg.conn != NULL) {
        return LANE_IDLE_MS;
    }
    uint64_t now_ms = clock_monotonic_ms();
    return lane->next_attempt_ms > now_ms ? lane->next_attempt_ms - now_ms : 0;
}

static void work_off(struct lane *lane, struct queue_entry *list)
{
    uint64_t start_us = clock_monotonic_us();
    lane->setup.on_requests(lane->setup.user, lane, list);
    stat_add(lane->setup.busy_us, clock_monotonic_us() - start_us);
}

static void *lane_main(void *argument)
{
    struct lane *lane = argument;
    const struct lane_setup *setup = &lane->setup;
    for (;;) {
        struct queue_entry *list;
        switch (queue_take(setup->queue, setup->requests_max, setup->bytes_max, time_to_wait(lane),
                           &list)) {
        case QUEUE_GIVEN: work_off(lane, list); break;
        case QUEUE_IDLE: look_after_connection(lane); break;
        case QUEUE_CLOSED: pg_release(&lane->pg); return NULL;
        }
    }
}

struct lane *lane_new(const struct lane_setup *setup)
{
    struct lane *lane = mem_alloc_zeroed(sizeof(*lane));
    lane->setup = *setup;
    lane->name = mem_copy_string(setup->name, strlen(setup->name));
    pg_init(&lane->pg, setup->target);
    pthread_mutex_init(&lane->trouble_mutex, NULL);
    set_trouble(lane, BYTES("connecting"));
    int error = pthread_create(&lane->thread, NULL, lane_main, lane);
    ASSERT(error == 0);
    return lane;
}

void lane_join(struct lane *lane)
{
    pthread_join(lane->thread, NULL);
}

void lane_free(struct lane *lane)
{
    pthread_mutex_destroy(&lane->trouble_mutex);
    buf_release(&lane->trouble);
    free(lane->name);
    free(lane);
}

bool lane_is_connected(const struct lane *lane)
{
    return atomic_load(&lane->is_connected);
}

bool lane_is_away(const struct lane *lane)
{
    return atomic_load(&lane->is_away);
}

void lane_write_trouble(struct lane *lane, struct buf *out)
{
    pthread_mutex_lock(&lane->trouble_mutex);
    buf_append_bytes(out, buf_bytes(&lane->trouble));
    pthread_mutex_unlock(&lane->trouble_mutex);
}
