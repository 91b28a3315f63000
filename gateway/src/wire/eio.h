/*
 * eio.h - Engine.IO protocol 4, server side: sessions, heartbeats, packets.
 *
 * The library owns no socket and reads no clock. Whoever uses it gives it bytes in (eio_session_receive), takes bytes
 * out (eio_session_peek, eio_session_advance) when told that there are some (on_output), and gives it time: all
 * timeouts are on the `struct timers` of the settings. This file knows nothing of what the messages mean.
 *
 * What goes out is always a sequence of whole, unmasked WebSocket frames, one packet each: control packets in the
 * session's small outbox, and whatever else its user has (the `peek` callback), such as a room's log.
 *
 *     OPEN ── eio_session_close(), the peer's close or fault, ping timeout ──▶ CLOSING ── all written ──▶ CLOSED
 *       └──── transport gone, outbox full ─────────────────────────────────────────────────────────────────▲
 *
 *   OPEN     packets go both ways.
 *   CLOSING  nothing is read any more; what eio_session_peek() still gives (a close frame) should be written, then the
 *            transport closed. on_close has been called.
 *   CLOSED   as CLOSING, but there is nothing left to write.
 *
 * Thread      One; no locks.
 * Invariants  1. on_close is called exactly once for each session that was opened.
 *             2. The outbox holds at most outbox_bytes_max bytes and a close frame; a session whose outbox would overflow
 *                is closed (EIO_CLOSE_OUTBOX_FULL): its peer does not read. It is CLOSED at once, but on_close comes
 *                with the next call that has a time (at the latest from the timers' next run), so that sending calls
 *                back on_output alone, and a loop over many sessions may send.
 *             3. Frames never mix: the outbox always goes first, and the rest of a half written frame of the user's is
 *                at its front (see advance).
 */
#ifndef PARLEY_WIRE_EIO_H
#define PARLEY_WIRE_EIO_H

#include "base/timers.h"
#include "ws.h"
#include <sys/uio.h>

enum { EIO_SID_BYTES = 20 };

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
    EIO_CLOSE_TRANSPORT,    /* the socket was closed or failed: eio_session_transport_closed() */
    EIO_CLOSE_PEER,         /* the peer sent a WebSocket close frame or an Engine.IO close packet */
    EIO_CLOSE_PING_TIMEOUT, /* no pong in ping_timeout_ms */
    EIO_CLOSE_PROTOCOL,     /* the peer broke RFC 6455, Engine.IO or a layer above */
    EIO_CLOSE_OUTBOX_FULL,  /* the peer does not read what it asked for */
    EIO_CLOSE_SERVER,       /* eio_session_close() */
};

/* A stable lower-case word for logs and metrics. */
const char *eio_close_reason_name(enum eio_close_reason reason);

struct eio_session;

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
     * Pieces begin and end between frames. Where @written ends inside of one, advance must put that frame's rest into
     * the outbox (eio_session_begin_write()), which is empty then; peek goes on with the next frame.
     * Both NULL: the outbox is all. While CLOSING they are not asked.
     */
    size_t (*peek)(struct eio_session *session, struct iovec *ret_iov, size_t iov_max);
    void (*advance)(struct eio_session *session, size_t written);
};

/* Shared by all sessions of a server; must outlive them. */
struct eio_settings {
    uint32_t ping_interval_ms;
    uint32_t ping_timeout_ms;
    uint32_t payload_bytes_max; /* longest packet in, maxPayload of the open packet */
    uint32_t outbox_bytes_max;
    struct timers *timers;
    struct eio_callbacks callbacks;
};

enum eio_state { EIO_STATE_OPEN, EIO_STATE_CLOSING, EIO_STATE_CLOSED };

/* Embedded in what it belongs to. Read only `sid` and `state` from outside. */
struct eio_session {
    const struct eio_settings *settings;
    struct timer heartbeat; /* the next ping, or the end of the wait for a pong */
    struct ws_reader reader;
    struct buf outbox; /* frames; owns memory only while it holds some */
    uint8_t state;     /* enum eio_state */
    bool awaits_pong;
    bool owes_on_close; /* CLOSED because the outbox was full, and on_close was not called yet */
    char sid[EIO_SID_BYTES];
};

/*
 * Opens a session on a WebSocket: puts the open packet into the outbox (and so calls on_output) and starts the heartbeat.
 * Keeps @settings.
 */
void eio_session_open(struct eio_session *session, const struct eio_settings *settings,
                      const char sid[EIO_SID_BYTES], uint64_t now_ms);

/*
 * Frees what the session holds. Its transport must be gone, or never use it again. Calls nothing back, and must not be
 * called by one of the session's own callbacks.
 */
void eio_session_release(struct eio_session *session);

/*
 * Takes what it can of the @len bytes that the transport has read, and may change them; returns how many were taken. The
 * rest is an unfinished frame: hand it over again with more behind it. All are taken, unread, once it is not OPEN. May
 * call back, and the callbacks may send and close.
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
 * Points @ret_iov at up to @iov_max pieces of what should be written next; returns how many, 0 when there is nothing
 * now. Valid until anything else of this session is called.
 */
size_t eio_session_peek(struct eio_session *session, struct iovec *ret_iov, size_t iov_max);

/*
 * @written bytes of what peek last gave were written; any number up to their sum. Nothing else of this session may have
 * been called since that peek.
 */
void eio_session_advance(struct eio_session *session, size_t written);

/* Ends the session from our side with a close frame of @close_code. Nothing happens unless OPEN. */
void eio_session_close(struct eio_session *session, enum eio_close_reason reason,
                       uint16_t close_code, uint64_t now_ms);

/* The socket is gone: the session is CLOSED, and on_close is called unless it was. */
void eio_session_transport_closed(struct eio_session *session, uint64_t now_ms);

/* Appends an open packet's JSON: exactly the protocol's five keys. @upgrades is "[]" or "[\"websocket\"]". */
void eio_write_open(struct buf *out, const struct eio_settings *settings,
                    const char sid[EIO_SID_BYTES], const char *upgrades);

/* What is wrong with a request's query, in the reference's order of checks; see eio_error_message(). */
enum eio_error {
    EIO_ERROR_NONE = -1,
    EIO_ERROR_TRANSPORT = 0,
    EIO_ERROR_SID = 1,
    EIO_ERROR_METHOD = 2,
    EIO_ERROR_BAD_REQUEST = 3,
    EIO_ERROR_FORBIDDEN = 4,
    EIO_ERROR_VERSION = 5,
};

/* "Transport unknown", "Session ID unknown", … as the reference server says it. */
const char *eio_error_message(enum eio_error error);

/* The parameters of a request's query string that matter here. Slices of the query; data NULL where absent. */
struct eio_query {
    struct bytes transport, sid, eio;
};

void eio_parse_query(struct bytes query, struct eio_query *ret_query);

#endif
