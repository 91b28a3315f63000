/*
 * presence_impl.h - between the files of presence: presence.c (members, and when something is due), presence_round.c (telling
 * them), presence_news.c (other gateways), presence_view.c (names).
 */
#ifndef PARLEY_HUB_PRESENCE_IMPL_H
#define PARLEY_HUB_PRESENCE_IMPL_H

#include "presence.h"

struct typer {
    struct member *member;
    uint64_t until_ms;
};

static inline bool presence_is_wanted(const struct presence *presence, uint64_t now_ms)
{
    return presence->wanted_until_ms > now_ms;
}

/* Members of the room, here and on the other gateways that were heard of. */
static inline uint64_t presence_count_members(const struct presence *presence)
{
    return presence->room->member_count + presence->roster.members;
}

static inline bool presence_is_small(const struct presence *presence)
{
    return presence_count_members(presence) <= ROSTER_NAMES_MAX;
}

/* --- presence.c --- */

/* The room's, made for it. */
struct presence *presence_new(struct room *room, uint64_t now_ms);

/* After each change: sets the timer, or ends what nobody needs. May free @presence. */
void presence_settle(struct presence *presence, uint64_t now_ms);

/* Has the hub's turn come soon: what is in its lists is done then. */
void presence_wake_hub(struct hub *hub, uint64_t now_ms);

/* --- presence_news.c --- */

/* How often a room is refreshed: PRESENCE_REFRESH, or as long as it takes for all of them. */
uint32_t presence_refresh_period_ms(const struct hub *hub);

/* Says, unasked, that this gateway has somebody in @room. */
void presence_say_hello(struct room *room);

/* Says that nobody is here any more, to whom has heard of somebody. */
void presence_say_goodbye(const struct presence *presence);

/* The hub's turn: tells other gateways, as far as the turn's rooms and bytes go. */
void presence_on_turn(struct timer *timer, uint64_t now_ms);

/* --- presence_view.c --- */

/* Names of the members here; the room must be small. Returns how many; they borrow. */
size_t presence_names_here(const struct room *room, struct bytes names[ROSTER_NAMES_MAX]);

/* Those of all gateways, sorted, each once. */
size_t presence_names_everywhere(const struct presence *presence,
                                 struct bytes names[ROSTER_NAMES_MAX]);

/* Sorts @names and leaves each once; returns how many are left. */
size_t presence_sort_names(struct bytes *names, size_t count);

/* Who types, in the order of their beginnings, each name once. */
struct typing_view {
    struct bytes users[CHAT_TYPERS_MAX];
    size_t user_count;
    uint64_t more;
};

/* Those who type here, and those who type anywhere, but @but. They borrow. */
struct typing_view typing_view_here(const struct presence *presence, const struct member *but);
struct typing_view typing_view_all(const struct presence *presence, const struct member *but);

#endif
