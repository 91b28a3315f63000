/*
 * database.h - what must be true of the database before a lane works with it: its schema is there, and its epoch is that
 * of the Postgres that it lives on.
 *
 * Seen to on every new connection, not only at start: a connection that broke may lead to a promoted standby, or to a
 * database that was restored meanwhile. All of it is one transaction under an advisory lock, so whichever replica comes
 * first does the work and the others find it done.
 */
#ifndef PARLEY_STORE_DATABASE_H
#define PARLEY_STORE_DATABASE_H

#include "pg.h"

enum database_result {
    DATABASE_READY,
    DATABASE_LATER, /* Postgres failed in the middle; nothing was changed: try again on a new connection */
    DATABASE_WRONG, /* no database for this program: @ret_note says why */
};

/*
 * Brings the schema up to date and begins a new epoch where that is due, or where @starts_epoch. With DATABASE_READY,
 * @ret_note gets a sentence when something was changed and stays empty when not; otherwise it gets the reason.
 */
MUST_USE enum database_result database_prepare(struct pg *pg, bool starts_epoch,
                                               struct buf *ret_note);

/*
 * For who is about to append: DATABASE_LATER, with the reason in @ret_note, while commits of parley-store's have waited
 * for a synchronous standby for so long that their lanes gave them up. They go on waiting, on connections that nobody
 * can end; with one more for each attempt, Postgres would soon have none left.
 */
MUST_USE enum database_result database_look_for_stuck_commits(struct pg *pg, struct buf *ret_note);

#endif
