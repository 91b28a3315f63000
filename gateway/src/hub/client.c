#include "client.h"

#include "admission.h"
#include "base/random.h"
#include "flight.h"
#include "handover.h"
#include "history.h"
#include "presence.h"
#include "send.h"
#include <stdlib.h>

void client_wake(struct client *client)
{
    if (client->is_catching_up) {
        list_leave(&client->dirty);
        client->is_catching_up = false;
    }
    if (list_is_empty(&client->dirty)) {
        list_append(&client_hub(client)->dirty_clients, &client->dirty);
    }
}

struct bytes member_key(const void *member)
{
    return member_sid(member);
}

static void on_upgraded(struct eio_session *session, struct eio_probe *probe, uint64_t now_ms)
{
    (void)now_ms;
    struct client *client = client_of_session(session);
    client_hub(client)->world.on_upgraded(client_hub(client)->world.user, client, probe);
}

static void on_output(struct eio_session *session)
{
    client_wake(client_of_session(session));
}

/* --- events
 * -----------------------------------------------------------------------------------------------------
 */

/* Who begins more often than anybody does is not looked at; that somebody has stopped is always heard. */
static void on_typing(struct member *member, bool is_typing, uint64_t now_ms)
{
    struct hub *hub = member->room->hub;
    uint32_t number = member_client(member)->number;
    struct bytes client = bytes_of((const char *)&number, sizeof(number));
    if (is_typing && pace_wait_ms(&hub->typing_pace, client, now_ms) > 0) {
        return;
    }
    if (is_typing) {
        pace_take(&hub->typing_pace, client, now_ms);
    }
    presence_on_typing(member, is_typing, now_ms);
}

/* Whose token opens the room for reading only. */
static void refuse_reader(struct member *member, const struct chat_request *request,
                          const struct sio_event *event)
{
    if (request->type == CHAT_REQUEST_MESSAGE) {
        send_refuse(member, CHAT_FORBIDDEN, "the token does not open this room for writing",
                    buf_bytes(&request->client_id), event->has_ack_id, event->ack_id);
    }
}

static void on_request(struct member *member, const struct sio_event *event, uint64_t now_ms)
{
    struct hub *hub = member->room->hub;
    struct chat_request request;
    const char *why = "";
    enum chat_parse_result result = chat_request_parse(
        event->payload, event->has_binary, hub->settings.content_bytes_max, &request, &why);
    if (request.type == CHAT_REQUEST_TYPING && !member->wants_presence) {
        /* As any event that nobody knows. */
    } else if (result != CHAT_PARSE_OK) {
        send_refuse(member, result == CHAT_PARSE_TOO_LARGE ? CHAT_TOO_LARGE : CHAT_INVALID_MESSAGE,
                    why, buf_bytes(&request.client_id), event->has_ack_id, event->ack_id);
    } else if (!member_may_write(member) && request.type != CHAT_REQUEST_HISTORY) {
        refuse_reader(member, &request, event);
    } else if (request.type == CHAT_REQUEST_TYPING) {
        on_typing(member, request.is_typing, now_ms);
    } else if (request.type == CHAT_REQUEST_MESSAGE) {
        presence_on_typing(member, false, now_ms);
        send_submit(member, &request, event->has_ack_id, event->ack_id, now_ms);
    } else if (request.type == CHAT_REQUEST_HISTORY && event->has_ack_id) {
        history_submit(member, &request, event->ack_id, now_ms);
    }
    chat_request_release(&request);
}

static void on_event(struct sio_socket *socket, const struct sio_event *event, uint64_t now_ms)
{
    on_request(CONTAINER_OF(socket, struct member, socket), event, now_ms);
}

static void add_greedy(struct hub *hub, struct client *client)
{
    if (hub->greedy_count == hub->greedy_capacity) {
        hub->greedy_capacity = MAX_OF((size_t)16, hub->greedy_capacity * 2);
        hub->greedy = mem_resize(hub->greedy, hub->greedy_capacity * sizeof(struct client *));
    }
    hub->greedy[hub->greedy_count++] = client;
    client->is_greedy = true;
}

void client_note_outbox(struct client *client)
{
    struct hub *hub = client_hub(client);
    uint32_t bytes = client->sio.eio.outbox.len;
    if (bytes == client->outbox_noted && hub->outbox_bytes <= OUTBOXES_BYTES_MAX) {
        return; /* as nearly always */
    }
    hub->outbox_bytes += bytes;
    hub->outbox_bytes -= client->outbox_noted;
    client->outbox_noted = bytes;
    bool is_greedy = hub->outbox_bytes > OUTBOXES_BYTES_MAX && bytes > CLIENT_OUTBOX_SHARE_BYTES;
    if (is_greedy && !client->is_greedy) {
        add_greedy(hub, client);
    }
}

void client_close_greedy(struct hub *hub, uint64_t now_ms)
{
    while (hub->greedy_count > 0) {
        struct client *client = hub->greedy[--hub->greedy_count];
        client->is_greedy = false;
        eio_session_close(client_session(client), EIO_CLOSE_OUTBOX_FULL, WS_CLOSE_GOING_AWAY,
                          now_ms);
    }
}

/* --- members leave
 * ---------------------------------------------------------------------------------------------- */

static void join_free(struct join *join)
{
    if (join != NULL) {
        chat_auth_release(&join->auth);
        buf_release(&join->pid_storage);
        free(join->pid_token);
        free(join);
    }
}

static void on_disconnect(struct sio_socket *socket, uint64_t now_ms)
{
    struct member *member = CONTAINER_OF(socket, struct member, socket);
    struct room *room = member->room;
    struct hub *hub = room->hub;
    send_forget_member(member);
    history_forget_member(member);
    member_end_page_wait(member);
    list_leave(&member->link);
    pass_take(member);
    member_client(member)->member_count--;
    if (map_get(&hub->sessions, member_sid(member)) == member) {
        map_remove(&hub->sessions, member_sid(member));
    }
    if (member->join != NULL) {
        hub->stats.joining--;
        join_free(member->join);
        member->join = NULL;
        room_left_by(room, member, now_ms);
    } else {
        hub->stats.members--;
        room_remove_member(room, member, now_ms);
        presence_on_left(member, now_ms);
        hub_tell(hub, &(struct hub_event){.type = HUB_MEMBER_LEFT,
                                          .client = member_client(member),
                                          .room = room_name(room),
                                          .username = member_username(member),
                                          .session = member_sid(member)});
    }
    list_append(&hub->doomed, &member->link);
}

static void on_client_close(struct sio_client *sio, enum eio_close_reason reason, uint64_t now_ms)
{
    (void)now_ms;
    struct client *client = CONTAINER_OF(sio, struct client, sio);
    admission_forget_client(client);
    client_hub(client)->stats.by.clients_closed[reason]++;
    hub_tell(client_hub(client), &(struct hub_event){.type = HUB_CLIENT_CLOSED,
                                                     .client = client,
                                                     .reason = eio_close_reason_name(reason)});
}

void client_reap(struct hub *hub)
{
    struct list *node;
    while ((node = list_take_first(&hub->doomed)) != NULL) {
        free(CONTAINER_OF(node, struct member, link));
    }
}

/* --- members join
 * -----------------------------------------------------------------------------------------------
 */

/* A session's token of another room, or of another name, is as none. */
static void join_take_pid(struct join *join, const struct hub *hub, struct bytes room)
{
    struct bytes token = join->auth.pid;
    bool is_valid = token.len > 0 &&
                    pid_verify(&hub->settings.keys, token, &join->pid_storage, &join->pid) &&
                    bytes_equal(join->pid.room, room) &&
                    bytes_equal(join->pid.user, buf_bytes(&join->auth.username));
    if (is_valid) {
        join->pid_token = bytes_to_string(token);
    }
    join->auth.pid = (struct bytes){0}; /* it borrows from the packet, which goes now */
}

struct member *member_new(struct client *client, struct bytes name, struct bytes username,
                          bool wants_own, uint64_t now_ms)
{
    struct member *member =
        mem_alloc_zeroed(MAX_OF(sizeof(*member), offsetof(struct member, username) + username.len));
    member->room = room_get(client_hub(client), name, client->source, now_ms);
    member->username_len = (uint8_t)username.len;
    memcpy(member->username, username.data, username.len);
    member->wants_own = wants_own;
    list_init(&member->link);
    list_init(&member->sends);
    list_init(&member->acks);
    list_init(&member->histories);
    client->member_count++;
    client_hub(client)->stats.joining++;
    list_append(&member->room->joining, &member->link);
    room_wake(member->room);
    return member;
}

/* Whether @client may join no further room, or not @name. It has been told then, or comes back by itself. */
static bool room_is_refused(struct client *client, struct bytes namespace, struct bytes name,
                            uint64_t now_ms)
{
    struct hub *hub = client_hub(client);
    const char *why = "Too many rooms on one connection";
    enum room_limit limit =
        room_is_needed(hub, name) ? ROOM_LIMIT_NONE : room_limit_of(hub, client->source, 1);
    if (client->member_count >= hub->settings.rooms_per_client_max) {
        hub->stats.rooms_refused_client++;
    } else if (limit == ROOM_LIMIT_ADDRESS) {
        hub->stats.rooms_refused_address++;
        why = "Too many rooms are open from your address";
    } else if (limit == ROOM_LIMIT_FULL) {
        hub->stats.rooms_refused_full++;
        admission_say_farewell(client, EIO_CLOSE_SERVER, WS_CLOSE_TRY_AGAIN_LATER, now_ms);
        return true;
    } else {
        return false;
    }
    sio_client_refuse(&client->sio, namespace, bytes_of_string(why), (struct bytes){0});
    return true;
}

void client_connect(struct client *client, struct bytes namespace, struct bytes room,
                    struct bytes auth, uint64_t now_ms)
{
    struct hub *hub = client_hub(client);
    if (room_is_refused(client, namespace, room, now_ms)) {
        return;
    }
    struct join *join = mem_alloc_zeroed(sizeof(*join));
    chat_auth_parse(auth, &join->auth);
    struct pass *pass;
    if (hub->world.admit == NULL) {
        buf_release(&join->auth.token);
    }
    if (!admission_ask(client, namespace, room, &join->auth, &pass, now_ms)) {
        join_free(join);
        return;
    }
    join_take_pid(join, hub, room);
    struct member *member =
        member_new(client, room, buf_bytes(&join->auth.username), join->auth.echo, now_ms);
    member->wants_presence = join->auth.presence;
    member->join = join;
    pass_give(member, pass, now_ms);
    sio_socket_init(&member->socket, &client->sio, member->room->text, member->room->namespace_len);
}

/* Whether the client joins more often than anybody does; its connection is closed then. */
static bool joins_too_often(struct client *client, uint64_t now_ms)
{
    struct hub *hub = client_hub(client);
    struct bytes number = bytes_of((const char *)&client->number, sizeof(client->number));
    if (pace_wait_ms(&hub->joins_pace, number, now_ms) > 0) {
        eio_session_close(client_session(client), EIO_CLOSE_SERVER, WS_CLOSE_POLICY_VIOLATION,
                          now_ms);
        return true;
    }
    pace_take(&hub->joins_pace, number, now_ms);
    return false;
}

static void on_connect(struct sio_client *sio, struct bytes namespace, struct bytes auth,
                       uint64_t now_ms)
{
    struct client *client = CONTAINER_OF(sio, struct client, sio);
    struct bytes name;
    if (joins_too_often(client, now_ms)) {
        return;
    }
    if (!chat_room_of_namespace(namespace, &name)) {
        sio_client_refuse(sio, namespace, BYTES("Invalid namespace"), (struct bytes){0});
        return;
    }
    client_connect(client, namespace, name, auth, now_ms);
}

/* Where a join starts: the newest id that the client has, or need not be sent. */
struct start {
    uint64_t id;
    bool is_given;       /* by an offset that counts; else the newest messages are sent */
    bool is_pid_current; /* the token may be resumed as it is */
    bool has_seen;       /* latest_… is of a message that came, not of the token */
    uint64_t latest_epoch, latest_id; /* the last that the client has seen, in its own order */
    uint64_t cut_from; /* 0: none; what it saw as cut_from..latest_id is something else now */
};

/* Takes the offset @id of @epoch into account. Returns false when it is past all that this gateway
 * knows. */
static bool start_consider(struct start *start, const struct room *room, uint64_t epoch,
                           uint64_t id, bool is_pid, bool is_settled)
{
    uint64_t here = 0;
    switch (room_translate_offset(room, epoch, id, &here)) {
    case ROOM_OFFSET_AHEAD: return is_settled; /* past the store's head too: as if absent */
    case ROOM_OFFSET_INVALID: return true;
    case ROOM_OFFSET_CUT: break;
    case ROOM_OFFSET_OK: start->is_pid_current |= is_pid; break;
    }
    epoch = epoch == 0 ? room->epoch : epoch;
    bool is_latest = !start->has_seen || epoch > start->latest_epoch ||
                     (epoch == start->latest_epoch && id >= start->latest_id);
    if (is_latest) {               /* who has seen a later epoch was told of the cut before it */
        start->has_seen = !is_pid; /* a token's start was only sent */
        start->latest_epoch = epoch;
        start->latest_id = id;
        start->cut_from = here < id ? here + 1 : 0;
    }
    start->id = start->is_given ? MAX_OF(start->id, here) : here;
    start->is_given = true;
    return true;
}

/* The newest epoch that the client names: its serverOffset, which names none, is of that one too. */
static uint64_t named_epoch(const struct join *join)
{
    uint64_t of_offset = join->auth.has_offset ? join->auth.offset_epoch : 0;
    return join->pid_token != NULL ? MAX_OF(of_offset, join->pid.epoch) : of_offset;
}

static bool find_start(const struct room *room, const struct join *join, bool is_settled,
                       struct start *ret_start)
{
    const struct chat_auth *auth = &join->auth;
    *ret_start = (struct start){0};
    if (join->is_moved) {
        return start_consider(ret_start, room, join->moved_epoch, join->moved_id, false,
                              is_settled);
    }
    return (join->pid_token == NULL ||
            start_consider(ret_start, room, join->pid.epoch, join->pid.start, true, is_settled)) &&
           (!auth->has_offset || start_consider(ret_start, room, auth->offset_epoch,
                                                auth->offset_id, false, is_settled)) &&
           (!auth->has_server_offset || start_consider(ret_start, room, named_epoch(join),
                                                       auth->server_offset, false, is_settled));
}

void member_tell_gap(struct member *member, uint64_t from, uint64_t to, const char *reason)
{
    struct buf arguments = BUF_INIT;
    chat_write_gap_event(&arguments, from, to, reason);
    sio_socket_emit(&member->socket, buf_bytes(&arguments));
    buf_release(&arguments);
    member->room->hub->stats.by.gaps_told[hub_gap_of(reason)]++;
}

/* The session's old connection on this gateway gives way. */
static void supersede(struct hub *hub, struct member *member, uint64_t now_ms)
{
    hub->stats.sessions_superseded++;
    eio_session_close(client_session(member_client(member)), EIO_CLOSE_SERVER, WS_CLOSE_GOING_AWAY,
                      now_ms);
}

static void announce_resumed(struct member *member)
{
    member->is_news_due = true;
    struct hub *hub = member->room->hub;
    struct contract_room_event event = {
        .room = room_name(member->room),
        .type = CONTRACT_SESSION_RESUMED,
        .resumed = {.session = member_sid(member),
                    .gateway = bytes_of(hub->settings.gateway_id, HUB_GATEWAY_ID_BYTES),
                    .connection = member_client(member)->number},
    };
    struct buf payload = BUF_INIT;
    contract_encode_room_event(&payload, &event);
    hub->world.publish(hub->world.user, room_name(member->room), buf_bytes(&payload));
    buf_release(&payload);
}

static void accept_new(struct member *member, uint64_t start_id, uint64_t now_ms)
{
    struct room *room = member->room;
    struct hub *hub = room->hub;
    random_id(member->sid, PID_SID_BYTES);
    struct pid pid = {
        .sid = member_sid(member),
        .room = room_name(room),
        .user = member_username(member),
        .epoch = room->epoch,
        .start = start_id,
        .issued_ms = hub->world.wall_ms(hub->world.user),
    };
    struct buf token = BUF_INIT;
    pid_sign(&hub->settings.keys, &pid, &token);
    member_own_session(member, now_ms);
    sio_socket_accept(&member->socket, member_sid(member), buf_bytes(&token));
    buf_release(&token);
}

void member_own_session(struct member *member, uint64_t now_ms)
{
    struct hub *hub = member->room->hub;
    struct member *old = map_remove(&hub->sessions, member_sid(member));
    map_add(&hub->sessions, member);
    if (old != NULL && old->socket.client != member->socket.client) {
        supersede(hub, old, now_ms);
    }
}

static void accept_resumed(struct member *member, uint64_t now_ms)
{
    struct join *join = member->join;
    memcpy(member->sid, join->pid.sid.data, PID_SID_BYTES);
    member_own_session(member, now_ms);
    sio_socket_accept(&member->socket, member_sid(member), bytes_of_string(join->pid_token));
    announce_resumed(member);
}

/* Why what is sent from behind @begin on is not all that a client of @start lacks. */
static enum hub_gap gap_of_join(const struct room *room, const struct start *start, uint64_t begin)
{
    if (start->cut_from != 0) {
        return HUB_GAP_EPOCH;
    }
    if (!start->is_given || begin == start->id) {
        return HUB_GAP_NONE;
    }
    return begin + 1 == room->oldest ? HUB_GAP_RETENTION : HUB_GAP_LIMIT;
}

static void count_join(struct room *room, const struct start *start, uint64_t begin,
                       bool is_resumed)
{
    enum hub_join join = is_resumed        ? HUB_JOIN_RESUMED
                         : start->is_given ? HUB_JOIN_CAUGHT_UP
                                           : HUB_JOIN_NEW;
    bool is_in_memory = begin >= room->log.head || room_find(room, begin + 1) != NULL;
    enum hub_source source = is_in_memory ? HUB_SOURCE_MEMORY : HUB_SOURCE_STORE;
    room->hub->stats.by.joins[join][gap_of_join(room, start, begin)][source]++;
}

/* @member has all of its room up to @begin, and is one of it from now on. */
static void enter(struct member *member, uint64_t begin, const char *how, uint64_t now_ms)
{
    struct room *room = member->room;
    struct hub *hub = room->hub;
    member->cursor = begin + 1;
    hub->joins_left--;
    hub->stats.joining--;
    hub->stats.members++;
    room_add_member(room, member);
    presence_on_joined(member, now_ms);
    hub_tell(hub, &(struct hub_event){.type = HUB_MEMBER_JOINED,
                                      .client = member_client(member),
                                      .room = room_name(room),
                                      .username = member_username(member),
                                      .session = member_sid(member),
                                      .reason = how,
                                      .id = begin});
    join_free(member->join);
    member->join = NULL;
    client_wake(member_client(member));
}

/* Joins @member at @start, which is in the room's current epoch and not past its head. */
static void join_at(struct member *member, const struct start *start, uint64_t now_ms)
{
    struct room *room = member->room;
    struct hub *hub = room->hub;
    uint64_t head = room->log.head, oldest = MAX_OF(room->oldest, (uint64_t)1);
    uint64_t recent = head > RECENT_MESSAGES ? head - RECENT_MESSAGES : 0;
    uint64_t limit = head > hub->settings.recovery_max ? head - hub->settings.recovery_max : 0;
    uint64_t begin = start->is_given ? MAX_OF(start->id, limit) : recent;
    begin = MAX_OF(begin, oldest - 1);
    bool is_complete = start->is_given && begin == start->id && start->cut_from == 0;
    bool is_resumed = is_complete && member->join->pid_token != NULL && start->is_pid_current;
    if (is_resumed) {
        accept_resumed(member, now_ms);
    } else {
        /* Not from behind a gap that the client may never hear of, if the connection ends now. */
        accept_new(member, start->is_given ? start->id : begin, now_ms);
    }
    if (start->cut_from != 0) {
        member_tell_gap(member, start->cut_from, start->latest_id, "epoch");
    }
    if (start->is_given && begin > start->id) {
        member_tell_gap(member, start->id + 1, begin, begin == oldest - 1 ? "retention" : "limit");
    }
    count_join(room, start, begin, is_resumed);
    enter(member, begin, is_resumed ? "resumed" : start->is_given ? "caught_up" : "new", now_ms);
}

/* A member that came from another gateway goes on; its client knows nothing of that, unless the epoch has changed. */
static void join_moved(struct member *member, const struct start *start, uint64_t now_ms)
{
    if (start->cut_from != 0) {
        member_tell_gap(member, start->cut_from, start->latest_id, "epoch");
    }
    enter(member, start->is_given ? start->id : member->room->log.head, "moved", now_ms);
    history_go_on_member(member);
}

/* Joins @member, or has it wait for news of the store's head. */
static void join_or_wait(struct member *member, uint64_t now_ms)
{
    struct room *room = member->room;
    struct join *join = member->join;
    bool is_settled = join->answers_needed != 0 && room->heads_answered >= join->answers_needed &&
                      room->store_head <= room->log.head;
    struct start start;
    if (find_start(room, join, is_settled, &start)) {
        list_leave(&member->link);
        if (join->is_moved) {
            join_moved(member, &start, now_ms);
        } else {
            join_at(member, &start, now_ms);
        }
    } else if (join->answers_needed == 0) {
        /* An answer that is on its way already may be older than what the client has seen. */
        join->answers_needed = room->heads_answered + (room->heads_pending ? 2 : 1);
    }
    if (member->join != NULL && room->heads_answered < join->answers_needed) {
        room_check_head(room, now_ms);
    }
}

void client_join_waiting(struct room *room, uint64_t now_ms)
{
    if (room->state != ROOM_LIVE) {
        return;
    }
    struct hub *hub = room->hub;
    /* Any of them may end while another one joins: the other connection of its session. */
    struct list turn;
    struct list *node;
    list_init(&turn);
    list_append_all(&turn, &room->joining);
    while (hub->joins_left > 0 && (node = list_take_first(&turn)) != NULL) {
        list_append(&room->joining, node);
        join_or_wait(CONTAINER_OF(node, struct member, link), now_ms);
    }
    if (!list_is_empty(&turn)) {
        list_append_all(&room->joining, &turn);
        room_wake(room);
    }
}

void member_cut_cursor(struct member *member, uint64_t first)
{
    if (member->cursor > first) {
        member_tell_gap(member, first, member->cursor - 1, "epoch");
        member->cursor = first;
    }
}

void client_on_session_resumed(struct hub *hub, struct room *room,
                               const struct contract_room_event *event, uint64_t now_ms)
{
    struct member *member = map_get(&hub->sessions, event->resumed.session);
    if (member == NULL || member->room != room) {
        return;
    }
    bool is_ours = bytes_equal(event->resumed.gateway,
                               bytes_of(hub->settings.gateway_id, HUB_GATEWAY_ID_BYTES));
    if (is_ours) { /* which was settled when it was resumed here */
        bool is_its_own = event->resumed.connection == member_client(member)->number;
        member->is_news_due = member->is_news_due && !is_its_own;
    } else if (!member->is_news_due) { /* else the other one was told before ours: it is older */
        supersede(hub, member, now_ms);
    }
}

/* --- putting out -------------------------------------------------------------------------------------------------- */

static bool is_meant(const struct member *member, struct bytes user, struct bytes session,
                     struct bytes room)
{
    return (user.len == 0 || bytes_equal(user, member_username(member))) &&
           (session.len == 0 || bytes_equal(session, member_sid(member))) &&
           (room.len == 0 || bytes_equal(room, room_name(member->room)));
}

size_t hub_kick(struct hub *hub, struct bytes user, struct bytes session, struct bytes room,
                uint64_t now_ms)
{
    ASSERT(user.len > 0 || session.len > 0);
    /* Who leaves changes the map: first all are found. They are freed at the turn's end. */
    struct member **members = mem_alloc((hub->sessions.count + 1) * sizeof(struct member *));
    size_t count = 0, cursor = 0;
    for (struct member *member; (member = map_next(&hub->sessions, &cursor)) != NULL;) {
        if (is_meant(member, user, session, room)) {
            members[count++] = member;
        }
    }
    for (size_t i = 0; i < count; i++) {
        sio_socket_disconnect(&members[i]->socket, now_ms);
    }
    free(members);
    return count;
}

uint32_t hub_member_count(const struct hub *hub, struct bytes room)
{
    const struct room *found = map_get(&hub->rooms, room);
    return found != NULL ? found->member_count : 0;
}

/* --- the edge's side
 * -------------------------------------------------------------------------------------------- */

void client_init_settings(struct hub *hub)
{
    const struct hub_settings *settings = &hub->settings;
    eio_waits_init(&hub->waits, hub->timers);
    hub->inboxes = (struct eio_inboxes){
        .bytes_max = INBOXES_BYTES_MAX,
        .unit_bytes = MAX_OF((uint32_t)CLIENT_INBOX_SHARE_BYTES, settings->payload_bytes_max / 64),
    };
    hub->sio = (struct sio_settings){
        .eio = {.ping_interval_ms = settings->ping_interval_ms,
                .ping_timeout_ms = settings->ping_timeout_ms,
                .upgrade_timeout_ms = EIO_UPGRADE_TIMEOUT_MS,
                .payload_bytes_max = settings->payload_bytes_max,
                .outbox_bytes_max = CLIENT_OUTBOX_BYTES_MAX,
                .waits = &hub->waits,
                .inboxes = &hub->inboxes,
                .bytes_written = &hub->stats.bytes_out,
                .callbacks = {.on_output = on_output,
                              .peek = flight_peek,
                              .advance = flight_advance,
                              .on_upgraded = on_upgraded}},
        .connect_timeout_ms = settings->connect_timeout_ms,
        .callbacks = {.on_connect = on_connect,
                      .on_event = on_event,
                      .on_disconnect = on_disconnect,
                      .on_client_close = on_client_close},
    };
    sio_settings_init(&hub->sio);
    flight_init(&hub->flight);
}

uint32_t client_source(const struct hub *hub, const void *transport)
{
    return hub->world.source == NULL ? 0 : hub->world.source(hub->world.user, transport);
}

struct client *client_new(struct hub *hub, void *transport)
{
    struct client *client = mem_alloc_zeroed(sizeof(*client));
    client->transport = transport;
    client->number = (uint32_t)++hub->last_client;
    client->source = client_source(hub, transport);
    list_init(&client->dirty);
    hub->stats.clients++;
    return client;
}

struct client *hub_client_open(struct hub *hub, void *transport, enum eio_transport type,
                               uint64_t now_ms)
{
    struct client *client = client_new(hub, transport);
    char sid[EIO_SID_BYTES];
    memcpy(sid, hub->settings.gateway_id, HUB_GATEWAY_ID_BYTES);
    random_id(sid + HUB_GATEWAY_ID_BYTES, EIO_SID_BYTES - HUB_GATEWAY_ID_BYTES);
    sio_client_open(&client->sio, &hub->sio, sid, type, now_ms);
    hub_tell(hub, &(struct hub_event){.type = HUB_CLIENT_OPENED, .client = client});
    return client;
}

struct eio_session *client_session(struct client *client)
{
    return &client->sio.eio;
}

struct client *client_of_session(struct eio_session *session)
{
    return CONTAINER_OF(session, struct client, sio.eio);
}

void *client_transport(const struct client *client)
{
    return client->transport;
}

uint64_t client_number(const struct client *client)
{
    return client->number;
}

void hub_client_free(struct hub *hub, struct client *client)
{
    ASSERT(client->member_count == 0);
    list_leave(&client->dirty);
    for (size_t i = 0; client->is_greedy; i++) {
        if (hub->greedy[i] == client) {
            hub->greedy[i] = hub->greedy[--hub->greedy_count];
            client->is_greedy = false;
        }
    }
    hub->outbox_bytes -= client->outbox_noted;
    admission_forget_client(client);
    settling_free(client);
    sio_client_release(&client->sio);
    hub->stats.clients--;
    free(client);
}
