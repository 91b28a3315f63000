/*
 * eio_probe.h - a WebSocket that came with a sid, until it is its session's transport (Engine.IO protocol 4,
 * "Upgrade").
 *
 *               "2probe"            owner agrees              "5"
 *     WAITING ──────────▶ ASKED ───────────────▶ ANSWERED ──────────▶ UPGRADED
 *        └───────────────── anything else, too late, gone ─────┴─────▶ CLOSED    the session goes on polling
 *
 *   WAITING   for the probe.
 *   ASKED     the session's owner is asked, to answer polls with noops from now on. Where the session is on this server
 *             that is done at once.
 *   ANSWERED  "3probe" is on its way. A client may ask again and is answered again.
 *   UPGRADED  the WebSocket is the session's: the server moves its socket over, hands the rest of what it has read to
 *             eio_session_receive(), and releases the probe. What the probe had not written is at the front of the
 *             session's outbox.
 *   CLOSED    nothing more is read; what peek still gives (a close frame) should be written, then the WebSocket closed.
 *
 * A probe and its session may die in any order: each unlinks itself from the other. The session's end closes the probe,
 * the probe's end leaves the session as it is.
 *
 * A session of another server: open the probe with NULL. on_probe() then asks the owner (who calls
 * eio_session_upgrade_claim() and _probed()) and eio_probe_answer() or eio_probe_close() passes its word on, whenever
 * it comes. At "5" such a probe is MOVING: on_upgrade() tells, the owner calls eio_session_hand_over(), and what that
 * gives goes to eio_session_take_over() here (UPGRADED). Meanwhile nothing is read: stop reading the socket. The
 * limit of time holds until then; a probe that is not MOVING any more when the session arrives has lost it, and the
 * client finds its connection closed.
 *
 * Thread  One; time is an argument.
 * Limits  EIO_PROBE_MESSAGE_BYTES_MAX for a message in; a peer that sends WebSocket pings and does not read their
 *         answers is cut off at EIO_PROBE_OUTBOX_BYTES_MAX.
 */
#ifndef PARLEY_WIRE_EIO_PROBE_H
#define PARLEY_WIRE_EIO_PROBE_H

#include "eio.h"

enum {
    EIO_PROBE_MESSAGE_BYTES_MAX = 64,
    EIO_PROBE_OUTBOX_BYTES_MAX = 1024,
};

enum eio_probe_state {
    EIO_PROBE_WAITING,
    EIO_PROBE_ASKED,
    EIO_PROBE_ANSWERED,
    EIO_PROBE_MOVING,
    EIO_PROBE_UPGRADED,
    EIO_PROBE_CLOSED,
};

struct eio_probe_callbacks {
    /* There is something to write, or CLOSED was entered. Called at least once until the next peek. */
    void (*on_output)(struct eio_probe *probe);
    /* For a session of another server only, otherwise NULL; see above. */
    void (*on_probe)(struct eio_probe *probe, uint64_t now_ms);
    void (*on_upgrade)(struct eio_probe *probe, uint64_t now_ms);
};

/* Embedded in what the server keeps for the WebSocket. Read only `state` and `session` from outside. */
struct eio_probe {
    const struct eio_settings *settings;
    const struct eio_probe_callbacks *callbacks;
    struct eio_session *session; /* NULL: it is elsewhere, or none any more */
    struct timer timeout;
    struct ws_reader reader;
    struct buf outbox;
    bool is_elsewhere;
    uint8_t state; /* enum eio_probe_state */
};

/*
 * Opens a probe for @session, or for one of another server when that is NULL. It is CLOSED at once, with a close frame
 * to write, when @session has another probe, is on a WebSocket, or is not OPEN. Keeps @settings (the session's own,
 * where there is one) and @callbacks.
 */
void eio_probe_open(struct eio_probe *probe, struct eio_session *session,
                    const struct eio_settings *settings,
                    const struct eio_probe_callbacks *callbacks, uint64_t now_ms);

/*
 * Frees what the probe holds, also when its WebSocket is gone; unless UPGRADED, its session goes on polling. Calls
 * nothing back, and must not be called by a callback of the probe or its session.
 */
void eio_probe_release(struct eio_probe *probe);

/*
 * Like eio_session_receive(). Stops behind "5": the rest is the session's, also when that is elsewhere. All is taken,
 * unread, once CLOSED.
 */
size_t eio_probe_receive(struct eio_probe *probe, char *data, size_t len, uint64_t now_ms);

/* Like eio_session_peek() and eio_session_advance(). */
size_t eio_probe_peek(struct eio_probe *probe, struct iovec *ret_iov, size_t iov_max);
void eio_probe_advance(struct eio_probe *probe, size_t written);

/*
 * Gives up, or passes on that the owner does not want the upgrade: CLOSED. Nothing happens when it is, or is
 * UPGRADED.
 */
void eio_probe_close(struct eio_probe *probe);

/* The owner elsewhere answers polls with noops now. Nothing happens unless ASKED. */
void eio_probe_answer(struct eio_probe *probe);

/* The MOVING probe is UPGRADED. Appends what is to be written to its WebSocket before all else to @out. */
void eio_probe_take(struct eio_probe *probe, struct buf *out);

/* What a session takes along to another server, besides its sid and what it has not sent yet. */
struct eio_handover {
    uint32_t heartbeat_in_ms; /* until the next ping, or the end of the wait for a pong */
    bool awaits_pong;
};

/*
 * The owner's side of MOVING: appends the frames that the session has not sent to @undelivered (its user's own, those
 * of peek, are the user's to hand over, behind these) and ends it: CLOSED, on_close() with EIO_CLOSE_MOVED, and a
 * noop for a GET that waits. Its sid should get EIO_SID_WEBSOCKET from now on. False, with nothing changed, unless
 * PROBED for a WebSocket elsewhere.
 */
MUST_USE bool eio_session_hand_over(struct eio_session *session, struct buf *undelivered,
                                    struct eio_handover *ret_handover, uint64_t now_ms);

/*
 * The other side: opens the session on the WebSocket of @probe, which is MOVING and becomes UPGRADED, and sends
 * @undelivered. Otherwise like eio_session_open().
 */
void eio_session_take_over(struct eio_session *session, const struct eio_settings *settings,
                           const char sid[EIO_SID_BYTES], const struct eio_handover *handover,
                           struct bytes undelivered, struct eio_probe *probe, uint64_t now_ms);

#endif
