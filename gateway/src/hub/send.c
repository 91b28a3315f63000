#include "send.h"

#include "handover.h"
#include <stdio.h>
#include <stdlib.h>

static struct bytes send_sender(const struct send *send)
{
    return bytes_of(send->text, send->sender_len);
}

static struct bytes send_session(const struct send *send)
{
    return bytes_of(send->text + send->sender_len, PID_SID_BYTES);
}

static struct bytes send_client_id(const struct send *send)
{
    return bytes_of(send->text + send->sender_len + PID_SID_BYTES, send->client_id_len);
}

static struct bytes send_content(const struct send *send)
{
    return bytes_of(send->text + send->sender_len + PID_SID_BYTES + send->client_id_len,
                    send->content_len);
}

static struct contract_new_message send_message(const struct send *send)
{
    return (struct contract_new_message){
        .sender = send_sender(send),
        .session = send_session(send),
        .client_id = send_client_id(send),
        .body = send_content(send),
    };
}

/* The id that the client knows: none where the gateway made it. */
static struct bytes shown_client_id(const struct send *send)
{
    return send->is_own_id ? (struct bytes){0} : send_client_id(send);
}

struct bytes send_append_key(const void *room)
{
    const uint64_t *number = &((const struct room *)room)->append_number;
    return bytes_of((const char *)number, sizeof(*number));
}

/* --- telling the client
 * ----------------------------------------------------------------------------------------- */

static void tell_refused(struct hub *hub, struct member *member, struct bytes client_id,
                         const char *reason)
{
    hub_tell(hub, &(struct hub_event){.type = HUB_MESSAGE_REFUSED,
                                      .client = member_client(member),
                                      .room = room_name(member->room),
                                      .username = member_username(member),
                                      .client_id = client_id,
                                      .reason = reason});
}

static void emit_error(struct member *member, enum chat_code code, const char *why,
                       struct bytes client_id, uint64_t retry_after_ms)
{
    struct buf arguments = BUF_INIT;
    chat_write_error_event(&arguments, code, why, client_id, retry_after_ms);
    sio_socket_emit(&member->socket, buf_bytes(&arguments));
    buf_release(&arguments);
    tell_refused(member->room->hub, member, client_id, chat_code_name(code));
}

void send_refuse(struct member *member, enum chat_code code, const char *why,
                 struct bytes client_id, bool has_ack, uint64_t ack_id)
{
    member->room->hub->stats.by.messages_refused[code]++;
    if (!has_ack) {
        emit_error(member, code, why, client_id, 0);
        return;
    }
    struct buf arguments = BUF_INIT;
    chat_write_ack_error(&arguments, code, why);
    sio_socket_ack(&member->socket, ack_id, buf_bytes(&arguments));
    buf_release(&arguments);
    tell_refused(member->room->hub, member, client_id, chat_code_name(code));
}

void send_append_ack(const struct send *send, struct buf *out)
{
    struct buf arguments = BUF_INIT;
    chat_write_ack_ok(&arguments, send->id, send->is_duplicate);
    sio_append_ack_frame(out, room_namespace(send->room), send->ack_id, buf_bytes(&arguments));
    buf_release(&arguments);
}

/* --- life
 * -------------------------------------------------------------------------------------------------------
 */

static char *put(char *at, struct bytes text)
{
    return text.len == 0 ? at : mempcpy(at, text.data, text.len);
}

static size_t send_size(const struct send *send)
{
    return sizeof(*send) + send->sender_len + PID_SID_BYTES + send->client_id_len +
           send->content_len;
}

/* A send with these texts, in no list. */
static struct send *send_alloc(struct member *member, enum send_state state, struct bytes client_id,
                               struct bytes content, uint64_t now_ms)
{
    struct bytes sender = member_username(member);
    struct send *send =
        mem_alloc(sizeof(*send) + sender.len + PID_SID_BYTES + client_id.len + content.len);
    *send = (struct send){
        .room = member->room,
        .member = member,
        .state = state,
        .arrived_ms = now_ms,
        .due_ms = now_ms + member->room->hub->settings.send_deadline_ms,
        .content_len = (uint32_t)content.len,
        .sender_len = (uint8_t)sender.len,
        .client_id_len = (uint8_t)client_id.len,
    };
    put(put(put(put(send->text, sender), member_sid(member)), client_id), content);
    list_init(&send->of_room);
    list_init(&send->of_member);
    list_init(&send->by_time);
    member->room->hub->send_bytes += send_size(send);
    return send;
}

static struct send *send_new(struct member *member, const struct chat_request *request,
                             bool has_ack, uint64_t ack_id, uint64_t now_ms)
{
    struct hub *hub = member->room->hub;
    struct bytes client_id = buf_bytes(&request->client_id);
    char own_id[HUB_GATEWAY_ID_BYTES + 1 + 16 + 1];
    bool is_own_id = client_id.len == 0;
    if (is_own_id) {
        int len = snprintf(own_id, sizeof(own_id), "%.*s-%016llx", HUB_GATEWAY_ID_BYTES,
                           hub->settings.gateway_id, (unsigned long long)++hub->last_generated_id);
        client_id = bytes_of(own_id, (size_t)len);
    }
    bool is_held = member_client(member)->is_settling;
    struct send *send = send_alloc(member, is_held ? SEND_HELD : SEND_QUEUED, client_id,
                                   buf_bytes(&request->content), now_ms);
    send->has_ack = has_ack;
    send->ack_id = ack_id;
    send->is_own_id = is_own_id;
    return send;
}

/* It was never sent: whoever waits for it may forget it. */
static bool is_unsent(const struct send *send)
{
    return send->state == SEND_QUEUED || send->state == SEND_HELD;
}

/* Nobody here waits for an outcome any more. */
static void leave_member(struct send *send)
{
    if (send->member != NULL) {
        ASSERT(member_client(send->member)->send_count > 0);
        member_client(send->member)->send_count--;
        send->member = NULL;
    }
    list_leave(&send->of_member);
}

/* Likewise, and no deadline ends it either. */
static void settle(struct send *send)
{
    leave_member(send);
    list_leave(&send->by_time);
}

static void send_free(struct send *send)
{
    settle(send);
    forward_leave(send, true);
    if (is_unsent(send)) {
        send->room->queue_count--;
        send->room->queue_bytes -= send->content_len;
    }
    list_leave(&send->of_room);
    send->room->hub->send_bytes -= send_size(send);
    free(send);
}

void send_free_acked(struct send *send)
{
    ASSERT(send->state == SEND_COMMITTED);
    send_free(send);
}

void send_forget_member(struct member *member)
{
    struct list *node;
    while ((node = list_first(&member->sends)) != NULL) {
        struct send *send = CONTAINER_OF(node, struct send, of_member);
        if (send->state == SEND_HELD || send->state == SEND_ELSEWHERE) {
            send_free(send);
        } else {
            /* The deadline stays: an outage must not end in words that were said long ago. */
            leave_member(send);
        }
    }
    while ((node = list_first(&member->acks)) != NULL) {
        send_free(CONTAINER_OF(node, struct send, of_member));
    }
}

static void acknowledge_now(struct send *send)
{
    struct eio_session *session = &send->member->socket.client->eio;
    struct buf *out = eio_session_begin_write(session);
    if (out != NULL) {
        send_append_ack(send, out);
    }
    send_free(send);
    if (out != NULL) {
        eio_session_end_write(session); /* may close it, and forget the member's sends */
    }
}

static void append_end(struct room *room)
{
    if (room->append_number != 0) {
        ASSERT(map_remove(&room->hub->appends, send_append_key(room)) == room);
        room->append_number = 0;
        timers_clear(room->hub->timers, &room->append_timer);
    }
}

void send_release_room(struct room *room)
{
    append_end(room);
    struct list *node;
    while ((node = list_first(&room->batch)) != NULL || (node = list_first(&room->queue)) != NULL) {
        struct send *send = CONTAINER_OF(node, struct send, of_room);
        forward_leave(send, false); /* whoever waits for its outcome finds us gone */
        send_free(send);
    }
}

/* --- the append in flight
 * --------------------------------------------------------------------------------------- */

static void send_append(struct room *room, uint64_t now_ms)
{
    struct hub *hub = room->hub;
    struct contract_new_message messages[APPEND_MESSAGES_MAX];
    size_t count = 0;
    LIST_EACH (node, &room->batch) {
        ASSERT(count < APPEND_MESSAGES_MAX);
        messages[count++] = send_message(CONTAINER_OF(node, struct send, of_room));
    }
    struct contract_append append = {
        .room = room_name(room),
        .repeat = room->append_was_sent,
        .gateway = bytes_of(hub->settings.gateway_id, HUB_GATEWAY_ID_BYTES),
        .message_count = count,
        .messages = messages,
    };
    hub->stats.appends++;
    hub->stats.appends_repeated += room->append_was_sent;
    room->append_was_sent = true;
    buf_clear(&hub->scratch);
    contract_encode_append(&hub->scratch, &append);
    timers_set(hub->timers, &room->append_timer, now_ms + REQUEST_TIMEOUT_MS);
    hub->world.append(hub->world.user, room->shard, room->append_number, buf_bytes(&hub->scratch));
}

void send_start(struct room *room, uint64_t now_ms)
{
    if (room->append_number != 0) {
        return;
    }
    size_t bytes = CONTRACT_ENVELOPE_BYTES_MAX, count = 0;
    struct list *node;
    while (count < APPEND_MESSAGES_MAX && (node = list_first(&room->queue)) != NULL) {
        struct send *send = CONTAINER_OF(node, struct send, of_room);
        struct contract_new_message message = send_message(send);
        bytes += contract_new_message_size(&message);
        if (bytes > CONTRACT_MESSAGE_BYTES_MAX) {
            break;
        }
        count++;
        list_leave(&send->of_room);
        list_append(&room->batch, &send->of_room);
        send->state = SEND_SENT;
        room->queue_count--;
        room->queue_bytes -= send->content_len;
    }
    if (count > 0) {
        room->append_number = ++room->hub->last_request;
        room->append_was_sent = false;
        room->append_backoff_ms = REQUEST_BACKOFF_MIN_MS;
        map_add(&room->hub->appends, room);
        send_append(room, now_ms);
    }
}

void send_on_append_due(struct timer *timer, uint64_t now_ms)
{
    send_append(CONTAINER_OF(timer, struct room, append_timer), now_ms);
}

void send_hurry(struct room *room, uint64_t now_ms)
{
    if (room->append_number != 0) {
        send_append(room, now_ms);
    }
}

/* Refuses @request for now: it is to be sent again after @retry_after_ms. */
static void put_off(struct member *member, const struct chat_request *request, enum chat_code code,
                    const char *why, uint64_t retry_after_ms)
{
    member->room->hub->stats.by.messages_refused[code]++;
    emit_error(member, code, why, buf_bytes(&request->client_id), retry_after_ms);
}

/* Whether @member, whoever has its name, and its room may send now; if so, that is counted. */
static bool keeps_pace(struct member *member, const struct chat_request *request, uint64_t now_ms)
{
    struct hub *hub = member->room->hub;
    uint32_t number = member_client(member)->number;
    uint64_t user = map_hash(member_username(member)); /* names may be longer than keys */
    const struct {
        struct pace *pace;
        struct bytes key;
        const char *why;
    } limits[] = {
        {&hub->clients_pace, bytes_of((const char *)&number, sizeof(number)),
         "you send faster than this server takes from one connection; send this one again later"},
        {&hub->users_pace, bytes_of((const char *)&user, sizeof(user)),
         "you send faster than this server takes from one user; send this one again later"},
        {&hub->rooms_pace, room_name(member->room),
         "this room gets more than this server takes for one; send this one again later"},
    };
    uint64_t longest_ms = 0;
    const char *why = NULL;
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        uint64_t wait_ms = pace_wait_ms(limits[i].pace, limits[i].key, now_ms);
        if (wait_ms > longest_ms) {
            longest_ms = wait_ms;
            why = limits[i].why;
        }
    }
    if (longest_ms > 0) {
        put_off(member, request, CHAT_RATE_LIMITED, why, longest_ms);
        return false;
    }
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        pace_take(limits[i].pace, limits[i].key, now_ms);
    }
    return true;
}

void send_submit(struct member *member, const struct chat_request *request, bool has_ack,
                 uint64_t ack_id, uint64_t now_ms)
{
    struct room *room = member->room;
    struct hub *hub = room->hub;
    struct client *client = member_client(member);
    bool is_too_much = client->send_count >= CLIENT_SENDS_MAX ||
                       room->queue_count >= ROOM_SENDS_MAX ||
                       room->queue_bytes + request->content.len > ROOM_SENDS_BYTES_MAX ||
                       hub->send_bytes + request->content.len > SENDS_BYTES_MAX;
    if (is_too_much) {
        put_off(member, request, CHAT_OVERLOADED,
                "too many messages wait to be stored; send this one again later",
                REQUEST_BACKOFF_MAX_MS);
        return;
    }
    if (!keeps_pace(member, request, now_ms)) {
        return;
    }
    struct send *send = send_new(member, request, has_ack, ack_id, now_ms);
    list_append(send->state == SEND_HELD ? &settling_of(client)->held : &room->queue,
                &send->of_room);
    list_append(&member->sends, &send->of_member);
    list_append(&hub->unsettled_sends, &send->by_time);
    if (!timer_is_set(&hub->deadline_timer)) {
        timers_set(hub->timers, &hub->deadline_timer, send->due_ms);
    }
    room->queue_count++;
    room->queue_bytes += send->content_len;
    client->send_count++;
    hub->stats.messages_in++;
    hub_tell(hub, &(struct hub_event){.type = HUB_MESSAGE_IN,
                                      .client = client,
                                      .room = room_name(room),
                                      .username = send_sender(send),
                                      .client_id = send_client_id(send),
                                      .content = send_content(send)});
    room_wake(room); /* the batch starts at the turn's end, with all that this turn brought */
}

/* --- outcomes
 * ---------------------------------------------------------------------------------------------------
 */

static void on_refused(struct send *send, struct bytes refusal, bool is_forbidden)
{
    if (send->member != NULL) {
        char *why = bytes_to_string(refusal);
        send_refuse(send->member, is_forbidden ? CHAT_FORBIDDEN : CHAT_INVALID_MESSAGE, why,
                    shown_client_id(send), send->has_ack, send->ack_id);
        free(why);
    } else if (send->forward != NULL) {
        forward_tell(send, CONTRACT_MOVED_REFUSED,
                     &(struct contract_outcome){.forbidden = is_forbidden}, refusal);
    }
    send_free(send);
}

/* It is stored under @id: acknowledges it, now or behind the member's own copy. May free it. */
static void acknowledge(struct send *send, uint64_t id, bool is_duplicate, uint64_t now_ms)
{
    struct hub *hub = send->room->hub;
    struct member *member = send->member;
    if (member == NULL || !send->has_ack) {
        send_free(send);
        return;
    }
    send->state = SEND_COMMITTED;
    send->id = id;
    send->is_duplicate = is_duplicate;
    list_leave(&send->of_room);
    list_leave(&send->of_member);
    list_leave(&send->by_time);
    list_append(&member->acks, &send->of_member);
    if (!member->wants_own || member->cursor > send->id) {
        acknowledge_now(send);
        return;
    }
    send->due_ms = now_ms + ACK_WAIT_MS;
    list_append(&hub->waiting_acks, &send->by_time);
    if (!timer_is_set(&hub->ack_timer)) {
        timers_set(hub->timers, &hub->ack_timer, send->due_ms);
    }
    client_wake(member_client(member));
}

static void on_stored(struct send *send, const struct contract_outcome *outcome, uint64_t now_ms)
{
    struct hub *hub = send->room->hub;
    hub->stats.messages_stored++;
    hub->stats.messages_duplicate += outcome->duplicate;
    histogram_record(&hub->stats.by.append_us, (now_ms - send->arrived_ms) * 1000);
    hub_tell(hub, &(struct hub_event){.type = HUB_MESSAGE_STORED,
                                      .room = room_name(send->room),
                                      .client_id = send_client_id(send),
                                      .id = outcome->id});
    if (send->forward != NULL) {
        forward_tell(send, CONTRACT_MOVED_STORED, outcome, (struct bytes){0});
    }
    acknowledge(send, outcome->id, outcome->duplicate, now_ms);
}

static void on_answered(struct room *room, const struct contract_append_reply *reply,
                        uint64_t now_ms)
{
    append_end(room);
    size_t i = 0;
    struct list *node;
    while ((node = list_first(&room->batch)) != NULL) {
        struct send *send = CONTAINER_OF(node, struct send, of_room);
        const struct contract_outcome *outcome =
            i < reply->outcome_count ? &reply->outcomes[i] : NULL;
        i++;
        if (reply->status != CONTRACT_OK || outcome == NULL) {
            on_refused(send, reply->reason, false);
        } else if (outcome->id == 0) {
            on_refused(send, outcome->refusal, outcome->forbidden);
        } else {
            on_stored(send, outcome, now_ms);
        }
    }
}

void hub_on_append_reply(struct hub *hub, uint64_t number,
                         const struct contract_append_reply *reply, uint64_t now_ms)
{
    struct room *room = map_get(&hub->appends, bytes_of((const char *)&number, sizeof(number)));
    if (room == NULL) {
        return; /* an earlier answer to the same batch came through */
    }
    bool is_final =
        reply != NULL && (reply->status == CONTRACT_OK || reply->status == CONTRACT_INVALID);
    if (!is_final) {
        timers_set(hub->timers, &room->append_timer, now_ms + room->append_backoff_ms);
        room->append_backoff_ms = request_next_backoff(room->append_backoff_ms);
        return;
    }
    on_answered(room, reply, now_ms);
    if (reply->status == CONTRACT_OK) {
        room_note_head(room, reply->epoch, reply->head, now_ms);
    }
    send_start(room, now_ms);
    room_maybe_idle(room, now_ms);
}

/* --- deadlines
 * --------------------------------------------------------------------------------------------------
 */

static void tell_unavailable(struct send *send)
{
    send->room->hub->stats.by.messages_refused[CHAT_UNAVAILABLE]++;
    emit_error(send->member, CHAT_UNAVAILABLE,
               "not stored in time; send it again with the same client id", shown_client_id(send),
               REQUEST_BACKOFF_MAX_MS);
}

static void miss_deadline(struct send *send)
{
    if (send->member != NULL) {
        tell_unavailable(send);
    } else if (send->forward != NULL) {
        forward_tell(send, CONTRACT_MOVED_UNAVAILABLE, NULL, (struct bytes){0});
    }
    if (is_unsent(send)) {
        send_free(send); /* so it will not be stored */
    } else {
        settle(send);
    }
}

/* Calls @end for each of @list, which is in order of due_ms, whose time has come; sets @timer to
 * the next one. */
static void run_due(struct hub *hub, struct list *list, struct timer *timer,
                    void (*end)(struct send *), uint64_t now_ms)
{
    struct list *node;
    while ((node = list_first(list)) != NULL) {
        struct send *send = CONTAINER_OF(node, struct send, by_time);
        if (send->due_ms > now_ms) {
            timers_set(hub->timers, timer, send->due_ms);
            return;
        }
        struct room *room = send->room;
        end(send);
        room_maybe_idle(room, now_ms);
    }
}

void send_on_deadline(struct timer *timer, uint64_t now_ms)
{
    struct hub *hub = CONTAINER_OF(timer, struct hub, deadline_timer);
    run_due(hub, &hub->unsettled_sends, timer, miss_deadline, now_ms);
}

void send_on_ack_due(struct timer *timer, uint64_t now_ms)
{
    struct hub *hub = CONTAINER_OF(timer, struct hub, ack_timer);
    run_due(hub, &hub->waiting_acks, timer, acknowledge_now, now_ms);
}

/* --- clients that move -------------------------------------------------------------------------------------------- */

bool send_is_late_of(const struct send *send, const struct member *member)
{
    return send->member == NULL && send->forward == NULL &&
           bytes_equal(send_session(send), member_sid(member));
}

struct contract_handover_send send_hand_over(const struct send *send)
{
    bool is_late = send->member == NULL; /* its client has a chat error already */
    return (struct contract_handover_send){
        .has_ack = send->has_ack && !is_late,
        .ack_id = send->ack_id,
        .client_id = shown_client_id(send),
        .id = send->id,
        .duplicate = send->is_duplicate,
    };
}

void send_forward(struct send *send, struct forward *forward, uint32_t index)
{
    leave_member(send);
    send->forward = forward;
    send->index = index;
    forward->left++;
}

struct send *send_new_elsewhere(struct member *member, const struct contract_handover_send *handed,
                                uint64_t now_ms)
{
    struct send *send =
        send_alloc(member, SEND_ELSEWHERE, handed->client_id, (struct bytes){0}, now_ms);
    send->has_ack = handed->has_ack;
    send->ack_id = handed->ack_id;
    send->is_own_id = handed->client_id.len == 0;
    list_append(&member->sends, &send->of_member);
    member_client(member)->send_count++;
    return send;
}

void send_on_stored_elsewhere(struct send *send, uint64_t id, bool is_duplicate, uint64_t now_ms)
{
    acknowledge(send, id, is_duplicate, now_ms);
}

void send_on_refused_elsewhere(struct send *send, struct bytes reason, bool is_forbidden)
{
    on_refused(send, reason, is_forbidden);
}

void send_on_unavailable_elsewhere(struct send *send)
{
    tell_unavailable(send);
    send_free(send);
}

void send_release_held(struct send *send)
{
    ASSERT(send->state == SEND_HELD);
    send->state = SEND_QUEUED;
    list_leave(&send->of_room);
    list_append(&send->room->queue, &send->of_room);
    room_wake(send->room);
}
