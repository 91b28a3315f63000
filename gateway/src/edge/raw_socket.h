/*
 * raw_socket.h - the files of WebSockets, once libh2o has answered their handshakes.
 *
 * libh2o's own socket is 224 bytes, and takes a buffer for each read. An idle WebSocket is 16 bytes here: those of one
 * kind of owner are in one epoll set, edge-triggered and for both directions, so that a socket which blocks and goes on
 * costs no system call; the set itself is one file of the loop. They are read into one buffer, which the set has; a socket
 * has one of its own only while it holds the beginning of something.
 *
 * One that came over TLS stays libh2o's: raw_socket_tls.h.
 *
 *   raw_socket_open() ──▶ STOPPED ──── raw_socket_start() ────▶ READING ──▶ raw_socket_close()
 *                            ◀──────── raw_socket_stop() ────────┘
 *
 * Thread      The loop's.
 * Invariants  1. Callbacks come from the loop and from raw_socket_start() only; never while STOPPED, but for on_writable().
 *             2. None closes a socket or frees what it is embedded in: that is for the turn's end, since the loop may still
 *                have an event for it.
 */
#ifndef PARLEY_EDGE_RAW_SOCKET_H
#define PARLEY_EDGE_RAW_SOCKET_H

#include "base/bytes.h"
#include <h2o.h>
#include <sys/uio.h>

enum {
    /* What one socket is read in one turn, at most. */
    RAW_SOCKET_READ_BYTES = 64 * 1024,
    RAW_SOCKET_EVENTS_PER_TURN = 256,
};

struct raw_socket;
struct raw_tls;

struct raw_socket_callbacks {
    /* Takes what it can of the @len bytes, and may change them; returns how many. The rest comes again with more behind. */
    size_t (*on_bytes)(struct raw_socket *socket, char *data, size_t len);
    /* The peer will send nothing more, or the connection is broken: nothing else is read. */
    void (*on_end)(struct raw_socket *socket);
    /* What RAW_WRITE_BLOCKED told is over. */
    void (*on_writable)(struct raw_socket *socket);
};

/* Embedded in what it belongs to. Zeroed, it is not open. */
struct raw_socket {
    union {
        struct buf *unread;  /* NULL: nothing */
        struct raw_tls *tls; /* is_tls */
    };
    int fd; /* unless is_tls */
    bool is_open;
    bool is_tls;
    bool is_reading;
    bool is_blocked; /* the last write was, and on_writable() was not called yet */
};

struct raw_sockets {
    const struct raw_socket_callbacks *callbacks;
    int epoll_fd;
    h2o_socket_t *events; /* the set, as the loop sees it */
    char *buffer;
    struct raw_socket
        *receiver; /* whose on_bytes() runs; where its file went when that moved it ... */
    struct raw_sockets *receiver_set; /* ... to a socket of this set */
};

/* Keeps @callbacks by reference. */
void raw_sockets_init(struct raw_sockets *set, h2o_loop_t *loop,
                      const struct raw_socket_callbacks *callbacks);
void raw_sockets_release(struct raw_sockets *set);

/* Takes @from, its file or all of it, and what that has read; @from is no more the caller's. @socket is STOPPED. */
void raw_socket_open(struct raw_sockets *set, struct raw_socket *socket, h2o_socket_t *from);

/*
 * Moves the file, what it has read, and whether it is READING, from one owner to another; @from is not open any more.
 * Within @from's on_bytes(), what that does not take is @to's.
 */
void raw_socket_move(struct raw_sockets *from_set, struct raw_socket *from,
                     struct raw_sockets *to_set, struct raw_socket *to);

void raw_socket_start(struct raw_sockets *set, struct raw_socket *socket);
void raw_socket_stop(struct raw_socket *socket);

enum raw_write {
    RAW_WRITE_DONE,
    RAW_WRITE_BLOCKED, /* less than all went: on_writable() says when to go on */
    RAW_WRITE_FAILED,  /* nothing will ever go */
};

/* Sends @count pieces; *@ret_written says how many bytes the kernel (or TLS) took, unless RAW_WRITE_FAILED. */
MUST_USE enum raw_write raw_socket_write(struct raw_socket *socket, struct iovec *pieces,
                                         size_t count, size_t *ret_written);

/* The same of one piece: what each delivery does. */
MUST_USE enum raw_write raw_socket_write_one(struct raw_socket *socket, const char *data,
                                             size_t len, size_t *ret_written);

/* Shuts down the sending side. False: the connection is broken. */
MUST_USE bool raw_socket_end_writing(struct raw_socket *socket);

/* Has the kernel forget what it holds for a peer that does not read, instead of keeping it for minutes. */
void raw_socket_discard_unsent(struct raw_socket *socket);

/* Closes the file, and forgets what was read. Nothing happens when it is not open. */
void raw_socket_close(struct raw_socket *socket);

#endif
