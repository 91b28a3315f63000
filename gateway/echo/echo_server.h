/*
 * echo_server.h - what eio-echo and sio-echo share, and what any other server of the library needs: options, a libh2o
 * loop, a listener, and one `struct echo_link` for each session, between its protocol (wire/) and its transport
 * (edge/engine.h).
 *
 *     int main(int argc, char **argv)
 *     {
 *         struct echo_server server;
 *         if (!echo_server_init(&server, argc, argv, "what this program does"))
 *             return server.exit_status;
 *         … eio_settings or sio_settings, from server.eio, with the callbacks of the protocol …
 *         return echo_server_run(&server, "/engine.io", &settings, callbacks that open and free a session);
 *     }
 *
 * Thread  One, main's.
 */
#ifndef PARLEY_ECHO_ECHO_SERVER_H
#define PARLEY_ECHO_ECHO_SERVER_H

#include "base/list.h"
#include "edge/engine.h"

struct echo_server {
    int port;
    uint32_t connect_timeout_ms;
    struct eio_settings eio; /* what the options say; the callbacks are still to be set */
    int exit_status;
    struct timers timers;
    struct eio_waits waits;
    struct list dirty; /* links whose sessions have something to write */
    struct engine *engine;
    bool is_over;
};

/* A session's tie to what carries it. */
struct echo_link {
    struct echo_server *server;
    struct transport *transport;
    struct list dirty; /* echo_server.dirty */
};

/*
 * Reads the options. False when the program should end now with `exit_status`: after --help, or after a sentence on
 * standard error about a bad option (2).
 */
MUST_USE bool echo_server_init(struct echo_server *server, int argc, char **argv,
                               const char *purpose);

/*
 * Listens, says "listening port=<n>" on standard output, and serves @path until SIGTERM or SIGINT; SIGUSR1 has it say
 * what it holds. @settings are what the sessions are opened with. Returns the program's exit status; the server is
 * released then.
 */
int echo_server_run(struct echo_server *server, const char *path,
                    const struct eio_settings *settings, const struct engine_callbacks *callbacks);

void echo_link_init(struct echo_link *link, struct echo_server *server,
                    struct transport *transport);

/* The session's on_output: it is flushed once, at the end of the loop's turn. */
void echo_link_wake(struct echo_link *link);

/* Before the session's memory is freed. */
void echo_link_release(struct echo_link *link);

#endif
