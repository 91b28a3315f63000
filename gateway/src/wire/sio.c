/*
 * sio.c - clients and their sockets.
 *
 * Callbacks may detach and free any socket, the one that they are about included, and close the
 * session. So nothing here touches a socket after it was handed to a callback, and lists are walked
 * by taking their first element.
 */
#include "sio.h"
#include "sio_binary.h"
#include <stdlib.h>

static const struct sio_settings *settings_of(const struct sio_client *client)
{
    static_assert(offsetof(struct sio_settings, eio) == 0, "both settings have one address");
    return (const struct sio_settings *)client->eio.settings;
}

static struct bytes namespace_of(const struct sio_socket *socket)
{
    return bytes_of(socket->namespace, socket->namespace_len);
}

static void close_for_protocol(struct sio_client *client, uint64_t now_ms)
{
    eio_session_close(&client->eio, EIO_CLOSE_PROTOCOL, WS_CLOSE_PROTOCOL_ERROR, now_ms);
}

struct sio_socket *sio_client_find(const struct sio_client *client, struct bytes namespace)
{
    struct sio_socket *socket = client->sockets;
    while (socket != NULL && !bytes_equal(namespace_of(socket), namespace)) {
        socket = socket->next;
    }
    return socket;
}

void sio_socket_init(struct sio_socket *socket, struct sio_client *client, const char *namespace,
                     size_t namespace_len)
{
    ASSERT(namespace_len >= 1 && namespace_len <= SIO_NAMESPACE_BYTES_MAX);
    *socket = (struct sio_socket){
        .client = client,
        .next = client->sockets,
        .namespace = namespace,
        .namespace_len = (uint8_t)namespace_len,
        .state = SIO_CONNECTING,
    };
    client->sockets = socket;
}

struct sio_connect_wait {
    struct timer timeout;
    struct sio_client *client;
};

static void end_connect_wait(struct sio_client *client)
{
    if (client->connect_wait != NULL) {
        timers_clear(client->eio.settings->waits->timers, &client->connect_wait->timeout);
        free(client->connect_wait);
        client->connect_wait = NULL;
    }
}

void sio_socket_take_over(struct sio_socket *socket, struct sio_client *client,
                          const char *namespace, size_t namespace_len)
{
    sio_socket_init(socket, client, namespace, namespace_len);
    socket->state = SIO_CONNECTED;
    end_connect_wait(client);
}

void sio_socket_detach(struct sio_socket *socket)
{
    if (socket->state == SIO_GONE) {
        return;
    }
    struct sio_socket **link = &socket->client->sockets;
    while (*link != socket) {
        link = &(*link)->next;
    }
    *link = socket->next;
    socket->next = NULL;
    socket->state = SIO_GONE;
}

void sio_socket_accept(struct sio_socket *socket, struct bytes sid, struct bytes pid)
{
    ASSERT(socket->state == SIO_CONNECTING);
    struct sio_client *client = socket->client;
    socket->state = SIO_CONNECTED;
    end_connect_wait(client);
    struct buf *out = eio_session_begin_write(&client->eio);
    if (out == NULL) {
        return;
    }
    size_t begin = ws_begin_frame(out);
    sio_append_packet_head(out, SIO_CONNECT, namespace_of(socket));
    buf_append_bytes(out, BYTES("{\"sid\":"));
    json_write_string(out, sid);
    if (pid.len > 0) {
        buf_append_bytes(out, BYTES(",\"pid\":"));
        json_write_string(out, pid);
    }
    buf_append_char(out, '}');
    ws_end_frame(out, begin, WS_TEXT);
    eio_session_end_write(&client->eio);
}

void sio_client_refuse(struct sio_client *client, struct bytes namespace, struct bytes message,
                       struct bytes data)
{
    struct buf *out = eio_session_begin_write(&client->eio);
    if (out == NULL) {
        return;
    }
    size_t begin = ws_begin_frame(out);
    sio_append_packet_head(out, SIO_CONNECT_ERROR, namespace);
    buf_append_bytes(out, BYTES("{\"message\":"));
    json_write_string(out, message);
    if (data.len > 0) {
        buf_append_bytes(out, BYTES(",\"data\":"));
        buf_append_bytes(out, data);
    }
    buf_append_char(out, '}');
    ws_end_frame(out, begin, WS_TEXT);
    eio_session_end_write(&client->eio);
}

void sio_socket_refuse(struct sio_socket *socket, struct bytes message, struct bytes data)
{
    ASSERT(socket->state == SIO_CONNECTING);
    sio_socket_detach(socket);
    sio_client_refuse(socket->client, namespace_of(socket), message, data);
}

/* Where a CONNECTED socket's frames go, or NULL when they go nowhere. */
static struct buf *begin_write(struct sio_socket *socket)
{
    return socket->state == SIO_CONNECTED ? eio_session_begin_write(&socket->client->eio) : NULL;
}

void sio_socket_emit(struct sio_socket *socket, struct bytes arguments)
{
    struct buf *out = begin_write(socket);
    if (out != NULL) {
        sio_append_event_frame(out, namespace_of(socket), arguments);
        eio_session_end_write(&socket->client->eio);
    }
}

void sio_socket_ack(struct sio_socket *socket, uint64_t ack_id, struct bytes arguments)
{
    struct buf *out = begin_write(socket);
    if (out != NULL) {
        sio_append_ack_frame(out, namespace_of(socket), ack_id, arguments);
        eio_session_end_write(&socket->client->eio);
    }
}

void sio_socket_emit_binary(struct sio_socket *socket, struct bytes arguments,
                            const struct bytes *attachments, uint32_t count)
{
    struct buf *out = begin_write(socket);
    if (out != NULL) {
        sio_append_binary_event_frames(out, namespace_of(socket), arguments, attachments, count);
        eio_session_end_write(&socket->client->eio);
    }
}

void sio_socket_ack_binary(struct sio_socket *socket, uint64_t ack_id, struct bytes arguments,
                           const struct bytes *attachments, uint32_t count)
{
    struct buf *out = begin_write(socket);
    if (out != NULL) {
        sio_append_binary_ack_frames(out, namespace_of(socket), ack_id, arguments, attachments,
                                     count);
        eio_session_end_write(&socket->client->eio);
    }
}

static void on_connect(struct sio_client *client, const struct sio_packet *packet, uint64_t now_ms)
{
    if (packet->namespace.len > SIO_NAMESPACE_BYTES_MAX) {
        sio_client_refuse(client, packet->namespace, BYTES("Invalid namespace"), (struct bytes){0});
    } else if (sio_client_find(client, packet->namespace) != NULL) {
        close_for_protocol(client, now_ms);
    } else {
        settings_of(client)->callbacks.on_connect(client, packet->namespace, packet->payload,
                                                  now_ms);
    }
}

static void on_event(struct sio_client *client, const struct sio_packet *packet,
                     const struct bytes *attachments, uint64_t now_ms)
{
    struct sio_socket *socket = sio_client_find(client, packet->namespace);
    if (socket == NULL) {
        return;
    }
    if (socket->state == SIO_CONNECTING) {
        close_for_protocol(client, now_ms);
        return;
    }
    struct sio_event event = {
        .payload = packet->payload,
        .has_ack_id = packet->has_ack_id,
        .ack_id = packet->ack_id,
        .has_binary = packet->attachments > 0,
        .attachment_count = packet->attachments,
        .attachments = attachments,
    };
    settings_of(client)->callbacks.on_event(socket, &event, now_ms);
}

static void leave(struct sio_socket *socket, uint64_t now_ms)
{
    const struct sio_callbacks *callbacks = &settings_of(socket->client)->callbacks;
    sio_socket_detach(socket);
    callbacks->on_disconnect(socket, now_ms);
}

void sio_socket_disconnect(struct sio_socket *socket, uint64_t now_ms)
{
    if (socket->state == SIO_GONE) {
        return;
    }
    struct sio_client *client = socket->client;
    struct buf *out = eio_session_begin_write(&client->eio);
    if (out != NULL) {
        size_t begin = ws_begin_frame(out);
        sio_append_packet_head(out, SIO_DISCONNECT, namespace_of(socket));
        ws_end_frame(out, begin, WS_TEXT);
        eio_session_end_write(&client->eio);
    }
    leave(socket, now_ms);
}

static void on_disconnect(struct sio_client *client, const struct sio_packet *packet,
                          uint64_t now_ms)
{
    struct sio_socket *socket = sio_client_find(client, packet->namespace);
    if (socket != NULL) {
        leave(socket, now_ms);
    }
}

/* A packet that is complete. */
static void on_packet(struct sio_client *client, const struct sio_packet *packet,
                      const struct bytes *attachments, uint64_t now_ms)
{
    switch (packet->type) {
    case SIO_CONNECT: on_connect(client, packet, now_ms); break;
    case SIO_DISCONNECT: on_disconnect(client, packet, now_ms); break;
    case SIO_EVENT:
    case SIO_BINARY_EVENT: on_event(client, packet, attachments, now_ms); break;
    case SIO_ACK: /* of nothing that was asked */
    case SIO_BINARY_ACK:
    case SIO_CONNECT_ERROR: /* a server's word; the reference ignores it, too */ break;
    }
}

static void on_text(struct sio_client *client, struct bytes text, uint64_t now_ms)
{
    struct sio_packet packet;
    if (client->assembly != NULL || sio_parse(text, &packet) != SIO_OK) {
        close_for_protocol(client, now_ms);
        return;
    }
    bool is_binary = packet.type == SIO_BINARY_EVENT || packet.type == SIO_BINARY_ACK;
    if (is_binary && !sio_placeholders_are_valid(packet.payload, packet.attachments)) {
        close_for_protocol(client, now_ms);
    } else if (packet.attachments > 0) {
        client->assembly = sio_assembly_new(&packet, client->eio.settings->payload_bytes_max);
    } else {
        on_packet(client, &packet, NULL, now_ms);
    }
}

static void on_attachment(struct sio_client *client, struct bytes data, uint64_t now_ms)
{
    struct sio_assembly *assembly = client->assembly;
    if (assembly == NULL) {
        close_for_protocol(client, now_ms);
        return;
    }
    switch (sio_assembly_add(assembly, data)) {
    case SIO_ASSEMBLY_AWAITS_MORE: break;
    case SIO_ASSEMBLY_TOO_MUCH: close_for_protocol(client, now_ms); break;
    case SIO_ASSEMBLY_COMPLETE: {
        struct bytes attachments[SIO_ATTACHMENTS_MAX];
        client->assembly = NULL; /* what is called back may close the session */
        sio_assembly_attachments(assembly, attachments);
        on_packet(client, sio_assembly_packet(assembly), attachments, now_ms);
        sio_assembly_free(assembly);
    }
    }
}

static void on_message(struct eio_session *session, struct bytes message, bool binary,
                       uint64_t now_ms)
{
    if (binary) {
        on_attachment(sio_client_of(session), message, now_ms);
    } else {
        on_text(sio_client_of(session), message, now_ms);
    }
}

static void forget_assembly(struct sio_client *client)
{
    sio_assembly_free(client->assembly);
    client->assembly = NULL;
}

static void on_session_close(struct eio_session *session, enum eio_close_reason reason,
                             uint64_t now_ms)
{
    struct sio_client *client = sio_client_of(session);
    end_connect_wait(client);
    forget_assembly(client);
    while (client->sockets != NULL) {
        leave(client->sockets, now_ms);
    }
    settings_of(client)->callbacks.on_client_close(client, reason, now_ms);
}

static size_t held(struct eio_session *session)
{
    const struct sio_assembly *assembly = sio_client_of(session)->assembly;
    return assembly != NULL ? sio_assembly_held(assembly) : 0;
}

/* A client whose CONNECT is held does its part: it gets the time once more. */
static void on_connect_timeout(struct timer *timer, uint64_t now_ms)
{
    struct sio_client *client = CONTAINER_OF(timer, struct sio_connect_wait, timeout)->client;
    if (client->sockets != NULL) {
        timers_set(client->eio.settings->waits->timers, timer,
                   now_ms + settings_of(client)->connect_timeout_ms);
    } else {
        eio_session_close(&client->eio, EIO_CLOSE_SERVER, WS_CLOSE_NORMAL, now_ms);
    }
}

void sio_settings_init(struct sio_settings *settings)
{
    settings->eio.callbacks.on_message = on_message;
    settings->eio.callbacks.on_close = on_session_close;
    settings->eio.callbacks.held = held;
}

static void init(struct sio_client *client, const struct sio_settings *settings, uint64_t now_ms)
{
    client->sockets = NULL;
    client->assembly = NULL;
    struct sio_connect_wait *wait = mem_alloc(sizeof(*wait));
    wait->client = client;
    timer_init(&wait->timeout, on_connect_timeout);
    timers_set(settings->eio.waits->timers, &wait->timeout, now_ms + settings->connect_timeout_ms);
    client->connect_wait = wait;
}

void sio_client_open(struct sio_client *client, const struct sio_settings *settings,
                     const char sid[EIO_SID_BYTES], enum eio_transport transport, uint64_t now_ms)
{
    init(client, settings, now_ms);
    eio_session_open(&client->eio, &settings->eio, sid, transport, now_ms);
}

void sio_client_take_over(struct sio_client *client, const struct sio_settings *settings,
                          const char sid[EIO_SID_BYTES], const struct eio_handover *handover,
                          struct bytes undelivered, struct eio_probe *probe, uint64_t now_ms)
{
    init(client, settings, now_ms);
    eio_session_take_over(&client->eio, &settings->eio, sid, handover, undelivered, probe, now_ms);
}

bool sio_client_incomplete(const struct sio_client *client, struct buf *out, uint32_t *ret_count,
                           struct bytes ret_attachments[SIO_ATTACHMENTS_MAX])
{
    if (client->assembly == NULL) {
        return false;
    }
    sio_assembly_append_text(client->assembly, out);
    *ret_count = sio_assembly_attachments(client->assembly, ret_attachments);
    return true;
}

void sio_client_take_incomplete(struct sio_client *client, struct bytes text,
                                const struct bytes *attachments, size_t count, uint64_t now_ms)
{
    on_message(&client->eio, text, false, now_ms);
    for (size_t i = 0; i < count && client->eio.state == EIO_STATE_OPEN; i++) {
        on_message(&client->eio, attachments[i], true, now_ms);
    }
}

void sio_client_release(struct sio_client *client)
{
    end_connect_wait(client);
    forget_assembly(client);
    while (client->sockets != NULL) {
        sio_socket_detach(client->sockets);
    }
    eio_session_release(&client->eio);
}
