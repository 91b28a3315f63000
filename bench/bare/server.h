/*
 * server.h - what the parts of parley-bare share: its connections, its rooms, and how it was told to be.
 *
 * There is one server in a process, and one thread. It speaks just enough Socket.IO for parley-load, and trusts its
 * clients: it is no server for anything else.
 */
#ifndef PARLEY_BENCH_BARE_SERVER_H
#define PARLEY_BENCH_BARE_SERVER_H

#include "base/bytes.h"
#include "base/list.h"

enum {
    ROOMS_MAX = 100000,
    MESSAGE_BYTES_MAX = 65536,
};

struct room;

struct connection {
    int fd;
    bool is_upgraded;
    bool is_blocked;      /* waits until its socket can be written to */
    struct room *room;    /* NULL: has not joined */
    uint32_t place;       /* among its room's members */
    struct buf in;        /* the beginning of what is not there yet */
    struct buf out;       /* what its socket did not take */
    struct list in_pings; /* from the upgrade on, where there are pings */
    uint64_t ping_at_ms;
};

struct server_settings {
    uint32_t port;
    uint32_t packet_bytes; /* of a message's packet at least: blanks fill it up */
    uint32_t ping_ms;      /* 0: no pings */
    bool is_joined;  /* what was published in one turn goes out in one write for each member */
    bool is_echo;    /* messages are answered, and nobody else gets them */
    bool has_replay; /* who joins with a "pid" gets all that was ever said in its room */
};

extern struct server_settings settings;

/* --- server.c ---------------------------------------------------------------------------------------------------- */

/* Asks to be told when @connection can be written to as well, or no longer. */
void server_watch(struct connection *connection, bool wants_write);

/* --- connection.c ------------------------------------------------------------------------------------------------- */

/* Returns owned. Takes @fd. */
MUST_USE struct connection *connection_new(int fd);

/* Closes it, and leaves its room. */
void connection_free(struct connection *connection);

/* Sends what can be sent of @data at once, and keeps the rest. An error shows when the socket is read. */
void connection_send(struct connection *connection, struct bytes data);

/* Sends a packet. */
void connection_send_packet(struct connection *connection, struct bytes packet);

/* Reads, and does what was asked for. Returns false when the connection is over. */
MUST_USE bool connection_on_readable(struct connection *connection);
void connection_on_writable(struct connection *connection);

/* Sends pings that are due. Returns in how many ms the next one is, -1 when there will be none. */
int connection_send_pings(void);

/* --- room.c ------------------------------------------------------------------------------------------------------- */

/* Joins the room whose number ends @namespace ("/…-17,"); none is the room 0. */
void room_join(struct connection *connection, struct bytes namespace);
void room_leave(struct connection *connection);

/* Publishes  42/room,["chat message","…"]  as the same with blanks and an id behind the text. */
void room_publish(struct room *room, struct bytes packet);

/* Sends all that was said in the room of @connection. */
void room_replay(struct connection *connection);

/* Sends what was published since the last time, where it is joined. */
void room_flush_all(void);

#endif
