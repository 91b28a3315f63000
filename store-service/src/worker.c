#include "worker.h"

#include "base/log.h"
#include "database.h"
#include "limits.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct worker {
    struct worker_setup setup;
    struct pg pg;
    uint64_t backoff_ms; /* 0: there is a connection, or was none yet */
    int wake_fd;         /* readable: it is to end, or to look */
    atomic_bool is_ending;
    pthread_t thread;
};

/* Ends the connection, and with it a transaction, and says why; once, and not again for every attempt. */
static void give_up(struct worker *worker, struct bytes why)
{
    pg_disconnect(&worker->pg);
    if (worker->backoff_ms == 0) {
        LOG(LOG_WARN, "worker_disconnected", F_STR("worker", worker->setup.name),
            F_BYTES("reason", why));
    }
    worker->backoff_ms = worker->backoff_ms == 0
                             ? BACKOFF_MS_MIN
                             : MIN_OF(worker->backoff_ms * 2, (uint64_t)BACKOFF_MS_MAX);
}

/* Waits until there is something to do: a notification, the end, or @timeout_ms. */
static void wait_for(struct worker *worker, uint64_t timeout_ms)
{
    struct pollfd fds[] = {
        {.fd = worker->wake_fd, .events = POLLIN},
        {.fd = worker->pg.conn == NULL ? -1 : PQsocket(worker->pg.conn), .events = POLLIN},
    };
    (void)poll(fds, COUNT_OF(fds), (int)timeout_ms);
    eventfd_t wakes;
    (void)eventfd_read(worker->wake_fd, &wakes);
    if (worker->pg.conn == NULL || fds[1].revents == 0) {
        return;
    }
    if (PQconsumeInput(worker->pg.conn) == 0 || PQstatus(worker->pg.conn) != CONNECTION_OK) {
        give_up(worker, BYTES("Postgres closed the connection"));
        return;
    }
    /* That one came is enough: all that there is to do is done anyway. */
    for (PGnotify *notice; (notice = PQnotifies(worker->pg.conn)) != NULL;) {
        PQfreemem(notice);
    }
}

bool worker_run(struct pg *pg, const char *script, struct buf *ret_error)
{
    return pg_run_script(pg, script, STATEMENT_DEADLINE_MS, ret_error) == STORE_COMMITTED;
}

static bool connect_and_prepare(struct worker *worker, struct buf *why)
{
    struct pg *pg = &worker->pg;
    struct buf naming = BUF_INIT;
    buf_append_format(&naming, "SET application_name = '%s'%c", worker->setup.application_name,
                      '\0');
    bool is_ready = pg_connect(pg, why) == PG_CONNECTED && worker_run(pg, naming.data, why) &&
                    database_prepare(pg, false, why) == DATABASE_READY &&
                    worker_run(pg, worker->setup.settings_sql, why);
    buf_release(&naming);
    return is_ready;
}

static void try_to_connect(struct worker *worker)
{
    struct buf why = BUF_INIT;
    if (connect_and_prepare(worker, &why)) {
        LOG(LOG_INFO, "worker_connected", F_STR("worker", worker->setup.name));
        stat_add(&worker->setup.stats->postgres_connects, 1);
        worker->backoff_ms = 0;
    } else {
        give_up(worker, buf_bytes(&why));
        if (worker->setup.on_away != NULL) {
            worker->setup.on_away(worker->setup.user);
        }
    }
    buf_release(&why);
}

/* Returns how long there is nothing more to do. */
static uint64_t work(struct worker *worker)
{
    struct buf error = BUF_INIT;
    uint64_t wait_ms = worker->setup.work(worker->setup.user, &worker->pg, &error);
    if (wait_ms == WORKER_FAILED) {
        give_up(worker, buf_bytes(&error));
        wait_ms = worker->backoff_ms;
    }
    buf_release(&error);
    return wait_ms;
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    while (!atomic_load(&worker->is_ending)) {
        if (worker->pg.conn == NULL) {
            try_to_connect(worker);
        }
        wait_for(worker, worker->pg.conn == NULL ? worker->backoff_ms : work(worker));
    }
    pg_release(&worker->pg);
    return NULL;
}

struct worker *worker_new(const struct worker_setup *setup)
{
    struct worker *worker = mem_alloc_zeroed(sizeof(*worker));
    worker->setup = *setup;
    pg_init(&worker->pg, setup->target);
    worker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ASSERT(worker->wake_fd >= 0);
    ASSERT(pthread_create(&worker->thread, NULL, worker_main, worker) == 0);
    return worker;
}

void worker_wake(struct worker *worker)
{
    ASSERT(eventfd_write(worker->wake_fd, 1) == 0);
}

void worker_end(struct worker *worker)
{
    if (worker != NULL) {
        atomic_store(&worker->is_ending, true);
        worker_wake(worker);
    }
}

void worker_join(struct worker *worker)
{
    if (worker != NULL) {
        pthread_join(worker->thread, NULL);
    }
}

void worker_free(struct worker *worker)
{
    if (worker != NULL) {
        close(worker->wake_fd);
        free(worker);
    }
}
