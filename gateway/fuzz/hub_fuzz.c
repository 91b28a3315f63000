/*
 * hub_fuzz.c - whole connections, several at a time, on one gateway's hub: bytes in arbitrary pieces, frames that are sound and
 * frames that are not, polling, upgrades, aborts, slow readers, a store that answers late, and time. Whatever they do, nothing is
 * read or written that is not theirs (the sanitizers say so), what goes out to a WebSocket is sound frames, and in the end all is
 * given back.
 *
 * Input: operations of a byte, with arguments behind them; see step().
 */
#include "../tests/client_frames.h"
#include "../tests/fake_store.h"
#include "fuzz.h"
#include "hub/hub.h"
#include "hub/limits.h"
#include "wire/eio_probe.h"

#include <stdlib.h>

enum { CONNECTIONS = 4, PENDING_MAX = 64, PIECES_MAX = 8, PAYLOAD_MAX = 2000, START_MS = 1000000 };

struct connection {
    struct client *client; /* NULL: it is not connected */
    struct buf unread;     /* came, and was not taken */
    struct buf written;    /* went out by the WebSocket, and was not looked at */
    bool is_polling;
    bool has_probe;
    struct eio_probe probe; /* of an upgrade to this gateway */
    struct buf probe_unread;
};

/* An answer of the store's that is on its way. */
struct pending {
    bool is_append;
    uint64_t number;
    struct buf payload;
};

static struct world {
    struct hub *hub;
    struct timers timers;
    struct fake_store store;
    uint64_t now_ms;
    struct connection connections[CONNECTIONS];
    struct pending pending[PENDING_MAX];
    size_t pending_count;
    size_t taken_at_once; /* bytes that a socket takes */
} world;

/* --- the world's side --------------------------------------------------------------------------------------------- */

static void ignore_room(void *user, struct bytes room)
{
    (void)user, (void)room;
}

static void ignore_watch(void *user, struct bytes room, bool listens)
{
    (void)user, (void)room, (void)listens;
}

static void on_announce(void *user, struct bytes room, struct bytes payload)
{
    (void)user, (void)room;
    contract_free(contract_decode_presence(payload));
}

static struct pending *next_pending(bool is_append, uint64_t number)
{
    if (world.pending_count == PENDING_MAX) {
        return NULL; /* lost, and asked again */
    }
    struct pending *pending = &world.pending[world.pending_count++];
    *pending = (struct pending){.is_append = is_append, .number = number};
    return pending;
}

static void on_append(void *user, unsigned shard, uint64_t request, struct bytes payload)
{
    (void)user, (void)shard;
    struct contract_append *append = contract_decode_append(payload);
    ASSERT(append != NULL);
    struct pending *pending =
        world.store.room_count < FAKE_ROOMS_MAX ? next_pending(true, request) : NULL;
    if (pending != NULL) {
        fake_store_append(&world.store, append, world.now_ms, &pending->payload);
    }
    contract_free(append);
}

static void on_query(void *user, unsigned shard, uint64_t request, struct bytes payload)
{
    (void)user, (void)shard;
    struct contract_query *query = contract_decode_query(payload);
    ASSERT(query != NULL);
    size_t rooms = query->type == CONTRACT_HEADS ? query->heads.room_count : 1;
    struct pending *pending = world.store.room_count + rooms <= FAKE_ROOMS_MAX
                                  ? next_pending(false, request)
                                  : NULL; /* the fake store has no place for more */
    if (pending != NULL) {
        fake_store_query(&world.store, query, &pending->payload);
    }
    contract_free(query);
}

/* Broadcasts come at once; those of appends are made within the hub's call, and so wait: see deliver(). */
static struct buf broadcasts[PENDING_MAX];
static size_t broadcast_count;

static void keep_broadcast(struct bytes payload)
{
    if (broadcast_count < PENDING_MAX) {
        broadcasts[broadcast_count] = BUF_INIT;
        buf_append_bytes(&broadcasts[broadcast_count++], payload);
    }
}

static void on_publish(void *user, struct bytes room, struct bytes payload)
{
    (void)user, (void)room;
    keep_broadcast(payload);
}

static void on_store_publish(void *user, const struct contract_room_event *event)
{
    (void)user;
    struct buf payload = BUF_INIT;
    contract_encode_room_event(&payload, event);
    keep_broadcast(buf_bytes(&payload));
    buf_release(&payload);
}

static void on_forward(void *user, const struct contract_peer_key *to, struct bytes payload,
                       bool is_last)
{
    (void)user, (void)to, (void)payload, (void)is_last;
}

static void on_tell(void *user, const struct hub_event *event)
{
    (void)user, (void)event;
}

static uint64_t on_wall(void *user)
{
    (void)user;
    return world.now_ms;
}

/* A token's first letter says what it is good for. */
static enum hub_admission on_admit(void *user, struct bytes token, struct bytes room,
                                   struct hub_pass *ret_pass, const char **ret_why)
{
    (void)user, (void)room;
    *ret_why = "because";
    *ret_pass = (struct hub_pass){
        .username = BYTES("ann"),
        .id = BYTES("id"),
        .expires_ms = world.now_ms + 5000,
        .issued_ms = world.now_ms,
        .may_write = token.data[0] != 'r',
    };
    return token.data[0] == 's' ? HUB_STALE : token.data[0] == 'f' ? HUB_FORBIDDEN : HUB_ADMITTED;
}

/* What went out has to be sound frames of a server's. */
static void check_written(struct connection *connection)
{
    struct bytes rest = buf_bytes(&connection->written), payload;
    enum ws_opcode opcode;
    size_t before = rest.len;
    while (server_take_frame(&rest, &opcode, &payload)) {
        ASSERT(opcode == WS_TEXT || opcode == WS_BINARY || opcode == WS_CLOSE ||
               opcode == WS_PONG || opcode == WS_PING);
    }
    buf_consume(&connection->written, before - rest.len);
}

static size_t on_write(void *user, struct client *client, const char *data, size_t len)
{
    (void)user;
    struct connection *connection = client_transport(client);
    if (connection->is_polling) {
        return 0;
    }
    size_t taken = MIN_OF(len, world.taken_at_once);
    buf_append(&connection->written, data, taken);
    return taken;
}

static void on_flush(void *user, struct client *client)
{
    (void)user;
    struct connection *connection = client_transport(client);
    struct eio_session *session = client_session(client);
    struct iovec pieces[PIECES_MAX];
    size_t count = connection->is_polling ? 0 : eio_session_peek(session, pieces, PIECES_MAX);
    size_t left = world.taken_at_once, taken = 0;
    for (size_t i = 0; i < count && left > 0; i++) {
        size_t len = MIN_OF(left, pieces[i].iov_len);
        buf_append(&connection->written, pieces[i].iov_base, len);
        left -= len;
        taken += len;
    }
    if (taken > 0) {
        eio_session_advance(session, taken);
        check_written(connection);
    }
}

static void on_upgraded(void *user, struct client *client, struct eio_probe *probe)
{
    (void)user;
    struct connection *connection = client_transport(client);
    ASSERT(connection->has_probe && probe == &connection->probe);
    connection->is_polling = false;
}

/* --- connections -------------------------------------------------------------------------------------------------- */

static void end_probe(struct connection *connection)
{
    if (connection->has_probe) {
        eio_probe_release(&connection->probe);
        connection->has_probe = false;
    }
    buf_release(&connection->probe_unread);
}

/* Frees those whose sessions are over. */
static void reap(void)
{
    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct connection *connection = &world.connections[i];
        if (connection->has_probe && connection->probe.state >= EIO_PROBE_UPGRADED) {
            end_probe(connection);
        }
        if (connection->client != NULL &&
            client_session(connection->client)->state == EIO_STATE_CLOSED) {
            end_probe(connection);
            hub_client_free(world.hub, connection->client);
            buf_release(&connection->unread);
            buf_release(&connection->written);
            *connection = (struct connection){0};
        }
    }
}

static void receive(struct connection *connection, struct bytes bytes)
{
    buf_append_bytes(&connection->unread, bytes);
    size_t taken = eio_session_receive(client_session(connection->client), connection->unread.data,
                                       connection->unread.len, world.now_ms);
    buf_consume(&connection->unread, taken);
}

static void say_frame(struct connection *connection, struct bytes payload)
{
    struct buf frame = BUF_INIT;
    client_append_frame(&frame, CLIENT_FIN | WS_TEXT, payload);
    receive(connection, buf_bytes(&frame));
    buf_release(&frame);
}

static void say(struct connection *connection, struct bytes payload)
{
    if (connection->client == NULL) {
        return;
    }
    if (!connection->is_polling) {
        say_frame(connection, payload);
    } else {
        enum eio_post_result result =
            eio_session_post(client_session(connection->client), payload, world.now_ms);
        (void)result;
    }
}

static void poll(struct connection *connection)
{
    struct buf payload = BUF_INIT;
    if (connection->client != NULL && connection->is_polling &&
        !eio_session_poll(client_session(connection->client), &payload, 1000, world.now_ms)) {
        ASSERT(payload.len == 0);
    }
    buf_release(&payload);
}

static void ignore_probe(struct eio_probe *probe)
{
    (void)probe;
}

static const struct eio_probe_callbacks probe_callbacks = {.on_output = ignore_probe};

static void begin_probe(struct connection *connection)
{
    if (connection->client != NULL && connection->is_polling && !connection->has_probe &&
        client_session(connection->client)->state == EIO_STATE_OPEN) {
        connection->has_probe = true;
        eio_probe_open(&connection->probe, client_session(connection->client),
                       hub_eio_settings(world.hub), &probe_callbacks, world.now_ms);
    }
}

static void say_to_probe(struct connection *connection, struct bytes bytes)
{
    if (!connection->has_probe || !connection->is_polling) {
        return;
    }
    buf_append_bytes(&connection->probe_unread, bytes);
    size_t taken = eio_probe_receive(&connection->probe, connection->probe_unread.data,
                                     connection->probe_unread.len, world.now_ms);
    buf_consume(&connection->probe_unread, taken);
    if (connection->probe_unread.len > 0 && !connection->is_polling) { /* it is the session's now */
        buf_append_bytes(&connection->unread, buf_bytes(&connection->probe_unread));
        buf_clear(&connection->probe_unread);
        receive(connection, (struct bytes){0});
    }
}

/* --- the store's answers ------------------------------------------------------------------------------------------ */

static void deliver(size_t count)
{
    for (size_t i = 0; i < count && broadcast_count > 0; i++) {
        struct buf payload = broadcasts[0];
        broadcast_count--;
        memmove(broadcasts, broadcasts + 1, broadcast_count * sizeof(broadcasts[0]));
        struct contract_room_event *event = contract_decode_room_event(buf_bytes(&payload));
        ASSERT(event != NULL);
        hub_on_room_event(world.hub, event, world.now_ms);
        buf_release(&payload);
    }
    for (size_t i = 0; i < count && world.pending_count > 0; i++) {
        struct pending pending = world.pending[0];
        world.pending_count--;
        memmove(world.pending, world.pending + 1, world.pending_count * sizeof(world.pending[0]));
        if (pending.is_append) {
            struct contract_append_reply *reply =
                contract_decode_append_reply(buf_bytes(&pending.payload));
            hub_on_append_reply(world.hub, pending.number, reply, world.now_ms);
            contract_free(reply);
        } else {
            struct contract_query_reply *reply =
                contract_decode_query_reply(buf_bytes(&pending.payload));
            hub_on_query_reply(world.hub, pending.number, reply, world.now_ms);
            contract_free(reply);
        }
        buf_release(&pending.payload);
    }
}

static void flush_probe(struct connection *connection)
{
    struct iovec pieces[PIECES_MAX];
    size_t count;
    while (connection->has_probe &&
           (count = eio_probe_peek(&connection->probe, pieces, PIECES_MAX)) > 0) {
        size_t bytes = 0;
        for (size_t i = 0; i < count; i++) {
            bytes += pieces[i].iov_len;
        }
        eio_probe_advance(&connection->probe, bytes);
    }
}

static void turn(void)
{
    for (size_t i = 0; i < CONNECTIONS; i++) {
        flush_probe(&world.connections[i]);
    }
    timers_run(&world.timers, world.now_ms);
    hub_flush(world.hub, world.now_ms);
    reap();
}

/* --- the input ---------------------------------------------------------------------------------------------------- */

/* What clients say, with gaps for bytes of the input: those that mutate a dictionary find more than those that find it. */
static const char *const PHRASES[] = {
    "40/a,",
    "40/b,{\"username\":\"x\",\"presence\":true}",
    "40,{\"token\":\"good\",\"serverOffset\":0}",
    "40/a,{\"token\":\"stale\"}",
    "40/b,{\"token\":\"reader\",\"echo\":false}",
    "41/a,",
    "42/a,1[\"chat message\",\"hi\"]",
    "42[\"chat message\",\"hi\",\"an-id\"]",
    "42/b,2[\"chat history\",{\"after\":0,\"limit\":3}]",
    "42/a,[\"chat typing\",{\"typing\":true}]",
    "451-/a,[\"chat message\",{\"_placeholder\":true,\"num\":0}]",
    "3",
    "1",
    "2probe",
};

static void step(struct bytes *input)
{
    unsigned operation = fuzz_byte(input), argument = fuzz_byte(input);
    struct connection *connection = &world.connections[operation >> 6];
    switch (operation & 15) {
    case 0: /* comes */
        if (connection->client == NULL) {
            connection->is_polling = argument & 1;
            connection->client =
                hub_client_open(world.hub, connection,
                                connection->is_polling ? EIO_POLLING : EIO_WEBSOCKET, world.now_ms);
        }
        break;
    case 1: /* goes without a word */
        if (connection->client != NULL) {
            eio_session_transport_closed(client_session(connection->client), world.now_ms);
        }
        break;
    case 2: /* raw bytes */
        if (connection->client != NULL && !connection->is_polling) {
            receive(connection, fuzz_bytes(input, argument));
        }
        break;
    case 3: say(connection, fuzz_bytes(input, argument)); break;
    case 4:
    case 5:
    case 6: say(connection, bytes_of_string(PHRASES[argument % COUNT_OF(PHRASES)])); break;
    case 7: poll(connection); break;
    case 8: begin_probe(connection); break;
    case 9: say_to_probe(connection, fuzz_bytes(input, argument)); break;
    case 10: { /* the upgrade, as clients do it */
        struct buf frame = BUF_INIT;
        client_append_frame(&frame, CLIENT_FIN | WS_TEXT,
                            argument & 1 ? BYTES("2probe") : BYTES("5"));
        say_to_probe(connection, buf_bytes(&frame));
        buf_release(&frame);
        break;
    }
    case 11: deliver(argument); break;
    case 12: world.now_ms += (uint64_t)argument * 20; break;
    case 13: world.taken_at_once = (size_t)argument * argument; break;
    case 14:
        hub_revoke(world.hub, HUB_REVOKED_USER, BYTES("ann"), world.now_ms + argument, UINT64_MAX,
                   world.now_ms);
        break;
    case 15:
        hub_kick(world.hub, argument & 1 ? BYTES("ann") : BYTES("x"), (struct bytes){0},
                 (struct bytes){0}, world.now_ms);
        break;
    }
    turn();
}

static void begin(bool wants_tokens)
{
    world = (struct world){.now_ms = START_MS, .taken_at_once = SIZE_MAX};
    timers_init(&world.timers);
    fake_store_init(&world.store);
    world.store.publish = on_store_publish;
    struct hub_settings settings = {
        .gateway_id = {'g', 'a', 't', 'e', 'w', 'a', 'y', '1'},
        .ping_interval_ms = 1000,
        .ping_timeout_ms = 1000,
        .connect_timeout_ms = 3000,
        .payload_bytes_max = PAYLOAD_MAX,
        .content_bytes_max = 500,
        .recovery_max = 50,
        .send_deadline_ms = 2000,
        .room_grace_ms = 500,
        .presence_refresh_ms = 1000,
        .rooms_per_client_max = 4,
        .rooms_max = 6,
        .joins_per_turn = JOINS_PER_TURN,
        .catch_ups_per_turn = CATCH_UPS_PER_TURN,
        .deliveries_per_turn = 3,
        .histories_per_turn = 1,
        .bytes_per_turn = 1000,
        .presence_visits_per_turn = 4,
        .presence_rooms_per_turn = 2,
        .room_log_bytes_max = 65536,
        .log_bytes_max = 1 << 20,
        .page_answer_bytes_max = PAGE_ANSWER_BYTES_MAX,
    };
    ASSERT(pid_keys_parse(BYTES("a:000102030405060708090a0b0c0d0e0f"), &settings.keys) == NULL);
    struct hub_world functions = {
        .subscribe = ignore_room,
        .unsubscribe = ignore_room,
        .watch = ignore_watch,
        .announce = on_announce,
        .append = on_append,
        .query = on_query,
        .publish = on_publish,
        .flush = on_flush,
        .write = on_write,
        .on_upgraded = on_upgraded,
        .forward = on_forward,
        .tell = on_tell,
        .wall_ms = on_wall,
        .admit = wants_tokens ? on_admit : NULL,
    };
    world.hub = hub_new(&settings, &functions, &world.timers);
}

static void end(void)
{
    for (size_t i = 0; i < CONNECTIONS; i++) {
        if (world.connections[i].client != NULL) {
            eio_session_transport_closed(client_session(world.connections[i].client), world.now_ms);
        }
    }
    turn();
    const struct hub_stats *stats = hub_stats(world.hub);
    ASSERT(stats->clients == 0 && stats->members == 0 && stats->joining == 0);
    ASSERT(stats->outbox_bytes == 0);
    hub_free(world.hub);
    while (world.pending_count > 0) {
        buf_release(&world.pending[--world.pending_count].payload);
    }
    while (broadcast_count > 0) {
        buf_release(&broadcasts[--broadcast_count]);
    }
    fake_store_release(&world.store);
    timers_release(&world.timers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_of((const char *)data, size);
    begin(fuzz_byte(&input) & 1);
    while (input.len > 0) {
        step(&input);
    }
    end();
    return 0;
}
