/*
 * erase.h - parley-store --erase-user: what one user has said is replaced; the messages stay, with their ids and times.
 *
 * It walks all messages of the database once, in the order of their key, in small transactions (migrations/0009_erase.sql), and
 * tells gateways of each room that it leaves behind. Where it is stopped, what is erased stays erased, and the next time it
 * goes on with what is left. What the user says meanwhile may be missed.
 */
#ifndef PARLEY_STORE_ERASE_H
#define PARLEY_STORE_ERASE_H

#include "pg.h"

#include <stdio.h>

/* Erases what @user said, and writes a sentence about it to @out. False: the reason is in @ret_error, and how far it came. */
MUST_USE bool erase_user(struct pg *pg, struct bytes user, FILE *out, struct buf *ret_error);

#endif
