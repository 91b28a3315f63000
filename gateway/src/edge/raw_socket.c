#include "raw_socket.h"

#include "raw_socket_tls.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void control(struct raw_sockets *set, int operation, struct raw_socket *socket)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = socket};
    ASSERT(epoll_ctl(set->epoll_fd, operation, socket->fd, &event) == 0);
}

/* Has the set tell again what @socket is ready for. */
static void ask_again(struct raw_sockets *set, struct raw_socket *socket)
{
    control(set, EPOLL_CTL_MOD, socket);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static void free_unread(struct buf *unread)
{
    if (unread != NULL) {
        buf_release(unread);
        free(unread);
    }
}

/* Keeps the last @len bytes of @data, which is @held's, or the set's buffer when that is NULL. */
static void keep_rest(struct raw_socket *socket, struct buf *held, const char *data, size_t len)
{
    ASSERT(socket->unread == NULL);
    if (len == 0) {
        free_unread(held);
        return;
    }
    if (held == NULL) {
        held = mem_alloc_zeroed(sizeof(*held));
        buf_append(held, data, len);
    } else {
        buf_consume(held, held->len - len);
    }
    socket->unread = held;
}

/* Hands @len bytes to @socket's owner; what that does not take waits, where the file is then. */
static void hand(struct raw_sockets *set, struct raw_socket *socket, char *data, size_t len)
{
    struct buf *held = socket->unread;
    socket->unread = NULL;
    if (held != NULL) {
        buf_append(held, data, len);
        data = held->data;
        len = held->len;
    }
    ASSERT(set->receiver == NULL);
    set->receiver = socket;
    set->receiver_set = set;
    size_t taken = set->callbacks->on_bytes(socket, data, len);
    struct raw_socket *now = set->receiver;
    struct raw_sockets *now_set = set->receiver_set;
    set->receiver = NULL;
    keep_rest(now, held, data + taken, len - taken);
    if (now != socket && now->is_reading) {
        raw_socket_start(now_set, now);
    }
}

static void read_once(struct raw_sockets *set, struct raw_socket *socket)
{
    ssize_t got;
    do {
        got = recv(socket->fd, set->buffer, RAW_SOCKET_READ_BYTES, MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        if (got == RAW_SOCKET_READ_BYTES) {
            ask_again(set, socket); /* there may be more, after the others had their turn */
        }
        hand(set, socket, set->buffer, (size_t)got);
    } else if (got == 0 || errno != EAGAIN) {
        socket->is_reading = false;
        set->callbacks->on_end(socket);
    }
}

static void on_events(h2o_socket_t *loop_socket, const char *error)
{
    struct raw_sockets *set = loop_socket->data;
    struct epoll_event events[RAW_SOCKET_EVENTS_PER_TURN];
    int count =
        error != NULL ? 0 : epoll_wait(set->epoll_fd, events, RAW_SOCKET_EVENTS_PER_TURN, 0);
    for (int i = 0; i < count; i++) {
        struct raw_socket *socket = events[i].data.ptr;
        if ((events[i].events & EPOLLOUT) != 0 && socket->is_blocked) {
            socket->is_blocked = false;
            set->callbacks->on_writable(socket);
        }
        if ((events[i].events & ~(unsigned)EPOLLOUT) != 0 && socket->is_reading) {
            read_once(set, socket);
        }
    }
}

/* --- life --------------------------------------------------------------------------------------------------------- */

void raw_sockets_init(struct raw_sockets *set, h2o_loop_t *loop,
                      const struct raw_socket_callbacks *callbacks)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    ASSERT(fd >= 0);
    *set = (struct raw_sockets){
        .callbacks = callbacks,
        .epoll_fd = fd,
        .events = h2o_evloop_socket_create(loop, fd, H2O_SOCKET_FLAG_DONT_READ),
        .buffer = mem_alloc(RAW_SOCKET_READ_BYTES),
    };
    set->events->data = set;
    h2o_socket_read_start(set->events, on_events);
}

void raw_sockets_release(struct raw_sockets *set)
{
    h2o_socket_close(set->events);
    free(set->buffer);
}

void raw_socket_open(struct raw_sockets *set, struct raw_socket *socket, h2o_socket_t *from)
{
    *socket = (struct raw_socket){.is_open = true};
    if (from->ssl != NULL) {
        socket->is_tls = true;
        socket->tls = raw_tls_open(set, socket, from);
        return;
    }
    keep_rest(socket, NULL, from->input->bytes, from->input->size);
    h2o_buffer_consume(&from->input, from->input->size); /* so that there is none to export */
    h2o_socket_export_t file;
    ASSERT(h2o_socket_export(from, &file) == 0);
    socket->fd = file.fd;
    control(set, EPOLL_CTL_ADD, socket);
}

void raw_socket_move(struct raw_sockets *from_set, struct raw_socket *from,
                     struct raw_sockets *to_set, struct raw_socket *to)
{
    ASSERT(from->is_open && !to->is_open);
    if (from->is_tls) {
        *to = *from;
        *from = (struct raw_socket){0};
        raw_tls_move(to->tls, to_set, to);
        return;
    }
    control(from_set, EPOLL_CTL_DEL, from);
    *to = *from;
    *from = (struct raw_socket){0};
    if (from_set->receiver == from) {
        from_set->receiver = to;
        from_set->receiver_set = to_set;
    }
    control(to_set, EPOLL_CTL_ADD, to);
}

void raw_socket_start(struct raw_sockets *set, struct raw_socket *socket)
{
    socket->is_reading = true;
    if (socket->is_tls) {
        raw_tls_start(socket->tls);
        return;
    }
    if (socket->unread != NULL) {
        hand(set, socket, NULL, 0);
    }
    if (socket->is_open) { /* else it went to another owner */
        ask_again(set, socket);
    }
}

void raw_socket_stop(struct raw_socket *socket)
{
    socket->is_reading = false;
}

void raw_socket_close(struct raw_socket *socket)
{
    if (socket->is_open) {
        if (socket->is_tls) {
            raw_tls_close(socket->tls);
        } else {
            free_unread(socket->unread);
            close(socket->fd);
        }
        *socket = (struct raw_socket){0};
    }
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

/* What the kernel said to a write of @bytes. */
static enum raw_write result_of(struct raw_socket *socket, ssize_t sent, size_t bytes,
                                size_t *ret_written)
{
    if (sent < 0 && errno != EAGAIN) {
        return RAW_WRITE_FAILED;
    }
    *ret_written = sent < 0 ? 0 : (size_t)sent;
    socket->is_blocked = *ret_written < bytes;
    return socket->is_blocked ? RAW_WRITE_BLOCKED : RAW_WRITE_DONE;
}

/* Apart, so that it costs a plain socket's write nothing. */
static __attribute__((cold, noinline)) enum raw_write
write_one_tls(struct raw_socket *socket, const char *data, size_t len, size_t *ret_written)
{
    struct iovec piece = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    return raw_tls_write(socket->tls, &piece, 1, ret_written);
}

/* In both that call it: each has one caller, into which the linker puts it. */
static inline __attribute__((always_inline)) enum raw_write
write_one(struct raw_socket *socket, const char *data, size_t len, size_t *ret_written)
{
    if (socket->is_tls) {
        return write_one_tls(socket, data, len, ret_written);
    }
    ssize_t sent;
    do {
        sent = send(socket->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return result_of(socket, sent, len, ret_written);
}

enum raw_write raw_socket_write_one(struct raw_socket *socket, const char *data, size_t len,
                                    size_t *ret_written)
{
    return write_one(socket, data, len, ret_written);
}

enum raw_write raw_socket_write(struct raw_socket *socket, struct iovec *pieces, size_t count,
                                size_t *ret_written)
{
    if (count == 1) {
        return write_one(socket, pieces[0].iov_base, pieces[0].iov_len, ret_written);
    }
    if (socket->is_tls) {
        return raw_tls_write(socket->tls, pieces, count, ret_written);
    }
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += pieces[i].iov_len;
    }
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
    ssize_t sent;
    do {
        sent = sendmsg(socket->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return result_of(socket, sent, bytes, ret_written);
}

bool raw_socket_end_writing(struct raw_socket *socket)
{
    return socket->is_tls ? raw_tls_end_writing(socket->tls) : shutdown(socket->fd, SHUT_WR) == 0;
}

void raw_socket_discard_unsent(struct raw_socket *socket)
{
    if (socket->is_tls) {
        raw_tls_discard_unsent(socket->tls);
        return;
    }
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(socket->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
}
