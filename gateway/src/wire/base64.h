/*
 * base64.h - RFC 4648: the standard alphabet with padding (section 4), as binary packets have it over polling; and the one that
 * is safe in URLs, without padding (section 5), as tokens have it.
 */
#ifndef PARLEY_WIRE_BASE64_H
#define PARLEY_WIRE_BASE64_H

#include "base/bytes.h"

/* Appends @data in base64: 4 characters for 3 bytes or fewer. */
void base64_append(struct buf *out, struct bytes data);

/*
 * Appends what @text says. Its padding may be missing, and there may be line breaks, as the reference allows: the Java
 * client breaks lines behind 76 characters. False, with nothing appended, when another character is none of the
 * alphabet's or the length is none that an encoder makes.
 */
MUST_USE bool base64_decode(struct bytes text, struct buf *out);

void base64url_append(struct buf *out, struct bytes data);

/* Appends what @text says. False, with @out as it was, when it is not as base64url_append() writes it: one text, one meaning. */
MUST_USE bool base64url_decode(struct bytes text, struct buf *out);

#endif
