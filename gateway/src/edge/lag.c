/* lag.c - an eventfd as the probe. */
#include "lag.h"

#include "base/clock.h"
#include "base/log.h"
#include <sys/eventfd.h>
#include <unistd.h>

void lag_note(struct lag *lag, uint64_t us)
{
    bool was_overload = lag_is_overload(lag);
    histogram_record(&lag->lag_us, us);
    lag->late_count =
        us <= lag->bound_us ? 0 : MIN_OF(lag->late_count + 1, (unsigned)LAG_PROBES_LATE);
    if (lag_is_overload(lag) != was_overload) {
        LOG(LOG_WARN, was_overload ? "overload_over" : "overloaded", F_INT("lag_ms", us / 1000),
            F_INT("bound_ms", lag->bound_us / 1000));
    }
}

static void send_later(struct lag *lag, uint64_t now_ms)
{
    lag->due_us = (now_ms + LAG_PROBE_MS) * 1000;
    timers_set(lag->timers, &lag->timer, now_ms + LAG_PROBE_MS);
}

static void on_due(struct timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    uint64_t one = 1;
    int fd = h2o_socket_get_fd(CONTAINER_OF(timer, struct lag, timer)->socket);
    ASSERT(write(fd, &one, sizeof(one)) == (ssize_t)sizeof(one));
}

static void on_probe(h2o_socket_t *socket, const char *error)
{
    struct lag *lag = socket->data;
    uint64_t count;
    if (error != NULL || read(h2o_socket_get_fd(socket), &count, sizeof(count)) < 0) {
        return;
    }
    uint64_t now_us = clock_monotonic_us();
    lag_note(lag, now_us - MIN_OF(now_us, lag->due_us));
    send_later(lag, now_us / 1000);
}

void lag_init(struct lag *lag, uint64_t bound_ms)
{
    *lag = (struct lag){.bound_us = bound_ms * 1000};
    timer_init(&lag->timer, on_due);
}

void lag_measure(struct lag *lag, h2o_loop_t *loop, struct timers *timers)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    ASSERT(fd >= 0);
    lag->timers = timers;
    lag->socket = h2o_evloop_socket_create(loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    lag->socket->data = lag;
    h2o_socket_read_start(lag->socket, on_probe);
    send_later(lag, clock_monotonic_ms());
}

void lag_release(struct lag *lag)
{
    if (lag->socket != NULL) {
        timers_clear(lag->timers, &lag->timer);
        h2o_socket_close(lag->socket);
        lag->socket = NULL;
    }
}
