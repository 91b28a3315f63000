/*
 * presence.h - who is in a room and who types there, for the members who asked for it.
 *
 * Presence is a state, not a log: it is never stored, nothing of it waits for a socket, and what was missed is of no
 * interest. A member who wants it has bits that say whether it has yet to be told; whoever cannot be told now is told the
 * newest state later. Gateways tell each other their own part of it, whole, with each change and now and then again, and
 * forget who is not heard of any more.
 *
 *   member joins, leaves, types ──┐                     ┌──▶ members here: a round, at most one a second
 *                                 ├──▶ struct presence ─┤
 *   other gateways: Presence ─────┘                     └──▶ other gateways that want to know: Presence, at most one a second
 *
 * Who wants to know  A gateway with members who asked listens to the room's presence subject, and asks all gateways of the
 *                    room on the room's own one, now and with every refresh. Whoever has members there tells them as long
 *                    as somebody asks. A gateway that gets its first member in a room says so once, unasked: else it would
 *                    be heard of only after the next question.
 * Cost               A room that nobody asks for has no struct presence; a message for each time that its first member
 *                    joins is all. The others share PRESENCE_VISITS_PER_TURN and PRESENCE_ROOMS_PER_TURN, whatever their
 *                    number: more rooms and members make news older, not more.
 * Thread             The loop's.
 * Invariants         1. It is there while members here want it, or while other gateways do and have not been told yet that
 *                       nobody is here any more.
 *                    2. wanting is the number of room.members that want it; the room is watched, and the roster kept,
 *                       exactly while it is not 0.
 */
#ifndef PARLEY_HUB_PRESENCE_H
#define PARLEY_HUB_PRESENCE_H

#include "client.h"
#include "roster.h"

struct typer;

struct presence {
    struct room *room;
    struct timer timer; /* when something of the following is to be looked at */
    struct roster roster;
    uint32_t wanting;
    struct typer *typers; /* the first to begin in front; NULL: there was none yet */
    uint32_t typer_count;

    /* Members here. */
    struct list telling;               /* in hub.presence.telling, or waiting for no round */
    bool is_stale;                     /* a round is to come */
    bool has_owing;                    /* some have yet to be told what others were */
    uint64_t told_ms;                  /* when the last round began */
    uint64_t told_census, told_typing; /* hashes */

    /* Other gateways. */
    struct list announcing; /* in hub.presence.changed or .refreshing, or neither */
    bool has_news;
    bool is_new;              /* it has yet to ask for the first time, and to be heard of */
    bool had_names;           /* of the last that was announced */
    uint32_t announced_count; /* what they last heard */
    uint64_t announced_ms, announced_census, announced_typing; /* hashes, 0: to be told again */
    uint64_t wanted_until_ms;                                  /* somebody wants to hear */
    uint64_t refresh_ms, ask_ms,
        repeat_ms; /* when it is to be told, asked, told who types, again */
};

void presence_init(struct hub *hub);
void presence_release(struct hub *hub);

/* @member is one of its room from now on, or is none any more. */
void presence_on_joined(struct member *member, uint64_t now_ms);
void presence_on_left(struct member *member, uint64_t now_ms);

/* @member says that it types, or that it does not; one who does not want presence is not listened to. */
void presence_on_typing(struct member *member, bool is_typing, uint64_t now_ms);

/* Another gateway wants to know who is in @room. */
void presence_on_wanted(struct room *room, const struct contract_room_event *event,
                        uint64_t now_ms);

/* What was said meanwhile, here and there, may be lost: all is asked and told again. */
void presence_on_restored(struct hub *hub, uint64_t now_ms);

/* At the end of a loop turn: tells members, as far as the turn's visits go. */
void presence_flush(struct hub *hub, uint64_t now_ms);

/* @room goes: others hear that nobody is here any more. */
void presence_free(struct room *room);

/* Rooms that wait for their turn, to tell members or other gateways. */
size_t presence_waiting(const struct hub *hub);

#endif
