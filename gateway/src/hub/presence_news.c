/* presence_news.c - what gateways tell each other. */
#include "presence_impl.h"
#include "wire/utf8.h"

static struct bytes gateway_id(const struct hub *hub)
{
    return bytes_of(hub->settings.gateway_id, HUB_GATEWAY_ID_BYTES);
}

/* How often a room is refreshed, where so many are that all of them take longer. */
uint32_t presence_refresh_period_ms(const struct hub *hub)
{
    /* Half of each turn is theirs, at least. */
    uint64_t turns = hub->stats.presence_rooms * 2 / hub->settings.presence_rooms_per_turn;
    return (uint32_t)MAX_OF((uint64_t)hub->settings.presence_refresh_ms, turns * PRESENCE_TURN_MS);
}

static uint32_t valid_ms(const struct hub *hub)
{
    return PRESENCE_REFRESHES * presence_refresh_period_ms(hub);
}

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

/* Says, unasked, that this gateway has somebody in @room. */
void presence_say_hello(struct room *room)
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

void presence_say_goodbye(const struct presence *presence)
{
    struct room *room = presence->room;
    if (presence->announced_count > 0) {
        publish(room, &(struct contract_presence){.room = room_name(room),
                                                  .gateway = gateway_id(room->hub),
                                                  .has_census = true});
    }
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
    presence->ask_ms = now_ms + presence_refresh_period_ms(hub);
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
    bool has_names = presence_is_small(presence);
    size_t name_count =
        has_names ? presence_sort_names(names, presence_names_here(room, names)) : 0;
    struct typing_view typing = typing_view_here(presence, NULL);
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
        presence->refresh_ms = now_ms + presence_refresh_period_ms(hub);
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
    if (presence->is_new || presence_is_wanted(presence, now_ms)) {
        bytes += tell_gateways(presence, now_ms);
    } else { /* who asks again later knows nothing */
        presence->announced_census = presence->announced_typing = presence->announced_count = 0;
        presence->refresh_ms = presence->repeat_ms = UINT64_MAX;
    }
    presence->is_new = false;
    presence_settle(presence, now_ms);
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

void presence_on_turn(struct timer *timer, uint64_t now_ms)
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
        presence_wake_hub(hub, now_ms);
    }
}

static void note_wanted(struct presence *presence, uint32_t for_ms, bool knows_nothing,
                        uint64_t now_ms)
{
    bool is_back = !presence_is_wanted(presence, now_ms);
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
        presence->ask_ms = now_ms + presence_refresh_period_ms(hub);
    }
    presence_settle(presence, now_ms);
}

/* The contract takes any bytes; to clients they would be no text. */
static bool are_texts(const struct bytes *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!utf8_is_valid(names[i])) {
            return false;
        }
    }
    return true;
}

static bool has_good_names(const struct contract_presence *news)
{
    return (!news->has_census || are_texts(news->census.names, news->census.name_count)) &&
           (!news->has_typing || are_texts(news->typing.users, news->typing.user_count));
}

void hub_on_presence(struct hub *hub, const struct contract_presence *news, uint64_t now_ms)
{
    struct room *room = map_get(&hub->rooms, news->room);
    struct presence *presence = room != NULL ? room->presence : NULL;
    if (presence == NULL || presence->wanting == 0 || bytes_equal(news->gateway, gateway_id(hub))) {
        return;
    }
    hub->stats.presence_heard++;
    if (!has_good_names(news)) {
        hub->stats.presence_ignored++;
        return;
    }
    enum roster_result result = roster_note(&presence->roster, news, room->member_count, now_ms);
    hub->stats.presence_ignored += result == ROSTER_IGNORED;
    if (news->has_census && news->census.wants_presence) {
        note_wanted(presence, news->census.valid_ms, result == ROSTER_ADDED, now_ms);
    } else if (result == ROSTER_ADDED) {
        presence->ask_ms = now_ms; /* it has to be told that somebody wants to know */
    }
    if (result == ROSTER_ADDED || result == ROSTER_CHANGED) {
        presence->is_stale = true;
        presence->has_news |= presence_is_small(presence) != presence->had_names;
    }
    presence_settle(presence, now_ms);
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
            presence_settle(presence, now_ms);
        }
    }
}
