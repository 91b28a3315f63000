/*
 * check.h - parley-store --check: whether the log in the database is what appending to it makes.
 *
 * Reads only, in one transaction with one snapshot, through cursors: any size of log in bounded memory, here and, but
 * for temporary files of a sort, in Postgres. Nobody is locked out meanwhile.
 */
#ifndef PARLEY_STORE_CHECK_H
#define PARLEY_STORE_CHECK_H

#include "pg.h"

#include <stdio.h>

enum check_result {
    CHECK_WHOLE,
    CHECK_DAMAGED,
    CHECK_IMPOSSIBLE, /* it could not be looked at, or not to the end: @ret_error says why */
};

/* Writes a line for each thing that is wrong to @out, and a summary. */
MUST_USE enum check_result check_database(struct pg *pg, FILE *out, struct buf *ret_error);

#endif
