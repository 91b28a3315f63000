/*
 * export.h - parley-store --export: the messages of a room as lines of JSON, as `chat history` has them.
 *
 * Read in small pieces, without a transaction or a snapshot around them: bounded memory, and nothing keeps VACUUM from its work,
 * however slow the reader is. A log only grows, so what is written is the room as it was at the begin; but what is deleted or
 * erased meanwhile is so in what was not yet written.
 */
#ifndef PARLEY_STORE_EXPORT_H
#define PARLEY_STORE_EXPORT_H

#include "pg.h"

#include <stdio.h>

/* Writes the messages of @room to @out, ids ascending. False: the reason is in @ret_error; lines may have been written. */
MUST_USE bool export_room(struct pg *pg, struct bytes room, FILE *out, struct buf *ret_error);

#endif
