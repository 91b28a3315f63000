/*
 * client.h - one client over a WebSocket: the handshakes, heartbeats, frames and packets; what events mean is for others.
 * Only what a sound server sends is understood: anything else is a failure of the run.
 *
 *     CONNECTING ──connected──▶ UPGRADING ──101──▶ OPENING ──"0{…}"──▶ JOINING ──"40/room,{…}"──▶ JOINED
 *
 * On a plain WebSocket it has joined with the upgrade, and a frame is an event.
 *
 * Ownership  A client belongs to its swarm (swarm.h), which reads and writes its socket.
 */
#ifndef PARLEY_BENCH_CLIENT_H
#define PARLEY_BENCH_CLIENT_H

#include "base/bytes.h"
#include <netinet/in.h>

/* What the server speaks. */
enum client_dialect {
    CLIENT_PARLEY, /* Socket.IO; a room is a namespace; the last argument of an event is its offset */
    CLIENT_TUTORIAL, /* Socket.IO, one room; an event's second argument is its id, and ids need not be in order */
    CLIENT_PLAIN, /* what one client sends, all of its room get; the second element of an event is its id */
};

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
    uint16_t rooms_left;    /* JOINING: so many CONNECTs are unanswered */
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
    enum client_dialect dialect;
    const char *
        room_prefix; /* room @n is the namespace, or on a plain WebSocket the path, /<prefix>-<n> */
    uint32_t
        rooms_each; /* more than 1: client @i joins rooms @i × rooms_each and on, and is to be silent */
    bool has_echo;
    struct client_handlers handlers;
};

enum client_result {
    CLIENT_FINE,
    CLIENT_BROKEN, /* the server broke a protocol or refused us: a sentence says how */
};

/* Appends the request for the upgrade. The client is connected. */
void client_start(struct client *client, const struct client_settings *settings);

/*
 * Reads what came from the server behind what is kept in client->in, and handles all that is whole. Answers are appended
 * to client->out. @data may be changed. On CLIENT_BROKEN a sentence is appended to @ret_error.
 */
MUST_USE enum client_result client_receive(struct client *client,
                                           const struct client_settings *settings, char *data,
                                           size_t len, struct buf *ret_error);

/*
 * Appends an event as a masked frame: @arguments is all between the array's brackets; @ack_id NULL asks for no answer, and
 * a plain WebSocket has none.
 */
void client_emit(struct client *client, const struct client_settings *settings,
                 const uint64_t *ack_id, struct bytes arguments);

/*
 * Appends the arguments of a message: its name, @text, which needs no escapes, and what the dialect wants to have behind it.
 * @number is 1 for the first one that is sent to the server, and so on.
 */
void client_append_message(struct buf *out, const struct client_settings *settings,
                           struct bytes text, uint64_t number);

/* Forgets its connection, which is closed: UNUSED again. */
void client_reset(struct client *client);

void client_release(struct client *client);

/*
 * The id of  ["chat message","…",…]  , whose text must hold no quotes, with its epoch in @ret_epoch unless that is NULL; 0
 * when there is none. Where the dialect knows no epochs, @ret_epoch is unchanged.
 */
uint64_t client_event_id(enum client_dialect dialect, struct bytes event, uint64_t *ret_epoch);

#endif
