/*
 * fake_world.h - gateways' hubs, one store, the bus between them, and clients, all in one process and in virtual time.
 *
 * What hubs and store say to each other travels encoded, as on NATS, and arrives after a delay, or not at all. Clients
 * speak WebSocket frames to their hub over sockets that take as many bytes at a time as a test likes. Every client
 * checks by itself, all the time, what it is promised: ids without holes but for those that a `chat gap` names,
 * nothing twice, the text that the store has, its own copy before its acknowledgement, acknowledged what is stored. A
 * broken promise aborts.
 *
 * Time moves only in fake_world_run(); whatever is done between two calls happens at one moment.
 */
#ifndef PARLEY_TESTS_FAKE_WORLD_H
#define PARLEY_TESTS_FAKE_WORLD_H

#include "fake_store.h"
#include "hub/hub.h"
#include <stdio.h>

enum { FAKE_GATEWAYS_MAX = 4, FAKE_CLIENTS_MAX = 1024, FAKE_PLACES_MAX = 8, FAKE_SENDS_MAX = 4096 };

/* What becomes of requests that arrive at the store. */
enum fake_store_mode {
    FAKE_STORE_UP,
    FAKE_STORE_NOBODY, /* NATS answers that nobody is there */
    FAKE_STORE_SILENT, /* no answer, nothing done */
    FAKE_STORE_UNAVAILABLE,
    FAKE_STORE_OVERLOADED,
    FAKE_STORE_INVALID,
    FAKE_STORE_DIES, /* appends are committed, but neither published nor answered */
};

/* In percent, where not milliseconds. */
struct fake_faults {
    unsigned request_lost, reply_lost, broadcast_lost, broadcast_twice, commit_unpublished;
    unsigned request_late;               /* a store was frozen, and goes on with what it had */
    uint64_t late_max_ms;                /* ... after so long at most */
    uint64_t delay_min_ms, delay_max_ms; /* of each hop, drawn anew for each message */
};

struct fake_world;

/* Who answers requests instead of the fake store, whose content it keeps up to date then. */
struct fake_service {
    /* Takes a request, to be answered by fake_world_answer(). False: nobody is there. */
    bool (*request)(void *user, bool is_append, uint64_t token, struct bytes payload);
    uint64_t (*next_ms)(void *user); /* when it has something to do; UINT64_MAX: never */
    void (*run)(void *user);         /* does some of it */
    void *user;
};

/* A request that the service has: where the answer goes. */
struct fake_ask {
    struct fake_gateway *gateway;
    uint64_t life, request;
    bool is_append;
};

struct fake_gateway {
    struct fake_world *world;
    unsigned index;
    struct hub *hub; /* NULL: it is not running */
    struct timers timers;
    uint64_t life;            /* what was sent to an earlier life is not delivered */
    bool is_cut_off;          /* from the bus: nothing comes, nothing goes */
    struct buf subscriptions; /* "|room||room|" */
    struct buf watched;       /* likewise: of presence */
    unsigned appends, queries, subscribes, announcements, questions;
    unsigned turns; /* of its loop, with something to do */
    bool last_append_was_repeat;
};

/* A client's place in a room. What it has seen stays when the connection goes. */
struct fake_place {
    char namespace[CONTRACT_ROOM_BYTES_MAX + 2];
    bool is_joined;
    bool is_recovered; /* of the last CONNECT */
    bool is_fresh;     /* nothing came since */
    bool no_echo, wants_presence;
    uint64_t present; /* members of the room, as it was last told */
    bool has_names;   /* of them all, in the same */
    uint64_t typers;  /* 0: nobody types, as it was last told */
    char sid[64];
    char pid[600];
    uint64_t epoch;   /* of the newest message seen */
    char offset[48];  /* of the newest message seen, as the library keeps it; "": none */
    uint64_t next_id; /* the only one that may come next; 0: any */
    uint64_t count;   /* messages seen */
    /* Likewise next_id, in the epoch that it was told is over, as long as it has seen nothing of a newer one; or 0. */
    uint64_t old_next_id;
};

struct fake_send {
    char client_id[65];
    char namespace[CONTRACT_ROOM_BYTES_MAX + 2];
    char sid[64];
    uint64_t ack_id;
    uint64_t acked_as; /* 0: not acknowledged */
    bool is_refused, has_error;
    uint64_t connection; /* client.connection */
    uint64_t sent_at_ms;
};

struct fake_client {
    struct fake_world *world;
    struct fake_gateway *gateway;
    struct client *client; /* NULL: not connected */
    uint64_t connection;   /* how many it has opened: an upgrade goes on with the same one */
    bool is_polling;       /* long-polling, until fake_client_upgrade() */
    /* It came from there by an upgrade, and what it had on its way has yet to be settled there. */
    struct fake_gateway *awaits_from;
    uint64_t move; /* number of that upgrade */
    char username[33];
    uint32_t source;  /* hub_world.source() */
    size_t write_max; /* bytes that the socket takes at a time */
    size_t window;    /* bytes that it takes in all before it is full, until fake_client_drain() */
    size_t window_left;
    uint64_t drain_after_ms; /* 0: a full socket stays full until fake_client_drain() */
    uint64_t drains_at_ms;
    struct buf input;
    struct buf seen; /* what came since fake_client_seen(), in words: see there */
    struct fake_place places[FAKE_PLACES_MAX];
    size_t place_count;
    struct fake_send *sends; /* NULL before the first */
    size_t send_count;
    uint64_t last_ack_id;
    bool is_quiet; /* messages are checked, but not written to `seen` */
};

struct fake_mail;

struct fake_world {
    uint64_t now_ms;
    uint64_t random;
    struct fake_store store;
    const struct fake_service *service; /* NULL: the fake store answers */
    struct fake_ask *asks;
    size_t ask_count;
    enum fake_store_mode append_mode, query_mode;
    struct fake_faults faults;
    bool loses_broadcasts, loses_presence;
    bool has_slow_turns; /* a gateway's loop has one turn a millisecond */
    struct fake_gateway gateways[FAKE_GATEWAYS_MAX];
    struct fake_client *clients[FAKE_CLIENTS_MAX];
    size_t client_count;
    struct fake_mail *mail;
    uint64_t last_move;
    uint32_t source;           /* of clients that are made from now on */
    uint64_t last_presence_ms; /* likewise */
    uint64_t last_forward_ms;  /* what follows a client that moved arrives in its order */
    struct pid_keys keys;
    /* hub_world.admit of gateways that are started from now on */
    enum hub_admission (*admit)(void *user, struct bytes token, struct bytes room,
                                struct hub_pass *ret_pass, const char **ret_why);
    void (*on_moment)(void *user); /* NULL, or: all that was due by now has happened */
    void *user;
    FILE *
        trace; /* NULL, or where all that arrives is written to: mail and packets, with their time */
};

/* A world with one gateway (number 0), an empty store, and hops of 1 ms. */
void fake_world_init(struct fake_world *world);
void fake_world_release(struct fake_world *world);

/* Settings with the defaults that users have, and no heartbeats. */
struct hub_settings fake_settings(const struct fake_world *world);

/* Starts gateway @index, with @settings or, where NULL, fake_settings(). */
struct fake_gateway *fake_gateway_start(struct fake_world *world, unsigned index,
                                        const struct hub_settings *settings);

/* kill -9. Its clients' sockets are gone. */
void fake_gateway_kill(struct fake_gateway *gateway);

/* It ends by itself, and what it says at its end is heard. */
void fake_gateway_stop(struct fake_gateway *gateway);

/* What the hub of @gateway has counted: joins, from memory and from the store; `chat gap` events of all reasons. */
uint64_t fake_joins(const struct fake_gateway *gateway, enum hub_join join, enum hub_gap gap);
uint64_t fake_gaps(const struct fake_gateway *gateway);

/* What the service says: an answer to the request that it was given with @token; a broadcast. */
void fake_world_answer(struct fake_world *world, uint64_t token, struct bytes payload);
void fake_world_publish(struct fake_world *world, const struct contract_room_event *event);

/* Lets @ms pass. */
void fake_world_run(struct fake_world *world, uint64_t ms);

/* 0 .. @below - 1 */
uint64_t fake_random(struct fake_world *world, uint64_t below);
bool fake_chance(struct fake_world *world, unsigned percent);

/* A client that is nowhere yet. */
struct fake_client *fake_client_new(struct fake_world *world, const char *username);

/* Opens a connection to @gateway. */
void fake_client_connect(struct fake_client *client, struct fake_gateway *gateway);

/* Opens a connection to @gateway that polls. */
void fake_client_connect_polling(struct fake_client *client, struct fake_gateway *gateway);

/* A client that polls goes on with a WebSocket to @gateway, which takes it over from the one that has it. */
void fake_client_upgrade(struct fake_client *client, struct fake_gateway *gateway);

/* The socket is gone, without a word. */
void fake_client_drop(struct fake_client *client);

/* Sends a Socket.IO packet as it is. */
void fake_client_say(struct fake_client *client, const char *format, ...) PRINTF(2, 3);

/* Joins @namespace, with @auth's members besides the username: "" or e.g. "\"serverOffset\":3". */
void fake_client_join(struct fake_client *client, const char *namespace, const char *auth);

/* Joins as socket.io-client does when it comes back: with pid and offset, where it has them. */
void fake_client_rejoin(struct fake_client *client, const char *namespace);

struct fake_place *fake_client_place(struct fake_client *client, const char *namespace);

/* Sends a chat message and asks for an acknowledgement. @client_id may be "". */
void fake_client_send(struct fake_client *client, const char *namespace, const char *content,
                      const char *client_id);

/* The socket takes bytes again. */
void fake_client_drain(struct fake_client *client);

/*
 * Checks (with cmocka's abort) that exactly @expected came since the last call, words separated by ", ":
 *
 *   joined, resumed      a CONNECT was answered, with a new pid or with the one that was given
 *   refused <message>    ... with an error
 *   #<id> <content>      a chat message
 *   gap <from>-<to> <reason>
 *   error <code> <client id>
 *   ack <n> ok <id>, ack <n> duplicate <id>, ack <n> error <code>    n counts the client's sends, from 1
 *   history <first>-<last> [more]    an answer to `chat history`; "history none" when it is empty
 *   presence <count> [<name> …]      who is here
 *   typing [<name> …] [+<more>]      who types
 *   closed               the connection was closed by the gateway
 *
 * In other rooms than the lobby each has the namespace in front.
 */
#define fake_client_saw(client, expected) \
    fake_client_check((client), (expected), __FILE__, __LINE__)
void fake_client_check(struct fake_client *client, const char *expected, const char *file,
                       int line);

/* The test is over: prints and aborts. */
NORETURN void fake_failed(const char *format, ...) PRINTF(1, 2);

/* --- between fake_world.c and fake_client.c --- */

/* What struct hub_world.flush does: hands over what the socket takes. */
void fake_client_flush(struct fake_client *client);

/* What struct hub_world.write does. */
size_t fake_client_write(struct fake_client *client, const char *data, size_t len);

/* What world.forward() sent arrives. @is_lost: it did not, and that was found out. */
void fake_client_on_forward(struct fake_world *world, uint64_t move, struct bytes payload,
                            bool is_lost);

/* At the end of a turn: a client whose session has ended, and has nothing left to write, is gone. */
void fake_client_reap(struct fake_client *client);

void fake_client_free(struct fake_client *client);

/* The end of a turn of all gateways. */
void fake_world_turn(struct fake_world *world);

#endif
