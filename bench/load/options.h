/*
 * options.h - parley-load's command line.
 */
#ifndef PARLEY_BENCH_OPTIONS_H
#define PARLEY_BENCH_OPTIONS_H

#include "args.h"
#include "client.h"

enum {
    ROOM_PREFIX_BYTES_MAX =
        48, /* "-" and the room's number come behind it, and a room has 64 at most */
    NATS_URL_BYTES_MAX = 255,
};

enum load_mode {
    LOAD_FANOUT,
    LOAD_ACK,
    LOAD_DELIVER,
    LOAD_IDLE,
    LOAD_CHURN,
    LOAD_RECOVERY,
    LOAD_STORM,
};

struct load_options {
    enum load_mode mode;
    enum client_dialect dialect;
    struct addresses connect; /* of all; in storm mode of those that will have to come back */
    uint32_t members;         /* connections; they take turns in the rooms */
    uint32_t senders;         /* the first so many of the members */
    uint32_t window;          /* messages that each sender has in flight */
    uint32_t messages; /* so many in all, instead of warm-up and duration; 0: no such number */
    uint32_t rooms;
    uint32_t rooms_each; /* idle: of each connection, and no one else is there */
    uint32_t body_bytes;
    uint32_t warmup_ms, duration_ms;
    bool has_echo; /* senders get their own messages, as everybody does */
    char room_prefix[ROOM_PREFIX_BYTES_MAX + 1];
    /* of deliver mode */
    uint32_t rate;      /* messages a second; 0: others send */
    uint32_t settle_ms; /* silence before the warm-up, so that all others of the room can join */
    char nats_url[NATS_URL_BYTES_MAX + 1];
    /* of churn mode: the last so many of the members */
    uint32_t churners;
    uint32_t joins_per_s; /* 0: as fast as it goes */
    bool has_presence;    /* all members want to know who is here */
    /* of storm and recovery mode */
    struct addresses back_to, witness_of;
    uint32_t witnesses; /* the first so many of the members, who stay */
    uint32_t missed;    /* messages of each room that the others miss */
    uint32_t every_ms;  /* between messages while they come back; 0: there are none */
    struct meter meter;
};

/*
 * Reads the command line. Returns false, with a sentence in @ret_error (owned by the caller: buf_release), when it says
 * something that cannot be. Prints the help and ends the process on --help.
 */
MUST_USE bool options_parse(int argc, char **argv, struct load_options *ret_options,
                            struct buf *ret_error);

#endif
