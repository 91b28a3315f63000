#include "presence.h"

#include "flight.h"
#include <stdlib.h>

struct typer {
    struct member *member;
    uint64_t until_ms;
};

static struct bytes gateway_id(const struct hub *hub)
{
    return bytes_of(hub->settings.gateway_id, HUB_GATEWAY_ID_BYTES);
}

static bool is_wanted(const struct presence *presence, uint64_t now_ms)
{
    return presence->wanted_until_ms > now_ms;
}

/* Members of the room, here and on the other gateways that were heard of. */
static uint64_t count_members(const struct presence *presence)
{
    return presence->room->member_count + presence->roster.members;
}

static bool is_small(const struct presence *presence)
{
    return count_members(presence) <= ROSTER_NAMES_MAX;
}

/* How often a room is refreshed, where so many are that all of them take longer. */
static uint32_t refresh_period_ms(const struct hub *hub)
{
    /* Half of each turn is theirs, at least. */
    uint64_t turns = hub->stats.presence_rooms * 2 / hub->settings.presence_rooms_per_turn;
    return (uint32_t)MAX_OF((uint64_t)hub->settings.presence_refresh_ms, turns * PRESENCE_TURN_MS);
}

static uint32_t valid_ms(const struct hub *hub)
{
    return PRESENCE_REFRESHES * refresh_period_ms(hub);
}

/* --- time ---------------------------------------------------------------------------------------------------------- */

/* Has the hub's turn come soon: what is in its lists is done then. */
static void wake_hub(struct hub *hub, uint64_t now_ms)
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
           (is_wanted(presence, now_ms) && (is_present || presence->announced_count > 0));
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
static void settle(struct presence *presence, uint64_t now_ms)
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
        presence->has_news |= is_small(presence) && !presence->had_names;
    }
    if (next_round(presence) <= now_ms) {
        list_append(&hub->presence.telling, &presence->telling);
        wake_hub(hub, now_ms);
    }
    bool has_news = next_change(presence) <= now_ms;
    if (list_is_empty(&presence->announcing) && (has_news || next_refresh(presence) <= now_ms)) {
        list_append(has_news ? &hub->presence.changed : &hub->presence.refreshing,
                    &presence->announcing);
        wake_hub(hub, now_ms);
    }
    settle(presence, now_ms);
}

static struct presence *presence_new(struct room *room, uint64_t now_ms)
{
    struct hub *hub = room->hub;
    struct presence *presence = mem_alloc_zeroed(sizeof(*presence));
    presence->room = room;
    timer_init(&presence->timer, on_due);
    list_init(&presence->telling);
    list_init(&presence->announcing);
    roster_init(&presence->roster, &hub->presence.names);
    presence->told_ms = presence->announced_ms = now_ms - PRESENCE_INTERVAL_MS;
    presence->refresh_ms = presence->ask_ms = now_ms + refresh_period_ms(hub);
    room->presence = presence;
    hub->stats.presence_rooms++;
    return presence;
}

/* --- other gateways -------------------------------------------------------------------------------------------------- */

static size_t publish(struct room *room, const struct contract_presence *news)
{
    struct hub *hub = room->hub;
    struct buf payload = BUF_INIT;
    contract_encode_presence(&payload, news);
    size_t bytes = payload.len;
    hub->world.announce(hub->world.user, room_name(room), buf_bytes(&payload));
    hub->stats.presence_announced++;
    buf_release(&payload);
    return bytes;
}

/* All who hear it answer if @is_new, and all go on to tell what changes. */
static void ask(struct presence *presence, uint64_t now_ms)
{
    struct room *room = presence->room;
    struct hub *hub = room->hub;
    struct contract_room_event event = {
        .room = room_name(room),
        .type = CONTRACT_PRESENCE_WANTED,
        .presence_wanted = {.gateway = gateway_id(hub),
                            .valid_ms = valid_ms(hub),
                            .is_new = presence->is_new},
    };
    struct buf payload = BUF_INIT;
    contract_encode_room_event(&payload, &event);
    hub->world.publish(hub->world.user, room_name(room), buf_bytes(&payload));
    hub->stats.presence_announced++;
    buf_release(&payload);
    presence->ask_ms = now_ms + refresh_period_ms(hub);
}

static int compare_names(const void *a, const void *b)
{
    const struct bytes *left = a, *right = b;
    size_t len = MIN_OF(left->len, right->len);
    int order = memcmp(left->data, right->data, len);
    return order != 0 ? order : (left->len > right->len) - (left->len < right->len);
}

/* Sorts @names and leaves each once; returns how many are left. */
static size_t sort_names(struct bytes *names, size_t count)
{
    if (count == 0) {
        return 0;
    }
    qsort(names, count, sizeof(*names), compare_names);
    size_t kept = 1;
    for (size_t i = 1; i < count; i++) {
        if (!bytes_equal(names[i], names[kept - 1])) {
            names[kept++] = names[i];
        }
    }
    return kept;
}

static size_t names_here(const struct room *room, struct bytes names[ROSTER_NAMES_MAX])
{
    ASSERT(room->member_count <= ROSTER_NAMES_MAX);
    for (uint32_t i = 0; i < room->member_count; i++) {
        names[i] = member_username(room->members[i]);
    }
    return room->member_count;
}

/* Who types, in the order of their beginnings, each name once. */
struct typing_view {
    struct bytes users[CHAT_TYPERS_MAX];
    size_t user_count;
    uint64_t more;
};

static void view_add(struct typing_view *view, struct bytes name)
{
    for (size_t i = 0; i < view->user_count; i++) {
        if (bytes_equal(view->users[i], name)) {
            return;
        }
    }
    if (view->user_count < CHAT_TYPERS_MAX) {
        view->users[view->user_count++] = name;
    } else {
        view->more++;
    }
}

/* Those who type here, but @but. */
static struct typing_view view_here(const struct presence *presence, const struct member *but)
{
    struct typing_view view = {0};
    for (uint32_t i = 0; i < presence->typer_count; i++) {
        if (presence->typers[i].member != but) {
            view_add(&view, member_username(presence->typers[i].member));
        }
    }
    return view;
}

/* Those who type anywhere, but @but. */
static struct typing_view view_all(const struct presence *presence, const struct member *but)
{
    struct typing_view view = view_here(presence, but);
    for (uint32_t i = 0; i < presence->roster.count; i++) {
        const struct roster_gateway *gateway = &presence->roster.gateways[i];
        struct bytes typers = buf_bytes(&gateway->typers), name;
        while (roster_next_name(&typers, &name)) {
            view_add(&view, name);
        }
        view.more += gateway->more_typers;
    }
    return view;
}

static uint64_t hash_of_names(uint64_t hash, const struct bytes *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        hash = hash * 31 + map_hash(names[i]) + 1;
    }
    return hash;
}

/* Tells who is here and who types, as far as others do not know it, or are to be told again. Returns the bytes. */
static size_t tell_gateways(struct presence *presence, uint64_t now_ms)
{
    struct room *room = presence->room;
    struct hub *hub = room->hub;
    struct bytes names[ROSTER_NAMES_MAX];
    bool has_names = is_small(presence);
    size_t name_count = has_names ? sort_names(names, names_here(room, names)) : 0;
    struct typing_view typing = view_here(presence, NULL);
    uint64_t census_hash =
        hash_of_names(((uint64_t)room->member_count << 2) + has_names + 1, names, name_count);
    uint64_t typing_hash = hash_of_names((typing.more << 1) + 1, typing.users, typing.user_count);
    struct contract_presence news = {
        .room = room_name(room),
        .gateway = gateway_id(hub),
        .has_census = census_hash != presence->announced_census || now_ms >= presence->refresh_ms,
        .census = {.count = room->member_count,
                   .has_names = has_names,
                   .wants_presence = presence->wanting > 0,
                   .valid_ms = valid_ms(hub),
                   .name_count = name_count,
                   .names = names},
        .has_typing = typing_hash != presence->announced_typing ||
                      (presence->typer_count > 0 && now_ms >= presence->repeat_ms),
        .typing = {.user_count = typing.user_count,
                   .users = typing.users,
                   .more = (uint32_t)typing.more},
    };
    if (!news.has_census && !news.has_typing) {
        return 0;
    }
    presence->announced_census = census_hash;
    presence->announced_typing = typing_hash;
    presence->announced_count = room->member_count;
    presence->had_names = has_names;
    if (news.has_typing) {
        presence->repeat_ms = now_ms + TYPING_REPEAT_MS;
    }
    if (news.has_census) {
        presence->refresh_ms = now_ms + refresh_period_ms(hub);
    }
    return publish(room, &news);
}

/* A room has its turn. Returns the bytes that other gateways are sent. May free @presence. */
static size_t announce(struct presence *presence, uint64_t now_ms)
{
    size_t bytes = CONTRACT_ROOM_BYTES_MAX; /* what looking at it costs */
    presence->announced_ms = now_ms;
    presence->has_news = false;
    if (presence->wanting > 0 && now_ms >= presence->ask_ms) {
        ask(presence, now_ms);
    }
    if (presence->is_new || is_wanted(presence, now_ms)) {
        bytes += tell_gateways(presence, now_ms);
    } else { /* who asks again later knows nothing */
        presence->announced_census = presence->announced_typing = presence->announced_count = 0;
        presence->refresh_ms = presence->repeat_ms = UINT64_MAX;
    }
    presence->is_new = false;
    settle(presence, now_ms);
    return bytes;
}

/* Changes and refreshes take turns, so that neither keeps the other waiting. */
static struct list *next_to_announce(struct presence_hub *presence, unsigned turn)
{
    struct list *first = turn % 2 == 0 ? &presence->changed : &presence->refreshing;
    struct list *other = turn % 2 == 0 ? &presence->refreshing : &presence->changed;
    struct list *node = list_take_first(first);
    return node != NULL ? node : list_take_first(other);
}

static void on_turn(struct timer *timer, uint64_t now_ms)
{
    struct presence_hub *presence = CONTAINER_OF(timer, struct presence_hub, timer);
    struct hub *hub = CONTAINER_OF(presence, struct hub, presence);
    presence->turn_ms = now_ms;
    presence->visits_left = hub->settings.presence_visits_per_turn;
    size_t bytes = 0;
    struct list *node;
    for (unsigned i = 0;
         i < hub->settings.presence_rooms_per_turn && bytes < PRESENCE_BYTES_PER_TURN &&
         (node = next_to_announce(presence, i)) != NULL;
         i++) {
        bytes += announce(CONTAINER_OF(node, struct presence, announcing), now_ms);
    }
    bool is_all_done = list_is_empty(&presence->changed) && list_is_empty(&presence->refreshing) &&
                       list_is_empty(&presence->telling) && presence->round == NULL;
    if (!is_all_done) {
        wake_hub(hub, now_ms);
    }
}

static void note_wanted(struct presence *presence, uint32_t for_ms, bool knows_nothing,
                        uint64_t now_ms)
{
    bool is_back = !is_wanted(presence, now_ms);
    for_ms = MIN_OF(for_ms, (uint32_t)PRESENCE_VALID_MS_MAX);
    presence->wanted_until_ms = MAX_OF(presence->wanted_until_ms, now_ms + for_ms);
    if (is_back || knows_nothing) {
        presence->announced_census = presence->announced_typing = 0;
        presence->announced_ms = now_ms - PRESENCE_INTERVAL_MS; /* the answer does not wait */
        presence->has_news = true;
    }
}

void presence_on_wanted(struct room *room, const struct contract_room_event *event, uint64_t now_ms)
{
    struct hub *hub = room->hub;
    if (bytes_equal(event->presence_wanted.gateway, gateway_id(hub)) ||
        (room->member_count == 0 && room->presence == NULL)) {
        return;
    }
    struct presence *presence =
        room->presence != NULL ? room->presence : presence_new(room, now_ms);
    note_wanted(presence, event->presence_wanted.valid_ms, event->presence_wanted.is_new, now_ms);
    if (!presence->is_new) { /* one question is enough for all */
        presence->ask_ms = now_ms + refresh_period_ms(hub);
    }
    settle(presence, now_ms);
}

void hub_on_presence(struct hub *hub, const struct contract_presence *news, uint64_t now_ms)
{
    struct room *room = map_get(&hub->rooms, news->room);
    struct presence *presence = room != NULL ? room->presence : NULL;
    if (presence == NULL || presence->wanting == 0 || bytes_equal(news->gateway, gateway_id(hub))) {
        return;
    }
    hub->stats.presence_heard++;
    enum roster_result result = roster_note(&presence->roster, news, room->member_count, now_ms);
    hub->stats.presence_ignored += result == ROSTER_IGNORED;
    if (news->has_census && news->census.wants_presence) {
        note_wanted(presence, news->census.valid_ms, result == ROSTER_ADDED, now_ms);
    } else if (result == ROSTER_ADDED) {
        presence->ask_ms = now_ms; /* it has to be told that somebody wants to know */
    }
    if (result == ROSTER_ADDED || result == ROSTER_CHANGED) {
        presence->is_stale = true;
        presence->has_news |= is_small(presence) != presence->had_names;
    }
    settle(presence, now_ms);
}

void presence_on_restored(struct hub *hub, uint64_t now_ms)
{
    size_t cursor = 0;
    for (struct room *room; (room = map_next(&hub->rooms, &cursor)) != NULL;) {
        struct presence *presence = room->presence;
        if (presence != NULL) {
            presence->is_new = presence->has_news = true;
            presence->ask_ms = now_ms;
            presence->announced_census = presence->announced_typing = 0;
            settle(presence, now_ms);
        }
    }
}

/* --- members ----------------------------------------------------------------------------------------------------------- */

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
    settle(presence, now_ms);
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

/* Says, unasked, that this gateway has somebody in @room. */
static void say_hello(struct room *room)
{
    struct bytes name = member_username(room->members[0]);
    publish(room, &(struct contract_presence){.room = room_name(room),
                                              .gateway = gateway_id(room->hub),
                                              .has_census = true,
                                              .census = {.count = 1,
                                                         .has_names = true,
                                                         .valid_ms = valid_ms(room->hub),
                                                         .name_count = 1,
                                                         .names = &name}});
}

void presence_on_joined(struct member *member, uint64_t now_ms)
{
    struct room *room = member->room;
    if (room->presence == NULL && !member->wants_presence) {
        if (room->member_count == 1) {
            say_hello(room);
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
    settle(presence, now_ms);
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
    settle(presence, now_ms);
}

void presence_free(struct room *room)
{
    struct presence *presence = room->presence;
    if (presence != NULL) {
        if (presence->announced_count > 0) {
            publish(room, &(struct contract_presence){.room = room_name(room),
                                                      .gateway = gateway_id(room->hub),
                                                      .has_census = true});
        }
        forget(presence);
    }
}

/* --- rounds ------------------------------------------------------------------------------------------------------------- */

static size_t all_names(const struct presence *presence, struct bytes names[ROSTER_NAMES_MAX])
{
    size_t count = names_here(presence->room, names);
    for (uint32_t i = 0; i < presence->roster.count; i++) {
        struct bytes packed = buf_bytes(&presence->roster.gateways[i].names), name;
        while (count < ROSTER_NAMES_MAX && roster_next_name(&packed, &name)) {
            names[count++] = name;
        }
    }
    return sort_names(names, count);
}

static void write_census_frame(const struct presence *presence, struct buf *out)
{
    struct bytes names[ROSTER_NAMES_MAX];
    bool has_names = is_small(presence) && roster_has_names(&presence->roster);
    size_t name_count = has_names ? all_names(presence, names) : 0;
    struct buf arguments = BUF_INIT;
    chat_write_presence_event(&arguments, count_members(presence), has_names ? names : NULL,
                              name_count);
    sio_append_event_frame(out, room_namespace(presence->room), buf_bytes(&arguments));
    buf_release(&arguments);
}

static void write_typing_frame(const struct presence *presence, const struct typing_view *view,
                               struct buf *out)
{
    struct buf arguments = BUF_INIT;
    chat_write_typing_event(&arguments, view->users, view->user_count, view->more);
    sio_append_event_frame(out, room_namespace(presence->room), buf_bytes(&arguments));
    buf_release(&arguments);
}

/* The next room that has something to tell is the one whose members have their turn. */
static bool begin_round(struct hub *hub, uint64_t now_ms)
{
    struct list *node = list_take_first(&hub->presence.telling);
    if (node == NULL) {
        return false;
    }
    struct presence *presence = CONTAINER_OF(node, struct presence, telling);
    struct presence_hub *round = &hub->presence;
    struct typing_view view = view_all(presence, NULL);
    buf_clear(&round->census_frame);
    buf_clear(&round->typing_frame);
    write_census_frame(presence, &round->census_frame);
    write_typing_frame(presence, &view, &round->typing_frame);
    uint64_t census = map_hash(buf_bytes(&round->census_frame));
    uint64_t typing = map_hash(buf_bytes(&round->typing_frame));
    round->is_census_new = census != presence->told_census;
    round->is_typing_new = typing != presence->told_typing;
    round->has_typers = view.user_count > 0;
    presence->told_census = census;
    presence->told_typing = typing;
    presence->told_ms = now_ms;
    presence->is_stale = false;
    bool has_somebody = round->is_census_new || round->is_typing_new || presence->has_owing;
    presence->has_owing = false;
    round->round = presence;
    round->at = has_somebody ? presence->room->member_count : 0;
    return true;
}

static bool tell_census(struct member *member, struct hub *hub)
{
    bool is_told = flight_send_aside(member, buf_bytes(&hub->presence.census_frame));
    hub->stats.presence_told += is_told;
    return is_told;
}

/* Who types is told the others; and that nobody does, only to whom has been told of somebody. */
static bool tell_typing(struct member *member, struct hub *hub)
{
    struct presence *presence = hub->presence.round;
    struct typing_view view = {.user_count = hub->presence.has_typers};
    struct buf own = BUF_INIT;
    if (member->is_typing) {
        view = view_all(presence, member);
        write_typing_frame(presence, &view, &own);
    }
    bool is_told = view.user_count == 0 && !member->knows_typers;
    if (!is_told) {
        is_told = flight_send_aside(
            member, buf_bytes(member->is_typing ? &own : &hub->presence.typing_frame));
        hub->stats.presence_told += is_told;
        member->knows_typers = is_told ? view.user_count > 0 : member->knows_typers;
    }
    buf_release(&own);
    return is_told;
}

static void visit(struct member *member, struct hub *hub)
{
    struct presence_hub *round = &hub->presence;
    if (!member->wants_presence) {
        return;
    }
    member->owes_census |= round->is_census_new;
    member->owes_typing |= round->is_typing_new;
    member->owes_census = member->owes_census && !tell_census(member, hub);
    member->owes_typing = member->owes_typing && !tell_typing(member, hub);
    if (member->owes_census || member->owes_typing) {
        round->round->has_owing = true;
        hub->stats.presence_deferred++;
    }
}

/* Whoever could not be told is told the newest in the next round. */
static void end_round(struct hub *hub, uint64_t now_ms)
{
    struct presence *presence = hub->presence.round;
    hub->presence.round = NULL;
    presence->is_stale |= presence->has_owing;
    settle(presence, now_ms);
}

/*
 * From the last member to the first: where one leaves meanwhile, the last takes its place, which was told already, and
 * who joins at the end is in the next round.
 */
void presence_flush(struct hub *hub, uint64_t now_ms)
{
    struct presence_hub *round = &hub->presence;
    while (round->visits_left > 0 && (round->round != NULL || begin_round(hub, now_ms))) {
        struct room *room = round->round->room;
        round->at = MIN_OF(round->at, room->member_count);
        for (; round->at > 0 && round->visits_left > 0; round->visits_left--) {
            visit(room->members[--round->at], hub);
        }
        if (round->at == 0) {
            end_round(hub, now_ms);
        }
    }
}

/* --- life --------------------------------------------------------------------------------------------------------------- */

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
    timer_init(&hub->presence.timer, on_turn);
}

void presence_release(struct hub *hub)
{
    timers_clear(hub->timers, &hub->presence.timer);
    buf_release(&hub->presence.census_frame);
    buf_release(&hub->presence.typing_frame);
}
