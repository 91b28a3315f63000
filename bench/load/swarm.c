/* swarm.c - sockets and epoll for the clients. */
#include "swarm.h"
#include "base/clock.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_BYTES_MAX = 256 * 1024,
    EVENTS_MAX = 512,
    JOINS_MAX = 256,       /* at a time: far below what a listener's backlog holds */
    SOURCE_ADDRESSES = 10, /* 127.0.0.1 and up: 28,000 ports each */
    FILES_BESIDES = 16,    /* that are no connections */
    CONNECT_TIMEOUT_US = 60000000,
    ROOM_TIMEOUT_US = 5000, /* for each that is joined, besides */
};

static bool raise_file_limit(struct swarm *swarm, uint32_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max >= wanted + FILES_BESIDES) {
            return true;
        }
    }
    buf_append_format(&swarm->error,
                      "%u connections need as many open files, but this process may have %llu: "
                      "raise the hard limit (ulimit -Hn), or use fewer --members.",
                      wanted, (unsigned long long)limit.rlim_max);
    return false;
}

bool swarm_init(struct swarm *swarm, const struct load_options *options,
                struct client_handlers handlers)
{
    *swarm = (struct swarm){
        .options = options,
        .settings = {.dialect = options->dialect,
                     .room_prefix = options->room_prefix,
                     .rooms_each = options->rooms_each,
                     .has_echo = options->has_echo,
                     .handlers = handlers},
        .clients = mem_alloc_zeroed(options->members * sizeof(struct client)),
        .dirty = mem_alloc(options->members * sizeof(struct client *)),
        .read_buffer = mem_alloc(READ_BYTES_MAX),
        .epoll = epoll_create1(EPOLL_CLOEXEC),
    };
    for (uint32_t i = 0; i < options->members; i++) {
        swarm->clients[i].index = i;
        swarm->clients[i].room = i % options->rooms;
        swarm->clients[i].server = &options->connect.of[i % options->connect.count];
    }
    ASSERT(swarm->epoll >= 0);
    return raise_file_limit(swarm, options->members);
}

void swarm_release(struct swarm *swarm)
{
    for (uint32_t i = 0; i < swarm->started_count; i++) {
        client_release(&swarm->clients[i]);
    }
    free(swarm->clients);
    free(swarm->dirty);
    free(swarm->read_buffer);
    buf_release(&swarm->error);
    close(swarm->epoll);
}

static bool fail(struct swarm *swarm, const struct client *client, const char *what, int error)
{
    buf_append_format(&swarm->error, "Connection %u: %s: %s.", client->index, what,
                      strerror(error));
    return false;
}

void swarm_stop(struct swarm *swarm, struct client *client)
{
    swarm->joined_count -= client->state == CLIENT_JOINED;
    client_reset(client);
}

/* The connection of @client is over, as swarm->error says. Returns whether somebody handles that. */
static bool end(struct swarm *swarm, struct client *client)
{
    const struct client_handlers *handlers = &swarm->settings.handlers;
    if (handlers->on_lost == NULL) {
        return false;
    }
    struct buf why = swarm->error;
    swarm->error = BUF_INIT;
    enum client_state state = client->state;
    swarm_stop(swarm, client);
    handlers->on_lost(handlers->user, client, state, buf_bytes(&why));
    buf_release(&why);
    return swarm->error.len == 0;
}

static bool lose(struct swarm *swarm, struct client *client, const char *what, int error)
{
    fail(swarm, client, what, error);
    return end(swarm, client);
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

static void watch(struct swarm *swarm, struct client *client, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = client};
    int status = epoll_ctl(swarm->epoll, operation, client->fd, &event);
    ASSERT(status == 0);
}

static void wait_to_write(struct swarm *swarm, struct client *client, bool is_waiting)
{
    if (client->is_waiting_to_write != is_waiting) {
        client->is_waiting_to_write = is_waiting;
        watch(swarm, client, EPOLL_CTL_MOD, is_waiting ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
}

static bool flush(struct swarm *swarm, struct client *client)
{
    client->is_dirty = false;
    if (client->out.len == 0) {
        return true;
    }
    ssize_t sent = send(client->fd, client->out.data, client->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        return lose(swarm, client, "cannot write", errno);
    }
    buf_consume(&client->out, (size_t)MAX_OF(sent, 0));
    wait_to_write(swarm, client, client->out.len > 0);
    return true;
}

static bool flush_all(struct swarm *swarm)
{
    for (uint32_t i = 0; i < swarm->dirty_count; i++) {
        if (!flush(swarm, swarm->dirty[i])) {
            return false;
        }
    }
    swarm->dirty_count = 0;
    return true;
}

static void mark_dirty(struct swarm *swarm, struct client *client)
{
    if (!client->is_dirty && !client->is_waiting_to_write) {
        client->is_dirty = true;
        swarm->dirty[swarm->dirty_count++] = client;
    }
}

void swarm_emit(struct swarm *swarm, struct client *client, const uint64_t *ack_id,
                struct bytes arguments)
{
    client_emit(client, &swarm->settings, ack_id, arguments);
    mark_dirty(swarm, client);
}

/* --- connecting ------------------------------------------------------------------------------------------------- */

/* So many connections to one port need more ports on our side than one address has. */
static void choose_source(int fd, const struct sockaddr_in *server, uint32_t index)
{
    enum { LOOPBACK_NET = 127 };
    if (ntohl(server->sin_addr.s_addr) >> 24 != LOOPBACK_NET) {
        return;
    }
    struct sockaddr_in source = {.sin_family = AF_INET};
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + index % SOURCE_ADDRESSES);
    int on = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    /* Where it fails, connect() chooses. */
    (void)!bind(fd, (struct sockaddr *)&source, sizeof(source));
}

bool swarm_start(struct swarm *swarm, struct client *client)
{
    const struct sockaddr_in *server = client->server;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0) {
        return fail(swarm, client, "there is no socket", errno);
    }
    client->state = CLIENT_CONNECTING;
    int on = 1;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    choose_source(client->fd, server, client->index);
    if (connect(client->fd, (const struct sockaddr *)server, sizeof(*server)) != 0 &&
        errno != EINPROGRESS) {
        return lose(swarm, client, "cannot connect", errno);
    }
    client->is_waiting_to_write = true;
    watch(swarm, client, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
    return true;
}

static bool finish_connect(struct swarm *swarm, struct client *client)
{
    int error = 0;
    socklen_t len = sizeof(error);
    getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error != 0) {
        return lose(swarm, client, "cannot connect", error);
    }
    client_start(client, &swarm->settings);
    return true;
}

bool swarm_connect(struct swarm *swarm)
{
    uint32_t members = swarm->options->members;
    uint32_t at_a_time = MAX_OF(JOINS_MAX / swarm->options->rooms_each, 1U);
    uint64_t timeout_us =
        CONNECT_TIMEOUT_US + (uint64_t)members * swarm->options->rooms_each * ROOM_TIMEOUT_US;
    uint64_t deadline_us = clock_monotonic_us() + timeout_us;
    while (swarm->joined_count < members) {
        while (swarm->started_count < members &&
               swarm->started_count - swarm->joined_count < at_a_time) {
            if (!swarm_start(swarm, &swarm->clients[swarm->started_count++])) {
                return false;
            }
        }
        if (!swarm_turn(swarm, 1000)) {
            return false;
        }
        if (clock_monotonic_us() > deadline_us) {
            buf_append_format(&swarm->error, "Only %u of %u connections had joined after %u s.",
                              swarm->joined_count, members, (unsigned)(timeout_us / 1000000));
            return false;
        }
    }
    return true;
}

/* --- the loop --------------------------------------------------------------------------------------------------- */

static bool receive(struct swarm *swarm, struct client *client)
{
    ssize_t len = recv(client->fd, swarm->read_buffer, READ_BYTES_MAX, MSG_DONTWAIT);
    if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    if (len <= 0) {
        return lose(swarm, client, "lost", len == 0 ? ECONNRESET : errno);
    }
    bool was_joined = client->state == CLIENT_JOINED;
    enum client_result result =
        client_receive(client, &swarm->settings, swarm->read_buffer, (size_t)len, &swarm->error);
    swarm->joined_count += !was_joined && client->state == CLIENT_JOINED;
    if (result == CLIENT_BROKEN) {
        return end(swarm, client);
    }
    if (client->out.len > 0) {
        mark_dirty(swarm, client);
    }
    return swarm->error.len == 0; /* a handler may have found something wrong */
}

static bool handle(struct swarm *swarm, struct client *client, uint32_t events)
{
    if (client->state == CLIENT_CONNECTING && !finish_connect(swarm, client)) {
        return false;
    }
    if (client->state == CLIENT_UNUSED) {
        return true; /* it was lost */
    }
    if ((events & EPOLLOUT) != 0 && !flush(swarm, client)) {
        return false;
    }
    return client->state == CLIENT_UNUSED || (events & ~(uint32_t)EPOLLOUT) == 0 ||
           receive(swarm, client);
}

bool swarm_turn(struct swarm *swarm, int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    if (!flush_all(swarm)) {
        return false;
    }
    int count = epoll_wait(swarm->epoll, events, EVENTS_MAX, timeout_ms);
    for (int i = 0; i < count; i++) {
        if (!handle(swarm, events[i].data.ptr, events[i].events)) {
            return false;
        }
    }
    return flush_all(swarm);
}

bool swarm_run_until(struct swarm *swarm, uint64_t until_us)
{
    uint64_t now_us;
    while ((now_us = clock_monotonic_us()) < until_us) {
        if (!swarm_turn(swarm, (int)((until_us - now_us + 999) / 1000))) {
            return false;
        }
    }
    return true;
}
