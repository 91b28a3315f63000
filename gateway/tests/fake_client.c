/*
 * fake_client.c - clients: their sockets, what they say, and what they are promised.
 */
#include "client_frames.h"
#include "fake_world.h"
#include "hub/limits.h"
#include "wire/chat.h"
#include "wire/sio.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { PIECES = 64 };

/* --- checking what comes --- */

static void note(struct fake_client *client, const struct fake_place *place, const char *format,
                 ...) PRINTF(3, 4);

static void note(struct fake_client *client, const struct fake_place *place, const char *format,
                 ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    bool is_lobby = place == NULL || strcmp(place->namespace, "/") == 0;
    buf_append_format(&client->seen, "%s%s%s%s", client->seen.len > 0 ? ", " : "",
                      is_lobby ? "" : place->namespace, is_lobby ? "" : " ", text);
}

static struct bytes unquoted(struct bytes string)
{
    ASSERT(json_type_of(string) == JSON_STRING);
    return bytes_of(string.data + 1, string.len - 2);
}

static uint64_t number_of(struct bytes string)
{
    uint64_t value;
    if (!bytes_to_u64(json_type_of(string) == JSON_STRING ? unquoted(string) : string, &value)) {
        fake_failed("not an id: %.*s", BYTES_FMT(string));
    }
    return value;
}

static struct bytes member_of(struct bytes object, const char *key)
{
    struct bytes value;
    if (!json_object_get(object, bytes_of_string(key), &value)) {
        fake_failed("no %s in %.*s", key, BYTES_FMT(object));
    }
    return value;
}

static struct fake_room *room_of(struct fake_client *client, const struct fake_place *place)
{
    struct bytes name;
    bool is_room = chat_room_of_namespace(bytes_of_string(place->namespace), &name);
    ASSERT(is_room);
    return fake_store_room(&client->world->store, name);
}

/* Whether message @id is one of the client's own, which it asked not to get. */
static bool is_unwanted(struct fake_client *client, const struct fake_place *place, uint64_t id)
{
    struct fake_room *room = room_of(client, place);
    return place->no_echo && id <= room->head &&
           bytes_equal(buf_bytes(&room->messages[id - 1].session), bytes_of_string(place->sid));
}

/* The id that @place waits for, given that @id has come: its own in between, which it does not want, never come. */
static uint64_t next_wanted(struct fake_client *client, const struct fake_place *place, uint64_t id)
{
    uint64_t next = place->next_id;
    while (next != 0 && next < id && is_unwanted(client, place, next)) {
        next++;
    }
    return next;
}

/*
 * Who was told of a new epoch and has seen nothing of it comes back with an offset of an old one, and goes on there at a
 * gateway that has yet to hear of the new one; which tells of it again then.
 */
static bool is_behind_epoch(const struct fake_client *client, const struct fake_place *place)
{
    return place->is_fresh && place->old_next_id != 0 &&
           fake_store_is_another(&client->world->store);
}

static void check_order(struct fake_client *client, const struct fake_place *place, uint64_t epoch,
                        uint64_t id)
{
    uint64_t next = next_wanted(client, place, id);
    /*
     * Which ones were its own in a life of the store that is over, nobody knows any more; and who has seen none but its
     * own there, which it was not sent, comes back without an offset.
     */
    bool is_unknown = place->no_echo && fake_store_is_another(&client->world->store) &&
                      (next < id || epoch != place->epoch);
    bool is_behind = is_behind_epoch(client, place) && place->old_next_id == id &&
                     epoch < client->world->store.epoch;
    if (next != 0 && next != id && !is_unknown && !is_behind) {
        fake_failed("%s in %s got %llu instead of %llu", client->username, place->namespace,
                    (unsigned long long)id, (unsigned long long)next);
    }
}

static void check_text(struct fake_client *client, const struct fake_place *place, uint64_t id,
                       struct bytes content)
{
    struct fake_room *room = room_of(client, place);
    if (place->epoch != client->world->store.epoch) {
        return; /* of a life that the store has forgotten */
    }
    if (is_unwanted(client, place, id)) {
        fake_failed("%s got its own message %llu", client->username, (unsigned long long)id);
    }
    struct buf quoted = BUF_INIT;
    if (id <= room->head) {
        json_write_string(&quoted, buf_bytes(&room->messages[id - 1].body));
    }
    if (!bytes_equal(buf_bytes(&quoted), content)) {
        fake_failed("%s in %s got as %llu what is not it: %.*s", client->username, place->namespace,
                    (unsigned long long)id, BYTES_FMT(content));
    }
    buf_release(&quoted);
}

static void on_chat_message(struct fake_client *client, struct fake_place *place,
                            struct json_iterator *arguments)
{
    struct bytes content = {0}, id_text = {0}, username = {0}, details = {0}, offset = {0};
    bool is_whole = json_next_element(arguments, &content) &&
                    json_next_element(arguments, &id_text) &&
                    json_next_element(arguments, &username) &&
                    json_next_element(arguments, &details) && json_next_element(arguments, &offset);
    ASSERT(is_whole);
    uint64_t id = number_of(id_text), epoch = 0, offset_id = 0;
    bool is_offset = chat_offset_parse(unquoted(offset), &epoch, &offset_id);
    ASSERT(is_offset && offset_id == id);
    if (epoch < place->epoch) {
        fake_failed("%s got epoch %llu after a newer one", client->username,
                    (unsigned long long)epoch);
    }
    check_order(client, place, epoch, id);
    place->epoch = epoch;
    check_text(client, place, id, content);
    place->is_fresh = false;
    place->old_next_id = 0;
    place->next_id = id + 1;
    snprintf(place->offset, sizeof(place->offset), "%.*s", BYTES_FMT(unquoted(offset)));
    place->count++;
    if (!client->is_quiet) {
        note(client, place, "#%llu %.*s", (unsigned long long)id, BYTES_FMT(unquoted(content)));
    }
}

static void on_gap(struct fake_client *client, struct fake_place *place, struct bytes details)
{
    uint64_t from = number_of(member_of(details, "from")), to = number_of(member_of(details, "to"));
    struct bytes reason = unquoted(member_of(details, "reason"));
    bool is_epoch = bytes_equal(reason, BYTES("epoch"));
    if (from > to || from == 0) {
        fake_failed("%s was told of the gap %llu-%llu", client->username, (unsigned long long)from,
                    (unsigned long long)to);
    }
    uint64_t next = next_wanted(client, place, from);
    /* Who comes back having seen nothing behind a gap is told of it once more. */
    bool is_again = place->is_fresh && from < next && to + 1 >= next;
    bool is_unknown = place->no_echo && fake_store_is_another(&client->world->store) && next < from;
    if (is_unknown) {
        next = from;
    }
    if (!is_epoch && next != 0 && from != next && !is_again) {
        fake_failed("%s was told of a gap from %llu, but wants %llu", client->username,
                    (unsigned long long)from, (unsigned long long)next);
    }
    bool is_behind = is_behind_epoch(client, place) && from <= place->old_next_id;
    if (is_epoch && next != 0 && from > next && !is_behind) {
        fake_failed("%s was told of a new epoch from %llu, but wants %llu", client->username,
                    (unsigned long long)from, (unsigned long long)next);
    }
    place->is_fresh = false;
    place->old_next_id = !is_epoch ? 0 : place->old_next_id != 0 ? place->old_next_id : next;
    place->next_id = is_epoch ? from : to + 1;
    note(client, place, "gap %llu-%llu %.*s", (unsigned long long)from, (unsigned long long)to,
         BYTES_FMT(reason));
}

/* The first on this connection with @client_id that has not ended. */
static struct fake_send *find_open_send(struct fake_client *client, struct bytes client_id)
{
    for (size_t i = 0; i < client->send_count; i++) {
        struct fake_send *send = &client->sends[i];
        if (send->connection == client->connection && send->acked_as == 0 && !send->is_refused &&
            !send->has_error && bytes_equal(bytes_of_string(send->client_id), client_id)) {
            return send;
        }
    }
    return NULL;
}

static void on_error_event(struct fake_client *client, struct fake_place *place,
                           struct bytes details)
{
    struct bytes code = unquoted(member_of(details, "code")), client_id = {0};
    bool has_id = json_object_get(details, BYTES("clientId"), &client_id);
    struct fake_send *send = has_id ? find_open_send(client, unquoted(client_id)) : NULL;
    if (send != NULL) {
        send->has_error = true;
    }
    note(client, place, "error %.*s %.*s", BYTES_FMT(code),
         BYTES_FMT(has_id ? unquoted(client_id) : code));
}

/* Appends " <name>" for each string of @array. */
static void append_names(struct buf *words, struct bytes array)
{
    struct json_iterator names = json_iterate(array);
    struct bytes name;
    while (json_next_element(&names, &name)) {
        buf_append_char(words, ' ');
        buf_append_bytes(words, unquoted(name));
    }
}

static void on_presence(struct fake_client *client, struct fake_place *place, struct bytes details)
{
    struct bytes names = {0};
    struct buf words = BUF_INIT;
    place->present = number_of(member_of(details, "count"));
    place->has_names = json_object_get(details, BYTES("names"), &names);
    if (place->has_names) {
        append_names(&words, names);
    }
    if (!place->wants_presence) {
        fake_failed("%s did not ask who is in %s", client->username, place->namespace);
    }
    if (!client->is_quiet) {
        note(client, place, "presence %llu%.*s", (unsigned long long)place->present,
             BYTES_FMT(buf_bytes(&words)));
    }
    buf_release(&words);
}

static void on_typing(struct fake_client *client, struct fake_place *place, struct bytes details)
{
    struct buf words = BUF_INIT;
    append_names(&words, member_of(details, "users"));
    place->typers = (words.len > 0) + number_of(member_of(details, "more"));
    if (!place->wants_presence) {
        fake_failed("%s did not ask who types in %s", client->username, place->namespace);
    }
    if (number_of(member_of(details, "more")) > 0) {
        buf_append_format(&words, " +%.*s", BYTES_FMT(member_of(details, "more")));
    }
    if (!client->is_quiet) {
        note(client, place, "typing%.*s", BYTES_FMT(buf_bytes(&words)));
    }
    buf_release(&words);
}

static void on_event(struct fake_client *client, struct fake_place *place, struct bytes payload)
{
    struct bytes name, details = {0};
    struct json_iterator arguments;
    sio_event_split(payload, &name, &arguments);
    if (bytes_equal(name, BYTES("\"chat message\""))) {
        on_chat_message(client, place, &arguments);
        return;
    }
    bool has_details = json_next_element(&arguments, &details);
    ASSERT(has_details);
    if (bytes_equal(name, BYTES("\"chat presence\""))) {
        on_presence(client, place, details);
        return;
    }
    if (bytes_equal(name, BYTES("\"chat typing\""))) {
        on_typing(client, place, details);
        return;
    }
    if (bytes_equal(name, BYTES("\"chat gap\""))) {
        on_gap(client, place, details);
    } else if (bytes_equal(name, BYTES("\"chat error\""))) {
        on_error_event(client, place, details);
    } else {
        fake_failed("what is %.*s?", BYTES_FMT(name));
    }
}

static void on_history(struct fake_client *client, const struct fake_place *place,
                       struct bytes answer)
{
    struct json_iterator messages = json_iterate(member_of(answer, "messages"));
    struct bytes message;
    uint64_t first = 0, last = 0;
    while (json_next_element(&messages, &message)) {
        uint64_t id = number_of(member_of(message, "id"));
        if (last != 0 && id != last + 1) {
            fake_failed("history has %llu after %llu", (unsigned long long)id,
                        (unsigned long long)last);
        }
        check_text(client, place, id, member_of(message, "content"));
        first = first == 0 ? id : first;
        last = id;
    }
    const char *more = json_type_of(member_of(answer, "more")) == JSON_TRUE ? " more" : "";
    if (first == 0) {
        note(client, place, "history none%s", more);
    } else {
        note(client, place, "history %llu-%llu%s", (unsigned long long)first,
             (unsigned long long)last, more);
    }
}

static struct fake_send *find_send(struct fake_client *client, uint64_t ack_id)
{
    for (size_t i = 0; i < client->send_count; i++) {
        if (client->sends[i].ack_id == ack_id) {
            return &client->sends[i];
        }
    }
    return NULL;
}

/* An acknowledgement says that it is stored, and comes behind the sender's own copy, which it waits for a while. */
static void check_ack(struct fake_client *client, const struct fake_place *place,
                      const struct fake_send *send, uint64_t id)
{
    const struct fake_store *store = &client->world->store;
    const struct fake_room *room = room_of(client, place);
    if (store->forgotten > 0 || send->client_id[0] == '\0') {
        return; /* it may have been true in another life of the store; or is not to be told from others */
    }
    if (id == 0 || id > room->head ||
        !bytes_equal(buf_bytes(&room->messages[id - 1].client_id),
                     bytes_of_string(send->client_id))) {
        fake_failed("%s was acknowledged as %llu in %s and is not there", send->client_id,
                    (unsigned long long)id, room->name);
    }
    bool is_early = client->world->now_ms < room->messages[id - 1].at_ms + ACK_WAIT_MS;
    if (!place->no_echo && place->epoch == store->epoch && place->next_id <= id && is_early) {
        fake_failed("%s got the acknowledgement of %llu in %s before its own copy",
                    client->username, (unsigned long long)id, room->name);
    }
}

/* A chat error names no attempt: the one that it was taken for has been acknowledged, so it was another one's. */
static void pass_error_on(struct fake_client *client, struct fake_send *send)
{
    if (send->has_error) {
        struct fake_send *other = find_open_send(client, bytes_of_string(send->client_id));
        send->has_error = false;
        if (other != NULL) {
            other->has_error = true;
        }
    }
}

static void on_ack_ok(struct fake_client *client, struct fake_place *place, uint64_t ack_id,
                      struct bytes answer)
{
    uint64_t id = number_of(member_of(answer, "id"));
    bool is_duplicate = json_type_of(member_of(answer, "duplicate")) == JSON_TRUE;
    struct fake_send *send = find_send(client, ack_id);
    if (send != NULL) {
        if (send->acked_as != 0 || send->is_refused) {
            fake_failed("%s got a second acknowledgement", client->username);
        }
        check_ack(client, place, send, id);
        send->acked_as = id;
        pass_error_on(client, send);
    }
    note(client, place, "ack %llu %s %llu", (unsigned long long)ack_id,
         is_duplicate ? "duplicate" : "ok", (unsigned long long)id);
}

static void on_ack(struct fake_client *client, struct fake_place *place,
                   const struct sio_packet *packet)
{
    struct json_iterator arguments = json_iterate(packet->payload);
    struct bytes answer, ignored;
    bool has_answer = json_next_element(&arguments, &answer);
    ASSERT(has_answer);
    if (!bytes_equal(member_of(answer, "status"), BYTES("\"ok\""))) {
        struct fake_send *send = find_send(client, packet->ack_id);
        if (send != NULL) {
            send->is_refused = true;
            pass_error_on(client, send);
        }
        note(client, place, "ack %llu error %.*s", (unsigned long long)packet->ack_id,
             BYTES_FMT(unquoted(member_of(answer, "code"))));
    } else if (json_object_get(answer, BYTES("messages"), &ignored)) {
        on_history(client, place, answer);
    } else {
        on_ack_ok(client, place, packet->ack_id, answer);
    }
}

static void copy_text(char *to, size_t capacity, struct bytes text)
{
    ASSERT(text.len < capacity);
    memcpy(to, text.data, text.len);
    to[text.len] = '\0';
}

static void on_connected(struct fake_client *client, struct fake_place *place, struct bytes reply)
{
    struct bytes pid = unquoted(member_of(reply, "pid")), sid = unquoted(member_of(reply, "sid"));
    place->is_joined = place->is_fresh = true;
    place->is_recovered = bytes_equal(pid, bytes_of_string(place->pid));
    copy_text(place->pid, sizeof(place->pid), pid);
    copy_text(place->sid, sizeof(place->sid), sid);
    note(client, place, place->is_recovered ? "resumed" : "joined");
}

static void on_packet(struct fake_client *client, struct bytes text)
{
    struct sio_packet packet;
    struct bytes name;
    if (client->world->trace != NULL) {
        fprintf(client->world->trace, "%llu %s %.*s\n", (unsigned long long)client->world->now_ms,
                client->username, BYTES_FMT(text));
    }
    if (sio_parse(text, &packet) != SIO_OK) {
        fake_failed("not a packet: %.*s", BYTES_FMT(text));
    }
    char namespace[CONTRACT_ROOM_BYTES_MAX + 2];
    if (!chat_room_of_namespace(packet.namespace, &name)) {
        ASSERT(packet.type == SIO_CONNECT_ERROR);
        note(client, NULL, "refused %.*s",
             BYTES_FMT(unquoted(member_of(packet.payload, "message"))));
        return;
    }
    copy_text(namespace, sizeof(namespace), packet.namespace);
    struct fake_place *place = fake_client_place(client, namespace);
    if (packet.type == SIO_CONNECT) {
        on_connected(client, place, packet.payload);
    } else if (packet.type == SIO_CONNECT_ERROR) {
        note(client, place, "refused %.*s",
             BYTES_FMT(unquoted(member_of(packet.payload, "message"))));
    } else if (!place->is_joined) {
        fake_failed("%s got a packet before the CONNECT's answer", client->username);
    } else if (packet.type == SIO_EVENT) {
        on_event(client, place, packet.payload);
    } else {
        ASSERT(packet.type == SIO_ACK);
        on_ack(client, place, &packet);
    }
}

static void read_frames(struct fake_client *client)
{
    struct bytes frames = buf_bytes(&client->input), payload;
    enum ws_opcode opcode;
    while (server_take_frame(&frames, &opcode, &payload)) {
        if (opcode == WS_TEXT && payload.data[0] == EIO_MESSAGE) {
            on_packet(client, bytes_skip(payload, 1));
        } else if (opcode == WS_CLOSE) {
            note(client, NULL, "closed");
        } else if (opcode != WS_TEXT || payload.data[0] != EIO_OPEN) {
            fake_failed("frame %d with %.*s", (int)opcode, BYTES_FMT(payload));
        }
    }
    buf_consume(&client->input, client->input.len - frames.len);
}

/* --- the socket --- */

enum { SEPARATOR = 0x1E, POLL_BYTES_MAX = 256 * 1024 };

static void read_payload(struct fake_client *client, struct bytes payload)
{
    while (payload.len > 0) {
        const char *end = memchr(payload.data, SEPARATOR, payload.len);
        size_t len = end != NULL ? (size_t)(end - payload.data) : payload.len;
        struct bytes packet = bytes_of(payload.data, len);
        payload = bytes_skip(payload, end != NULL ? len + 1 : len);
        if (packet.data[0] == EIO_MESSAGE) {
            on_packet(client, bytes_skip(packet, 1));
        } else if (packet.data[0] == EIO_CLOSE) {
            note(client, NULL, "closed");
        } else if (packet.data[0] != EIO_OPEN && packet.data[0] != EIO_NOOP) {
            fake_failed("a payload with %.*s", BYTES_FMT(packet));
        }
    }
}

/* A client that polls always has a GET that waits, as long as its window is open. */
static void flush_poll(struct fake_client *client)
{
    struct eio_session *session = client_session(client->client);
    struct buf payload = BUF_INIT;
    while (client->window_left > 0 &&
           eio_session_poll(session, &payload, POLL_BYTES_MAX, client->world->now_ms)) {
        client->window_left -= MIN_OF(client->window_left, payload.len);
        read_payload(client, buf_bytes(&payload));
        buf_clear(&payload);
        if (session->state != EIO_STATE_OPEN) {
            break;
        }
    }
    buf_release(&payload);
}

/* Takes what the socket takes of one write; returns whether all was taken. */
static bool write_once(struct fake_client *client, const struct iovec *pieces, size_t count,
                       size_t *ret_taken)
{
    size_t left = MIN_OF(client->write_max, client->window_left);
    size_t all = 0, taken = 0;
    for (size_t i = 0; i < count; i++) {
        size_t n = MIN_OF(left - taken, pieces[i].iov_len);
        ASSERT(pieces[i].iov_len > 0);
        buf_append(&client->input, pieces[i].iov_base, n);
        taken += n;
        all += pieces[i].iov_len;
    }
    client->window_left -= taken;
    *ret_taken = taken;
    return taken == all;
}

/* A socket that is full takes something again later. */
static void note_full(struct fake_client *client)
{
    bool is_full = client->window_left == 0 && client->drain_after_ms != 0;
    if (is_full && client->drains_at_ms == 0) {
        client->drains_at_ms = client->world->now_ms + client->drain_after_ms;
    }
}

size_t fake_client_write(struct fake_client *client, const char *data, size_t len)
{
    if (client->is_polling || client->window_left == 0) {
        return 0;
    }
    struct iovec piece = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    size_t taken;
    if (!write_once(client, &piece, 1, &taken) && client->write_max == SIZE_MAX) {
        client->window_left = 0;
    }
    note_full(client);
    return taken;
}

void fake_client_flush(struct fake_client *client)
{
    struct eio_session *session = client_session(client->client);
    struct iovec pieces[PIECES];
    if (client->is_polling) {
        flush_poll(client);
    }
    while (!client->is_polling && client->window_left > 0) {
        size_t taken, count = eio_session_peek(session, pieces, PIECES);
        if (count == 0) {
            break;
        }
        bool is_all = write_once(client, pieces, count, &taken);
        eio_session_advance(session, taken);
        if (is_all && count < PIECES && taken < EIO_PEEK_BYTES) {
            break; /* as the edge does: that was all */
        }
        if (!is_all && client->write_max == SIZE_MAX) {
            client->window_left = 0;
        }
    }
    note_full(client);
}

void fake_client_drain(struct fake_client *client)
{
    client->window_left = client->window;
    client->drains_at_ms = 0;
    if (client->client != NULL) {
        fake_client_flush(client);
        fake_world_turn(client->world);
    }
}

static void let_go(struct fake_client *client)
{
    struct client *gone = client->client;
    client->client = NULL;
    eio_session_transport_closed(client_session(gone), client->world->now_ms);
    hub_client_free(client->gateway->hub, gone);
    client->drains_at_ms = 0;
    client->awaits_from = NULL;
    buf_release(&client->input);
    for (size_t i = 0; i < client->place_count; i++) {
        client->places[i].is_joined = false;
    }
}

void fake_client_reap(struct fake_client *client)
{
    read_frames(client);
    if (client->client == NULL) {
        return;
    }
    struct iovec piece;
    struct eio_session *session = client_session(client->client);
    if (client->is_polling
            ? session->state == EIO_STATE_CLOSED
            : session->state != EIO_STATE_OPEN && eio_session_peek(session, &piece, 1) == 0) {
        if (session->state == EIO_STATE_CLOSED && client->input.len > 0) {
            note(client, NULL, "cut off");
        }
        let_go(client);
    }
}

void fake_client_drop(struct fake_client *client)
{
    if (client->client != NULL) {
        read_frames(client);
        let_go(client);
    }
}

/* --- what clients do --- */

struct fake_client *fake_client_new(struct fake_world *world, const char *username)
{
    ASSERT(world->client_count < FAKE_CLIENTS_MAX);
    struct fake_client *client = mem_alloc_zeroed(sizeof(*client));
    client->world = world;
    client->write_max = client->window = SIZE_MAX;
    client->source = world->source;
    snprintf(client->username, sizeof(client->username), "%s", username);
    world->clients[world->client_count++] = client;
    return client;
}

void fake_client_free(struct fake_client *client)
{
    ASSERT(client->client == NULL);
    buf_release(&client->input);
    buf_release(&client->seen);
    free(client->sends);
    free(client);
}

void fake_client_connect(struct fake_client *client, struct fake_gateway *gateway)
{
    ASSERT(client->client == NULL && gateway->hub != NULL);
    client->gateway = gateway;
    client->connection++;
    client->is_polling = false;
    client->window_left = client->window;
    client->client = hub_client_open(gateway->hub, client, EIO_WEBSOCKET, client->world->now_ms);
}

void fake_client_connect_polling(struct fake_client *client, struct fake_gateway *gateway)
{
    ASSERT(client->client == NULL && gateway->hub != NULL);
    client->gateway = gateway;
    client->connection++;
    client->is_polling = true;
    client->window_left = client->window;
    client->client = hub_client_open(gateway->hub, client, EIO_POLLING, client->world->now_ms);
}

static void say(struct fake_client *client, struct bytes packet)
{
    struct buf message = BUF_INIT, frame = BUF_INIT;
    buf_append_char(&message, EIO_MESSAGE);
    buf_append_bytes(&message, packet);
    if (client->is_polling) {
        enum eio_post_result result = eio_session_post(client_session(client->client),
                                                       buf_bytes(&message), client->world->now_ms);
        ASSERT(result == EIO_POST_OK);
        buf_release(&message);
        return;
    }
    client_append_frame(&frame, CLIENT_FIN | WS_TEXT, buf_bytes(&message));
    size_t taken = eio_session_receive(client_session(client->client), frame.data, frame.len,
                                       client->world->now_ms);
    ASSERT(taken == frame.len);
    buf_release(&message);
    buf_release(&frame);
}

/* --- moving --- */

static void ignore_probe(struct eio_probe *probe)
{
    (void)probe;
}

static void on_probe(struct eio_probe *probe, uint64_t now_ms)
{
    (void)now_ms;
    eio_probe_answer(probe);
}

static void on_upgrade(struct eio_probe *probe, uint64_t now_ms)
{
    (void)now_ms;
    ASSERT(probe->state == EIO_PROBE_MOVING);
}

static void say_to_probe(struct eio_probe *probe, struct bytes text, uint64_t now_ms)
{
    struct buf frame = BUF_INIT;
    client_append_frame(&frame, CLIENT_FIN | WS_TEXT, text);
    size_t taken = eio_probe_receive(probe, frame.data, frame.len, now_ms);
    ASSERT(taken == frame.len);
    buf_release(&frame);
}

void fake_client_upgrade(struct fake_client *client, struct fake_gateway *gateway)
{
    static const struct eio_probe_callbacks CALLBACKS = {
        .on_output = ignore_probe, .on_probe = on_probe, .on_upgrade = on_upgrade};
    struct fake_gateway *from = client->gateway;
    struct client *old = client->client;
    struct eio_session *session = client_session(old);
    uint64_t now_ms = client->world->now_ms;
    ASSERT(client->is_polling && from != gateway && session->state == EIO_STATE_OPEN);
    bool is_probed = eio_session_upgrade_claim(session) && eio_session_upgrade_probed(session);
    ASSERT(is_probed);
    struct eio_probe probe;
    eio_probe_open(&probe, NULL, hub_eio_settings(gateway->hub), &CALLBACKS, now_ms);
    say_to_probe(&probe, BYTES("2probe"), now_ms);
    eio_probe_advance(&probe, probe.outbox.len);
    say_to_probe(&probe, BYTES("5"), now_ms);

    struct contract_peer_key key = {.number = ++client->world->last_move};
    memcpy(key.gateway, "gw0-0000", sizeof(key.gateway));
    key.gateway[2] = (char)('0' + gateway->index);
    struct buf handover = BUF_INIT;
    char sid[EIO_SID_BYTES];
    memcpy(sid, session->sid, EIO_SID_BYTES);
    bool follows = false, awaits = false;
    bool is_handed = hub_hand_over(old, &key, &handover, &follows, now_ms);
    ASSERT(is_handed && session->state == EIO_STATE_CLOSED);
    hub_client_free(from->hub, old);
    struct contract_handover *decoded = contract_decode_handover(buf_bytes(&handover));
    ASSERT(decoded != NULL);
    client->gateway = gateway;
    client->is_polling = false;
    client->client = hub_take_over(gateway->hub, client, sid, decoded, &probe, &awaits, now_ms);
    ASSERT(client->client != NULL && awaits == follows);
    client->move = key.number;
    client->awaits_from = awaits ? from : NULL;
    contract_free(decoded);
    buf_release(&handover);
    eio_probe_release(&probe);
}

void fake_client_on_forward(struct fake_world *world, uint64_t move, struct bytes payload,
                            bool is_lost)
{
    for (size_t i = 0; i < world->client_count; i++) {
        struct fake_client *client = world->clients[i];
        if (client->awaits_from == NULL || client->move != move) {
            continue;
        }
        struct contract_moved_outcome *outcome =
            is_lost ? NULL : contract_decode_moved_outcome(payload);
        enum hub_forward_result result =
            outcome == NULL ? HUB_FORWARD_LOST
                            : hub_on_forward(client->client, outcome, world->now_ms);
        contract_free(outcome);
        if (result != HUB_FORWARD_AWAITS) {
            client->awaits_from = NULL;
        }
        if (result == HUB_FORWARD_LOST) {
            eio_session_close(client_session(client->client), EIO_CLOSE_SERVER, WS_CLOSE_GOING_AWAY,
                              world->now_ms);
        }
    }
}

void fake_client_say(struct fake_client *client, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int len = vasprintf(&text, format, arguments);
    va_end(arguments);
    ASSERT(len >= 0);
    if (client->client != NULL) {
        say(client, bytes_of(text, (size_t)len));
    }
    free(text);
}

struct fake_place *fake_client_place(struct fake_client *client, const char *namespace)
{
    for (size_t i = 0; i < client->place_count; i++) {
        if (strcmp(client->places[i].namespace, namespace) == 0) {
            return &client->places[i];
        }
    }
    ASSERT(client->place_count < FAKE_PLACES_MAX);
    struct fake_place *place = &client->places[client->place_count++];
    snprintf(place->namespace, sizeof(place->namespace), "%s", namespace);
    return place;
}

static const char *comma_namespace(const char *namespace, char text[80])
{
    snprintf(text, 80, "%s%s", strcmp(namespace, "/") == 0 ? "" : namespace,
             strcmp(namespace, "/") == 0 ? "" : ",");
    return text;
}

void fake_client_join(struct fake_client *client, const char *namespace, const char *auth)
{
    char text[80];
    struct fake_place *place = fake_client_place(client, namespace);
    place->next_id = 0; /* the test knows where it starts */
    place->epoch = 0;
    place->no_echo = strstr(auth, "\"echo\":false") != NULL;
    place->wants_presence = strstr(auth, "\"presence\":true") != NULL;
    fake_client_say(client, "0%s{\"username\":\"%s\"%s%s}", comma_namespace(namespace, text),
                    client->username, *auth != '\0' ? "," : "", auth);
}

void fake_client_rejoin(struct fake_client *client, const char *namespace)
{
    char text[80], offset[80] = "", pid[700] = "";
    struct fake_place *place = fake_client_place(client, namespace);
    if (place->offset[0] != '\0') {
        snprintf(offset, sizeof(offset), ",\"offset\":\"%s\"", place->offset);
    }
    if (place->pid[0] != '\0') {
        snprintf(pid, sizeof(pid), ",\"pid\":\"%s\"", place->pid);
    }
    fake_client_say(client, "0%s{\"username\":\"%s\"%s%s%s%s}", comma_namespace(namespace, text),
                    client->username, pid, offset, place->no_echo ? ",\"echo\":false" : "",
                    place->wants_presence ? ",\"presence\":true" : "");
}

void fake_client_send(struct fake_client *client, const char *namespace, const char *content,
                      const char *client_id)
{
    char text[80];
    ASSERT(client->send_count < FAKE_SENDS_MAX);
    if (client->sends == NULL) {
        client->sends = mem_alloc_zeroed(FAKE_SENDS_MAX * sizeof(client->sends[0]));
    }
    struct fake_send *send = &client->sends[client->send_count++];
    *send = (struct fake_send){
        .ack_id = ++client->last_ack_id,
        .connection = client->connection,
        .sent_at_ms = client->world->now_ms,
    };
    snprintf(send->client_id, sizeof(send->client_id), "%s", client_id);
    snprintf(send->namespace, sizeof(send->namespace), "%s", namespace);
    const char *quote = *client_id != '\0' ? "\"" : "";
    fake_client_say(client, "2%s%llu[\"chat message\",\"%s\"%s%s%s%s]",
                    comma_namespace(namespace, text), (unsigned long long)send->ack_id, content,
                    *client_id != '\0' ? "," : "", quote, client_id, quote);
}

void fake_client_check(struct fake_client *client, const char *expected, const char *file, int line)
{
    struct bytes seen = buf_bytes(&client->seen);
    if (!bytes_equal(seen, bytes_of_string(expected))) {
        fake_failed("%s:%d: %s saw \"%.*s\", not \"%s\"", file, line, client->username,
                    BYTES_FMT(seen), expected);
    }
    buf_clear(&client->seen);
}
