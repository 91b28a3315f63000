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

/* CLOSING has nothing left to write. */
void eio_session_end_closing(struct eio_session *session);

/* Calls the on_close that a full outbox could not; at the end of every call that has a time. */
void eio_session_pay_on_close(struct eio_session *session, uint64_t now_ms);

/*
 * The probe of @session has its "5". Takes @unwritten, whole frames or the rest of one, to be written to the WebSocket
 * before all else; then calls on_upgraded() and on_output().
 */
void eio_session_switch(struct eio_session *session, struct eio_probe *probe,
                        struct bytes unwritten, uint64_t now_ms);

/* The session of @probe is over. @tells: whether the probe's on_output() is called. */
void eio_probe_session_is_over(struct eio_probe *probe, bool tells);

#endif
