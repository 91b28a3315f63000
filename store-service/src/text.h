/* text.h - what Postgres can hold as text. Pure. */
#ifndef PARLEY_STORE_TEXT_H
#define PARLEY_STORE_TEXT_H

#include "proto/contract.h"

/*
 * Counts the characters (Unicode code points) of @text in @ret_chars. Returns false when it is not UTF-8 (RFC 3629: no
 * overlong forms, no surrogates, nothing above U+10FFFF) or holds U+0000, which Postgres's text cannot.
 */
MUST_USE bool text_is_storable(struct bytes text, size_t *ret_chars);

/* A sentence why the schema will never take @message, or NULL when nothing is known against it. */
const char *message_refusal(const struct contract_new_message *message);

/* A sentence why @room can be nobody's room, or NULL. */
const char *room_refusal(struct bytes room);

#endif
