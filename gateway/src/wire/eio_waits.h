/*
 * eio_waits.h - what all sessions of a server wait for: their next ping, a pong, the end of an end.
 *
 * Each kind of wait is as long for one session as for any other, so a list of who waits, in the order in which they began,
 * is in the order in which they are due: to begin and to end a wait costs no search, and a session no timer, but 20 bytes.
 *
 * Thread      The owner's.
 * Invariants  1. A session is in one list at most.
 *             2. The timer is set whenever somebody waits, and is not when nobody does. It may come too early.
 */
#ifndef PARLEY_WIRE_EIO_WAITS_H
#define PARLEY_WIRE_EIO_WAITS_H

#include "base/list.h"
#include "base/timers.h"

enum eio_wait_kind {
    EIO_WAIT_PING,     /* until the next ping: ping_interval_ms */
    EIO_WAIT_PONG,     /* for a pong: ping_timeout_ms */
    EIO_WAIT_LAST_GET, /* CLOSING over polling: EIO_CLOSE_WAIT_MS */
    EIO_WAIT_NOTHING,  /* due as soon as timers run */
    EIO_WAIT_REST, /* what was left of one of these on the server that handed a session over; sorted in */
    EIO_WAIT_KINDS,
};

struct eio_session; /* its fields wait_link and wait_due_ms are these functions' */

struct eio_waits {
    struct timers *timers;
    struct timer timer;
    struct list kinds[EIO_WAIT_KINDS]; /* each sorted by due time */
};

/* Keeps @timers by reference. */
void eio_waits_init(struct eio_waits *waits, struct timers *timers);

/* Begins a wait of @in_ms, instead of the one that @session was in. All of a kind but EIO_WAIT_REST have the same @in_ms. */
void eio_wait_begin(struct eio_session *session, enum eio_wait_kind kind, uint64_t now_ms,
                    uint32_t in_ms);

/* EIO_WAIT_NOTHING, which needs no time. */
void eio_wait_for_nothing(struct eio_session *session);

void eio_wait_end(struct eio_session *session);

/* How long it still takes: 0 when it is due. */
uint32_t eio_wait_left_ms(const struct eio_session *session, uint64_t now_ms);

#endif
