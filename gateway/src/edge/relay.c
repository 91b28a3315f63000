/*
 * relay.c - requests that came here, for sessions that peers own.
 *
 * Each is an *ask*, with a number of this server's, until the owner has answered it. The owner may take as long as it
 * likes (a long poll waits for news), so nothing is timed out by itself; once a second each owner is asked which of our
 * requests it still knows, and so hears that we are there. One that it does not know was lost on its way, or its answer
 * was; an owner that is not there, or says nothing for ENGINE_PEER_PATIENCE_MS, has lost all. A lost request is never
 * sent again: it fails, and its session with it.
 *
 *   GET, POST   ──answer──▶ the client's response
 *   CLAIM       ──CLAIMED──▶ 101, a WebSocket (upgrade.c) ──PROBED──▶ ──MOVED──▶ the session is here
 *               then, while its last owner has sends of the session on their way, ──FORWARD──▶ … the last
 */
#include "engine_impl.h"

#include "base/clock.h"
#include "base/http_connections.h"
#include "http.h"
#include <stdlib.h>

enum ask_type { ASK_GET, ASK_POST, ASK_CLAIM };

/* Numbers of the CHECKs of all that is asked of one peer at a time. */
struct round {
    uint64_t begin, end;
};

/* A server of which something is asked. */
struct peer {
    struct list link; /* engine.peers */
    struct list asks;
    char id[CONTRACT_GATEWAY_ID_BYTES];
    /* The last rounds of CHECKs, by turns: an answer may come after the next one was sent. */
    struct round rounds[ENGINE_PEER_PATIENCE_MS / ENGINE_PEER_CHECK_MS];
    size_t round_count;
    uint64_t heard_ms; /* of it, or when it was first asked */
};

struct ask {
    uint64_t number;
    struct engine *engine;
    struct peer *peer;
    struct list of_peer;
    enum ask_type type;
    struct watched watched;      /* the client's request, until it is answered; a GET is watched */
    bool has_arrived;            /* of a CLAIM: the session is here, or was */
    uint32_t address;            /* of a CLAIM: the share that the session is to have */
    struct upgrade *upgrade;     /* of a CLAIM, once the WebSocket is here */
    struct transport *transport; /* of a CLAIM, once the session is here */
    struct buf body;             /* of an answer that comes in parts */
    char sid[EIO_SID_BYTES];
};

static struct bytes ask_key(const void *ask)
{
    return bytes_of((const char *)&((const struct ask *)ask)->number, sizeof(uint64_t));
}

static struct ask *find(struct engine *engine, uint64_t number)
{
    return map_get(&engine->asks, bytes_of((const char *)&number, sizeof(number)));
}

bool relay_is_elsewhere(const struct engine *engine, struct bytes sid)
{
    const struct engine_peers *peers = engine->settings.peers;
    if (peers == NULL || sid.len != EIO_SID_BYTES) {
        return false;
    }
    struct bytes owner = bytes_of(sid.data, CONTRACT_GATEWAY_ID_BYTES);
    return contract_gateway_id_is_valid(owner) &&
           !bytes_equal(owner, bytes_of(peers->id, CONTRACT_GATEWAY_ID_BYTES));
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

static void publish(struct engine *engine, const struct peer *peer,
                    struct contract_peer_request request)
{
    const struct engine_peers *peers = engine->settings.peers;
    memcpy(request.key.gateway, peers->id, CONTRACT_GATEWAY_ID_BYTES);
    struct buf payload = BUF_INIT;
    contract_encode_peer_request(&payload, &request);
    peers->ask(peers->user, peer->id, request.key.number, buf_bytes(&payload));
    buf_release(&payload);
}

static void tell_owner(const struct ask *ask, enum contract_peer_request_type type)
{
    publish(ask->engine, ask->peer,
            (struct contract_peer_request){.key.number = ask->number, .type = type});
}

/* The client has lost a request: so its session is over, should the owner live to hear that. */
static void end_session(const struct ask *ask)
{
    publish(ask->engine, ask->peer,
            (struct contract_peer_request){.key.number = ask->number,
                                           .type = CONTRACT_PEER_CANCEL,
                                           .session = bytes_of(ask->sid, EIO_SID_BYTES)});
}

static struct peer *peer_get(struct engine *engine, const char id[CONTRACT_GATEWAY_ID_BYTES])
{
    LIST_EACH (node, &engine->peers) {
        struct peer *peer = CONTAINER_OF(node, struct peer, link);
        if (memcmp(peer->id, id, CONTRACT_GATEWAY_ID_BYTES) == 0) {
            return peer;
        }
    }
    struct peer *peer = mem_alloc_zeroed(sizeof(*peer));
    memcpy(peer->id, id, CONTRACT_GATEWAY_ID_BYTES);
    peer->heard_ms = clock_monotonic_ms();
    list_init(&peer->link);
    list_init(&peer->asks);
    list_append(&engine->peers, &peer->link);
    return peer;
}

static struct ask *ask_new(struct engine *engine, enum ask_type type, h2o_req_t *req,
                           struct bytes sid)
{
    struct ask *ask = mem_alloc_zeroed(sizeof(*ask));
    ask->number = ++engine->last_number;
    ask->engine = engine;
    ask->peer = peer_get(engine, sid.data);
    ask->type = type;
    ask->watched.req = req;
    memcpy(ask->sid, sid.data, EIO_SID_BYTES);
    list_init(&ask->of_peer);
    list_append(&ask->peer->asks, &ask->of_peer);
    map_add(&engine->asks, ask);
    engine->arriving += type == ASK_CLAIM;
    engine->stats.relayed++;
    if (!timer_is_set(&engine->check_timer)) {
        timers_set(engine->settings.timers, &engine->check_timer,
                   clock_monotonic_ms() + ENGINE_PEER_CHECK_MS);
    }
    return ask;
}

/* Takes the client's request, to answer it. */
static h2o_req_t *take_request(struct ask *ask)
{
    h2o_req_t *req = ask->watched.req;
    if (ask->type == ASK_GET && req != NULL) {
        watch_end(ask->engine, &ask->watched);
    }
    ask->watched.req = NULL;
    return req;
}

/* Frees @ask, whose client's request is answered or that has none, and its peer with the last one. */
static void ask_free(struct ask *ask)
{
    struct peer *peer = ask->peer;
    ASSERT(ask->watched.req == NULL);
    ASSERT(map_remove(&ask->engine->asks, ask_key(ask)) == ask);
    list_leave(&ask->of_peer);
    buf_release(&ask->body);
    ask->engine->arriving -= ask->type == ASK_CLAIM && !ask->has_arrived;
    addresses_give_back(&ask->engine->addresses, &ask->address);
    if (ask->transport != NULL) {
        ask->transport->awaits = 0;
    }
    free(ask);
    if (list_is_empty(&peer->asks)) {
        list_leave(&peer->link);
        free(peer);
    }
}

/* Ends @ask with the client's response. */
static void respond(struct ask *ask, enum verdict verdict, struct bytes payload)
{
    struct engine *engine = ask->engine;
    h2o_req_t *req = take_request(ask);
    engine_respond(engine, req, verdict, payload);
    ask_free(ask);
}

static void on_get_aborted(struct watched *watched, uint64_t now_ms)
{
    (void)now_ms;
    struct ask *ask = CONTAINER_OF(watched, struct ask, watched);
    ask->engine->stats.aborted_polls++;
    watched->req->http1_is_persistent = 0;
    end_session(ask);
    respond(ask, VERDICT_PAYLOAD, (struct bytes){0}); /* nobody reads it */
}

void relay_get(struct engine *engine, h2o_req_t *req, struct bytes sid)
{
    struct ask *ask = ask_new(engine, ASK_GET, req, sid);
    ask->watched.on_aborted = on_get_aborted;
    watch_begin(engine, &ask->watched);
    publish(engine, ask->peer,
            (struct contract_peer_request){
                .key.number = ask->number, .type = CONTRACT_PEER_GET, .session = sid});
    if (engine->is_draining) {
        tell_owner(ask, CONTRACT_PEER_RELEASE);
    }
}

void relay_post(struct engine *engine, h2o_req_t *req, struct bytes sid, bool is_octet_stream)
{
    struct bytes body = http_bytes(req->entity);
    if (body.len > engine->settings.eio->payload_bytes_max) {
        engine_respond(engine, req, VERDICT_TOO_LARGE, (struct bytes){0});
        return;
    }
    engine->stats.bytes_in += body.len;
    struct ask *ask = ask_new(engine, ASK_POST, req, sid);
    struct contract_peer_request request = {.key.number = ask->number,
                                            .type = CONTRACT_PEER_POST,
                                            .session = sid,
                                            .octet_stream = is_octet_stream};
    do {
        size_t len = MIN_OF(body.len, (size_t)CONTRACT_PEER_PART_BYTES);
        request.body = bytes_of(body.data, len);
        body = bytes_skip(body, len);
        request.more = body.len > 0;
        publish(engine, ask->peer, request);
        request.offset += len;
    } while (body.len > 0);
}

void relay_upgrade(struct engine *engine, h2o_req_t *req, struct bytes sid)
{
    uint32_t address = 0;
    if (engine_may_open(engine, req, &address)) {
        struct ask *ask = ask_new(engine, ASK_CLAIM, req, sid);
        ask->address = address;
        publish(engine, ask->peer,
                (struct contract_peer_request){
                    .key.number = ask->number, .type = CONTRACT_PEER_CLAIM, .session = sid});
    }
}

void relay_go_on(struct ask *ask, enum contract_peer_request_type type)
{
    tell_owner(ask, type);
}

void relay_cancel(struct ask *ask)
{
    tell_owner(ask, CONTRACT_PEER_CANCEL);
    ask_free(ask);
}

void relay_forget_moved(struct engine *engine, uint64_t number)
{
    struct ask *ask = number != 0 ? find(engine, number) : NULL;
    if (ask != NULL) {
        relay_cancel(ask);
    }
}

void relay_let_go(struct engine *engine)
{
    size_t cursor = 0;
    for (struct ask *ask; (ask = map_next(&engine->asks, &cursor)) != NULL;) {
        if (ask->type == ASK_GET) {
            tell_owner(ask, CONTRACT_PEER_RELEASE);
        }
    }
}

size_t engine_relayed_count(const struct engine *engine)
{
    size_t count = 0, cursor = 0;
    for (const struct ask *ask; (ask = map_next(&engine->asks, &cursor)) != NULL;) {
        count += ask->watched.req != NULL;
    }
    return count;
}

/* --- upgrades ----------------------------------------------------------------------------------------------------- */

/* Outlives the ask, whose session may end while the 101 is written. */
struct pending_claim {
    struct engine *engine;
    uint64_t number;
};

static void on_claimed_socket(void *user, h2o_socket_t *socket, size_t request_len)
{
    struct pending_claim *pending = user;
    struct engine *engine = pending->engine;
    struct ask *ask = find(engine, pending->number);
    free(pending);
    if (socket == NULL) {
        if (ask != NULL) {
            relay_cancel(ask);
        }
        return;
    }
    h2o_buffer_consume(&socket->input, request_len);
    http_connections_forget(socket);
    struct upgrade *upgrade = upgrade_new_elsewhere(engine, ask, socket);
    if (ask != NULL) {
        ask->upgrade = upgrade;
    }
    upgrade_start(upgrade);
}

/* The owner knows the session: answers 101. Where it does not want the WebSocket, that is closed then. */
static void accept_upgrade(struct ask *ask, bool is_claimed)
{
    struct engine *engine = ask->engine;
    struct pending_claim *pending = mem_alloc(sizeof(*pending));
    *pending = (struct pending_claim){.engine = engine, .number = ask->number};
    h2o_req_t *req = take_request(ask);
    if (!is_claimed) {
        ask_free(ask);
    }
    if (!websocket_accept(req, on_claimed_socket, pending)) {
        if (is_claimed) {
            relay_cancel(ask);
        }
        free(pending);
    }
}

static void on_moved(struct ask *ask, struct bytes handover)
{
    bool awaits = false;
    struct upgrade *upgrade = ask->upgrade;
    ask->upgrade = NULL;
    ask->transport = upgrade_on_moved(upgrade, ask->sid, ask->address, handover, &awaits);
    ask->has_arrived = true;
    ask->engine->arriving--;
    if (ask->transport != NULL) {
        ask->address = 0; /* it has it */
    }
    if (ask->transport == NULL || !awaits) {
        ask_free(ask);
    } else {
        ask->transport->awaits = ask->number;
    }
}

static void on_forward(struct ask *ask, struct bytes payload)
{
    const struct engine_peers *peers = ask->engine->settings.peers;
    if (!peers->on_forward(peers->user, ask->transport->session, payload, clock_monotonic_ms())) {
        ask_free(ask);
    }
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

/* There will be no answer, or the session is over. */
static void fail(struct ask *ask)
{
    ask->engine->stats.relays_failed++;
    if (ask->type == ASK_CLAIM) {
        tell_owner(ask, CONTRACT_PEER_CANCEL);
    } else {
        end_session(ask);
    }
    if (ask->watched.req != NULL) {
        respond(ask, VERDICT_UNKNOWN, (struct bytes){0});
        return;
    }
    if (ask->upgrade != NULL) {
        upgrade_on_over(ask->upgrade);
    } else if (ask->transport != NULL) {
        /* Whether what it said is stored nobody here knows: it comes back, and says it again. */
        eio_session_close(ask->transport->session, EIO_CLOSE_SERVER, WS_CLOSE_GOING_AWAY,
                          clock_monotonic_ms());
    }
    ask_free(ask);
}

/* Whether the answer makes sense for what was asked, and has come to. */
static bool is_expected(const struct ask *ask, enum contract_peer_answer_type type)
{
    bool is_waiting = ask->watched.req != NULL;
    switch (type) {
    case CONTRACT_PEER_PAYLOAD: return is_waiting && ask->type != ASK_CLAIM;
    case CONTRACT_PEER_BAD_REQUEST:
    case CONTRACT_PEER_UNKNOWN: return is_waiting;
    case CONTRACT_PEER_CLAIMED:
    case CONTRACT_PEER_BUSY: return is_waiting && ask->type == ASK_CLAIM;
    case CONTRACT_PEER_PROBED:
    case CONTRACT_PEER_MOVED: return ask->upgrade != NULL;
    case CONTRACT_PEER_FORWARD: return ask->transport != NULL;
    case CONTRACT_PEER_OVER: return true;
    case CONTRACT_PEER_CHECKED: return false;
    }
    return false;
}

static void take_answer(struct ask *ask, enum contract_peer_answer_type type, struct bytes body)
{
    if (!is_expected(ask, type)) {
        fail(ask);
        return;
    }
    switch (type) {
    case CONTRACT_PEER_PAYLOAD:
        respond(ask, ask->type == ASK_GET ? VERDICT_PAYLOAD : VERDICT_POSTED, body);
        break;
    case CONTRACT_PEER_BAD_REQUEST: respond(ask, VERDICT_BAD_REQUEST, body); break;
    case CONTRACT_PEER_UNKNOWN: respond(ask, VERDICT_UNKNOWN, body); break;
    case CONTRACT_PEER_CLAIMED: accept_upgrade(ask, true); break;
    case CONTRACT_PEER_BUSY: accept_upgrade(ask, false); break;
    case CONTRACT_PEER_PROBED: upgrade_on_probed(ask->upgrade); break;
    case CONTRACT_PEER_MOVED: on_moved(ask, body); break;
    case CONTRACT_PEER_FORWARD: on_forward(ask, body); break;
    case CONTRACT_PEER_OVER:
    case CONTRACT_PEER_CHECKED: fail(ask); break;
    }
}

/* Puts the parts of an answer together. */
static void on_answer(struct ask *ask, const struct contract_peer_answer *answer)
{
    ask->peer->heard_ms = clock_monotonic_ms();
    bool is_lost = answer->offset != ask->body.len; /* a part, that is */
    if (is_lost || ask->body.len + answer->body.len > CONTRACT_HANDOVER_BYTES_MAX) {
        fail(ask);
    } else if (answer->more) {
        buf_append_bytes(&ask->body, answer->body);
    } else if (ask->body.len > 0) {
        struct buf body = ask->body;
        ask->body = BUF_INIT;
        buf_append_bytes(&body, answer->body);
        take_answer(ask, answer->type, buf_bytes(&body));
        buf_release(&body);
    } else {
        take_answer(ask, answer->type, answer->body);
    }
}

/* --- whether owners still know ------------------------------------------------------------------------------------ */

/* Ends the peer with its last ask. */
static void fail_all(struct peer *peer)
{
    struct list *node;
    bool is_last;
    do {
        node = list_first(&peer->asks);
        is_last = node->next == &peer->asks;
        fail(CONTAINER_OF(node, struct ask, of_peer));
    } while (!is_last);
}

static void on_check_answer(struct engine *engine, struct peer *peer,
                            const struct contract_peer_answer *answer)
{
    if (answer == NULL) {
        fail_all(peer);
        return;
    }
    peer->heard_ms = clock_monotonic_ms();
    for (size_t i = 0; i < answer->number_count; i++) {
        struct ask *ask = find(engine, answer->numbers[i]);
        if (ask != NULL) {
            fail(ask);
        }
    }
}

static void check_some(struct engine *engine, const struct peer *peer, const uint64_t *numbers,
                       size_t count)
{
    publish(engine, peer,
            (struct contract_peer_request){.key.number = ++engine->last_number,
                                           .type = CONTRACT_PEER_CHECK,
                                           .number_count = count,
                                           .numbers = numbers});
}

/* Asks @peer about all that waits for it. */
static void check(struct engine *engine, struct peer *peer)
{
    uint64_t *numbers = mem_alloc(CONTRACT_PEER_NUMBERS_MAX * sizeof(*numbers));
    size_t count = 0;
    struct round *round = &peer->rounds[peer->round_count++ % COUNT_OF(peer->rounds)];
    round->begin = engine->last_number + 1;
    LIST_EACH (node, &peer->asks) {
        numbers[count++] = CONTAINER_OF(node, struct ask, of_peer)->number;
        if (count == CONTRACT_PEER_NUMBERS_MAX) {
            check_some(engine, peer, numbers, count);
            count = 0;
        }
    }
    if (count > 0) {
        check_some(engine, peer, numbers, count);
    }
    round->end = engine->last_number + 1;
    free(numbers);
}

static bool has_checked(const struct peer *peer, uint64_t number)
{
    for (size_t i = 0; i < COUNT_OF(peer->rounds); i++) {
        if (number >= peer->rounds[i].begin && number < peer->rounds[i].end) {
            return true;
        }
    }
    return false;
}

static void on_check_due(struct timer *timer, uint64_t now_ms)
{
    struct engine *engine = CONTAINER_OF(timer, struct engine, check_timer);
    LIST_EACH_SAFE (node, following, &engine->peers) {
        struct peer *peer = CONTAINER_OF(node, struct peer, link);
        if (now_ms >= peer->heard_ms + ENGINE_PEER_PATIENCE_MS) {
            fail_all(peer);
        } else {
            check(engine, peer);
        }
    }
    if (!list_is_empty(&engine->peers)) {
        timers_set(engine->settings.timers, timer, now_ms + ENGINE_PEER_CHECK_MS);
    }
}

void engine_on_peer_answer(struct engine *engine, uint64_t number,
                           const struct contract_peer_answer *answer)
{
    struct ask *ask = find(engine, number);
    if (ask != NULL) {
        if (answer == NULL) {
            fail(ask);
        } else {
            on_answer(ask, answer);
        }
        return;
    }
    LIST_EACH_SAFE (node, following, &engine->peers) {
        struct peer *peer = CONTAINER_OF(node, struct peer, link);
        if (has_checked(peer, number)) {
            on_check_answer(engine, peer, answer);
            return;
        }
    }
}

/* --- life --------------------------------------------------------------------------------------------------------- */

void relay_init(struct engine *engine)
{
    map_init(&engine->asks, ask_key);
    list_init(&engine->peers);
    timer_init(&engine->check_timer, on_check_due);
}

void relay_fail_all(struct engine *engine)
{
    LIST_EACH_SAFE (node, following, &engine->peers) {
        fail_all(CONTAINER_OF(node, struct peer, link));
    }
}

void relay_release(struct engine *engine)
{
    timers_clear(engine->settings.timers, &engine->check_timer);
    map_release(&engine->asks);
}
