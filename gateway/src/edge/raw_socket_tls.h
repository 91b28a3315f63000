/*
 * raw_socket_tls.h - a raw socket whose bytes go through TLS: libh2o keeps its socket, which does the cryptography.
 *
 * For raw_socket.c only, whose contract it keeps. What one costs is TLS's, some 15 KiB; that it is libh2o's socket does not
 * matter beside it.
 *
 *   write   libh2o has one write at a time: up to RAW_TLS_WRITE_BYTES are copied and handed over; until they went, the next
 *           write is RAW_WRITE_BLOCKED
 *   end     TLS's close_notify (RFC 8446, section 6.1) goes out behind what was written, then the file's sending side is shut down,
 *           and TLS is over: its memory is free. What the peer still sends comes as it is, for owners that only wait for its end.
 */
#ifndef PARLEY_EDGE_RAW_SOCKET_TLS_H
#define PARLEY_EDGE_RAW_SOCKET_TLS_H

#include "raw_socket.h"

enum { RAW_TLS_WRITE_BYTES = 64 * 1024 };

/* Takes @from, on which a handshake was done, for @socket. Returns owned. */
struct raw_tls *raw_tls_open(struct raw_sockets *set, struct raw_socket *socket,
                             h2o_socket_t *from);

/* The owner is another one, in another set. */
void raw_tls_move(struct raw_tls *tls, struct raw_sockets *set, struct raw_socket *socket);

void raw_tls_start(struct raw_tls *tls);
/* Cold, so that it costs a plain socket's write nothing. */
MUST_USE __attribute__((cold)) enum raw_write
raw_tls_write(struct raw_tls *tls, struct iovec *pieces, size_t count, size_t *ret_written);
MUST_USE bool raw_tls_end_writing(struct raw_tls *tls);
void raw_tls_discard_unsent(struct raw_tls *tls);
void raw_tls_close(struct raw_tls *tls);

#endif
