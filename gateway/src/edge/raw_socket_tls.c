#include "raw_socket_tls.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

struct raw_tls {
    h2o_socket_t *h2o;
    struct raw_sockets *set;
    struct raw_socket *owner;
    char *outgoing;    /* of the write under way; NULL: there is none */
    bool is_reading;   /* libh2o is */
    bool ends_writing; /* behind the write under way */
    bool discards_unsent;
};

/* What was read and not taken stays in libh2o's buffer, and moves with it. */
static void hand(struct raw_tls *tls)
{
    h2o_buffer_t *input = tls->h2o->input;
    while (tls->owner->is_reading && input->size > 0) {
        struct raw_socket *owner = tls->owner;
        size_t taken = tls->set->callbacks->on_bytes(owner, input->bytes, input->size);
        h2o_buffer_consume(&tls->h2o->input, taken);
        input = tls->h2o->input;
        if (tls->owner == owner) {
            return; /* the rest wants more behind it */
        }
    }
}

static void end(struct raw_tls *tls)
{
    if (tls->owner->is_reading) {
        tls->owner->is_reading = false;
        tls->set->callbacks->on_end(tls->owner);
    }
}

static void stop_reading(struct raw_tls *tls)
{
    if (tls->is_reading) {
        h2o_socket_read_stop(tls->h2o);
        tls->is_reading = false;
    }
}

static void on_read(h2o_socket_t *h2o, const char *error)
{
    struct raw_tls *tls = h2o->data;
    if (error != NULL) {
        stop_reading(tls);
        end(tls);
    } else if (tls->owner->is_reading) {
        hand(tls);
    } else {
        stop_reading(tls); /* raw_socket_stop() was called meanwhile */
    }
}

struct raw_tls *raw_tls_open(struct raw_sockets *set, struct raw_socket *socket, h2o_socket_t *from)
{
    struct raw_tls *tls = mem_alloc_zeroed(sizeof(*tls));
    *tls = (struct raw_tls){.h2o = from, .set = set, .owner = socket};
    from->data = tls;
    return tls;
}

void raw_tls_move(struct raw_tls *tls, struct raw_sockets *set, struct raw_socket *socket)
{
    tls->set = set;
    tls->owner = socket;
}

void raw_tls_start(struct raw_tls *tls)
{
    hand(tls);
    if (tls->owner->is_reading && !tls->is_reading) {
        tls->is_reading = true;
        h2o_socket_read_start(tls->h2o, on_read);
    }
}

static void shut_down(struct raw_tls *tls, int how)
{
    /* A connection that is gone already is found out by reading. */
    (void)shutdown(h2o_socket_get_fd(tls->h2o), how);
}

/*
 * Says TLS's goodbye and ends the sending side. libh2o says it when it closes its socket, with its file; so the connection goes
 * on by another file. Where there is none left, the peer gets no goodbye.
 */
static void end_sending(struct raw_tls *tls)
{
    int fd = fcntl(h2o_socket_get_fd(tls->h2o), F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        shut_down(tls, SHUT_WR);
        return;
    }
    bool was_reading = tls->is_reading;
    h2o_loop_t *loop = h2o_socket_get_loop(tls->h2o);
    stop_reading(tls);
    h2o_socket_close(tls->h2o); /* which writes at once, or never: */
    (void)shutdown(fd, SHUT_WR);
    tls->h2o = h2o_evloop_socket_create(loop, fd, 0);
    tls->h2o->data = tls;
    if (was_reading) {
        raw_tls_start(tls);
    }
}

static void on_written(h2o_socket_t *h2o, const char *error)
{
    struct raw_tls *tls = h2o->data;
    free(tls->outgoing);
    tls->outgoing = NULL;
    if (error != NULL) {
        end(tls);
        return;
    }
    if (tls->ends_writing) {
        end_sending(tls);
    }
    if (tls->owner->is_blocked) {
        tls->owner->is_blocked = false;
        tls->set->callbacks->on_writable(tls->owner);
    }
}

/* Copies up to RAW_TLS_WRITE_BYTES of @pieces. Returns how many. */
static size_t gather(struct raw_tls *tls, const struct iovec *pieces, size_t count, size_t bytes)
{
    bytes = MIN_OF(bytes, (size_t)RAW_TLS_WRITE_BYTES);
    tls->outgoing = mem_alloc(bytes);
    size_t copied = 0;
    for (size_t i = 0; i < count && copied < bytes; i++) {
        size_t len = MIN_OF(pieces[i].iov_len, bytes - copied);
        memcpy(tls->outgoing + copied, pieces[i].iov_base, len);
        copied += len;
    }
    return copied;
}

enum raw_write raw_tls_write(struct raw_tls *tls, struct iovec *pieces, size_t count,
                             size_t *ret_written)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += pieces[i].iov_len;
    }
    *ret_written = 0;
    if (tls->outgoing == NULL && bytes > 0) {
        *ret_written = gather(tls, pieces, count, bytes);
        h2o_iovec_t all = h2o_iovec_init(tls->outgoing, *ret_written);
        h2o_socket_write(tls->h2o, &all, 1, on_written);
    }
    tls->owner->is_blocked = *ret_written < bytes;
    return tls->owner->is_blocked ? RAW_WRITE_BLOCKED : RAW_WRITE_DONE;
}

bool raw_tls_end_writing(struct raw_tls *tls)
{
    tls->ends_writing = true;
    if (tls->outgoing == NULL) {
        end_sending(tls);
    }
    return true;
}

void raw_tls_discard_unsent(struct raw_tls *tls)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(h2o_socket_get_fd(tls->h2o), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    tls->discards_unsent = true;
}

void raw_tls_close(struct raw_tls *tls)
{
    if (tls->discards_unsent) {
        shut_down(tls, SHUT_RDWR); /* so that TLS's own goodbye is not waited for */
    }
    stop_reading(tls);
    h2o_socket_close(tls->h2o); /* a write under way is not called back */
    free(tls->outgoing);
    free(tls);
}
