#include "presence_impl.h"

#include <stdlib.h>

/* --- time ---------------------------------------------------------------------------------------------------------- */

/* Has the hub's turn come soon: what is in its lists is done then. */
void presence_wake_hub(struct hub *hub, uint64_t now_ms)
{
    if (!timer_is_set(&hub->presence.timer)) {
        timers_set(hub->timers, &hub->presence.timer,
                   MAX_OF(now_ms, hub->presence.turn_ms + PRESENCE_TURN_MS));
    }
}

static uint64_t next_expiry(const struct presence *presence)
{
    uint64_t next = roster_next_expiry(&presence->roster);
    for (uint32_t i = 0; i < presence->typer_count; i++) {
        next = MIN_OF(next, presence->typers[i].until_ms);
    }
    return presence->wanting == 0 ? MIN_OF(next, presence->wanted_until_ms) : next;
}

static uint64_t next_round(const struct presence *presence)
{
    bool is_due = presence->is_stale && presence->wanting > 0 && list_is_empty(&presence->telling);
    return is_due ? presence->told_ms + PRESENCE_INTERVAL_MS : UINT64_MAX;
}

static uint64_t next_change(const struct presence *presence)
{
    return presence->has_news ? presence->announced_ms + PRESENCE_INTERVAL_MS : UINT64_MAX;
}

static uint64_t next_refresh(const struct presence *presence)
{
    uint64_t next = presence->refresh_ms;
    if (presence->wanting > 0) {
        next = MIN_OF(next, presence->ask_ms);
    }
    return presence->typer_count > 0 ? MIN_OF(next, presence->repeat_ms) : next;
}

static bool is_needed(const struct presence *presence, uint64_t now_ms)
{
    bool is_present = presence->room->member_count > 0;
    return presence->wanting > 0 ||
           (presence_is_wanted(presence, now_ms) && (is_present || presence->announced_count > 0));
}

static void forget(struct presence *presence)
{
    struct hub *hub = presence->room->hub;
    timers_clear(hub->timers, &presence->timer);
    list_leave(&presence->telling);
    list_leave(&presence->announcing);
    if (hub->presence.round == presence) {
        hub->presence.round = NULL;
    }
    roster_release(&presence->roster);
    presence->room->presence = NULL;
    hub->stats.presence_rooms--;
    free(presence->typers);
    free(presence);
}

/* After each change: sets the timer, or ends what nobody needs. May free @presence. */
void presence_settle(struct presence *presence, uint64_t now_ms)
{
    if (!is_needed(presence, now_ms)) {
        forget(presence);
        return;
    }
    uint64_t next = MIN_OF(next_expiry(presence), next_round(presence));
    if (list_is_empty(&presence->announcing)) {
        next = MIN_OF(next, MIN_OF(next_change(presence), next_refresh(presence)));
    }
    timers_set(presence->room->hub->timers, &presence->timer, next);
}

/* Members here, and other gateways, have yet to hear of what has changed here. */
static void note_change(struct presence *presence)
{
    presence->is_stale = presence->has_news = true;
}

static bool expire_typers(struct presence *presence, uint64_t now_ms)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < presence->typer_count; i++) {
        if (presence->typers[i].until_ms > now_ms) {
            presence->typers[left++] = presence->typers[i];
        } else {
            presence->typers[i].member->is_typing = false;
        }
    }
    bool is_other = left < presence->typer_count;
    presence->typer_count = left;
    return is_other;
}

static void on_due(struct timer *timer, uint64_t now_ms)
{
    struct presence *presence = CONTAINER_OF(timer, struct presence, timer);
    struct hub *hub = presence->room->hub;
    if (expire_typers(presence, now_ms)) {
        note_change(presence);
    }
    if (roster_expire(&presence->roster, now_ms)) {
        presence->is_stale = true;
        presence->has_news |= presence_is_small(presence) && !presence->had_names;
    }
    if (next_round(presence) <= now_ms) {
        list_append(&hub->presence.telling, &presence->telling);
        presence_wake_hub(hub, now_ms);
    }
    bool has_news = next_change(presence) <= now_ms;
    if (list_is_empty(&presence->announcing) && (has_news || next_refresh(presence) <= now_ms)) {
        list_append(has_news ? &hub->presence.changed : &hub->presence.refreshing,
                    &presence->announcing);
        presence_wake_hub(hub, now_ms);
    }
    presence_settle(presence, now_ms);
}

struct presence *presence_new(struct room *room, uint64_t now_ms)
{
    struct hub *hub = room->hub;
    struct presence *presence = mem_alloc_zeroed(sizeof(*presence));
    presence->room = room;
    timer_init(&presence->timer, on_due);
    list_init(&presence->telling);
    list_init(&presence->announcing);
    roster_init(&presence->roster, &hub->presence.names);
    presence->told_ms = presence->announced_ms = now_ms - PRESENCE_INTERVAL_MS;
    presence->refresh_ms = presence->ask_ms = now_ms + presence_refresh_period_ms(hub);
    room->presence = presence;
    hub->stats.presence_rooms++;
    return presence;
}

/* --- members ------------------------------------------------------------------------------------------------------- */

static void end_typing(struct presence *presence, struct member *member)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < presence->typer_count; i++) {
        if (presence->typers[i].member != member) {
            presence->typers[left++] = presence->typers[i];
        }
    }
    presence->typer_count = left;
    member->is_typing = false;
    note_change(presence);
}

static void begin_typing(struct presence *presence, struct member *member)
{
    if (presence->typers == NULL) {
        presence->typers = mem_alloc(TYPERS_OF_ROOM_MAX * sizeof(*presence->typers));
    }
    if (presence->typer_count < TYPERS_OF_ROOM_MAX) {
        presence->typers[presence->typer_count++] = (struct typer){.member = member};
        member->is_typing = true;
        note_change(presence);
    }
}

void presence_on_typing(struct member *member, bool is_typing, uint64_t now_ms)
{
    struct presence *presence = member->room->presence;
    bool is_one = member->wants_presence && member->join == NULL; /* one that moves is none yet */
    if (!is_one || (!is_typing && !member->is_typing)) {
        return;
    }
    if (!is_typing) {
        end_typing(presence, member);
    } else if (!member->is_typing) {
        begin_typing(presence, member);
    }
    for (uint32_t i = 0; is_typing && i < presence->typer_count; i++) {
        if (presence->typers[i].member == member) {
            presence->typers[i].until_ms = now_ms + TYPING_MS;
        }
    }
    presence_settle(presence, now_ms);
}

/* The first member here that wants to know. */
static void begin_watching(struct presence *presence, uint64_t now_ms)
{
    struct room *room = presence->room;
    room->hub->world.watch(room->hub->world.user, room_name(room), true);
    presence->is_new = true;
    presence->ask_ms = now_ms;
    presence->told_ms = now_ms + PRESENCE_FIRST_MS - PRESENCE_INTERVAL_MS;
}

static void end_watching(struct presence *presence)
{
    struct room *room = presence->room;
    room->hub->world.watch(room->hub->world.user, room_name(room), false);
    roster_release(&presence->roster);
    list_leave(&presence->telling);
    if (room->hub->presence.round == presence) {
        room->hub->presence.round = NULL;
    }
}

void presence_on_joined(struct member *member, uint64_t now_ms)
{
    struct room *room = member->room;
    if (room->presence == NULL && !member->wants_presence) {
        if (room->member_count == 1) {
            presence_say_hello(room);
        }
        return;
    }
    struct presence *presence =
        room->presence != NULL ? room->presence : presence_new(room, now_ms);
    note_change(presence);
    if (member->wants_presence) {
        if (presence->wanting++ == 0) {
            begin_watching(presence, now_ms);
        }
        member->owes_census = member->owes_typing = presence->has_owing = true;
        member->knows_typers = true; /* perhaps, from before it came back */
    }
    presence_settle(presence, now_ms);
}

void presence_on_left(struct member *member, uint64_t now_ms)
{
    struct presence *presence = member->room->presence;
    if (presence == NULL) {
        return;
    }
    if (member->is_typing) {
        end_typing(presence, member);
    }
    if (member->wants_presence && --presence->wanting == 0) {
        end_watching(presence);
    }
    note_change(presence);
    presence_settle(presence, now_ms);
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

void presence_free(struct room *room)
{
    struct presence *presence = room->presence;
    if (presence != NULL) {
        presence_say_goodbye(presence);
        forget(presence);
    }
}

static size_t count_nodes(const struct list *list)
{
    size_t count = 0;
    LIST_EACH (node, list) {
        count++;
    }
    return count;
}

size_t presence_waiting(const struct hub *hub)
{
    const struct presence_hub *presence = &hub->presence;
    return count_nodes(&presence->changed) + count_nodes(&presence->refreshing) +
           count_nodes(&presence->telling) + (presence->round != NULL);
}

void presence_init(struct hub *hub)
{
    list_init(&hub->presence.changed);
    list_init(&hub->presence.refreshing);
    list_init(&hub->presence.telling);
    timer_init(&hub->presence.timer, presence_on_turn);
}

void presence_release(struct hub *hub)
{
    timers_clear(hub->timers, &hub->presence.timer);
    buf_release(&hub->presence.census_frame);
    buf_release(&hub->presence.typing_frame);
}
