#include "handover.h"

#include "admission.h"
#include "history.h"
#include <stdlib.h>

/* --- the old owner ------------------------------------------------------------------------------------------------ */

static void tell(struct forward *forward, const struct contract_moved_outcome *outcome)
{
    struct hub *hub = forward->hub;
    struct buf payload = BUF_INIT;
    contract_encode_moved_outcome(&payload, outcome);
    hub->world.forward(hub->world.user, &forward->to, buf_bytes(&payload),
                       outcome->type == CONTRACT_MOVED_SETTLED);
    buf_release(&payload);
}

void forward_tell(struct send *send, enum contract_moved_outcome_type type,
                  const struct contract_outcome *outcome, struct bytes reason)
{
    send->forward->told++;
    tell(send->forward, &(struct contract_moved_outcome){
                            .type = type,
                            .send = send->index,
                            .id = outcome != NULL ? outcome->id : 0,
                            .duplicate = outcome != NULL && outcome->duplicate,
                            .forbidden = outcome != NULL && outcome->forbidden,
                            .reason = reason,
                        });
}

void forward_leave(struct send *send, bool tells)
{
    struct forward *forward = send->forward;
    send->forward = NULL;
    if (forward == NULL || --forward->left > 0) {
        return;
    }
    if (tells) {
        tell(forward, &(struct contract_moved_outcome){.type = CONTRACT_MOVED_SETTLED,
                                                       .told = forward->told});
    }
    free(forward);
}

/* What a member takes along, in arrays of its own. */
struct luggage {
    struct buf auth;
    struct contract_handover_send *sends;
    struct contract_handover_history histories[HISTORY_WAITING_MAX];
};

static size_t count_sends(const struct member *member)
{
    size_t count = 0;
    LIST_EACH (node, &member->acks) {
        count++;
    }
    LIST_EACH (node, &member->room->batch) {
        count += send_is_late_of(CONTAINER_OF(node, struct send, of_room), member);
    }
    LIST_EACH (node, &member->sends) {
        count++;
    }
    return count;
}

/* Committed ones first: they are the older ones. Then as forward_sends() counts them. */
static size_t pack_sends(const struct member *member, struct contract_handover_send *ret_sends)
{
    size_t count = 0;
    LIST_EACH (node, &member->acks) {
        ret_sends[count++] = send_hand_over(CONTAINER_OF(node, struct send, of_member));
    }
    LIST_EACH (node, &member->room->batch) {
        const struct send *send = CONTAINER_OF(node, struct send, of_room);
        if (send_is_late_of(send, member)) {
            ret_sends[count++] = send_hand_over(send);
        }
    }
    LIST_EACH (node, &member->sends) {
        ret_sends[count++] = send_hand_over(CONTAINER_OF(node, struct send, of_member));
    }
    return count;
}

/* Fills @luggage, which @ret_member borrows from. */
static void pack_member(const struct member *member, struct luggage *luggage,
                        struct contract_handover_member *ret_member)
{
    const struct join *join = member->join;
    if (join != NULL) {
        struct chat_auth auth = join->auth;
        auth.pid = join->pid_token != NULL ? bytes_of_string(join->pid_token) : (struct bytes){0};
        chat_write_auth(&luggage->auth, &auth);
        *ret_member = (struct contract_handover_member){
            .room = room_name(member->room),
            .auth = buf_bytes(&luggage->auth),
        };
        return;
    }
    const struct pass *pass = pass_of(member);
    luggage->sends = mem_alloc((count_sends(member) + 1) * sizeof(*luggage->sends));
    *ret_member = (struct contract_handover_member){
        .room = room_name(member->room),
        .session = member_sid(member),
        .username = member_username(member),
        .no_echo = !member->wants_own,
        .wants_presence = member->wants_presence,
        .expires_ms = pass != NULL ? pass->expires_ms : 0,
        .issued_ms = pass != NULL ? pass->issued_ms : 0,
        .may_not_write = !member_may_write(member),
        .token_id = pass != NULL ? bytes_of(pass->id, pass->id_len) : (struct bytes){0},
        .epoch = member->room->epoch,
        .cursor = member->cursor,
        .send_count = pack_sends(member, luggage->sends),
        .sends = luggage->sends,
        .history_count = history_hand_over(member, luggage->histories),
        .histories = luggage->histories,
    };
}

/* Appends a Handover without what its session tells at its end. */
static void pack_members(const struct client *client, struct buf *out)
{
    size_t count = 0;
    struct luggage *luggage = mem_alloc_zeroed((client->member_count + 1) * sizeof(*luggage));
    struct contract_handover_member *members =
        mem_alloc((client->member_count + 1) * sizeof(*members));
    for (struct sio_socket *socket = client->sio.sockets; socket != NULL; socket = socket->next) {
        ASSERT(count < client->member_count);
        pack_member(CONTAINER_OF(socket, struct member, socket), &luggage[count], &members[count]);
        count++;
    }
    struct buf incomplete = BUF_INIT;
    struct bytes attachments[SIO_ATTACHMENTS_MAX];
    uint32_t attachment_count = 0;
    bool has_incomplete =
        sio_client_incomplete(&client->sio, &incomplete, &attachment_count, attachments);
    contract_encode_handover(
        out, &(struct contract_handover){.member_count = count,
                                         .members = members,
                                         .incomplete = buf_bytes(&incomplete),
                                         .attachment_count = has_incomplete ? attachment_count : 0,
                                         .attachments = attachments});
    buf_release(&incomplete);
    for (size_t i = 0; i < count; i++) {
        buf_release(&luggage[i].auth);
        free(luggage[i].sends);
    }
    free(luggage);
    free(members);
}

/* Has the outcomes of what @client has on its way told to @to. Returns whether there is something. */
static bool forward_sends(struct client *client, const struct contract_peer_key *to)
{
    struct forward *forward = mem_alloc_zeroed(sizeof(*forward));
    *forward = (struct forward){.hub = client_hub(client), .to = *to};
    for (struct sio_socket *socket = client->sio.sockets; socket != NULL; socket = socket->next) {
        struct member *member = CONTAINER_OF(socket, struct member, socket);
        struct list *node;
        LIST_EACH (late, &member->room->batch) {
            struct send *send = CONTAINER_OF(late, struct send, of_room);
            if (send_is_late_of(send, member)) {
                send_forward(send, forward, forward->left);
            }
        }
        while ((node = list_first(&member->sends)) != NULL) {
            send_forward(CONTAINER_OF(node, struct send, of_member), forward, forward->left);
        }
    }
    if (forward->left > 0) {
        return true;
    }
    free(forward);
    return false;
}

bool hub_hand_over(struct client *client, const struct contract_peer_key *to, struct buf *out,
                   bool *ret_follows, uint64_t now_ms)
{
    struct eio_session *session = &client->sio.eio;
    bool may_go = session->state == EIO_STATE_OPEN && session->upgrade == EIO_UPGRADE_PROBED &&
                  session->probe == NULL && !client->is_leaving;
    if (!may_go) {
        return false;
    }
    /* Two encodings in a row are one message with the fields of both: the members go before their session ends. */
    pack_members(client, out);
    *ret_follows = forward_sends(client, to);
    struct buf undelivered = BUF_INIT;
    struct eio_handover handover;
    ASSERT(eio_session_hand_over(session, &undelivered, &handover, now_ms));
    contract_encode_handover(
        out, &(struct contract_handover){.heartbeat_in_ms = handover.heartbeat_in_ms,
                                         .awaits_pong = handover.awaits_pong,
                                         .undelivered = buf_bytes(&undelivered)});
    buf_release(&undelivered);
    return true;
}

/* --- the new owner ------------------------------------------------------------------------------------------------ */

static bool auth_is_valid(struct bytes auth)
{
    struct bytes value;
    return auth.len == 0 || (json_scan(auth, &value) && json_type_of(value) == JSON_OBJECT);
}

/* Where a pass is needed, nobody comes without one. */
static bool pass_is_valid(const struct hub *hub, const struct contract_handover_member *handed)
{
    return hub->world.admit == NULL ||
           (handed->expires_ms > 0 && handed->token_id.len <= UINT8_MAX);
}

static bool member_is_valid(const struct hub *hub, const struct contract_handover_member *handed)
{
    bool is_held = handed->session.len == 0;
    return handed->room.len >= 1 && handed->room.len <= CHAT_ROOM_BYTES_MAX &&
           (is_held ? handed->send_count == 0 && handed->history_count == 0 &&
                          auth_is_valid(handed->auth)
                    : handed->session.len == PID_SID_BYTES && handed->cursor >= 1 &&
                          handed->username.len >= 1 && handed->username.len <= UINT8_MAX &&
                          pass_is_valid(hub, handed));
}

/* Whether the rooms of @handover, of a client that comes from @source, may be open here. */
static bool has_place(const struct hub *hub, const struct contract_handover *handover,
                      uint32_t source)
{
    size_t count = 0;
    for (size_t i = 0; i < handover->member_count; i++) {
        count += !room_is_needed(hub, handover->members[i].room);
    }
    return count == 0 || room_limit_of(hub, source, count) == ROOM_LIMIT_NONE;
}

static bool handover_is_valid(const struct hub *hub, const struct contract_handover *handover)
{
    size_t sends = 0;
    for (size_t i = 0; i < handover->member_count; i++) {
        const struct contract_handover_member *member = &handover->members[i];
        if (!member_is_valid(hub, member)) {
            return false;
        }
        sends += member->send_count;
        for (size_t j = 0; j < member->send_count; j++) {
            if (member->sends[j].client_id.len > CHAT_CLIENT_ID_BYTES_MAX) {
                return false;
            }
        }
    }
    return sends <= CLIENT_SENDS_MAX && handover->attachment_count <= SIO_ATTACHMENTS_MAX;
}

/* A CONNECT that was held there is held here. */
static void take_join(struct client *client, const struct contract_handover_member *handed,
                      uint64_t now_ms)
{
    char namespace[CHAT_ROOM_BYTES_MAX + 1];
    client_connect(client, chat_namespace_of_room(handed->room, namespace), handed->room,
                   handed->auth, now_ms);
}

struct bytes settling_key(const void *settling)
{
    return bytes_of((const char *)&((const struct settling *)settling)->client,
                    sizeof(struct client *));
}

struct settling *settling_of(struct client *client)
{
    return client->is_settling ? map_get(&client_hub(client)->settlings,
                                         bytes_of((const char *)&client, sizeof(struct client *)))
                               : NULL;
}

static struct settling *settling_new(struct client *client)
{
    struct settling *settling = mem_alloc_zeroed(sizeof(*settling));
    settling->client = client;
    list_init(&settling->elsewhere);
    list_init(&settling->held);
    map_add(&client_hub(client)->settlings, settling);
    client->is_settling = true;
    return settling;
}

static void take_sends(struct member *member, const struct contract_handover_member *handed,
                       uint32_t *next_index, uint64_t now_ms)
{
    struct client *client = member_client(member);
    struct settling *settling = settling_of(client);
    for (size_t i = 0; i < handed->send_count; i++) {
        const struct contract_handover_send *of_member = &handed->sends[i];
        struct send *send = send_new_elsewhere(member, of_member, now_ms);
        if (of_member->id != 0) {
            send_on_stored_elsewhere(send, of_member->id, of_member->duplicate, now_ms);
            continue;
        }
        if (settling == NULL) {
            settling = settling_new(client);
        }
        send->index = (*next_index)++;
        list_append(&settling->elsewhere, &send->of_room);
    }
}

static void take_member(struct client *client, const struct contract_handover_member *handed,
                        uint32_t *next_index, uint64_t now_ms)
{
    struct member *member =
        member_new(client, handed->room, handed->username, !handed->no_echo, now_ms);
    struct join *join = mem_alloc_zeroed(sizeof(*join));
    join->is_moved = true;
    join->moved_epoch = handed->epoch;
    join->moved_id = handed->cursor - 1;
    member->wants_presence = handed->wants_presence;
    member->join = join;
    member->cursor = handed->cursor;
    memcpy(member->sid, handed->session.data, PID_SID_BYTES);
    if (client_hub(client)->world.admit != NULL) {
        pass_give(member,
                  pass_new(handed->expires_ms, handed->issued_ms, !handed->may_not_write,
                           handed->token_id),
                  now_ms);
    }
    sio_socket_take_over(&member->socket, &client->sio, member->room->text,
                         member->room->namespace_len);
    member_own_session(member, now_ms);
    take_sends(member, handed, next_index, now_ms);
    for (size_t i = 0; i < handed->history_count; i++) {
        history_take_over(member, &handed->histories[i], now_ms);
    }
}

struct client *hub_take_over(struct hub *hub, void *transport, const char sid[EIO_SID_BYTES],
                             const struct contract_handover *handover, struct eio_probe *probe,
                             bool *ret_awaits, uint64_t now_ms)
{
    if (!handover_is_valid(hub, handover) ||
        !has_place(hub, handover, client_source(hub, transport))) {
        return NULL;
    }
    struct client *client = client_new(hub, transport);
    struct eio_handover of_session = {
        .heartbeat_in_ms = handover->heartbeat_in_ms,
        .awaits_pong = handover->awaits_pong,
    };
    sio_client_take_over(&client->sio, &hub->sio, sid, &of_session, handover->undelivered, probe,
                         now_ms);
    hub_tell(hub, &(struct hub_event){.type = HUB_CLIENT_OPENED, .client = client});
    uint32_t next_index = 0;
    for (size_t i = 0; i < handover->member_count; i++) {
        const struct contract_handover_member *handed = &handover->members[i];
        if (handed->session.len == 0) {
            take_join(client, handed, now_ms);
        } else {
            take_member(client, handed, &next_index, now_ms);
        }
    }
    *ret_awaits = client->is_settling;
    if (handover->incomplete.len > 0) {
        sio_client_take_incomplete(&client->sio, handover->incomplete, handover->attachments,
                                   handover->attachment_count, now_ms);
    }
    return client;
}

static struct send *find_elsewhere(const struct settling *settling, uint32_t index)
{
    LIST_EACH (node, &settling->elsewhere) {
        struct send *send = CONTAINER_OF(node, struct send, of_room);
        if (send->index == index) {
            return send;
        }
    }
    return NULL;
}

/* The old owner has nothing of @client any more: what it said here since may go. */
static void settle(struct client *client)
{
    struct settling *settling = settling_of(client);
    struct list *node;
    while ((node = list_first(&settling->held)) != NULL) {
        send_release_held(CONTAINER_OF(node, struct send, of_room));
    }
    settling_free(client);
}

enum hub_forward_result
hub_on_forward(struct client *client, const struct contract_moved_outcome *outcome, uint64_t now_ms)
{
    struct settling *settling = settling_of(client);
    if (outcome == NULL || settling == NULL) {
        return HUB_FORWARD_LOST;
    }
    if (outcome->type == CONTRACT_MOVED_SETTLED) {
        if (settling->told != outcome->told || !list_is_empty(&settling->elsewhere)) {
            return HUB_FORWARD_LOST;
        }
        settle(client);
        return HUB_FORWARD_LAST;
    }
    settling->told++;
    struct send *send = find_elsewhere(settling, outcome->send);
    if (send == NULL) {
        return HUB_FORWARD_AWAITS; /* its member has left, or it had an outcome: late ones are of no use */
    }
    switch (outcome->type) {
    case CONTRACT_MOVED_STORED:
        send_on_stored_elsewhere(send, outcome->id, outcome->duplicate, now_ms);
        break;
    case CONTRACT_MOVED_REFUSED:
        send_on_refused_elsewhere(send, outcome->reason, outcome->forbidden);
        break;
    case CONTRACT_MOVED_UNAVAILABLE: send_on_unavailable_elsewhere(send); break;
    case CONTRACT_MOVED_SETTLED: break;
    }
    return HUB_FORWARD_AWAITS;
}

void settling_free(struct client *client)
{
    struct settling *settling = settling_of(client);
    if (settling != NULL) {
        ASSERT(list_is_empty(&settling->elsewhere) && list_is_empty(&settling->held));
        ASSERT(map_remove(&client_hub(client)->settlings, settling_key(settling)) == settling);
        client->is_settling = false;
        free(settling);
    }
}
