#include "echo_server.h"

#include "base/clock.h"
#include "base/loop.h"
#include "edge/server.h"
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    EXIT_USAGE = 2,
    DURATION_MS_MAX = 24 * 3600 * 1000,
    PAYLOAD_BYTES_MAX = 64 * 1024 * 1024,
    /* A peer that does not read is cut off when so many payloads wait for it. */
    OUTBOX_PAYLOADS_MAX = 4,
    OUTBOX_BYTES_MIN = 16 * 1024 * 1024,
    OPEN_FILES_BESIDE_CLIENTS = 32,
};

/* --- options ------------------------------------------------------------------------------------------------------ */

struct option_range {
    const char *name, *unit, *help;
    uint64_t value, min, max;
};

enum {
    OPTION_PORT,
    OPTION_PING_INTERVAL,
    OPTION_PING_TIMEOUT,
    OPTION_CONNECT_TIMEOUT,
    OPTION_UPGRADE_TIMEOUT,
    OPTION_MAX_PAYLOAD,
    OPTION_COUNT,
};

static const struct option_range options_default[OPTION_COUNT] = {
    [OPTION_PORT] = {"port", "", "to listen on; 0 takes any free one", 3000, 0, 65535},
    [OPTION_PING_INTERVAL] = {"ping-interval", " ms", "between a pong and the next ping", 25000, 1,
                              DURATION_MS_MAX},
    [OPTION_PING_TIMEOUT] = {"ping-timeout", " ms", "for a client to answer a ping", 20000, 1,
                             DURATION_MS_MAX},
    [OPTION_CONNECT_TIMEOUT] = {"connect-timeout", " ms",
                                "for a Socket.IO client to join its first namespace", 45000, 1,
                                DURATION_MS_MAX},
    [OPTION_UPGRADE_TIMEOUT] = {"upgrade-timeout", " ms", "for an upgrade from its WebSocket on",
                                EIO_UPGRADE_TIMEOUT_MS, 1, DURATION_MS_MAX},
    [OPTION_MAX_PAYLOAD] = {"max-payload", " bytes", "of a packet and of a request's body", 1000000,
                            16, PAYLOAD_BYTES_MAX},
};

static void print_help(const char *program, const char *purpose)
{
    printf("Usage: %s [options]\n\n%s\n\n", program, purpose);
    for (int i = 0; i < OPTION_COUNT; i++) {
        const struct option_range *option = &options_default[i];
        printf("  --%-17s %s (default %llu%s)\n", option->name, option->help,
               (unsigned long long)option->value, option->unit);
    }
    printf("  --%-17s this\n", "help");
}

/* Says what is wrong with the value that getopt has found for @option. */
static bool read_value(const char *program, struct option_range *option)
{
    uint64_t value;
    if (!bytes_to_u64(bytes_of_string(optarg), &value) || value < option->min ||
        value > option->max) {
        fprintf(stderr, "%s: --%s is \"%s\", but takes a number from %llu to %llu%s\n", program,
                option->name, optarg, (unsigned long long)option->min,
                (unsigned long long)option->max, option->unit);
        return false;
    }
    option->value = value;
    return true;
}

/* Returns EXIT_SUCCESS to go on; EXIT_USAGE after a complaint; -1 when --help is asked for. */
static int read_options(int argc, char **argv, struct option_range options[OPTION_COUNT])
{
    struct option known[OPTION_COUNT + 2] = {0};
    for (int i = 0; i < OPTION_COUNT; i++) {
        known[i] = (struct option){.name = options[i].name, .has_arg = required_argument, .val = i};
    }
    known[OPTION_COUNT] = (struct option){.name = "help", .val = OPTION_COUNT};
    int found;
    while ((found = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (found == OPTION_COUNT) {
            return -1;
        }
        if (found == '?' || !read_value(argv[0], &options[found])) {
            return EXIT_USAGE; /* getopt_long has told what is unknown or lacks its value */
        }
    }
    if (optind < argc) {
        fprintf(stderr, "%s: \"%s\" is no option; --help tells which there are\n", argv[0],
                argv[optind]);
        return EXIT_USAGE;
    }
    return EXIT_SUCCESS;
}

bool echo_server_init(struct echo_server *server, int argc, char **argv, const char *purpose)
{
    struct option_range options[OPTION_COUNT];
    memcpy(options, options_default, sizeof(options));
    *server = (struct echo_server){0};
    int outcome = read_options(argc, argv, options);
    if (outcome != EXIT_SUCCESS) {
        if (outcome < 0) {
            print_help(argv[0], purpose);
        }
        server->exit_status = MAX_OF(outcome, EXIT_SUCCESS);
        return false;
    }
    uint64_t payload_bytes_max = options[OPTION_MAX_PAYLOAD].value;
    server->port = (int)options[OPTION_PORT].value;
    server->connect_timeout_ms = (uint32_t)options[OPTION_CONNECT_TIMEOUT].value;
    server->eio = (struct eio_settings){
        .ping_interval_ms = (uint32_t)options[OPTION_PING_INTERVAL].value,
        .ping_timeout_ms = (uint32_t)options[OPTION_PING_TIMEOUT].value,
        .upgrade_timeout_ms = (uint32_t)options[OPTION_UPGRADE_TIMEOUT].value,
        .payload_bytes_max = (uint32_t)payload_bytes_max,
        .outbox_bytes_max =
            (uint32_t)MAX_OF(payload_bytes_max * OUTBOX_PAYLOADS_MAX, (uint64_t)OUTBOX_BYTES_MIN),
        .waits = &server->waits,
    };
    timers_init(&server->timers);
    eio_waits_init(&server->waits, &server->timers);
    list_init(&server->dirty);
    return true;
}

/* --- sessions ----------------------------------------------------------------------------------------------------- */

void echo_link_init(struct echo_link *link, struct echo_server *server, struct transport *transport)
{
    *link = (struct echo_link){.server = server, .transport = transport};
    list_init(&link->dirty);
}

void echo_link_wake(struct echo_link *link)
{
    if (list_is_empty(&link->dirty)) {
        list_append(&link->server->dirty, &link->dirty);
    }
}

void echo_link_release(struct echo_link *link)
{
    list_leave(&link->dirty);
}

static void flush_sessions(struct echo_server *server)
{
    struct list turn; /* what becomes dirty from here on is for the next turn */
    list_init(&turn);
    list_append_all(&turn, &server->dirty);
    struct list *node;
    while ((node = list_take_first(&turn)) != NULL) {
        engine_flush(CONTAINER_OF(node, struct echo_link, dirty)->transport);
    }
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

static void serve(void *user, h2o_req_t *req, struct bytes rest)
{
    (void)rest;
    engine_serve(((struct echo_server *)user)->engine, req);
}

static size_t count_websockets(void *user)
{
    return engine_stats(((struct echo_server *)user)->engine).websockets;
}

/* For tests that nothing is left behind: what there is now, in a line on standard output. */
static void tell_state(const struct echo_server *server)
{
    printf("state sessions=%zu websockets=%zu timers=%u live_bytes=%zu\n",
           engine_open_count(server->engine), engine_stats(server->engine).websockets,
           server->timers.count, mallinfo2().uordblks);
    fflush(stdout);
}

static void on_signal(h2o_socket_t *socket, const char *error)
{
    struct echo_server *server = socket->data;
    struct signalfd_siginfo info;
    while (error == NULL &&
           read(h2o_socket_get_fd(socket), &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGUSR1) {
            tell_state(server);
        } else {
            server->is_over = true;
        }
    }
}

static h2o_socket_t *watch_signals(struct echo_server *server, h2o_loop_t *loop)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    ASSERT(fd >= 0);
    h2o_socket_t *signals = h2o_evloop_socket_create(loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    signals->data = server;
    h2o_socket_read_start(signals, on_signal);
    return signals;
}

/* A connection is an open file: takes as many as the system gives. */
static size_t raise_open_files(void)
{
    struct rlimit limit;
    ASSERT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    ASSERT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    ASSERT(limit.rlim_cur > OPEN_FILES_BESIDE_CLIENTS);
    return (size_t)limit.rlim_cur - OPEN_FILES_BESIDE_CLIENTS;
}

static int32_t wait_ms(const struct echo_server *server)
{
    bool has_work = engine_has_work(server->engine) || !list_is_empty(&server->dirty);
    uint64_t now_ms = clock_monotonic_ms(), due_ms = timers_next_due(&server->timers);
    if (has_work || due_ms <= now_ms) {
        return 0;
    }
    return (int32_t)MIN_OF(due_ms - now_ms, (uint64_t)INT32_MAX);
}

/*
 * One turn: libh2o reads and serves requests, which calls back the sessions; timeouts; then whatever that made the
 * sessions want to write, written at once; then the end of those that are over.
 */
static void run(struct echo_server *server, h2o_loop_t *loop)
{
    while (!server->is_over) {
        h2o_evloop_run(loop, wait_ms(server));
        timers_run(&server->timers, clock_monotonic_ms());
        engine_go_on(server->engine);
        flush_sessions(server);
        engine_reap(server->engine);
    }
}

int echo_server_run(struct echo_server *server, const char *path,
                    const struct eio_settings *settings, const struct engine_callbacks *callbacks)
{
    h2o_loop_t *loop = h2o_evloop_create();
    h2o_socket_t *signals = watch_signals(server, loop);
    struct cors cors = {.is_any = true};
    size_t sockets_max = raise_open_files();
    struct engine_settings engine_settings = {
        .eio = settings, .timers = &server->timers, .cors = &cors, .connections_max = sockets_max};
    server->engine = engine_new(loop, &engine_settings, callbacks);

    struct server_settings http_settings = {
        .host = "0.0.0.0",
        .port = server->port,
        .access_log = ACCESS_LOG_OFF,
        /* libh2o cuts off what is far too long; the engine refuses the rest. */
        .body_bytes_max = (size_t)settings->payload_bytes_max * 2,
        .sockets_max = sockets_max,
        .count_other_sockets = count_websockets,
        .user = server,
    };
    struct server_route route = {.path = path, .serve = serve, .user = server};
    struct buf error = BUF_INIT;
    struct server *http = server_new(loop, &http_settings, &route, 1, &error);
    if (http == NULL) {
        fprintf(stderr, "%.*s\n", BYTES_FMT(buf_bytes(&error)));
        buf_release(&error);
        server->exit_status = EXIT_FAILURE;
    } else {
        printf("listening port=%d\n", server_port(http));
        fflush(stdout);
        run(server, loop);
    }

    engine_close(server->engine);
    server_free(http);
    engine_free(server->engine);
    h2o_socket_close(signals);
    timers_release(&server->timers);
    loop_free(loop);
    return server->exit_status;
}
