/*
 * jwk.h - the keys that tokens are signed with, and whether one of them made a signature (RFC 7515, 7517, 7518, 8037).
 *
 * Each key is for one algorithm, which its type says and never the token: a token that names another one is not even tried with
 * it. So nobody can take an RSA key, which is public, for the secret of HS256.
 *
 *   HS256  a secret of JWK_SECRET_BYTES_MIN bytes or more: JWK "oct"
 *   RS256  RSA of JWK_RSA_BITS_MIN bits or more: JWK "RSA", or PEM
 *   ES256  P-256: JWK "EC", or PEM
 *   EdDSA  Ed25519: JWK "OKP", or PEM
 *
 * Limits  JWK_KEYS_MAX keys.
 * Thread  The caller's.
 */
#ifndef PARLEY_EDGE_JWK_H
#define PARLEY_EDGE_JWK_H

#include "base/bytes.h"

enum {
    JWK_KEYS_MAX = 32,
    JWK_SECRET_BYTES_MIN = 32,
    JWK_RSA_BITS_MIN = 2048,
    JWK_RSA_BITS_MAX = 8192,
};

enum jwk_algorithm { JWK_HS256, JWK_RS256, JWK_ES256, JWK_EDDSA };

/* False: it is none that is accepted here, such as "none". */
MUST_USE bool jwk_algorithm_of(struct bytes name, enum jwk_algorithm *ret_algorithm);

struct jwk_set;

/* Without a key. Returns owned. */
struct jwk_set *jwk_set_new(void);

/* Accepts NULL. What it held of secrets is wiped. */
void jwk_set_free(struct jwk_set *set);

/*
 * Adds a secret, or the public keys of a file: a JWK Set, one JWK, or PEM (public keys, or certificates). Keys of a JWK Set that
 * are for something else, or for an algorithm that is none of ours, are left out. Returns NULL, or what is wrong, as the second
 * half of a sentence ("holds a private key"); the set is then to be thrown away.
 */
MUST_USE const char *jwk_set_add_secret(struct jwk_set *set, struct bytes secret);
MUST_USE const char *jwk_set_add_file(struct jwk_set *set, struct bytes text);

size_t jwk_set_count(const struct jwk_set *set);

enum jwk_result {
    JWK_SIGNED,
    JWK_NOT_SIGNED,   /* by none of the keys that may have signed it */
    JWK_NO_SUCH_KEY,  /* none of the algorithm's keys has this id: it is yet to come, or gone */
    JWK_NO_SUCH_KEYS, /* there is none for this algorithm */
};

/*
 * Whether a key signed @input with @signature. @key_id: len 0 where the token names none; a key without an id may be the one
 * that any token means.
 */
enum jwk_result jwk_verify(const struct jwk_set *set, enum jwk_algorithm algorithm,
                           struct bytes key_id, struct bytes input, struct bytes signature);

#endif
