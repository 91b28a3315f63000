/* watch.c - an epoll set of the sockets whose requests wait; the set itself is one descriptor of the loop. */
#include "engine_impl.h"

#include "base/clock.h"
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS_PER_TURN = 64 };

static int socket_of(const h2o_req_t *req)
{
    return h2o_socket_get_fd(req->conn->callbacks->get_socket(req->conn));
}

static void on_events(h2o_socket_t *socket, const char *error)
{
    struct engine *engine = socket->data;
    struct epoll_event events[EVENTS_PER_TURN];
    int count = error != NULL ? 0 : epoll_wait(engine->watch_fd, events, EVENTS_PER_TURN, 0);
    for (int i = 0; i < count; i++) {
        struct watched *watched = events[i].data.ptr;
        watched->on_aborted(watched, clock_monotonic_ms());
    }
}

void watch_init(struct engine *engine)
{
    engine->watch_fd = epoll_create1(EPOLL_CLOEXEC);
    ASSERT(engine->watch_fd >= 0);
    engine->watch =
        h2o_evloop_socket_create(engine->loop, engine->watch_fd, H2O_SOCKET_FLAG_DONT_READ);
    engine->watch->data = engine;
    h2o_socket_read_start(engine->watch, on_events);
}

void watch_release(struct engine *engine)
{
    h2o_socket_close(engine->watch);
}

void watch_begin(struct engine *engine, struct watched *watched)
{
    struct epoll_event event = {.events = EPOLLRDHUP, .data.ptr = watched};
    ASSERT(epoll_ctl(engine->watch_fd, EPOLL_CTL_ADD, socket_of(watched->req), &event) == 0);
}

void watch_end(struct engine *engine, struct watched *watched)
{
    epoll_ctl(engine->watch_fd, EPOLL_CTL_DEL, socket_of(watched->req), NULL);
}
