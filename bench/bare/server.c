/*
 * server.c - parley-bare: the least that a server can do to hand messages on, as the ceiling for one that does more. One
 * epoll loop; nothing stored, nothing checked. See ../README.md.
 */
#include "server.h"
#include "base/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS_MAX = 512, PING_MS_MAX = 3600000 };

static const char HELP[] =
    "parley-bare [OPTION VALUE]…\n"
    "\n"
    "Hands messages on, and prints \"listening port=N\".\n"
    "\n"
    "  --port N            0 takes any free one (0)\n"
    "  --packet BYTES      length of a message's packet, as Parley's would have: blanks fill it up "
    "(0)\n"
    "  --joined on|off     what is published in one turn of the loop goes out in one write for "
    "each "
    "member (on)\n"
    "  --echo on|off       messages are acknowledged, and nobody else gets them (off)\n"
    "  --ping MS           time between pings; 0: none (0)\n"
    "  --replay on|off     who comes back gets all that was said (off)\n";

struct server_settings settings = {.is_joined = true};

static int epoll, listener;

static void watch(int operation, int fd, uint32_t events, struct connection *connection)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(epoll, operation, fd, &event) != 0) {
        perror("parley-bare: epoll_ctl");
        exit(EXIT_FAILURE);
    }
}

void server_watch(struct connection *connection, bool wants_write)
{
    watch(EPOLL_CTL_MOD, connection->fd, wants_write ? EPOLLIN | EPOLLOUT : EPOLLIN, connection);
}

static void accept_all(void)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        watch(EPOLL_CTL_ADD, fd, EPOLLIN, connection_new(fd));
    }
}

static void turn(int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(epoll, events, EVENTS_MAX, timeout_ms);
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;
        if (connection == NULL) {
            accept_all();
            continue;
        }
        if ((events[i].events & EPOLLOUT) != 0) {
            connection_on_writable(connection);
        }
        if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0 && !connection_on_readable(connection)) {
            connection_free(connection);
        }
    }
    room_flush_all();
}

/* --- the command line --------------------------------------------------------------------------------------------- */

static bool parse(const char *option, const char *value)
{
    const struct {
        const char *option;
        uint32_t *number;
        uint32_t max;
    } numbers[] = {
        {"--port", &settings.port, UINT16_MAX},
        {"--packet", &settings.packet_bytes, MESSAGE_BYTES_MAX},
        {"--ping", &settings.ping_ms, PING_MS_MAX},
    };
    const struct {
        const char *option;
        bool *is_on;
    } switches[] = {
        {"--joined", &settings.is_joined},
        {"--echo", &settings.is_echo},
        {"--replay", &settings.has_replay},
    };
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        uint64_t number;
        if (strcmp(option, numbers[i].option) == 0) {
            bool is_fine =
                bytes_to_u64(bytes_of_string(value), &number) && number <= numbers[i].max;
            *numbers[i].number = is_fine ? (uint32_t)number : 0;
            return is_fine;
        }
    }
    for (size_t i = 0; i < COUNT_OF(switches); i++) {
        if (strcmp(option, switches[i].option) == 0) {
            *switches[i].is_on = strcmp(value, "on") == 0;
            return *switches[i].is_on || strcmp(value, "off") == 0;
        }
    }
    return false;
}

static void parse_all(int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc || !parse(argv[i], argv[i + 1])) {
            fputs(HELP, stderr);
            exit(2);
        }
    }
}

/* --- the run ------------------------------------------------------------------------------------------------------ */

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    parse_all(argc, argv);
    raise_file_limit();
    int port = (int)settings.port;
    const char *reason;
    listener = listener_open("127.0.0.1", &port, &reason);
    if (listener < 0) {
        fprintf(stderr, "parley-bare: port %d: %s\n", port, reason);
        return EXIT_FAILURE;
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    printf("listening port=%d\n", port);
    fflush(stdout);
    for (;;) {
        turn(connection_send_pings());
    }
}
