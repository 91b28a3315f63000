#include "hub.h"

#include "admission.h"
#include "client.h"
#include "flight.h"
#include "handover.h"
#include "history.h"
#include "hub_impl.h"
#include "presence.h"
#include "send.h"
#include <stdlib.h>

/* How many members ahead prefetch_members() looks: first for the member, then for what it points at. */
enum { PREFETCH_MEMBERS = 6, PREFETCH_CLIENTS = 3, CACHE_LINE = 64 };

struct hub *hub_new(const struct hub_settings *settings, const struct hub_world *world,
                    struct timers *timers)
{
    struct hub *hub = mem_alloc_zeroed(sizeof(*hub));
    hub->settings = *settings;
    hub->world = *world;
    hub->timers = timers;
    map_init(&hub->rooms, room_key);
    map_init(&hub->sessions, member_key);
    map_init(&hub->requests, request_key);
    map_init(&hub->appends, send_append_key);
    map_init(&hub->settlings, settling_key);
    map_init(&hub->passes, pass_key);
    map_init(&hub->farewells, farewell_key);
    map_init(&hub->revocations, revocation_key);
    requests_init(hub);
    size_t pages = settings->log_bytes_max / 4;
    hub->log_budget = (struct log_budget){
        .bytes_max = settings->log_bytes_max - pages,
        .room_bytes_max = settings->room_log_bytes_max,
    };
    page_cache_init(&hub->pages, hub, pages, settings->page_answer_bytes_max);
    list_init(&hub->idle_rooms);
    list_init(&hub->dirty_rooms);
    list_init(&hub->dirty_clients);
    turns_init(&hub->histories);
    hub->histories_left = settings->histories_per_turn;
    list_init(&hub->catching_up);
    list_init(&hub->all_have_read);
    list_init(&hub->doomed);
    list_init(&hub->unsettled_sends);
    list_init(&hub->waiting_acks);
    pace_init(&hub->clients_pace, settings->client_rule);
    pace_init(&hub->users_pace, settings->user_rule);
    pace_init(&hub->rooms_pace, settings->room_rule);
    pace_init(&hub->typing_pace,
              (struct pace_rule){.per_second = TYPING_PER_SECOND, .burst = TYPING_BURST});
    pace_init(&hub->joins_pace,
              (struct pace_rule){.per_second = JOINS_PER_SECOND,
                                 .burst = settings->rooms_per_client_max * JOINS_BURST});
    timer_init(&hub->deadline_timer, send_on_deadline);
    timer_init(&hub->ack_timer, send_on_ack_due);
    timer_init(&hub->heads_timer, room_on_heads_timer);
    presence_init(hub);
    client_init_settings(hub);
    return hub;
}

void hub_free(struct hub *hub)
{
    if (hub == NULL) {
        return;
    }
    client_reap(hub);
    /* The map must not change while it is walked, and walking it anew for each room would take minutes for many. */
    size_t cursor = 0, count = 0;
    struct room **rooms = mem_alloc((hub->rooms.count + 1) * sizeof(struct room *));
    for (struct room *room; (room = map_next(&hub->rooms, &cursor)) != NULL;) {
        rooms[count++] = room;
    }
    while (count > 0) {
        room_free(rooms[--count]);
    }
    free(rooms);
    room_cancel_heads(hub);
    timers_clear(hub->timers, &hub->deadline_timer);
    timers_clear(hub->timers, &hub->ack_timer);
    timers_clear(hub->timers, &hub->heads_timer);
    presence_release(hub);
    pace_release(&hub->clients_pace);
    pace_release(&hub->users_pace);
    pace_release(&hub->rooms_pace);
    pace_release(&hub->typing_pace);
    pace_release(&hub->joins_pace);
    admission_release(hub);
    page_cache_release(&hub->pages);
    requests_release(hub);
    turns_release(&hub->histories);
    map_release(&hub->rooms);
    map_release(&hub->sessions);
    map_release(&hub->requests);
    map_release(&hub->appends);
    map_release(&hub->settlings);
    buf_release(&hub->scratch);
    flight_release(&hub->flight);
    free(hub->greedy);
    free(hub->rooms_of_source);
    free(hub);
}

const struct eio_settings *hub_eio_settings(const struct hub *hub)
{
    return &hub->sio.eio;
}

const struct hub_stats *hub_stats(struct hub *hub)
{
    hub->stats.log_bytes = hub->log_budget.bytes;
    hub->stats.page_bytes = hub->pages.bytes;
    hub->stats.sends_waiting = hub_sends_in_flight(hub);
    hub->stats.send_bytes = hub->send_bytes;
    hub->stats.ahead_bytes = hub->ahead_bytes;
    hub->stats.outbox_bytes = hub->outbox_bytes;
    hub->stats.inbox_bytes = hub->inboxes.bytes;
    hub->stats.queries_waiting = hub->queries_waiting;
    hub->stats.presence_waiting = presence_waiting(hub);
    hub->stats.presence_bytes = hub->presence.names.bytes;
    hub->stats.pages_waiting = page_cache_waiting(&hub->pages);
    return &hub->stats;
}

size_t hub_sends_in_flight(const struct hub *hub)
{
    size_t count = 0;
    LIST_EACH (node, &hub->unsettled_sends) {
        count++;
    }
    return count;
}

bool client_waits_for_answer(const struct client *client)
{
    struct sio_socket *socket = client->sio.sockets;
    while (socket != NULL && CONTAINER_OF(socket, struct member, socket)->history_count == 0) {
        socket = socket->next;
    }
    return client->send_count > 0 || socket != NULL;
}

static void flush_client(struct hub *hub, struct client *client)
{
    client_skip_removed(client);
    hub->world.flush(hub->world.user, client);
    client_note_outbox(client);
}

/* Has the processor fetch what flushing the members behind @at will touch: in a large room, nothing of it is in its caches. */
static void prefetch_members(const struct room *room, uint32_t at)
{
    if (room->member_count - at > PREFETCH_MEMBERS) {
        const struct member *member = room->members[at + PREFETCH_MEMBERS];
        __builtin_prefetch(member);
        __builtin_prefetch((const char *)member + CACHE_LINE);
        const struct client *client = member_client(room->members[at + PREFETCH_CLIENTS]);
        __builtin_prefetch(client);
        __builtin_prefetch((const char *)client + CACHE_LINE);
        __builtin_prefetch(client_transport(member_client(room->members[at + 1])));
    }
}

/* Flushes those who have yet to get what is new in @room, as far as the turn's deliveries, and bytes, go. */
static void flush_members(struct room *room, uint64_t bytes_end)
{
    struct hub *hub = room->hub;
    struct news news = {0};
    for (; room->news_left > 0 && hub->deliveries_left > 0 && hub->stats.bytes_out < bytes_end;
         hub->deliveries_left--) {
        room->news_left--;
        room->news_at = room->news_at < room->member_count ? room->news_at : 0;
        prefetch_members(room, room->news_at);
        struct member *member = room->members[room->news_at++];
        struct client *client = member_client(member);
        if (!client->is_catching_up && !flight_send_news(member, &news)) {
            flush_client(hub, client);
        }
    }
    if (room->news_left > 0) {
        room_wake(room);
    }
}

/* @first and then what has become dirty meanwhile are for the next turn. */
static void leave_for_next_turn(struct list *first, struct list *dirty)
{
    list_append_all(first, dirty);
    list_append_all(dirty, first);
}

/* Those whose members had nothing in this turn, since others had it all, are the first in the next one. */
static void flush_rooms(struct hub *hub, uint64_t now_ms)
{
    struct list turn, passed_over;
    list_init(&turn);
    list_init(&passed_over);
    list_append_all(&turn, &hub->dirty_rooms);
    uint64_t bytes_end = hub->stats.bytes_out + hub->settings.bytes_per_turn;
    for (struct list *node; (node = list_take_first(&turn)) != NULL;) {
        struct room *room = CONTAINER_OF(node, struct room, dirty);
        client_join_waiting(room, now_ms);
        send_start(room, now_ms);
        bool has_turn = hub->deliveries_left > 0 && hub->stats.bytes_out < bytes_end;
        if (has_turn) {
            flush_members(room, bytes_end);
        } else if (room->news_left > 0) {
            list_leave(&room->dirty);
            list_append(&passed_over, &room->dirty);
        }
    }
    leave_for_next_turn(&passed_over, &hub->dirty_rooms);
}

static void flush_clients(struct hub *hub)
{
    struct list turn; /* what becomes dirty from here on is for the next one */
    list_init(&turn);
    list_append_all(&turn, &hub->dirty_clients);
    uint64_t bytes_end = hub->stats.bytes_out + hub->settings.bytes_per_turn;
    struct list *node;
    while (hub->stats.bytes_out < bytes_end && (node = list_take_first(&turn)) != NULL) {
        flush_client(hub, CONTAINER_OF(node, struct client, dirty));
    }
    leave_for_next_turn(&turn, &hub->dirty_clients);
}

/* Some of those whose page has come read it. */
static void flush_catching_up(struct hub *hub)
{
    uint64_t bytes_end = hub->stats.bytes_out + hub->settings.bytes_per_turn;
    struct list *node;
    for (uint32_t i = 0; i < hub->settings.catch_ups_per_turn && hub->stats.bytes_out < bytes_end &&
                         (node = list_take_first(&hub->catching_up)) != NULL;
         i++) {
        if (node == &hub->all_have_read) {
            hub->have_readers_read = true;
        } else {
            struct client *client = CONTAINER_OF(node, struct client, dirty);
            client->is_catching_up = false;
            flush_client(hub, client);
        }
    }
}

/*
 * Pages may leave when all who were told of them have read them: of clients, those who wait for their turn have a mark behind
 * them; of questions, those told before and since the mark are counted.
 */
static void let_pages_go(struct hub *hub)
{
    size_t *told = hub->histories_told;
    if (!hub->is_page_marked && page_cache_mark(&hub->pages)) {
        hub->is_page_marked = true;
        hub->told_since ^= 1;
        hub->have_readers_read = list_is_empty(&hub->catching_up);
        if (!hub->have_readers_read) {
            list_append(&hub->catching_up, &hub->all_have_read);
        }
    }
    if (hub->is_page_marked && hub->have_readers_read && told[hub->told_since ^ 1] == 0) {
        page_cache_let_go(&hub->pages);
        hub->is_page_marked = false;
    }
}

void hub_flush(struct hub *hub, uint64_t now_ms)
{
    hub->joins_left = hub->settings.joins_per_turn;
    hub->deliveries_left = hub->settings.deliveries_per_turn;
    hub->histories_left = hub->settings.histories_per_turn;
    flush_rooms(hub, now_ms);
    history_flush(hub);
    flush_clients(hub);
    flush_catching_up(hub);
    let_pages_go(hub);
    presence_flush(hub, now_ms);
    client_close_greedy(hub, now_ms);
    page_cache_go_on(&hub->pages, now_ms);
    requests_go_on(hub, now_ms);
    client_reap(hub);
}

bool hub_has_work(const struct hub *hub)
{
    return !list_is_empty(&hub->dirty_rooms) || !list_is_empty(&hub->dirty_clients) ||
           !list_is_empty(&hub->catching_up) || !turns_are_empty(&hub->histories);
}
