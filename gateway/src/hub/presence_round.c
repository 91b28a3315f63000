/* presence_round.c - telling members. */
#include "flight.h"
#include "presence_impl.h"

static void write_census_frame(const struct presence *presence, struct buf *out)
{
    struct bytes names[ROSTER_NAMES_MAX];
    bool has_names = presence_is_small(presence) && roster_has_names(&presence->roster);
    size_t name_count = has_names ? presence_names_everywhere(presence, names) : 0;
    struct buf arguments = BUF_INIT;
    chat_write_presence_event(&arguments, presence_count_members(presence),
                              has_names ? names : NULL, name_count);
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
    struct typing_view view = typing_view_all(presence, NULL);
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
        view = typing_view_all(presence, member);
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
    presence_settle(presence, now_ms);
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
