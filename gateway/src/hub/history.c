#include "history.h"

#include <stdlib.h>

struct history {
    struct list link; /* member.histories */
    struct member *member;
    struct turn turn;  /* hub.histories */
    uint8_t told_plus; /* it has yet to read a page: 1 + its place in hub.histories_told */
    struct page_waiter page;
    struct timer deadline;
    uint64_t ack_id;
    bool is_forward;
    uint64_t before, after; /* as in struct chat_request */
    uint32_t limit;
    uint32_t waits; /* for pages, so far */
};

static void has_read(struct history *history)
{
    if (history->told_plus > 0) {
        history->member->room->hub->histories_told[history->told_plus - 1]--;
        history->told_plus = 0;
    }
}

static void history_free(struct history *history)
{
    struct hub *hub = history->member->room->hub;
    page_waiter_cancel(&hub->pages, &history->page);
    turns_leave(&hub->histories, &history->turn);
    has_read(history);
    timers_clear(hub->timers, &history->deadline);
    list_leave(&history->link);
    history->member->history_count--;
    free(history);
}

void history_forget_member(struct member *member)
{
    struct list *node;
    while ((node = list_first(&member->histories)) != NULL) {
        history_free(CONTAINER_OF(node, struct history, link));
    }
}

static void refuse(struct member *member, uint64_t ack_id, enum chat_code code, const char *why)
{
    struct hub_counts *counts = &member->room->hub->stats.by;
    counts->histories[code == CHAT_OVERLOADED ? HUB_HISTORY_OVERLOADED : HUB_HISTORY_UNAVAILABLE]++;
    struct buf arguments = BUF_INIT;
    chat_write_ack_error(&arguments, code, why);
    sio_socket_ack(&member->socket, ack_id, buf_bytes(&arguments));
    buf_release(&arguments);
}

static void refuse_as_too_much(struct member *member, uint64_t ack_id)
{
    refuse(member, ack_id, CHAT_OVERLOADED, "too many answers wait to be read; ask again later");
}

/* Whether the client, or all of them, have yet to read so much that one more answer might be too much. */
static bool has_much_to_read(const struct member *member)
{
    return member->socket.client->eio.outbox.len > HISTORY_BYTES_MAX ||
           member->room->hub->outbox_bytes > OUTBOXES_BYTES_MAX;
}

/* The ids that are asked for: *@ret_from .. *@ret_to, none when from > to. */
static void wanted_range(const struct history *history, uint64_t *ret_from, uint64_t *ret_to)
{
    const struct room *room = history->member->room;
    uint64_t head = room->log.head, oldest = MAX_OF(room->oldest, (uint64_t)1);
    if (history->is_forward) {
        *ret_from = MAX_OF(history->after + 1, oldest);
        *ret_to = history->after >= head ? head : MIN_OF(head, history->after + history->limit);
        return;
    }
    *ret_to = history->before == 0 ? head : MIN_OF(head, history->before - 1);
    *ret_from = MAX_OF(*ret_to >= history->limit ? *ret_to - history->limit + 1 : 1, oldest);
}

/*
 * Looks for messages that are not in memory, beginning at the end that was asked from: narrows from..to to what is in
 * front of the first such one. Returns its id, or 0 when all are there.
 */
static uint64_t narrow_to_present(const struct history *history, uint64_t *from, uint64_t *to)
{
    struct room *room = history->member->room;
    bool is_forward = history->is_forward;
    for (uint64_t id = is_forward ? *from : *to; id >= *from && id <= *to;) {
        const struct segment *segment = room_find(room, id);
        if (segment == NULL) {
            *(is_forward ? to : from) = is_forward ? id - 1 : id + 1;
            return id;
        }
        id = is_forward ? segment_end_id(segment) : segment->first_id - 1;
    }
    return 0;
}

/* Narrows from..to to what HISTORY_BYTES_MAX holds, keeping the end that was asked from. */
static void fit(const struct history *history, uint64_t *from, uint64_t *to)
{
    struct room *room = history->member->room;
    bool is_forward = history->is_forward;
    size_t bytes = 0;
    for (uint64_t n = 0; n <= *to - *from; n++) {
        uint64_t id = is_forward ? *from + n : *to - n;
        bytes += segment_frame(room_find(room, id), id).len;
        if (bytes > HISTORY_BYTES_MAX && n > 0) {
            *(is_forward ? to : from) = is_forward ? id - 1 : id + 1;
            return;
        }
    }
}

static void answer(struct history *history, uint64_t from, uint64_t to)
{
    struct member *member = history->member;
    struct room *room = member->room;
    room->hub->stats.by.histories[HUB_HISTORY_OK]++;
    struct buf *arguments = &room->hub->scratch;
    buf_clear(arguments);
    buf_append_bytes(arguments, BYTES("{\"status\":\"ok\",\"messages\":["));
    bool is_empty = from > to;
    if (!is_empty) {
        fit(history, &from, &to);
    }
    for (uint64_t id = from; !is_empty && id <= to; id++) {
        if (id > from) {
            buf_append_char(arguments, ',');
        }
        chat_append_history_entry(arguments, segment_frame(room_find(room, id), id));
    }
    bool has_more = history->is_forward ? !is_empty && to < room->log.head
                                        : !is_empty && from > MAX_OF(room->oldest, (uint64_t)1);
    buf_append_format(arguments, "],\"more\":%s,\"head\":\"%llu\"}", has_more ? "true" : "false",
                      (unsigned long long)room->log.head);
    uint64_t ack_id = history->ack_id;
    history_free(history);
    sio_socket_ack(&member->socket, ack_id, buf_bytes(arguments));
}

static void go_on(struct history *history)
{
    has_read(history);
    uint64_t from, to;
    wanted_range(history, &from, &to);
    struct member *member = history->member;
    uint64_t missing = narrow_to_present(history, &from, &to);
    bool may_wait = from > to || history->waits < HISTORY_WAITS_MAX;
    if (missing != 0 && may_wait) {
        history->waits++;
        page_want(&member->room->hub->pages, member->room, missing,
                  history->is_forward ? PAGE_FORWARD : PAGE_BACKWARD, &history->page);
        return;
    }
    if (has_much_to_read(member)) { /* other answers came with the same page */
        uint64_t ack_id = history->ack_id;
        history_free(history);
        refuse_as_too_much(member, ack_id);
    } else {
        answer(history, from, to);
    }
}

static void on_deadline(struct timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    struct history *history = CONTAINER_OF(timer, struct history, deadline);
    struct member *member = history->member;
    uint64_t ack_id = history->ack_id;
    history_free(history);
    refuse(member, ack_id, CHAT_UNAVAILABLE, "older messages cannot be read now; ask again later");
}

static void take_turn(struct history *history)
{
    history->member->room->hub->histories_left--;
    go_on(history);
}

void history_flush(struct hub *hub)
{
    struct turn *turn;
    while (hub->histories_left > 0 && (turn = turns_take(&hub->histories)) != NULL) {
        take_turn(CONTAINER_OF(turn, struct history, turn));
    }
}

/* Answers it now, or in its turn. */
static void begin(struct history *history)
{
    struct client *client = member_client(history->member);
    struct hub *hub = client_hub(client);
    if (hub->histories_left > 0 && turns_are_empty(&hub->histories)) {
        take_turn(history);
    } else {
        turns_add(&hub->histories, &history->turn, client->source);
    }
}

/* The page stays until it has read it: hub.histories_told. */
static void on_page(struct page_waiter *waiter)
{
    struct history *history = CONTAINER_OF(waiter, struct history, page);
    struct hub *hub = history->member->room->hub;
    hub->histories_told[hub->told_since]++;
    history->told_plus = (uint8_t)(1 + hub->told_since);
    begin(history);
}

static void history_start(struct member *member, struct history values, uint64_t now_ms)
{
    struct hub *hub = member->room->hub;
    struct history *history = mem_alloc(sizeof(*history));
    *history = values;
    history->member = member;
    list_init(&history->link);
    turn_init(&history->turn);
    page_waiter_init(&history->page, member_client(member)->source, on_page);
    timer_init(&history->deadline, on_deadline);
    list_append(&member->histories, &history->link);
    member->history_count++;
    timers_set(hub->timers, &history->deadline, now_ms + hub->settings.send_deadline_ms);
    if (member->join == NULL) { /* what came from another gateway goes on once it has joined */
        begin(history);
    }
}

void history_submit(struct member *member, const struct chat_request *request, uint64_t ack_id,
                    uint64_t now_ms)
{
    ASSERT(request->type == CHAT_REQUEST_HISTORY);
    if (member->history_count >= HISTORY_WAITING_MAX || has_much_to_read(member)) {
        refuse_as_too_much(member, ack_id);
        return;
    }
    struct history values = {
        .ack_id = ack_id,
        .is_forward = request->direction == CHAT_HISTORY_AFTER,
        .before = request->before,
        .after = request->after,
        .limit = request->limit,
    };
    history_start(member, values, now_ms);
}

/* --- members that move -------------------------------------------------------------------------------------------- */

size_t history_hand_over(const struct member *member,
                         struct contract_handover_history *ret_histories)
{
    size_t count = 0;
    LIST_EACH (node, &member->histories) {
        const struct history *history = CONTAINER_OF(node, struct history, link);
        ASSERT(count < HISTORY_WAITING_MAX);
        ret_histories[count++] = (struct contract_handover_history){
            .ack_id = history->ack_id,
            .before = history->before,
            .after = history->after,
            .forward = history->is_forward,
            .limit = history->limit,
        };
    }
    return count;
}

void history_take_over(struct member *member, const struct contract_handover_history *handed,
                       uint64_t now_ms)
{
    struct history values = {
        .ack_id = handed->ack_id,
        .is_forward = handed->forward,
        .before = handed->before,
        .after = handed->after,
        .limit = MAX_OF(1u, MIN_OF(handed->limit, (uint32_t)CHAT_HISTORY_LIMIT_MAX)),
    };
    if (member->history_count < HISTORY_WAITING_MAX) {
        history_start(member, values, now_ms);
    }
}

void history_go_on_member(struct member *member)
{
    LIST_EACH_SAFE (node, following, &member->histories) {
        begin(CONTAINER_OF(node, struct history, link));
    }
}
