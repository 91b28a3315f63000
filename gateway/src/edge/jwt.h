/*
 * jwt.h - JSON Web Tokens (RFC 7519) in the compact form (RFC 7515): who somebody is, and which rooms are open to them.
 *
 *   {"sub": "ada", "exp": 1795702625, "rooms": {"read": ["lobby", "team-*"], "write": ["team-7"]}}
 *
 *   sub    who it is: 1 to 64 characters and at most 128 bytes, no control characters
 *   exp    required; nbf, iat: seconds since 1970, fractions allowed
 *   iss    must be the rules' issuer, where they have one
 *   aud    must name the rules' audience; where they have none, the token must have none either (RFC 7519, section 4.1.3)
 *   rooms  patterns, "*" stands for any characters: an array opens rooms for reading and writing, an object says what for.
 *          Absent: all rooms are open. Anything else opens none.
 *   jti    at most JWT_ID_BYTES_MAX bytes: with it, this token alone can be revoked
 *
 * Limits  JWT_BYTES_MAX bytes.
 * Thread  The caller's.
 */
#ifndef PARLEY_EDGE_JWT_H
#define PARLEY_EDGE_JWT_H

#include "jwk.h"

enum { JWT_BYTES_MAX = 8192, JWT_ID_BYTES_MAX = 64 };

struct jwt_rules {
    const struct jwk_set *keys;
    struct bytes issuer, audience; /* len 0: none */
    uint64_t leeway_ms;            /* by how much clocks may differ, for exp and nbf */
};

enum jwt_result {
    JWT_OK,
    JWT_STALE, /* another token may do: it has expired, is not valid yet, or is of a key that is not here (any more) */
    JWT_REFUSED, /* it will never do */
};

struct jwt {
    struct buf subject, id;
    uint64_t expires_ms;      /* since 1970, leeway included */
    uint64_t issued_ms;       /* 0: it does not say */
    bool may_read, may_write; /* @room of jwt_check() */
};

/*
 * Checks @token, at @now_ms since 1970, for @room. Unless JWT_OK, *@ret_why is a sentence for whoever made the token, without
 * anything of the token in it. Call jwt_release() in any case.
 */
MUST_USE enum jwt_result jwt_check(const struct jwt_rules *rules, struct bytes token,
                                   struct bytes room, uint64_t now_ms, struct jwt *ret_jwt,
                                   const char **ret_why);

void jwt_release(struct jwt *jwt);

/* Whether @text is as @pattern says, in which "*" stands for any characters. */
bool jwt_pattern_fits(struct bytes pattern, struct bytes text);

#endif
