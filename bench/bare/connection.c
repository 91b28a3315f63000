/* connection.c - a socket, its frames, and the packets in them. */
#include "base/clock.h"
#include "server.h"
#include "wire/ws.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES_MAX = 256 * 1024 };

static struct list pings = {&pings, &pings}; /* who is due first comes first */
static uint64_t answer_count;                /* ids of messages that were not published */
static struct buf answers;                   /* frames to the one that is being read from */

struct connection *connection_new(int fd)
{
    struct connection *connection = mem_alloc_zeroed(sizeof(*connection));
    connection->fd = fd;
    list_init(&connection->in_pings);
    return connection;
}

void connection_free(struct connection *connection)
{
    room_leave(connection);
    list_leave(&connection->in_pings);
    close(connection->fd);
    buf_release(&connection->in);
    buf_release(&connection->out);
    free(connection);
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

void connection_send(struct connection *connection, struct bytes data)
{
    ssize_t sent = 0;
    if (!connection->is_blocked) {
        sent = send(connection->fd, data.data, data.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        sent = MAX_OF(sent, 0);
    }
    if ((size_t)sent < data.len) {
        buf_append_bytes(&connection->out, bytes_skip(data, (size_t)sent));
        if (!connection->is_blocked) {
            connection->is_blocked = true;
            server_watch(connection, true);
        }
    }
}

void connection_send_packet(struct connection *connection, struct bytes packet)
{
    static struct buf frame; /* one for all, and never given back */
    buf_clear(&frame);
    ws_append_frame(&frame, WS_TEXT, packet);
    connection_send(connection, buf_bytes(&frame));
}

void connection_on_writable(struct connection *connection)
{
    ssize_t sent = send(connection->fd, connection->out.data, connection->out.len,
                        MSG_NOSIGNAL | MSG_DONTWAIT);
    buf_consume(&connection->out, (size_t)MAX_OF(sent, 0));
    if (connection->out.len == 0) {
        connection->is_blocked = false;
        server_watch(connection, false);
    }
}

/* --- heartbeats ------------------------------------------------------------------------------------------------- */

static void ping_later(struct connection *connection, uint64_t now_ms)
{
    connection->ping_at_ms = now_ms + settings.ping_ms;
    list_append(&pings, &connection->in_pings);
}

int connection_send_pings(void)
{
    if (list_is_empty(&pings)) {
        return -1;
    }
    uint64_t now_ms = clock_monotonic_ms();
    for (;;) {
        struct connection *first = CONTAINER_OF(list_first(&pings), struct connection, in_pings);
        if (first->ping_at_ms > now_ms) {
            return (int)(first->ping_at_ms - now_ms);
        }
        list_leave(&first->in_pings);
        connection_send_packet(first, BYTES("2"));
        ping_later(first, now_ms);
    }
}

/* --- packets ---------------------------------------------------------------------------------------------------- */

/* The part of @packet between its type and the first @end. */
static struct bytes namespace_of(struct bytes packet, char end)
{
    struct bytes rest = bytes_skip(packet, MIN_OF(packet.len, (size_t)2));
    const char *at = rest.len == 0 ? NULL : memchr(rest.data, end, rest.len);
    return bytes_of(rest.data, at == NULL ? 0 : (size_t)(at - rest.data));
}

static void join(struct connection *connection, struct bytes packet)
{
    struct bytes namespace = namespace_of(packet, '{');
    struct buf reply = BUF_INIT;
    buf_append_format(&reply, "40%.*s{\"sid\":\"bare\",\"pid\":\"bare\"}", BYTES_FMT(namespace));
    connection_send_packet(connection, buf_bytes(&reply));
    buf_release(&reply);
    room_join(connection, namespace);
    if (settings.has_replay && memmem(packet.data, packet.len, "\"pid\":", 6) != NULL) {
        room_replay(connection);
    }
}

static void send_answers(struct connection *connection)
{
    if (answers.len > 0) {
        connection_send(connection, buf_bytes(&answers));
        buf_clear(&answers);
    }
}

/* 42/room,17["chat message",…] is answered as Parley would, at the end of the read where writes are joined. */
static void answer(struct connection *connection, struct bytes packet)
{
    struct bytes head = namespace_of(packet, '[');
    static struct buf reply; /* one for all, and never given back */
    buf_clear(&reply);
    buf_append_bytes(&reply, BYTES("43"));
    buf_append_bytes(&reply, head);
    buf_append_bytes(&reply, BYTES("[{\"status\":\"ok\",\"id\":\""));
    buf_append_u64(&reply, ++answer_count);
    buf_append_bytes(&reply, BYTES("\",\"duplicate\":false}]"));
    ws_append_frame(&answers, WS_TEXT, buf_bytes(&reply));
    if (!settings.is_joined) {
        send_answers(connection);
    }
}

static void on_packet(struct connection *connection, struct bytes packet)
{
    if (bytes_start_with(packet, BYTES("40"))) {
        join(connection, packet);
    } else if (bytes_start_with(packet, BYTES("42")) && connection->room != NULL) {
        if (settings.is_echo) {
            answer(connection, packet);
        } else {
            room_publish(connection->room, packet);
        }
    }
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

/* Takes a request for an upgrade from the front of *@data, once it is all there. */
static bool take_request(struct connection *connection, struct bytes *data)
{
    static const char KEY[] = "Sec-WebSocket-Key: ";
    enum { KEY_BYTES = 24 };
    const char *end = memmem(data->data, data->len, "\r\n\r\n", 4);
    const char *key = memmem(data->data, data->len, KEY, sizeof(KEY) - 1);
    if (end == NULL || key == NULL) {
        return false;
    }
    char accept[WS_ACCEPT_BYTES];
    ws_accept(bytes_of(key + sizeof(KEY) - 1, KEY_BYTES), accept);
    struct buf response = BUF_INIT;
    buf_append_format(&response,
                      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                      "Upgrade: websocket\r\nSec-WebSocket-Accept: %.*s\r\n\r\n",
                      WS_ACCEPT_BYTES, accept);
    ws_append_frame(&response, WS_TEXT, BYTES("0{\"sid\":\"bare\"}"));
    connection_send(connection, buf_bytes(&response));
    buf_release(&response);
    connection->is_upgraded = true;
    if (settings.ping_ms > 0) {
        ping_later(connection, clock_monotonic_ms());
    }
    *data = bytes_skip(*data, (size_t)(end - data->data) + 4);
    return true;
}

static void take_all(struct connection *connection, struct bytes *data)
{
    if (!connection->is_upgraded && !take_request(connection, data)) {
        return;
    }
    struct ws_reader reader;
    struct ws_event event;
    ws_reader_init(&reader); /* without fragments it keeps nothing */
    while (data->len > 0) {
        /* What it unmasks is ours: the read buffer, or connection->in. */
        size_t len = ws_reader_next(&reader, MESSAGE_BYTES_MAX, (char *)(uintptr_t)data->data,
                                    data->len, &event);
        if (event.type == WS_EVENT_NONE) {
            break;
        }
        if (event.type == WS_EVENT_TEXT) {
            on_packet(connection, event.payload);
        }
        *data = bytes_skip(*data, len);
    }
    ws_reader_release(&reader);
}

bool connection_on_readable(struct connection *connection)
{
    static char buffer[READ_BYTES_MAX];
    ssize_t len = recv(connection->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (len <= 0) {
        return len < 0 && (errno == EAGAIN || errno == EINTR);
    }
    if (connection->in.len > 0) {
        buf_append(&connection->in, buffer, (size_t)len);
        struct bytes rest = buf_bytes(&connection->in);
        take_all(connection, &rest);
        buf_consume(&connection->in, connection->in.len - rest.len);
    } else {
        struct bytes rest = bytes_of(buffer, (size_t)len);
        take_all(connection, &rest);
        buf_append_bytes(&connection->in, rest);
    }
    send_answers(connection);
    return true;
}
