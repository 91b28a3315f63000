/*
 * flight.h - what goes out to a client: one write is put together, and what the socket took of it is settled.
 *
 * There is no queue of messages for a connection. When its socket can take something, that is put together: the session's
 * outbox (small packets), then each member's log from its cursor to the head, then acknowledgements of what has just gone
 * out as the sender's own copy. A socket that took only a part of a frame gets the rest of it from the outbox, which is
 * therefore always first: so no log is held up, and a slow member costs at most one frame.
 *
 * Mostly there is nothing to put together. A room has news, and its members, who have all in front of it, get the same
 * bytes, and nothing else: flight_send_news().
 *
 * Thread      The loop's.
 * Invariants  Between flight_peek() and flight_advance() nothing else of the hub runs.
 */
#ifndef PARLEY_HUB_FLIGHT_H
#define PARLEY_HUB_FLIGHT_H

#include "client.h"

void flight_init(struct flight *flight);
void flight_release(struct flight *flight);

/* struct eio_callbacks.peek and .advance of all sessions. */
size_t flight_peek(struct eio_session *session, struct iovec *ret_iov, size_t iov_max);
void flight_advance(struct eio_session *session, size_t written);

/* What is new in a room to those who have all in front of id @from: one stretch of frames. Zeroed: not looked up yet. */
struct news {
    uint64_t from, end;            /* behind the last */
    const struct segment *segment; /* NULL: there is none, or not in one stretch */
    uint32_t offset, len;
};

/*
 * Writes what is new in its room to @member, if its client lacks nothing else. @news is what the member before it got, for
 * the same room, whose log has not changed since; it is looked up again where this one stands elsewhere. False: nothing
 * was written, and the client is to be flushed.
 */
bool flight_send_news(struct member *member, struct news *news);

/*
 * Sends @frame, which is in no log, to @member, if nothing else waits for its client's socket. False: nothing was sent, and
 * nobody keeps it. Called from hub_flush() only.
 */
MUST_USE bool flight_send_aside(struct member *member, struct bytes frame);

/* @member stands still for no page any more. */
void member_end_page_wait(struct member *member);

/* Moves members of @client that stand at ids that are not kept any more, and tells them so. */
void client_skip_removed(struct client *client);

#endif
