/*
 * sio_echo.c - sio-echo: Socket.IO at /socket.io/, with the namespaces "/" and "/custom" and no other.
 *
 *   on connection                 ◀── auth {what the client gave, or {}}
 *   message a, b, …               ◀── message-back a, b, …
 *   message-with-ack a, b, …      ◀── acknowledged with a, b, …
 *
 * Binary arguments come back as well. The events are those of the reference's own test suite, for "/" alone.
 *
 * It is also the shortest server of wire/sio.h: what a client and its sockets are embedded in, and their callbacks.
 */
#include "base/random.h"
#include "echo_server.h"
#include "wire/sio.h"
#include <stdlib.h>

/* The sockets are part of their client: it can be in two namespaces at most. */
enum { NAMESPACE_ROOT, NAMESPACE_CUSTOM, NAMESPACE_COUNT };

static const char *const namespaces[NAMESPACE_COUNT] = {
    [NAMESPACE_ROOT] = "/",
    [NAMESPACE_CUSTOM] = "/custom",
};

struct client {
    struct sio_client sio;
    struct echo_link link;
    struct sio_socket sockets[NAMESPACE_COUNT];
};

static struct sio_settings settings;

static struct client *client_of(struct eio_session *eio)
{
    return CONTAINER_OF(sio_client_of(eio), struct client, sio);
}

/* --- what the protocol tells -------------------------------------------------------------------------------------- */

static void on_connect(struct sio_client *sio, struct bytes namespace, struct bytes auth,
                       uint64_t now_ms)
{
    (void)now_ms;
    struct client *client = CONTAINER_OF(sio, struct client, sio);
    int which = 0;
    while (which < NAMESPACE_COUNT && !bytes_equal(namespace, bytes_of_string(namespaces[which]))) {
        which++;
    }
    if (which == NAMESPACE_COUNT) {
        sio_client_refuse(sio, namespace, BYTES("Invalid namespace"), (struct bytes){0});
        return;
    }
    struct sio_socket *socket = &client->sockets[which];
    char sid[EIO_SID_BYTES]; /* Socket.IO's id; Engine.IO's is the client's own secret */
    random_id(sid, sizeof(sid));
    sio_socket_init(socket, sio, namespaces[which], namespace.len);
    sio_socket_accept(socket, bytes_of(sid, sizeof(sid)), (struct bytes){0}); /* no recovery */

    struct buf arguments = BUF_INIT;
    buf_append_bytes(&arguments, BYTES("\"auth\","));
    buf_append_bytes(&arguments, auth.len > 0 ? auth : BYTES("{}"));
    sio_socket_emit(socket, buf_bytes(&arguments));
    buf_release(&arguments);
}

static void send_back(struct sio_socket *socket, const struct sio_event *event,
                      struct bytes arguments)
{
    struct buf out = BUF_INIT;
    buf_append_bytes(&out, BYTES("\"message-back\""));
    if (arguments.len > 0) {
        buf_append_char(&out, ',');
        buf_append_bytes(&out, arguments);
    }
    if (event->has_binary) {
        sio_socket_emit_binary(socket, buf_bytes(&out), event->attachments,
                               event->attachment_count);
    } else {
        sio_socket_emit(socket, buf_bytes(&out));
    }
    buf_release(&out);
}

static void acknowledge(struct sio_socket *socket, const struct sio_event *event,
                        struct bytes arguments)
{
    if (event->has_binary) {
        sio_socket_ack_binary(socket, event->ack_id, arguments, event->attachments,
                              event->attachment_count);
    } else {
        sio_socket_ack(socket, event->ack_id, arguments);
    }
}

/* What stands behind the name, up to the array's end: arguments are sent back without being looked at. */
static struct bytes arguments_of(struct bytes payload, struct json_iterator *elements)
{
    struct bytes first;
    if (!json_next_element(elements, &first)) {
        return (struct bytes){0};
    }
    const char *end = payload.data + payload.len - 1;
    return bytes_of(first.data, (size_t)(end - first.data));
}

static void on_event(struct sio_socket *socket, const struct sio_event *event, uint64_t now_ms)
{
    (void)now_ms;
    struct bytes name;
    struct json_iterator elements;
    sio_event_split(event->payload, &name, &elements);
    bool is_named = json_type_of(name) == JSON_STRING; /* a name may be a number */
    if (!is_named || socket->namespace_len != strlen(namespaces[NAMESPACE_ROOT])) {
        return;
    }
    if (json_string_equals(name, BYTES("message"))) {
        send_back(socket, event, arguments_of(event->payload, &elements));
    } else if (json_string_equals(name, BYTES("message-with-ack")) && event->has_ack_id) {
        acknowledge(socket, event, arguments_of(event->payload, &elements));
    }
}

/* Sockets and clients own nothing but what free_session() frees. */
static void on_disconnect(struct sio_socket *socket, uint64_t now_ms)
{
    (void)socket, (void)now_ms;
}

static void on_client_close(struct sio_client *sio, enum eio_close_reason reason, uint64_t now_ms)
{
    (void)sio, (void)reason, (void)now_ms;
}

static void on_output(struct eio_session *eio)
{
    echo_link_wake(&client_of(eio)->link);
}

static void on_upgraded(struct eio_session *eio, struct eio_probe *probe, uint64_t now_ms)
{
    (void)now_ms;
    engine_on_upgraded(client_of(eio)->link.transport, probe);
}

/* --- what the engine asks for ------------------------------------------------------------------------------------- */

static struct eio_session *open_session(void *user, struct transport *transport,
                                        enum eio_transport type, uint64_t now_ms)
{
    struct client *client = mem_alloc_zeroed(sizeof(*client));
    char sid[EIO_SID_BYTES];
    random_id(sid, EIO_SID_BYTES);
    echo_link_init(&client->link, user, transport);
    sio_client_open(&client->sio, &settings, sid, type, now_ms);
    return &client->sio.eio;
}

static void free_session(void *user, struct eio_session *eio)
{
    (void)user;
    struct client *client = client_of(eio);
    echo_link_release(&client->link);
    sio_client_release(&client->sio);
    free(client);
}

int main(int argc, char **argv)
{
    struct echo_server server;
    if (!echo_server_init(&server, argc, argv,
                          "Serves Socket.IO 5 at /socket.io/ (namespaces / and /custom) and sends "
                          "events back.")) {
        return server.exit_status;
    }
    settings = (struct sio_settings){
        .eio = server.eio,
        .connect_timeout_ms = server.connect_timeout_ms,
        .callbacks = {.on_connect = on_connect,
                      .on_event = on_event,
                      .on_disconnect = on_disconnect,
                      .on_client_close = on_client_close},
    };
    settings.eio.callbacks.on_output = on_output;
    settings.eio.callbacks.on_upgraded = on_upgraded;
    sio_settings_init(&settings);
    struct engine_callbacks callbacks = {
        .user = &server, .open = open_session, .free = free_session};
    return echo_server_run(&server, "/socket.io", &settings.eio, &callbacks);
}
