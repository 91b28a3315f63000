/*
 * tls.h - TLS of the clients' port (RFC 8446, RFC 5246): 1.2 and newer, forward secrecy and AEAD only, ALPN http/1.1, no
 * renegotiation, no compression. The certificate's files are looked at again and again; new ones count for new connections.
 *
 * Files that make no sense, or do not fit each other, are told of, and those before them go on.
 *
 * Thread  The loop's.
 */
#ifndef PARLEY_EDGE_TLS_H
#define PARLEY_EDGE_TLS_H

#include "base/bytes.h"
#include "base/timers.h"
#include <openssl/ssl.h>

/* The files are looked at so often; a pair that is replaced has as long to become one that fits. */
enum { TLS_LOOK_MS = 1000 };

struct tls;

/*
 * Reads both files (PEM; the certificate first, then those that lead to a root). *@ret_tls is NULL where both names are empty. False:
 * the reason is in @ret_error, with TLS_CERT_FILE and TLS_KEY_FILE. Keeps the names and @timers by reference. Returns owned.
 */
MUST_USE bool tls_new(const char *cert_file, const char *key_file, struct timers *timers,
                      struct tls **ret_tls, struct buf *ret_error);

/* Accepts NULL. No connection is open any more. */
void tls_free(struct tls *tls);

/* For the next connection. */
SSL_CTX *tls_context(const struct tls *tls);

/* When the certificate that counts ends, in seconds since 1970. */
int64_t tls_expires_s(const struct tls *tls);

#endif
