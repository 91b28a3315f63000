/*
 * read_sql.h - the statements of read.c, where the test of the model of Postgres finds them too.
 */
#ifndef PARLEY_STORE_READ_SQL_H
#define PARLEY_STORE_READ_SQL_H

/* $1: a room, $2: epochs at most. One row for each epoch of it, oldest first; a room without a row has one, the database's. */
#define READ_FACTS_SQL                                                                    \
    "SELECT coalesce(r.id, 0), coalesce(r.head, 0), coalesce(e.epoch, d.epoch),"          \
    " coalesce(e.first_id, 1),"                                                           \
    " coalesce((SELECT min(m.id) FROM messages m WHERE m.room_id = r.id), r.head + 1, 1)" \
    " FROM (SELECT max(epoch) AS epoch FROM epochs) d"                                    \
    " LEFT JOIN rooms r ON r.name = $1"                                                   \
    " LEFT JOIN LATERAL (SELECT * FROM room_epochs s WHERE s.room_id = r.id"              \
    "  ORDER BY s.epoch DESC LIMIT $2) e ON true"                                         \
    " ORDER BY 3"

/* $1: a room's id, $2, $3: the range, $4: messages at most. */
#define READ_MESSAGES_SQL                                                   \
    "SELECT id, sender, session, client_id, body, created_at FROM messages" \
    " WHERE room_id = $1 AND id BETWEEN $2 AND $3 ORDER BY id "
#define READ_OLDEST_MESSAGES_SQL READ_MESSAGES_SQL "LIMIT $4"
#define READ_NEWEST_MESSAGES_SQL READ_MESSAGES_SQL "DESC LIMIT $4"

/*
 * $1: rooms. Epoch and head of each, in their order. Each is looked up by its name, also by a plan of a time when there were no
 * rooms: LIMIT keeps Postgres from joining them as a whole.
 */
#define READ_HEADS_SQL                                                                       \
    "SELECT coalesce(r.epoch, d.epoch), coalesce(r.head, 0)"                                 \
    " FROM unnest($1) WITH ORDINALITY n (name, place)"                                       \
    " CROSS JOIN (SELECT max(epoch) AS epoch FROM epochs) d"                                 \
    " LEFT JOIN LATERAL (SELECT epoch, head FROM rooms WHERE rooms.name = n.name LIMIT 1) r" \
    " ON true ORDER BY n.place"

#endif
