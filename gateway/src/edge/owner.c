/*
 * owner.c - what peers ask for sessions that are ours: requests that their clients sent to them.
 *
 * Each is *asked* under the key of who asks, until it is answered. To the session a peer's GET or POST is as any; a
 * WebSocket at a peer is a *claim* on the session, until it has it or gives up. A peer that has not asked about what it
 * waits for (CHECK) in ENGINE_PEER_PATIENCE_MS is dead, and its clients' requests with it.
 */
#include "engine_impl.h"

#include "base/clock.h"
#include <stdlib.h>

enum asked_type { ASKED_GET, ASKED_POST, ASKED_CLAIM, ASKED_FORWARD };

struct asked {
    struct contract_peer_key key;
    struct engine *engine;
    enum asked_type type;
    struct transport *transport; /* of GET and CLAIM */
    struct timer timeout;        /* the peer is dead then, or a CLAIM has taken too long */
    uint64_t until_ms;           /* of a CLAIM: its last moment */
    struct buf body;             /* of a POST, so far */
};

/* A session that went to a peer. */
struct moved {
    struct list link; /* engine.moved_by_time */
    uint64_t until_ms;
    char sid[EIO_SID_BYTES];
};

static void on_timeout(struct timer *timer, uint64_t now_ms);

static struct bytes key_bytes(const struct contract_peer_key *key)
{
    return bytes_of((const char *)key, sizeof(*key));
}

static struct bytes asked_key(const void *asked)
{
    return key_bytes(&((const struct asked *)asked)->key);
}

static struct bytes moved_key(const void *moved)
{
    return bytes_of(((const struct moved *)moved)->sid, EIO_SID_BYTES);
}

/* --- answering ---------------------------------------------------------------------------------------------------- */

static void publish(struct engine *engine, const struct contract_peer_key *to,
                    const struct contract_peer_answer *answer)
{
    const struct engine_peers *peers = engine->settings.peers;
    struct buf payload = BUF_INIT;
    contract_encode_peer_answer(&payload, answer);
    peers->answer(peers->user, to, buf_bytes(&payload));
    buf_release(&payload);
}

/* Sends @body, in parts where it is long. */
static void answer(struct engine *engine, const struct contract_peer_key *to,
                   enum contract_peer_answer_type type, struct bytes body)
{
    uint64_t offset = 0;
    do {
        size_t len = MIN_OF(body.len, (size_t)CONTRACT_PEER_PART_BYTES);
        struct bytes part = bytes_of(body.data, len);
        body = bytes_skip(body, len);
        publish(engine, to,
                &(struct contract_peer_answer){
                    .type = type, .body = part, .offset = offset, .more = body.len > 0});
        offset += len;
    } while (body.len > 0);
}

static void answer_plainly(struct engine *engine, const struct contract_peer_key *to,
                           enum contract_peer_answer_type type)
{
    answer(engine, to, type, (struct bytes){0});
}

/* The peer has said that it waits for @asked. */
static void hear(struct asked *asked, uint64_t now_ms)
{
    uint64_t until_ms = now_ms + ENGINE_PEER_PATIENCE_MS;
    timers_set(asked->engine->settings.timers, &asked->timeout,
               asked->type == ASKED_CLAIM ? MIN_OF(until_ms, asked->until_ms) : until_ms);
}

static struct asked *asked_new(struct engine *engine, const struct contract_peer_key *key,
                               enum asked_type type)
{
    struct asked *asked = mem_alloc_zeroed(sizeof(*asked));
    uint64_t now_ms = clock_monotonic_ms();
    asked->key = *key;
    asked->engine = engine;
    asked->type = type;
    asked->until_ms = now_ms + engine->settings.eio->upgrade_timeout_ms;
    timer_init(&asked->timeout, on_timeout);
    hear(asked, now_ms);
    engine->body_count += type == ASKED_POST;
    map_add(&engine->asked, asked);
    return asked;
}

static void asked_free(struct asked *asked)
{
    struct engine *engine = asked->engine;
    ASSERT(map_remove(&engine->asked, asked_key(asked)) == asked);
    engine->body_count -= asked->type == ASKED_POST;
    timers_clear(engine->settings.timers, &asked->timeout);
    buf_release(&asked->body);
    free(asked);
}

void owner_answer(struct engine *engine, struct asked *asked, enum verdict verdict,
                  struct bytes payload)
{
    static const enum contract_peer_answer_type TYPES[] = {
        [VERDICT_PAYLOAD] = CONTRACT_PEER_PAYLOAD,
        [VERDICT_POSTED] = CONTRACT_PEER_PAYLOAD,
        [VERDICT_BAD_REQUEST] = CONTRACT_PEER_BAD_REQUEST,
        [VERDICT_UNKNOWN] = CONTRACT_PEER_UNKNOWN,
        [VERDICT_TOO_LARGE] = CONTRACT_PEER_BAD_REQUEST, /* the peer has refused it already */
    };
    answer(engine, &asked->key, TYPES[verdict], payload);
    asked_free(asked);
}

/* --- GET and POST ------------------------------------------------------------------------------------------------- */

/* The transport of the session that is asked for, while it polls; otherwise says what is wrong. */
static struct transport *find_polling(struct engine *engine,
                                      const struct contract_peer_request *request)
{
    struct transport *transport = NULL;
    enum eio_sid_state state = engine_find(engine, request->session, &transport);
    if (state != EIO_SID_POLLING) {
        answer_plainly(engine, &request->key,
                       state == EIO_SID_WEBSOCKET ? CONTRACT_PEER_BAD_REQUEST
                                                  : CONTRACT_PEER_UNKNOWN);
        return NULL;
    }
    return transport;
}

static void on_get(struct engine *engine, const struct contract_peer_request *request)
{
    struct transport *transport = find_polling(engine, request);
    if (transport != NULL) {
        struct asked *asked = asked_new(engine, &request->key, ASKED_GET);
        asked->transport = transport;
        engine_serve_get(transport, (struct asker){.asked = asked});
    }
}

static void on_post(struct engine *engine, struct asked *asked,
                    const struct contract_peer_request *request)
{
    if (request->offset != (asked == NULL ? 0 : asked->body.len)) {
        answer_plainly(engine, &request->key, CONTRACT_PEER_OVER); /* a part was lost, or refused */
        if (asked != NULL) {
            asked_free(asked);
        }
        return;
    }
    if (asked == NULL && engine->body_count >= ENGINE_PEER_BODIES_MAX) {
        answer_plainly(engine, &request->key, CONTRACT_PEER_UNKNOWN);
        return;
    }
    if (asked == NULL) {
        asked = asked_new(engine, &request->key, ASKED_POST);
    }
    if (asked->body.len + request->body.len > engine->settings.eio->payload_bytes_max) {
        owner_answer(engine, asked, VERDICT_BAD_REQUEST, (struct bytes){0});
        return;
    }
    buf_append_bytes(&asked->body, request->body);
    if (request->more) {
        return;
    }
    struct transport *transport = find_polling(engine, request);
    if (transport == NULL) {
        asked_free(asked);
        return;
    }
    struct buf body = asked->body;
    asked->body = BUF_INIT;
    engine_serve_post(transport, (struct asker){.asked = asked}, buf_bytes(&body),
                      request->octet_stream);
    buf_release(&body);
}

/* --- WebSockets at peers ------------------------------------------------------------------------------------------ */

/* The claim is over without the session; which goes on polling, unless it is over itself. */
static void end_claim(struct asked *claim, bool tells)
{
    eio_session_upgrade_failed(claim->transport->session);
    claim->transport->claim = NULL;
    if (tells) {
        answer_plainly(claim->engine, &claim->key, CONTRACT_PEER_OVER);
    }
    asked_free(claim);
}

void owner_end_claim(struct transport *transport)
{
    if (!transport->came_from_peer && transport->claim != NULL) {
        end_claim(transport->claim, true);
    }
}

static void on_claim(struct engine *engine, const struct contract_peer_request *request)
{
    struct transport *transport = NULL;
    switch (engine_find(engine, request->session, &transport)) {
    case EIO_SID_UNKNOWN: answer_plainly(engine, &request->key, CONTRACT_PEER_UNKNOWN); return;
    case EIO_SID_WEBSOCKET: answer_plainly(engine, &request->key, CONTRACT_PEER_BUSY); return;
    case EIO_SID_POLLING: break;
    }
    if (!eio_session_upgrade_claim(transport->session)) {
        answer_plainly(engine, &request->key, CONTRACT_PEER_BUSY);
        return;
    }
    struct asked *claim = asked_new(engine, &request->key, ASKED_CLAIM);
    claim->transport = transport;
    transport->claim = claim;
    answer_plainly(engine, &request->key, CONTRACT_PEER_CLAIMED);
}

static void on_probe(struct engine *engine, struct asked *claim)
{
    if (eio_session_upgrade_probed(claim->transport->session)) {
        answer_plainly(engine, &claim->key, CONTRACT_PEER_PROBED);
    } else {
        end_claim(claim, true);
    }
}

static void remember_moved(struct engine *engine, const char sid[EIO_SID_BYTES], uint64_t now_ms)
{
    struct list *node;
    while ((node = list_first(&engine->moved_by_time)) != NULL) {
        struct moved *oldest = CONTAINER_OF(node, struct moved, link);
        if (oldest->until_ms > now_ms && engine->moved.count < ENGINE_MOVED_MAX) {
            break;
        }
        list_leave(&oldest->link);
        ASSERT(map_remove(&engine->moved, moved_key(oldest)) == oldest);
        free(oldest);
    }
    struct moved *moved = mem_alloc(sizeof(*moved));
    moved->until_ms = now_ms + ENGINE_MOVED_KEPT_MS;
    memcpy(moved->sid, sid, EIO_SID_BYTES);
    list_init(&moved->link);
    list_append(&engine->moved_by_time, &moved->link);
    map_add(&engine->moved, moved);
}

bool owner_has_moved(struct engine *engine, struct bytes sid)
{
    return map_get(&engine->moved, sid) != NULL;
}

/* The session leaves: its transport goes at the turn's end, and a GET that waits gets a noop. */
static void on_move(struct engine *engine, struct asked *claim)
{
    const struct engine_peers *peers = engine->settings.peers;
    struct transport *transport = claim->transport;
    struct buf handover = BUF_INIT;
    bool follows = false;
    uint64_t now_ms = clock_monotonic_ms();
    transport->claim = NULL;
    if (!peers->hand_over(peers->user, transport->session, &claim->key, &handover, &follows,
                          now_ms)) {
        transport->claim = claim;
        end_claim(claim, true);
        return;
    }
    engine->stats.handed_over++;
    remember_moved(engine, transport->session->sid, now_ms);
    answer(engine, &claim->key, CONTRACT_PEER_MOVED, buf_bytes(&handover));
    buf_release(&handover);
    claim->transport = NULL;
    claim->type = ASKED_FORWARD;
    if (follows) {
        hear(claim, now_ms);
    } else {
        asked_free(claim);
    }
}

void engine_forward(struct engine *engine, const struct contract_peer_key *to, struct bytes payload,
                    bool is_last)
{
    struct asked *asked = map_get(&engine->asked, key_bytes(to));
    if (asked != NULL) { /* else nobody waits for it any more */
        answer(engine, to, CONTRACT_PEER_FORWARD, payload);
        if (is_last) {
            asked_free(asked);
        }
    }
}

/* --- what peers say ----------------------------------------------------------------------------------------------- */

static void on_check(struct engine *engine, const struct contract_peer_request *request)
{
    uint64_t *unknown = mem_alloc((request->number_count + 1) * sizeof(*unknown));
    size_t count = 0;
    struct contract_peer_key key = request->key;
    uint64_t now_ms = clock_monotonic_ms();
    for (size_t i = 0; i < request->number_count; i++) {
        key.number = request->numbers[i];
        struct asked *asked = map_get(&engine->asked, key_bytes(&key));
        if (asked == NULL) {
            unknown[count++] = key.number;
        } else {
            hear(asked, now_ms);
        }
    }
    publish(engine, &request->key,
            &(struct contract_peer_answer){
                .type = CONTRACT_PEER_CHECKED, .number_count = count, .numbers = unknown});
    free(unknown);
}

static void on_release(struct asked *asked)
{
    if (asked->type == ASKED_GET) {
        transport_answer_get(asked->transport, BYTES("6"));
    }
}

/* Nobody waits for @asked any more. */
static void drop(struct asked *asked, bool tells)
{
    switch (asked->type) {
    case ASKED_GET: transport_on_get_aborted(asked->transport, clock_monotonic_ms()); break;
    case ASKED_CLAIM: end_claim(asked, tells); break;
    case ASKED_POST:
    case ASKED_FORWARD: asked_free(asked); break;
    }
}

static void on_timeout(struct timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    drop(CONTAINER_OF(timer, struct asked, timeout), true);
}

static void on_cancel(struct engine *engine, struct asked *asked, struct bytes sid)
{
    struct transport *transport = NULL;
    if (asked != NULL) {
        drop(asked, false);
    }
    if (sid.len > 0 && engine_find(engine, sid, &transport) == EIO_SID_POLLING) {
        eio_session_transport_closed(transport->session, clock_monotonic_ms());
        engine_flush(transport);
    }
}

void engine_on_peer_request(struct engine *engine, const struct contract_peer_request *request)
{
    struct asked *asked = map_get(&engine->asked, key_bytes(&request->key));
    bool is_claim = asked != NULL && asked->type == ASKED_CLAIM;
    bool is_post = asked != NULL && asked->type == ASKED_POST;
    switch (request->type) {
    case CONTRACT_PEER_CHECK: on_check(engine, request); break;
    case CONTRACT_PEER_GET:
        if (asked == NULL) {
            on_get(engine, request);
        }
        break;
    case CONTRACT_PEER_POST:
        if (asked == NULL || is_post) {
            on_post(engine, asked, request);
        }
        break;
    case CONTRACT_PEER_CLAIM:
        if (asked == NULL) {
            on_claim(engine, request);
        }
        break;
    case CONTRACT_PEER_PROBE:
    case CONTRACT_PEER_MOVE:
        if (!is_claim) {
            answer_plainly(engine, &request->key, CONTRACT_PEER_OVER);
        } else if (request->type == CONTRACT_PEER_PROBE) {
            on_probe(engine, asked);
        } else {
            on_move(engine, asked);
        }
        break;
    case CONTRACT_PEER_RELEASE:
        if (asked != NULL) {
            on_release(asked);
        }
        break;
    case CONTRACT_PEER_CANCEL: on_cancel(engine, asked, request->session); break;
    }
}

/* --- life --------------------------------------------------------------------------------------------------------- */

void owner_init(struct engine *engine)
{
    map_init(&engine->asked, asked_key);
    map_init(&engine->moved, moved_key);
    list_init(&engine->moved_by_time);
}

void owner_release(struct engine *engine)
{
    size_t cursor = 0;
    for (struct asked *asked; (asked = map_next(&engine->asked, &cursor)) != NULL; cursor = 0) {
        asked_free(asked);
    }
    struct list *node;
    while ((node = list_take_first(&engine->moved_by_time)) != NULL) {
        free(CONTAINER_OF(node, struct moved, link));
    }
    map_release(&engine->asked);
    map_release(&engine->moved);
}
