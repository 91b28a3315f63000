/*
 * client.h - one Socket.IO client over a WebSocket: the handshakes, heartbeats, frames and packets; what events mean is
 * for others. Only what a sound server sends is understood: anything else is a failure of the run.
 *
 *     CONNECTING ──connected──▶ UPGRADING ──101──▶ OPENING ──"0{…}"──▶ JOINING ──"40/room,{…}"──▶ JOINED
 *
 * Ownership  A client belongs to its swarm (swarm.h), which reads and writes its socket.
 */
#ifndef PARLEY_BENCH_CLIENT_H
#define PARLEY_BENCH_CLIENT_H

#include "base/bytes.h"
#include <netinet/in.h>

enum client_state {
    CLIENT_UNUSED, /* has no socket yet */
    CLIENT_CONNECTING,
    CLIENT_UPGRADING,
    CLIENT_OPENING,
    CLIENT_JOINING,
    CLIENT_JOINED,
};

struct client {
    int fd;
    const struct sockaddr_in *server; /* that it connects to */
    uint32_t index;                   /* in its swarm */
    uint32_t room;                    /* its number */
    enum client_state state;
    uint16_t namespace_len; /* of "/room," between a packet's type and what follows */
    bool is_dirty;          /* out has grown, and the swarm will write it */
    bool is_waiting_to_write;
    struct buf in;  /* the beginning of a frame whose rest is not there yet */
    struct buf out; /* what is to be written */
};

/* What the server said to a client. Payloads are valid during the call. */
struct client_handlers {
    /* Appends more members of CONNECT's auth, each with a comma in front. NULL: there are none. */
    void (*write_auth)(void *user, const struct client *client, struct buf *out);
    /* It has joined: @reply is CONNECT's answer, {"sid":…}. NULL: nobody wants to know. */
    void (*on_joined)(void *user, struct client *client, struct bytes reply);
    /*
     * Its connection is gone, and it is UNUSED now; it was in @state, and @why is a sentence. It may be started again, but
     * not by this call. NULL: that fails the run.
     */
    void (*on_lost)(void *user, struct client *client, enum client_state state, struct bytes why);
    /* @event is the packet's array: ["name",…] */
    void (*on_event)(void *user, struct client *client, struct bytes event);
    /* @arguments is the array of an acknowledgement. */
    void (*on_ack)(void *user, struct client *client, uint64_t ack_id, struct bytes arguments);
    void *user;
};

struct client_settings {
    const char *room_prefix; /* room @n is the namespace /<prefix>-<n> */
    bool has_echo;
    struct client_handlers handlers;
};

enum client_result {
    CLIENT_FINE,
    CLIENT_BROKEN, /* the server broke a protocol or refused us: a sentence says how */
};

/* Appends the request for the upgrade. The client is connected. */
void client_start(struct client *client);

/*
 * Reads what came from the server behind what is kept in client->in, and handles all that is whole. Answers are appended
 * to client->out. @data may be changed. On CLIENT_BROKEN a sentence is appended to @ret_error.
 */
MUST_USE enum client_result client_receive(struct client *client,
                                           const struct client_settings *settings, char *data,
                                           size_t len, struct buf *ret_error);

/* Appends an event as a masked frame: @arguments is all between the array's brackets; @ack_id NULL asks for no answer. */
void client_emit(struct client *client, const struct client_settings *settings,
                 const uint64_t *ack_id, struct bytes arguments);

/* Forgets its connection, which is closed: UNUSED again. */
void client_reset(struct client *client);

void client_release(struct client *client);

/* The id in  ["chat message",…,"<epoch>-<id>"]  , with the epoch in @ret_epoch unless that is NULL; 0 when there is none. */
uint64_t client_event_id(struct bytes event, uint64_t *ret_epoch);

#endif
