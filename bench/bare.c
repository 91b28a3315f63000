/*
 * bare.c - parley-bare: the least that a server can do to hand messages on, as the ceiling for one that does more.
 *
 * One epoll loop, one room, nothing stored, nothing checked. What was published in one turn of the loop is joined and
 * goes out to each member in one send(2). It speaks just enough Socket.IO for parley-load, sends no heartbeats, and
 * trusts its clients: it is no server for anything else.
 *
 *     parley-bare PORT PACKET_BYTES      packets of messages have PACKET_BYTES, as Parley's would; blanks fill them up
 */
#include "base/listener.h"
#include "wire/ws.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 20000,
    EVENTS_MAX = 512,
    READ_BYTES_MAX = 256 * 1024,
    MESSAGE_BYTES_MAX = 65536,
    ID_DIGITS_MAX = 20,
};

struct connection {
    int fd;
    bool is_upgraded;
    bool is_blocked; /* waits until its socket can be written to */
    uint32_t member; /* its place in bare.members, plus one; 0: has not joined */
    struct buf in;   /* the beginning of what is not there yet */
    struct buf out;  /* what its socket did not take, and what is for it alone */
};

static struct {
    int epoll, listener;
    size_t packet_bytes;
    uint64_t head; /* id of the newest message */
    struct connection **members;
    uint32_t member_count;
    struct buf published; /* frames of this turn */
} bare;

static void watch(struct connection *connection, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(bare.epoll, operation, connection->fd, &event) != 0) {
        perror("parley-bare: epoll_ctl");
        exit(EXIT_FAILURE);
    }
}

static void drop(struct connection *connection)
{
    if (connection->member != 0) {
        struct connection *last = bare.members[--bare.member_count];
        bare.members[connection->member - 1] = last;
        last->member = connection->member;
    }
    close(connection->fd);
    buf_release(&connection->in);
    buf_release(&connection->out);
    free(connection);
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

/* Sends what it can of @data; keeps the rest in connection->out. An error shows when the socket is read. */
static void send_or_keep(struct connection *connection, struct bytes data)
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
            watch(connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
        }
    }
}

static void on_writable(struct connection *connection)
{
    ssize_t sent = send(connection->fd, connection->out.data, connection->out.len,
                        MSG_NOSIGNAL | MSG_DONTWAIT);
    buf_consume(&connection->out, (size_t)MAX_OF(sent, 0));
    if (connection->out.len == 0) {
        connection->is_blocked = false;
        watch(connection, EPOLL_CTL_MOD, EPOLLIN);
    }
}

static void publish_turn(void)
{
    if (bare.published.len == 0) {
        return;
    }
    for (uint32_t i = 0; i < bare.member_count; i++) {
        send_or_keep(bare.members[i], buf_bytes(&bare.published));
    }
    buf_clear(&bare.published);
}

/* --- packets ---------------------------------------------------------------------------------------------------- */

static void reply(struct connection *connection, const char *packet, struct bytes namespace,
                  const char *rest)
{
    struct buf text = BUF_INIT, frame = BUF_INIT;
    buf_append_format(&text, "%s%.*s%s", packet, BYTES_FMT(namespace), rest);
    ws_append_frame(&frame, WS_TEXT, buf_bytes(&text));
    send_or_keep(connection, buf_bytes(&frame));
    buf_release(&text);
    buf_release(&frame);
}

/* The part of @packet between its type and the first @end. */
static struct bytes namespace_of(struct bytes packet, char end)
{
    struct bytes rest = bytes_skip(packet, MIN_OF(packet.len, (size_t)2));
    const char *at = rest.len == 0 ? NULL : memchr(rest.data, end, rest.len);
    return bytes_of(rest.data, at == NULL ? 0 : (size_t)(at - rest.data));
}

/* 42/room,["chat message","…"] becomes the same with blanks and an id behind the text, as long as Parley's. */
static void publish(struct bytes packet)
{
    char tail[ID_DIGITS_MAX + 16];
    int tail_len = snprintf(tail, sizeof(tail), "\"1-%llu\"]", (unsigned long long)++bare.head);
    size_t head_len = packet.len - 1; /* without its bracket */
    size_t comma_len = 1;
    size_t len = MAX_OF(bare.packet_bytes, head_len + comma_len + (size_t)tail_len);
    char header[WS_SERVER_HEADER_MAX];
    buf_append(&bare.published, header, ws_write_header(header, WS_TEXT, len));
    buf_append(&bare.published, packet.data, head_len);
    buf_append_char(&bare.published, ',');
    size_t blanks = len - head_len - comma_len - (size_t)tail_len;
    memset(buf_reserve(&bare.published, blanks), ' ', blanks);
    bare.published.len += blanks;
    buf_append(&bare.published, tail, (size_t)tail_len);
}

static void on_packet(struct connection *connection, struct bytes packet)
{
    if (bytes_start_with(packet, BYTES("40"))) {
        reply(connection, "40", namespace_of(packet, '{'), "{\"sid\":\"bare\"}");
        ASSERT(bare.member_count < CONNECTIONS_MAX);
        bare.members[bare.member_count++] = connection;
        connection->member = bare.member_count;
    } else if (bytes_start_with(packet, BYTES("42"))) {
        publish(packet);
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
    struct buf answer = BUF_INIT;
    buf_append_format(&answer,
                      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                      "Upgrade: websocket\r\nSec-WebSocket-Accept: %.*s\r\n\r\n",
                      WS_ACCEPT_BYTES, accept);
    ws_append_frame(&answer, WS_TEXT, BYTES("0{\"sid\":\"bare\"}"));
    send_or_keep(connection, buf_bytes(&answer));
    buf_release(&answer);
    connection->is_upgraded = true;
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

/* Returns false when the connection is over. */
static bool on_readable(struct connection *connection)
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
    return true;
}

static void accept_all(void)
{
    int fd;
    while ((fd = accept4(bare.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        struct connection *connection = mem_alloc_zeroed(sizeof(*connection));
        connection->fd = fd;
        watch(connection, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static void turn(void)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(bare.epoll, events, EVENTS_MAX, -1);
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;
        if (connection == NULL) {
            accept_all();
            continue;
        }
        if ((events[i].events & EPOLLOUT) != 0) {
            on_writable(connection);
        }
        if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0 && !on_readable(connection)) {
            drop(connection);
        }
    }
    publish_turn();
}

int main(int argc, char **argv)
{
    uint64_t port_wanted, packet_bytes;
    if (argc != 3 || !bytes_to_u64(bytes_of_string(argv[1]), &port_wanted) ||
        !bytes_to_u64(bytes_of_string(argv[2]), &packet_bytes) || port_wanted > UINT16_MAX ||
        packet_bytes > MESSAGE_BYTES_MAX) {
        fprintf(stderr, "usage: parley-bare PORT PACKET_BYTES\n");
        return 2;
    }
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    int port = (int)port_wanted;
    const char *reason;
    bare.listener = listener_open("127.0.0.1", &port, &reason);
    if (bare.listener < 0) {
        fprintf(stderr, "parley-bare: port %d: %s\n", port, reason);
        return EXIT_FAILURE;
    }
    bare.epoll = epoll_create1(EPOLL_CLOEXEC);
    bare.packet_bytes = (size_t)packet_bytes;
    bare.members = mem_alloc(CONNECTIONS_MAX * sizeof(struct connection *));
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_ctl(bare.epoll, EPOLL_CTL_ADD, bare.listener, &event) != 0) {
        perror("parley-bare: epoll_ctl");
        return EXIT_FAILURE;
    }
    printf("listening port=%d\n", port);
    fflush(stdout);
    for (;;) {
        turn();
    }
}
