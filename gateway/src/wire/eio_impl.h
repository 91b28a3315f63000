/*
 * eio_impl.h - what the files of Engine.IO share and nobody else uses.
 */
#ifndef PARLEY_WIRE_EIO_IMPL_H
#define PARLEY_WIRE_EIO_IMPL_H

#include "eio.h"

/* Appends an open packet's JSON: exactly the protocol's five keys. */
void eio_write_open(struct buf *out, const struct eio_settings *settings,
                    const char sid[EIO_SID_BYTES], enum eio_transport transport);

/* Reads a text packet. May call back anything. The session must be OPEN. */
void eio_session_take_packet(struct eio_session *session, struct bytes packet, uint64_t now_ms);

/* An OPEN session with nothing to send and no heartbeat. */
void eio_session_init(struct eio_session *session, const struct eio_settings *settings,
                      const char sid[EIO_SID_BYTES], enum eio_transport transport);

/* What @session waited for is over, or has not come in time. May call back anything. */
void eio_session_on_due(struct eio_session *session, uint64_t now_ms);

/* The one way out of OPEN. Closes the session's probe; calls nothing else back. */
/*
 * The session holds @unread bytes of what it received, besides what its reader and its user keep. Where that makes all hold too
 * much, closes it: then the caller lets go of what is unread, and releases the reader.
 */
void eio_session_note_inbox(struct eio_session *session, size_t unread, uint64_t now_ms);

void eio_session_leave_open(struct eio_session *session, enum eio_state state,
                            enum eio_close_reason reason);

/* CLOSING has nothing left to write. */
void eio_session_end_closing(struct eio_session *session);

/* The outbox of an OPEN session has grown. Whoever does not read what it asked for is not waited for. */
void eio_session_outbox_was_filled(struct eio_session *session);

/* Calls the on_close that a full outbox could not; at the end of every call that has a time. */
void eio_session_pay_on_close(struct eio_session *session, uint64_t now_ms);

/* Appends a ping packet's frame. */
void eio_append_ping(struct buf *out);

/* @probe, which is MOVING and linked no more, has the "5" of @session: changes the transport and tells. */
void eio_session_switch(struct eio_session *session, struct eio_probe *probe, uint64_t now_ms);

/* The session of @probe is over. @tells: whether the probe's on_output() is called. */
void eio_probe_session_is_over(struct eio_probe *probe, bool tells);

#endif
