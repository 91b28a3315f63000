/*
 * options.h - parley-load's command line.
 */
#ifndef PARLEY_BENCH_OPTIONS_H
#define PARLEY_BENCH_OPTIONS_H

#include "base/bytes.h"
#include <netinet/in.h>
#include <sys/types.h>

enum {
    ADDRESSES_MAX = 64,
    PROCESSES_MAX = 64,
    PROCESS_NAME_BYTES_MAX = 32,
    ROOM_PREFIX_BYTES_MAX =
        48, /* "-" and the room's number come behind it, and a room has 64 at most */
};

enum load_mode { LOAD_FANOUT, LOAD_ACK, LOAD_IDLE, LOAD_STORM };

/* IPv4 addresses of servers; connections take turns. */
struct addresses {
    struct sockaddr_in of[ADDRESSES_MAX];
    size_t count;
};

/* A process whose CPU time is told. */
struct watched_process {
    char name[PROCESS_NAME_BYTES_MAX];
    pid_t pid;
};

struct load_options {
    enum load_mode mode;
    struct addresses connect; /* of all; in storm mode of those that will have to come back */
    uint32_t members;         /* connections; they take turns in the rooms */
    uint32_t senders;         /* the first so many of the members */
    uint32_t window;          /* messages that each sender has in flight */
    uint32_t rooms;
    uint32_t body_bytes;
    uint32_t warmup_ms, duration_ms;
    /* of storm mode */
    struct addresses back_to, witness_of;
    uint32_t witnesses; /* the first so many of the members, who stay */
    uint32_t missed;    /* messages of each room that the others miss */
    uint32_t every_ms;  /* between messages while they come back */
    bool has_echo;      /* senders get their own messages, as everybody does */
    char room_prefix[ROOM_PREFIX_BYTES_MAX + 1];
    pid_t servers[PROCESSES_MAX]; /* whose CPU time together is the measure */
    size_t server_count;
    struct watched_process watched[PROCESSES_MAX]; /* told besides, with their children */
    size_t watched_count;
};

/*
 * Reads the command line. Returns false, with a sentence in @ret_error (owned by the caller: buf_release), when it says
 * something that cannot be. Prints the help and ends the process on --help.
 */
MUST_USE bool options_parse(int argc, char **argv, struct load_options *ret_options,
                            struct buf *ret_error);

#endif
