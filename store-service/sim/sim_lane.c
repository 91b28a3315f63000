/*
 * sim_lane.c - stands in for src/lane.c: a lane that is a coroutine, with the same rules for connecting again.
 */
#include "database.h"
#include "limits.h"
#include "store_process.h"

#include <stdlib.h>

static struct lane *running;

struct lane *sim_lane_running(void)
{
    return running;
}

/* --- waiting --- */

bool sim_lane_is_ready(const struct lane *lane)
{
    const struct store_process *process = lane->process;
    if (coroutine_has_ended(lane->coroutine) || process->is_frozen) {
        return false;
    }
    bool has_answer =
        lane->awaited != NULL && (lane->awaited->has_answer || lane->awaited->slot == NULL);
    return process->stores->now_ms >= lane->until_ms || has_answer ||
           (lane->awaits_work && lane->first != NULL);
}

void sim_lane_wait(struct lane *lane, uint64_t until_ms, const struct pg_conn *conn)
{
    if (lane->process->is_dead) {
        return;
    }
    lane->until_ms = until_ms;
    lane->awaited = conn;
    coroutine_yield();
    lane->awaited = NULL;
    lane->awaits_work = false;
}

void sim_lane_give_way(struct lane *lane)
{
    sim_lane_wait(lane, 0, NULL);
}

void sim_lane_resume(struct lane *lane)
{
    running = lane;
    coroutine_resume(lane->coroutine);
    running = NULL;
}

static void sleep_until(struct lane *lane, uint64_t until_ms)
{
    sim_lane_wait(lane, until_ms, NULL);
}

/* --- the connection --- */

static uint64_t grow_backoff(uint64_t *backoff_ms)
{
    *backoff_ms =
        *backoff_ms == 0 ? BACKOFF_MS_MIN : MIN_OF(*backoff_ms * 2, (uint64_t)BACKOFF_MS_MAX);
    return *backoff_ms;
}

static void try_to_connect(struct lane *lane)
{
    struct buf why = BUF_INIT;
    bool is_ready =
        pg_connect(&lane->pg, &why) == PG_CONNECTED &&
        database_prepare(&lane->pg, false, &why) == DATABASE_READY &&
        (!lane->appends || database_look_for_stuck_commits(&lane->pg, &why) == DATABASE_READY);
    lane->is_away = !is_ready;
    if (is_ready) {
        lane->connect_backoff_ms = 0;
    } else {
        pg_disconnect(&lane->pg);
        lane->next_attempt_ms =
            lane->process->stores->now_ms + grow_backoff(&lane->connect_backoff_ms);
    }
    buf_release(&why);
}

struct pg *lane_connection(struct lane *lane)
{
    if (lane->process->is_dead) {
        return NULL;
    }
    if (lane->pg.conn == NULL) {
        sleep_until(lane, lane->next_attempt_ms);
        try_to_connect(lane);
    }
    return lane->pg.conn == NULL ? NULL : &lane->pg;
}

static void look_after_connection(struct lane *lane)
{
    if (lane->pg.conn != NULL && !pg_is_alive(&lane->pg)) {
        pg_disconnect(&lane->pg);
        try_to_connect(lane);
    } else if (lane->pg.conn == NULL && lane->process->stores->now_ms >= lane->next_attempt_ms) {
        try_to_connect(lane);
    }
}

void lane_after_failure(struct lane *lane, enum store_result result, const struct buf *error)
{
    (void)result, (void)error;
    sleep_until(lane, lane->process->stores->now_ms + grow_backoff(&lane->statement_backoff_ms));
}

void lane_after_success(struct lane *lane)
{
    lane->statement_backoff_ms = 0;
}

bool lane_is_away(const struct lane *lane)
{
    return lane->is_away;
}

/* --- requests --- */

enum queue_push_result lane_put_back(struct lane *lane, struct queue_entry *entry)
{
    entry->next = NULL;
    *lane->last = entry;
    lane->last = &entry->next;
    return QUEUE_TAKEN;
}

static struct queue_entry *take(struct lane *lane)
{
    struct queue_entry *list = lane->first;
    struct queue_entry **end = &lane->first;
    for (size_t i = 0; i < lane->requests_max && *end != NULL; i++) {
        end = &(*end)->next;
    }
    lane->first = *end;
    *end = NULL;
    if (lane->first == NULL) {
        lane->last = &lane->first;
    }
    return list;
}

static void run(void *argument)
{
    struct lane *lane = argument;
    while (!lane->process->is_dead || lane->first != NULL) {
        if (lane->first != NULL) {
            lane->on_requests(lane->user, lane, take(lane));
            continue;
        }
        look_after_connection(lane);
        lane->awaits_work = true;
        sim_lane_wait(lane,
                      lane->pg.conn != NULL ? lane->process->stores->now_ms + LANE_IDLE_MS
                                            : lane->next_attempt_ms,
                      NULL);
    }
    pg_release(&lane->pg);
}

/* As src/command.c does it for --new-epoch. */
static void run_new_epoch(void *argument)
{
    struct lane *lane = argument;
    struct buf why = BUF_INIT;
    bool has_begun = pg_connect(&lane->pg, &why) == PG_CONNECTED &&
                     database_prepare(&lane->pg, true, &why) == DATABASE_READY;
    (void)has_begun; /* whoever asked for it sees that, and asks again */
    pg_release(&lane->pg);
    buf_release(&why);
}

struct lane *sim_lane_new_epoch(struct store_process *process)
{
    struct lane *lane = mem_alloc_zeroed(sizeof(*lane));
    lane->process = process;
    lane->last = &lane->first;
    lane->coroutine = coroutine_new(run_new_epoch, lane);
    pg_init(&lane->pg, NULL);
    return lane;
}

struct lane *sim_lane_new(struct store_process *process,
                          void (*on_requests)(void *user, struct lane *lane,
                                              struct queue_entry *list),
                          void *user, size_t requests_max)
{
    struct lane *lane = mem_alloc_zeroed(sizeof(*lane));
    lane->process = process;
    lane->on_requests = on_requests;
    lane->user = user;
    lane->requests_max = requests_max;
    lane->last = &lane->first;
    lane->coroutine = coroutine_new(run, lane);
    pg_init(&lane->pg, NULL);
    return lane;
}

void sim_lane_free(struct lane *lane)
{
    coroutine_free(lane->coroutine);
    free(lane);
}
