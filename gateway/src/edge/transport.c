#include "transport.h"

#include "base/clock.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { PIECES_MAX = 64 };

enum transport_state { TRANSPORT_OPEN, TRANSPORT_CLOSING, TRANSPORT_LINGERING, TRANSPORT_DOOMED };

struct transport {
    struct transports *all;
    h2o_socket_t *socket;
    struct client *client;
    struct list link;         /* all->open, leaving or doomed */
    struct list unfinished;   /* all->unfinished */
    uint8_t state;            /* enum transport_state */
    bool is_blocked;          /* waits until the socket can be written to */
    uint64_t leaves_until_ms; /* of CLOSING and LINGERING */
};

static bool holds_slot(const struct transport *transport)
{
    return transport->state == TRANSPORT_OPEN || transport->state == TRANSPORT_CLOSING;
}

static void doom(struct transport *transport)
{
    if (transport->state == TRANSPORT_DOOMED) {
        return;
    }
    transport->all->open_count -= holds_slot(transport);
    transport->state = TRANSPORT_DOOMED;
    list_leave(&transport->unfinished);
    list_leave(&transport->link);
    list_append(&transport->all->doomed, &transport->link);
    h2o_socket_read_stop(transport->socket);
}

/* Gives @transport TRANSPORT_LINGER_MS from now on, behind all that have theirs already. */
static void leave_later(struct transport *transport, enum transport_state state)
{
    struct transports *all = transport->all;
    transport->state = state;
    transport->leaves_until_ms = clock_monotonic_ms() + TRANSPORT_LINGER_MS;
    list_leave(&transport->link);
    list_append(&all->leaving, &transport->link);
    if (!timer_is_set(&all->leave_timer)) {
        timers_set(all->timers, &all->leave_timer, transport->leaves_until_ms);
    }
}

static void linger(struct transport *transport)
{
    if (shutdown(h2o_socket_get_fd(transport->socket), SHUT_WR) != 0) {
        doom(transport);
        return;
    }
    transport->all->open_count--;
    list_leave(&transport->unfinished);
    leave_later(transport, TRANSPORT_LINGERING);
}

/* Has the kernel forget what it holds for a peer that does not read, instead of keeping it for minutes. */
static void discard_unsent(struct transport *transport)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(h2o_socket_get_fd(transport->socket), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
}

static void on_leave_due(struct timer *timer, uint64_t now_ms)
{
    struct transports *all = CONTAINER_OF(timer, struct transports, leave_timer);
    struct list *node;
    while ((node = list_first(&all->leaving)) != NULL) {
        struct transport *transport = CONTAINER_OF(node, struct transport, link);
        if (transport->leaves_until_ms > now_ms) {
            timers_set(all->timers, timer, transport->leaves_until_ms);
            return;
        }
        if (transport->state == TRANSPORT_CLOSING) {
            discard_unsent(transport);
        }
        doom(transport);
    }
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

static void on_writable(h2o_socket_t *socket, const char *error)
{
    struct transport *transport = socket->data;
    transport->is_blocked = false;
    if (error != NULL) {
        doom(transport);
    } else {
        transport_flush(transport->client);
    }
}

static void wait_until_writable(struct transport *transport)
{
    transport->is_blocked = true;
    h2o_socket_notify_write(transport->socket, on_writable);
}

enum write_result { WRITE_ALL, WRITE_NOTHING_LEFT, WRITE_BLOCKED, WRITE_FAILED };

/* One sendmsg(2) of what the session has now. */
static enum write_result write_once(struct transport *transport, struct eio_session *session)
{
    struct iovec pieces[PIECES_MAX];
    size_t count = eio_session_peek(session, pieces, PIECES_MAX);
    if (count == 0) {
        return WRITE_NOTHING_LEFT;
    }
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += pieces[i].iov_len;
    }
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
    ssize_t sent;
    do {
        sent = sendmsg(h2o_socket_get_fd(transport->socket), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
        return WRITE_FAILED;
    }
    eio_session_advance(session, sent < 0 ? 0 : (size_t)sent);
    return sent < 0 || (size_t)sent < bytes ? WRITE_BLOCKED : WRITE_ALL;
}

void transport_flush(struct client *client)
{
    struct transport *transport = client_transport(client);
    struct eio_session *session = client_session(client);
    if (transport->state == TRANSPORT_OPEN && session->state != EIO_STATE_OPEN) {
        leave_later(transport, TRANSPORT_CLOSING);
    }
    if (!holds_slot(transport) || transport->is_blocked) {
        return;
    }
    enum write_result result = WRITE_ALL;
    for (int i = 0; i < TRANSPORT_WRITES_PER_TURN && result == WRITE_ALL; i++) {
        result = write_once(transport, session);
    }
    switch (result) {
    case WRITE_ALL:
        if (list_is_empty(&transport->unfinished)) {
            list_append(&transport->all->unfinished, &transport->unfinished);
        }
        break;
    case WRITE_BLOCKED: wait_until_writable(transport); break;
    case WRITE_FAILED: doom(transport); break;
    case WRITE_NOTHING_LEFT:
        if (transport->state == TRANSPORT_CLOSING) {
            linger(transport);
        }
        break;
    }
}

bool transports_go_on(struct transports *transports)
{
    struct list turn;
    list_init(&turn);
    list_append_all(&turn, &transports->unfinished);
    bool has_work = !list_is_empty(&turn);
    struct list *node;
    while ((node = list_take_first(&turn)) != NULL) {
        transport_flush(CONTAINER_OF(node, struct transport, unfinished)->client);
    }
    return has_work;
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

static void receive(struct transport *transport)
{
    h2o_socket_t *socket = transport->socket;
    if (transport->state == TRANSPORT_LINGERING) {
        h2o_buffer_consume(&socket->input, socket->input->size);
        return;
    }
    if (holds_slot(transport) && socket->input->size > 0) {
        size_t taken = eio_session_receive(client_session(transport->client), socket->input->bytes,
                                           socket->input->size, clock_monotonic_ms());
        transport->all->bytes_in += taken;
        h2o_buffer_consume(&socket->input, taken);
    }
}

static void on_read(h2o_socket_t *socket, const char *error)
{
    struct transport *transport = socket->data;
    if (error != NULL) {
        doom(transport);
    } else {
        receive(transport);
    }
}

/* --- life ------------------------------------------------------------------------------------------------------- */

void transports_init(struct transports *transports, struct hub *hub, struct timers *timers)
{
    *transports = (struct transports){.hub = hub, .timers = timers};
    list_init(&transports->open);
    list_init(&transports->leaving);
    list_init(&transports->doomed);
    list_init(&transports->unfinished);
    timer_init(&transports->leave_timer, on_leave_due);
}

void transport_open(struct transports *transports, h2o_socket_t *socket)
{
    struct transport *transport = mem_alloc_zeroed(sizeof(*transport));
    transport->all = transports;
    transport->socket = socket;
    transport->state = TRANSPORT_OPEN;
    list_init(&transport->link);
    list_init(&transport->unfinished);
    list_append(&transports->open, &transport->link);
    transports->open_count++;
    transports->socket_count++;
    socket->data = transport;
    transport->client = hub_client_open(transports->hub, transport, clock_monotonic_ms());
    h2o_socket_read_start(socket, on_read);
    receive(transport);
}

void transports_reap(struct transports *transports)
{
    struct list *node;
    while ((node = list_take_first(&transports->doomed)) != NULL) {
        struct transport *transport = CONTAINER_OF(node, struct transport, link);
        eio_session_transport_closed(client_session(transport->client), clock_monotonic_ms());
        hub_client_free(transports->hub, transport->client);
        h2o_socket_close(transport->socket);
        transports->socket_count--;
        free(transport);
    }
}

void transports_close_some(struct transports *transports, size_t count)
{
    LIST_EACH_SAFE (node, following, &transports->open) {
        struct eio_session *session =
            client_session(CONTAINER_OF(node, struct transport, link)->client);
        if (count == 0) {
            return;
        }
        if (session->state == EIO_STATE_OPEN) {
            eio_session_close(session, EIO_CLOSE_SERVER, WS_CLOSE_GOING_AWAY, clock_monotonic_ms());
            count--;
        }
    }
}

void transports_doom_all(struct transports *transports)
{
    struct list *node;
    while ((node = list_first(&transports->open)) != NULL ||
           (node = list_first(&transports->leaving)) != NULL) {
        doom(CONTAINER_OF(node, struct transport, link));
    }
}
