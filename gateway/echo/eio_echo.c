/*
 * eio_echo.c - eio-echo: Engine.IO sessions at /engine.io/ whose messages come back as they were, text and binary.
 *
 * It is also the shortest server of wire/eio.h: what a session is embedded in, and the four callbacks that it has.
 */
#include "base/random.h"
#include "echo_server.h"
#include <stdlib.h>

struct session {
    struct eio_session eio;
    struct echo_link link;
};

static struct session *session_of(struct eio_session *eio)
{
    return CONTAINER_OF(eio, struct session, eio);
}

/* --- what the protocol tells -------------------------------------------------------------------------------------- */

static void on_message(struct eio_session *eio, struct bytes message, bool binary, uint64_t now_ms)
{
    (void)now_ms;
    eio_session_send(eio, message, binary);
}

/* The memory goes later, in free_session(): a request may still wait for the session's last word. */
static void on_close(struct eio_session *eio, enum eio_close_reason reason, uint64_t now_ms)
{
    (void)eio, (void)reason, (void)now_ms;
}

static void on_output(struct eio_session *eio)
{
    echo_link_wake(&session_of(eio)->link);
}

static void on_upgraded(struct eio_session *eio, struct eio_probe *probe, uint64_t now_ms)
{
    (void)now_ms;
    engine_on_upgraded(session_of(eio)->link.transport, probe);
}

/* --- what the engine asks for ------------------------------------------------------------------------------------- */

static struct eio_session *open_session(void *user, struct transport *transport,
                                        enum eio_transport type, uint64_t now_ms)
{
    struct echo_server *server = user;
    struct session *session = mem_alloc_zeroed(sizeof(*session));
    char sid[EIO_SID_BYTES];
    random_id(sid, EIO_SID_BYTES);
    echo_link_init(&session->link, server, transport);
    eio_session_open(&session->eio, &server->eio, sid, type, now_ms);
    return &session->eio;
}

static void free_session(void *user, struct eio_session *eio)
{
    (void)user;
    struct session *session = session_of(eio);
    echo_link_release(&session->link);
    eio_session_release(eio);
    free(session);
}

int main(int argc, char **argv)
{
    struct echo_server server;
    if (!echo_server_init(&server, argc, argv,
                          "Serves Engine.IO 4 at /engine.io/ and sends every message back.")) {
        return server.exit_status;
    }
    server.eio.callbacks = (struct eio_callbacks){
        .on_message = on_message,
        .on_close = on_close,
        .on_output = on_output,
        .on_upgraded = on_upgraded,
    };
    struct engine_callbacks callbacks = {
        .user = &server, .open = open_session, .free = free_session};
    return echo_server_run(&server, "/engine.io", &server.eio, &callbacks);
}
