/*
 * sio_fuzz.c - packets, one a line, for a small application that holds, accepts, refuses, detaches, closes and sends
 * binary back as they say. Every socket ends once, and before its client does; attachments come in and go out behind
 * their packet and never without one.
 */
#include "../tests/client_frames.h"
#include "fuzz.h"
#include "wire/sio.h"
#include "wire/utf8.h"

#include <stdlib.h>

enum { PAYLOAD_MAX = 2000, INBOX_MAX = 1500, OUTBOX_MAX = 4000 };

struct room {
    struct sio_socket socket;
    struct room *next;
    char namespace[SIO_NAMESPACE_BYTES_MAX];
};

struct world {
    struct sio_client client;
    struct timers timers;
    struct eio_waits waits;
    struct eio_inboxes inboxes;
    struct sio_settings settings;
    struct room *rooms;
    uint64_t now_ms;
    bool is_closed;
};

static struct world *world_of(struct sio_client *client)
{
    return CONTAINER_OF(client, struct world, client);
}

static void room_free(struct world *world, struct room *room)
{
    struct room **link = &world->rooms;
    while (*link != room) {
        link = &(*link)->next;
    }
    *link = room->next;
    sio_socket_detach(&room->socket);
    free(room);
}

static void on_connect(struct sio_client *client, struct bytes namespace, struct bytes auth,
                       uint64_t now_ms)
{
    struct world *world = world_of(client);
    (void)now_ms;
    ASSERT(namespace.len >= 1 && namespace.len <= SIO_NAMESPACE_BYTES_MAX &&
           namespace.data[0] == '/');
    ASSERT(auth.len == 0 || json_type_of(auth) == JSON_OBJECT);
    ASSERT(sio_client_find(client, namespace) == NULL && !world->is_closed);
    if (namespace.len % 4 == 0) {
        sio_client_refuse(client, namespace, BYTES("Invalid namespace"), auth);
        return;
    }
    struct room *room = mem_alloc_zeroed(sizeof(*room));
    memcpy(room->namespace, namespace.data, namespace.len);
    room->next = world->rooms;
    world->rooms = room;
    sio_socket_init(&room->socket, client, room->namespace, namespace.len);
    if (namespace.len % 4 != 3) {
        sio_socket_accept(&room->socket, BYTES("sid"),
                          namespace.len % 4 == 1 ? BYTES("pid") : BYTES(""));
    }
}

static void on_event(struct sio_socket *socket, const struct sio_event *event, uint64_t now_ms)
{
    struct sio_client *client = socket->client;
    struct world *world = world_of(client);
    ASSERT(socket->state == SIO_CONNECTED && !world->is_closed);
    ASSERT(json_type_of(event->payload) == JSON_ARRAY);
    struct bytes name, argument;
    struct json_iterator arguments;
    sio_event_split(event->payload, &name, &arguments);
    ASSERT(json_type_of(name) == JSON_STRING || json_type_of(name) == JSON_NUMBER);
    unsigned count = 0;
    while (json_next_element(&arguments, &argument)) {
        count++;
    }
    ASSERT(event->has_binary == (event->attachment_count > 0));
    ASSERT(event->attachment_count <= SIO_ATTACHMENTS_MAX);
    ASSERT(!event->has_binary ||
           sio_placeholders_are_valid(event->payload, event->attachment_count));
    sio_socket_emit(socket, name);
    if (event->has_binary) {
        sio_socket_emit_binary(socket, name, event->attachments, event->attachment_count);
        sio_socket_ack_binary(socket, event->ack_id, (struct bytes){0}, event->attachments,
                              event->attachment_count);
    } else if (event->has_ack_id) {
        sio_socket_ack(socket, event->ack_id, (struct bytes){0});
    }
    if (count == 2) {
        room_free(world, CONTAINER_OF(socket, struct room, socket));
    } else if (count == 3) {
        eio_session_close(&client->eio, EIO_CLOSE_SERVER, WS_CLOSE_NORMAL, now_ms);
    } else if (count == 4) {
        while (world->rooms != NULL) {
            room_free(world, world->rooms);
        }
    }
}

static void on_disconnect(struct sio_socket *socket, uint64_t now_ms)
{
    struct world *world = world_of(socket->client);
    (void)now_ms;
    ASSERT(socket->state == SIO_GONE && !world->is_closed);
    room_free(world, CONTAINER_OF(socket, struct room, socket));
}

static void on_client_close(struct sio_client *client, enum eio_close_reason reason,
                            uint64_t now_ms)
{
    struct world *world = world_of(client);
    (void)reason;
    (void)now_ms;
    ASSERT(!world->is_closed && world->rooms == NULL && client->sockets == NULL);
    world->is_closed = true;
}

static void on_output(struct eio_session *session)
{
    (void)session;
}

/* A second opinion on placeholders, by walking the tree. */
static bool is_valid_value(struct bytes value, uint32_t count)
{
    struct json_iterator iterator;
    struct bytes key, element;
    if (json_type_of(value) == JSON_ARRAY) {
        iterator = json_iterate(value);
        while (json_next_element(&iterator, &element)) {
            if (!is_valid_value(element, count)) {
                return false;
            }
        }
    } else if (json_type_of(value) == JSON_OBJECT) {
        uint64_t num = 0;
        bool is_placeholder = json_object_get(value, BYTES("_placeholder"), &element) &&
                              json_type_of(element) == JSON_TRUE;
        if (is_placeholder && !(json_object_get(value, BYTES("num"), &element) &&
                                json_type_of(element) == JSON_NUMBER &&
                                json_number_to_u64(element, &num) && num < count)) {
            return false;
        }
        iterator = json_iterate(value);
        while (json_next_member(&iterator, &key, &element)) {
            if (!is_valid_value(element, count)) {
                return false;
            }
        }
    }
    return true;
}

static void check_parse(struct bytes text)
{
    struct sio_packet packet = {.type = 'x'};
    if (sio_parse(text, &packet) != SIO_OK) {
        ASSERT(packet.type == 'x');
        return;
    }
    ASSERT(packet.namespace.len >= 1 && packet.namespace.data[0] == '/');
    ASSERT(packet.attachments <= SIO_ATTACHMENTS_MAX);
    struct bytes value;
    ASSERT(packet.payload.len == 0 ||
           (json_scan(packet.payload, &value) && value.len == packet.payload.len));
    if (packet.payload.len > 0 && json_type_of(packet.payload) == JSON_ARRAY) {
        ASSERT(sio_placeholders_are_valid(packet.payload, packet.attachments) ==
               is_valid_value(packet.payload, packet.attachments));
    }
}

/* Reads all that goes out: frames, each a packet that this side, too, finds well formed. */
static void read_output(struct world *world)
{
    struct iovec iov;
    if (eio_session_peek(&world->client.eio, &iov, 1) == 0) {
        return;
    }
    struct bytes frames = bytes_of(iov.iov_base, iov.iov_len), payload;
    enum ws_opcode opcode;
    uint32_t attachments = 0; /* that are to follow */
    while (server_take_frame(&frames, &opcode, &payload)) {
        struct sio_packet packet = {0};
        bool is_message = opcode == WS_TEXT && payload.data[0] == EIO_MESSAGE;
        ASSERT(!is_message || sio_parse(bytes_skip(payload, 1), &packet) == SIO_OK);
        ASSERT((opcode == WS_BINARY) == (attachments > 0));
        attachments = opcode == WS_BINARY ? attachments - 1 : packet.attachments;
    }
    ASSERT(frames.len == 0 && attachments == 0);
    eio_session_advance(&world->client.eio, iov.iov_len);
}

/*
 * A line: '!' lets time pass and the application answer what it holds; 'b' is a binary message; all else is a packet.
 */
static void step(struct world *world, struct bytes line)
{
    if (line.len > 0 && line.data[0] == '!') {
        world->now_ms += 10 * line.len;
        timers_run(&world->timers, world->now_ms);
        struct sio_socket *socket = world->client.sockets;
        if (socket != NULL && socket->state == SIO_CONNECTING) {
            sio_socket_accept(socket, BYTES("late"), (struct bytes){0});
        }
        return;
    }
    if (line.len > 0) {
        check_parse(bytes_skip(line, 1));
    }
    struct buf frame = BUF_INIT;
    bool is_binary = line.len > 0 && line.data[0] == 'b';
    client_append_frame(&frame, CLIENT_FIN | (is_binary ? WS_BINARY : WS_TEXT),
                        is_binary ? bytes_skip(line, 1) : line);
    size_t taken = eio_session_receive(&world->client.eio, frame.data, frame.len, world->now_ms);
    ASSERT(taken == frame.len);
    buf_release(&frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_of((const char *)data, size);
    struct world world = {.now_ms = 1000,
                          .inboxes = {.bytes_max = INBOX_MAX, .unit_bytes = PAYLOAD_MAX / 64}};
    timers_init(&world.timers);
    eio_waits_init(&world.waits, &world.timers);
    world.settings = (struct sio_settings){
        .eio = {.ping_interval_ms = 300,
                .ping_timeout_ms = 200,
                .payload_bytes_max = PAYLOAD_MAX,
                .outbox_bytes_max = OUTBOX_MAX,
                .waits = &world.waits,
                .inboxes = &world.inboxes,
                .callbacks = {.on_output = on_output}},
        .connect_timeout_ms = 450,
        .callbacks = {on_connect, on_event, on_disconnect, on_client_close},
    };
    sio_settings_init(&world.settings);
    sio_client_open(&world.client, &world.settings, "abcdefghij0123456789", EIO_WEBSOCKET,
                    world.now_ms);
    unsigned lines = 0;
    while (input.len > 0) {
        const char *end = memchr(input.data, '\n', input.len);
        struct bytes line =
            fuzz_bytes(&input, end != NULL ? (size_t)(end - input.data) : input.len);
        fuzz_byte(&input);
        step(&world, line);
        ASSERT(world.inboxes.bytes <= INBOX_MAX);
        if (++lines % 4 == 0) {
            read_output(&world);
        }
    }
    read_output(&world);
    eio_session_transport_closed(&world.client.eio, world.now_ms);
    ASSERT(world.is_closed && world.rooms == NULL);
    ASSERT(timers_next_due(&world.timers) == TIMER_NEVER);
    sio_client_release(&world.client);
    ASSERT(world.inboxes.bytes == 0);
    timers_release(&world.timers);
    return 0;
}
