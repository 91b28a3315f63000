/*
 * eio.h - Engine.IO protocol 4, server side: sessions over WebSocket and HTTP long-polling, heartbeats, packets.
 *
 * The library owns no socket and reads no clock. Whoever uses it gives it bytes in, takes bytes out when told that
 * there are some (on_output), and gives it time: all timeouts are on the `struct timers` of the settings' `waits`. This file
 * knows nothing of what the messages mean.
 *
 * What goes out is always a sequence of whole, unmasked WebSocket frames, one packet each: control packets in the
 * session's small outbox, and whatever else its user has (the `peek` callback), such as a room's log. Over polling the
 * very same bytes are transcribed (headers off, packets joined, binary in base64), so that nobody encodes twice.
 *
 *   transport       in                        out
 *   EIO_WEBSOCKET   eio_session_receive()     eio_session_peek(), eio_session_advance()
 *   EIO_POLLING     eio_session_post()        eio_session_poll()
 *
 * The state, through one door each way:
 *
 *     OPEN ── eio_session_close(); on a WebSocket for any reason, over polling for EIO_CLOSE_SERVER ──▶ CLOSING
 *      │                                                                                                  │
 *      └── over polling for any other reason; transport gone; outbox full ──▶ CLOSED ◀── all written ─────┘
 *
 *   OPEN     packets go both ways.
 *   CLOSING  nothing is read any more, on_close has been called. On a WebSocket what eio_session_peek() still gives (a
 *            close frame) should be written, then the socket closed. Over polling the next GET gets what is left and
 *            the close packet; if none comes in EIO_CLOSE_WAIT_MS, the session is CLOSED without.
 *   CLOSED   there is nothing left to write. Over polling a GET that waits gets its last word from eio_session_poll();
 *            later requests get EIO_ERROR_SID: the server forgets the session.
 *
 * The transport changes once at most, from polling to WebSocket; eio_probe.h has the WebSocket's side of it:
 *
 *     EIO_UPGRADE_NONE ──▶ EIO_UPGRADE_CLAIMED ──▶ EIO_UPGRADE_PROBED ──▶ EIO_UPGRADE_DONE (EIO_WEBSOCKET)
 *            ▲                a WebSocket came │    "2probe" came │            "5" came
 *            └──── it failed, or took too long ┴──────────────────┘
 *
 *   PROBED   every GET gets a noop at once (and a ping that is due), until the upgrade is done or has failed. All else
 *            waits, so that no message can overtake another one on the other transport.
 *
 * What a server does:
 *   WebSocket  hands what it reads to eio_session_receive(). After on_output, writes what peek gives, tells advance.
 *   GET        after eio_check_request(): one that comes while another waits closes the session (EIO_CLOSE_PROTOCOL) and
 *              gets 400, the other one its answer. Otherwise eio_session_poll(): true is the answer, false lets it wait
 *              for on_output. One that is aborted while it waits over polling: eio_session_transport_closed().
 *   POST       collects the body, then eio_session_post(). A second one at the same time, or one whose content type is
 *              application/octet-stream, closes the session and gets 400; a body that is cut off:
 *              eio_session_transport_closed().
 *   upgrade    answers 101, then eio_probe_open() and what eio_probe.h says.
 *   all        frees a session that is CLOSED, once no request is waiting for it; calls timers_run() when one is due.
 *
 * Thread      One; no locks.
 * Invariants  1. on_close is called exactly once for each session that was opened.
 *             2. The outbox holds at most outbox_bytes_max bytes and a close frame; a session whose outbox would
 *                overflow is closed (EIO_CLOSE_OUTBOX_FULL): its peer does not read. It is CLOSED at once, but
 *                on_close comes with the next call that has a time (at the latest from the timers' next run), so that
 *                sending calls back on_output alone, and a loop over many sessions may send.
 *             3. Frames never mix: the outbox always goes first, and the rest of a half written frame of the user's is
 *                at its front (see advance).
 *             4. Whoever makes the inboxes of all sessions overflow, and has a unit of it, is closed (EIO_CLOSE_INBOX_FULL):
 *                so they hold bytes_max, and a unit for each session, at most.
 *             5. What was sent before the upgrade goes out before what was sent after it, each once: while PROBED
 *                nothing leaves by polling but noops and pings, and nothing but probes by the WebSocket.
 */
#ifndef PARLEY_WIRE_EIO_H
#define PARLEY_WIRE_EIO_H

#include "eio_handshake.h"
#include "eio_waits.h"
#include "ws.h"
#include <sys/uio.h>

enum {
    EIO_SID_BYTES = 20,
    /* What the reference gives an upgrade, and a polling client to fetch the end of its session. */
    EIO_UPGRADE_TIMEOUT_MS = 10000,
    EIO_CLOSE_WAIT_MS = 30000,
    /* A peek that could give more gives so much at least. */
    EIO_PEEK_BYTES = 64 * 1024,
};

enum eio_packet_type {
    EIO_OPEN = '0',
    EIO_CLOSE = '1',
    EIO_PING = '2',
    EIO_PONG = '3',
    EIO_MESSAGE = '4',
    EIO_UPGRADE = '5',
    EIO_NOOP = '6',
};

enum eio_close_reason {
    EIO_CLOSE_TRANSPORT,    /* the socket or a request failed: eio_session_transport_closed() */
    EIO_CLOSE_PEER,         /* the peer sent a WebSocket close frame or an Engine.IO close packet */
    EIO_CLOSE_PING_TIMEOUT, /* no pong in ping_timeout_ms */
    EIO_CLOSE_PROTOCOL,     /* the peer broke RFC 6455, Engine.IO or a layer above */
    EIO_CLOSE_OUTBOX_FULL,  /* the peer does not read what it asked for */
    EIO_CLOSE_SERVER,       /* eio_session_close() */
    EIO_CLOSE_UNAUTHORIZED, /* likewise: the peer may not be here (any more) */
    EIO_CLOSE_INBOX_FULL, /* all sessions together hold too much that is unfinished, this one some of it */
    EIO_CLOSE_MOVED, /* eio_session_hand_over(): another server has it */
};

/* A stable lower-case word for logs and metrics. */
const char *eio_close_reason_name(enum eio_close_reason reason);

struct eio_session;
struct eio_probe;

struct eio_callbacks {
    /* A message packet's payload (behind its '4'). Borrowed. */
    void (*on_message)(struct eio_session *session, struct bytes message, bool binary,
                       uint64_t now_ms);
    /* The session is over; its memory stays its user's. No other callback follows, but peek and advance may. */
    void (*on_close)(struct eio_session *session, enum eio_close_reason reason, uint64_t now_ms);
    /*
     * There is something to write, or CLOSING or CLOSED was entered (but by eio_session_advance() or by
     * eio_session_transport_closed(), whose callers know). Called at least once until the next peek.
     */
    void (*on_output)(struct eio_session *session);
    /*
     * Where the user sends more than the outbox: like eio_session_peek() and eio_session_advance(), which call them.
     * Less than @iov_max pieces with less than EIO_PEEK_BYTES in all are all that there is now.
     * Pieces begin and end between frames. Where @written ends inside of one, advance must put that frame's rest into
     * the outbox (eio_session_begin_write()), which is empty then; peek goes on with the next frame.
     * Both NULL: the outbox is all. While CLOSING they are not asked.
     */
    size_t (*peek)(struct eio_session *session, struct iovec *ret_iov, size_t iov_max);
    void (*advance)(struct eio_session *session, size_t written);
    /*
     * The session is on @probe's WebSocket from now on: what that reads goes to eio_session_receive(), what peek
     * gives is written to it, and a GET that still waits is answered (eio_session_poll() has a noop for it). NULL where
     * eio_probe_open() is not used.
     */
    void (*on_upgraded)(struct eio_session *session, struct eio_probe *probe, uint64_t now_ms);
    /* Bytes that the user keeps of messages until more of them come; gone with on_close. NULL: none. */
    size_t (*held)(struct eio_session *session);
};

/*
 * What all sessions of a server hold of packets that are not all there yet: frames, fragments, and `held`. Counted are whole
 * units of each session, so that whoever holds less than one does not count and is not closed.
 */
struct eio_inboxes {
    size_t bytes; /* now */
    size_t bytes_max;
    uint32_t unit_bytes; /* at least a 64th of payload_bytes_max */
};

/* Shared by all sessions of a server; must outlive them. */
struct eio_settings {
    uint32_t ping_interval_ms;
    uint32_t ping_timeout_ms;
    uint32_t upgrade_timeout_ms; /* from the WebSocket to "5" */
    uint32_t payload_bytes_max; /* longest packet and POST body in, maxPayload of the open packet */
    uint32_t outbox_bytes_max;
    struct eio_waits *waits;     /* of these sessions and no others; initialized */
    struct eio_inboxes *inboxes; /* likewise; NULL: without a bound */
    uint64_t *bytes_written;     /* grows by what all sessions are advanced; NULL: not counted */
    struct eio_callbacks callbacks;
};

enum eio_state { EIO_STATE_OPEN, EIO_STATE_CLOSING, EIO_STATE_CLOSED };

enum eio_upgrade { EIO_UPGRADE_NONE, EIO_UPGRADE_CLAIMED, EIO_UPGRADE_PROBED, EIO_UPGRADE_DONE };

/* Embedded in what it belongs to. Read only `sid`, `state`, `transport` and `upgrade` from outside. */
struct eio_session {
    const struct eio_settings *settings;
    struct list wait_link; /* in settings->waits */
    struct ws_reader reader;
    struct buf outbox;       /* frames; owns memory only while it holds some */
    struct eio_probe *probe; /* of an upgrade whose WebSocket is on this server */
    uint32_t wait_due_ms;    /* low bits of the time */
    uint8_t state;           /* enum eio_state */
    uint8_t transport;       /* enum eio_transport */
    uint8_t upgrade;         /* enum eio_upgrade */
    uint8_t close_reason;    /* enum eio_close_reason, unless OPEN */
    bool awaits_pong;
    bool owes_ping; /* over polling, a ping is not in the outbox: it goes out while PROBED, too */
    bool owes_on_close;  /* CLOSED because the outbox was full, and on_close was not called yet */
    uint8_t inbox_units; /* what it has of settings->inboxes */
    char sid[EIO_SID_BYTES];
};

/*
 * Opens a session: puts the open packet into the outbox (and so calls on_output) and starts the heartbeat. Keeps
 * @settings. Over polling the GET that asked for it then gets eio_session_poll()'s answer, which is the open packet
 * alone.
 */
void eio_session_open(struct eio_session *session, const struct eio_settings *settings,
                      const char sid[EIO_SID_BYTES], enum eio_transport transport, uint64_t now_ms);

/*
 * Frees what the session holds. Its transport must be gone, or never use it again. Calls nothing back, and must not be
 * called by one of the session's own callbacks. A probe that the session has is CLOSED by it.
 */
void eio_session_release(struct eio_session *session);

/*
 * Takes what it can of the @len bytes that the session's WebSocket has read, and may change them; returns how many
 * were taken. The rest is an unfinished frame: hand it over again with more behind it. All are taken, unread, once it
 * is not OPEN. May call back, and the callbacks may send and close.
 */
size_t eio_session_receive(struct eio_session *session, char *data, size_t len, uint64_t now_ms);

/* Queues a message packet. Borrows @message. Ignored unless OPEN. */
void eio_session_send(struct eio_session *session, struct bytes message, bool binary);

/*
 * For layers above that write a message packet's frame themselves: append whole frames to the result, then call
 * eio_session_end_write(). NULL unless OPEN.
 */
struct buf *eio_session_begin_write(struct eio_session *session);
void eio_session_end_write(struct eio_session *session);

/*
 * Points @ret_iov at up to @iov_max pieces of what should be written to the WebSocket next; returns how many, 0 when
 * there is nothing now. Less than @iov_max pieces with less than EIO_PEEK_BYTES in all are all that there is: once they are
 * written, another peek would give nothing. Valid until anything else of this session is called.
 */
size_t eio_session_peek(struct eio_session *session, struct iovec *ret_iov, size_t iov_max);

/*
 * @written bytes of what peek last gave were written; any number up to their sum. Nothing else of this session may have
 * been called since that peek.
 */
void eio_session_advance(struct eio_session *session, size_t written);

/*
 * A GET wants its answer: appends a payload of whole packets to @out, and stops behind the one with which it has
 * reached @bytes_max (a last answer takes all that is left). False, with nothing appended, when there is nothing yet:
 * the GET waits, and on_output says when to ask again. Always true unless OPEN, and when the session is on a
 * WebSocket by now.
 */
MUST_USE bool eio_session_poll(struct eio_session *session, struct buf *out, size_t bytes_max,
                               uint64_t now_ms);

enum eio_post_result {
    EIO_POST_OK,      /* 200, "ok" as text/html */
    EIO_POST_REFUSED, /* 400; the session is CLOSED, or on a WebSocket by now, and nothing was read */
    EIO_POST_TOO_LARGE, /* 413; longer than payload_bytes_max, nothing was read, the session goes on */
};

/*
 * Reads a POST's body: a payload of packets, binary ones as 'b' and base64. The first malformed one closes the session
 * (EIO_CLOSE_PROTOCOL); those in front of it were read. Calls back as eio_session_receive() does. Borrows @body.
 */
MUST_USE enum eio_post_result eio_session_post(struct eio_session *session, struct bytes body,
                                               uint64_t now_ms);

/* Ends the session from our side, on a WebSocket with a close frame of @close_code. Nothing happens unless OPEN. */
void eio_session_close(struct eio_session *session, enum eio_close_reason reason,
                       uint16_t close_code, uint64_t now_ms);

/* The socket is gone, or a request was aborted: the session is CLOSED, and on_close is called unless it was. */
void eio_session_transport_closed(struct eio_session *session, uint64_t now_ms);

/*
 * The steps of an upgrade, for whoever has the WebSocket: eio_probe.h calls them for a WebSocket on this server, and
 * for one on another server the session's owner does, when that tells it.
 *
 * claim   False, and nothing changes, unless OPEN, over polling, and not claimed yet: that WebSocket is to be closed.
 * probed  "2probe" came. A GET that waits is to be answered (on_output is called). False when it is claimed no more.
 * failed  The claim is over; polling goes on. Nothing happens where there is none. Where the WebSocket is elsewhere, the
 *         owner keeps upgrade_timeout_ms, too, since the other server may die; and when the session ends, it says so to
 *         that server.
 */
MUST_USE bool eio_session_upgrade_claim(struct eio_session *session);
MUST_USE bool eio_session_upgrade_probed(struct eio_session *session);
void eio_session_upgrade_failed(struct eio_session *session);

#endif
