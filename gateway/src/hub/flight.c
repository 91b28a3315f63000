#include "flight.h"

#include "send.h"
#include <stdlib.h>

/* One piece of a write, in the order of the bytes. */
struct piece {
    enum { PIECE_LOG, PIECE_ACKS } type;
    uint32_t len;
    struct member *member;
    const struct segment *segment; /* LOG */
    uint32_t offset;               /* LOG: in the segment; ACKS: in flight.acks */
    uint64_t end_id; /* LOG: the cursor when all of it is written; ACKS: of sends below it */
};

static void add_piece(struct flight *flight, struct iovec *ret_iov, struct piece piece,
                      const char *data)
{
    ret_iov[flight->count] =
        (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = piece.len};
    flight->pieces[flight->count++] = piece;
}

/* The end of the run of frames from @id on that @member wants and that has at most @bytes_max
 * bytes, but one at least. */
static uint64_t run_end(const struct member *member, const struct segment *segment, uint64_t id,
                        size_t bytes_max)
{
    uint64_t end = segment_end_id(segment);
    if (segment->len - segment_offset(segment, id) > bytes_max) {
        end = segment_id_at(segment, segment_offset(segment, id) + (uint32_t)bytes_max);
        end = MAX_OF(end, id + 1);
    }
    if (member->wants_own) {
        return end;
    }
    uint64_t own_hash = map_hash(member_sid(member)), at = id;
    while (at < end && segment->frames[at - segment->first_id].sender_hash != own_hash) {
        at++;
    }
    return at;
}

/* Whether @member stands at ids that are not kept any more. */
static bool is_at_removed(const struct member *member)
{
    return member->join == NULL && member->cursor < member->room->oldest;
}

void client_skip_removed(struct client *client)
{
    for (struct sio_socket *socket = client->sio.sockets; socket != NULL; socket = socket->next) {
        struct member *member = CONTAINER_OF(socket, struct member, socket);
        if (is_at_removed(member)) {
            uint64_t from = member->cursor;
            member->cursor = member->room->oldest;
            member_tell_gap(member, from, member->cursor - 1, "retention");
        }
    }
}

/* Adds what @member has yet to be sent from its room's log; returns the cursor behind it. */
static uint64_t add_log(struct member *member, struct flight *flight, struct iovec *ret_iov,
                        size_t iov_max, size_t *bytes_left)
{
    struct room *room = member->room;
    uint64_t at = member->cursor;
    while (at <= room->log.head && flight->count<iov_max && * bytes_left> 0) {
        const struct segment *segment = room_find(room, at);
        if (segment == NULL) {
            break;
        }
        uint64_t end = run_end(member, segment, at, *bytes_left);
        if (end == at) { /* its own, which it does not want */
            at++;
            if (flight->count == 0 || flight->pieces[flight->count - 1].member != member) {
                member->cursor = at;
            } else {
                flight->pieces[flight->count - 1].end_id = at;
            }
            continue;
        }
        uint32_t offset = segment_offset(segment, at);
        uint32_t len = segment_offset(segment, end) - offset;
        add_piece(flight, ret_iov,
                  (struct piece){.type = PIECE_LOG,
                                 .len = len,
                                 .member = member,
                                 .segment = segment,
                                 .offset = offset,
                                 .end_id = end},
                  segment->bytes + offset);
        *bytes_left -= MIN_OF(*bytes_left, (size_t)len);
        at = end;
    }
    return at;
}

/* Adds the acknowledgements of sends whose own copy is below @end_id, and so in front of them. */
static void add_acks(struct member *member, struct flight *flight, struct iovec *ret_iov,
                     size_t iov_max, uint64_t end_id)
{
    size_t begin = flight->acks.len;
    if (flight->count == iov_max) {
        return;
    }
    LIST_EACH (node, &member->acks) {
        const struct send *send = CONTAINER_OF(node, struct send, of_member);
        if (send->id < end_id) {
            send_append_ack(send, &flight->acks);
        }
    }
    if (flight->acks.len > begin) {
        add_piece(flight, ret_iov,
                  (struct piece){.type = PIECE_ACKS,
                                 .len = (uint32_t)(flight->acks.len - begin),
                                 .member = member,
                                 .offset = (uint32_t)begin,
                                 .end_id = end_id},
                  NULL);
    }
}

struct page_wait {
    struct page_waiter waiter;
    struct member *member;
};

void member_end_page_wait(struct member *member)
{
    if (member->page_wait != NULL) {
        page_waiter_cancel(&member->room->hub->pages, &member->page_wait->waiter);
        free(member->page_wait);
        member->page_wait = NULL;
    }
}

static void on_page(struct page_waiter *waiter)
{
    struct member *member = CONTAINER_OF(waiter, struct page_wait, waiter)->member;
    struct client *client = member_client(member);
    member_end_page_wait(member);
    if (list_is_empty(&client->dirty)) {
        list_append(&client_hub(client)->catching_up, &client->dirty);
        client->is_catching_up = true;
    }
}

/* Asks for the page that a member stands still for. */
static void want_page(struct member *member)
{
    struct room *room = member->room;
    bool is_stuck = member->cursor <= room->log.head && member->page_wait == NULL &&
                    room_find(room, member->cursor) == NULL;
    if (is_stuck) {
        member->page_wait = mem_alloc_zeroed(sizeof(*member->page_wait));
        member->page_wait->member = member;
        page_waiter_init(&member->page_wait->waiter, member_client(member)->source, on_page);
        page_want(&room->hub->pages, room, member->cursor, PAGE_FORWARD,
                  &member->page_wait->waiter);
    }
}

size_t flight_peek(struct eio_session *session, struct iovec *ret_iov, size_t iov_max)
{
    struct client *client = client_of_session(session);
    struct hub *hub = client_hub(client);
    struct flight *flight = &hub->flight;
    flight->count = 0;
    buf_clear(&flight->acks);
    client_note_outbox(client);
    iov_max = MIN_OF(iov_max, (size_t)CLIENT_WRITE_PIECES_MAX);
    size_t bytes_left = CLIENT_WRITE_BYTES;
    for (struct sio_socket *socket = client->sio.sockets; socket != NULL; socket = socket->next) {
        struct member *member = CONTAINER_OF(socket, struct member, socket);
        if (is_at_removed(member)) {
            client_wake(
                client); /* nothing may join the outbox here: hub_flush() tells the gap first */
        }
        if (member->join != NULL || is_at_removed(member)) {
            continue;
        }
        uint64_t end_id = member->cursor;
        if (end_id <= member->room->log.head) {
            end_id = add_log(member, flight, ret_iov, iov_max, &bytes_left);
            want_page(member);
        }
        if (!list_is_empty(&member->acks)) {
            add_acks(member, flight, ret_iov, iov_max, end_id);
        }
    }
    for (size_t i = 0; i < flight->count; i++) {
        if (flight->pieces[i].type == PIECE_ACKS) {
            ret_iov[i].iov_base =
                flight->acks.data + flight->pieces[i].offset; /* does not move any more */
        }
    }
    return flight->count;
}

/* Puts the rest of a half written frame in front of all that follows. */
static void keep_rest(struct eio_session *session, const char *data, size_t len)
{
    struct buf *out = eio_session_begin_write(session);
    if (out != NULL && len > 0) {
        ASSERT(out->len == 0);
        buf_append(out, data, len);
        eio_session_end_write(session);
    }
}

static void end_acks(const struct piece *piece)
{
    LIST_EACH_SAFE (node, following, &piece->member->acks) {
        struct send *send = CONTAINER_OF(node, struct send, of_member);
        if (send->id < piece->end_id) {
            send_free_acked(send);
        }
    }
}

static void advance_log(struct eio_session *session, const struct piece *piece, size_t written)
{
    struct hub *hub = piece->member->room->hub;
    uint64_t before = piece->member->cursor, after = piece->end_id;
    if (written < piece->len) {
        uint32_t at = piece->offset + (uint32_t)written;
        after = segment_id_at(piece->segment, at);
        if (at > segment_offset(piece->segment, after)) {
            after++; /* begun, so it is as good as sent */
            keep_rest(session, piece->segment->bytes + at,
                      segment_offset(piece->segment, after) - at);
        }
    }
    piece->member->cursor = after;
    hub->stats.deliveries += after - before;
}

void flight_advance(struct eio_session *session, size_t written)
{
    struct hub *hub = client_hub(client_of_session(session));
    struct flight *flight = &hub->flight;
    for (size_t i = 0; i < flight->count && written > 0; i++) {
        const struct piece *piece = &flight->pieces[i];
        size_t taken = MIN_OF(written, (size_t)piece->len);
        written -= taken;
        switch (piece->type) {
        case PIECE_LOG:
            advance_log(session, piece, taken);
            if (taken == piece->len) {
                want_page(
                    piece->member); /* what follows may not be there: nobody peeks once more */
            }
            break;
        case PIECE_ACKS:
            end_acks(piece);
            keep_rest(session, flight->acks.data + piece->offset + taken, piece->len - taken);
            break;
        }
    }
    flight->count = 0;
}

void flight_init(struct flight *flight)
{
    *flight = (struct flight){.pieces = mem_alloc(CLIENT_WRITE_PIECES_MAX * sizeof(struct piece))};
}

void flight_release(struct flight *flight)
{
    buf_release(&flight->acks);
    free(flight->pieces);
}

/* --- news ------------------------------------------------------------------------------------------------------- */

/* The frames from @cursor to the head, where they lie in one stretch, and are one write. */
static void find_news(const struct room *room, uint64_t cursor, struct news *ret_news)
{
    *ret_news = (struct news){.from = cursor, .end = room->log.head + 1};
    const struct segment *segment = room_log_find(&room->log, cursor);
    bool is_one = segment != NULL && segment_end_id(segment) == ret_news->end &&
                  segment->len - segment_offset(segment, cursor) <= EIO_PEEK_BYTES &&
                  cursor >= room->oldest;
    if (is_one) {
        ret_news->segment = segment;
        ret_news->offset = segment_offset(segment, cursor);
        ret_news->len = segment->len - ret_news->offset;
    }
}

/* Whether the log of @member's room is all that its client can lack, and all of it is for it. */
static bool lacks_only_news(const struct member *member)
{
    const struct client *client = member_client(member);
    const struct eio_session *session = &client->sio.eio;
    return client->member_count == 1 && member->wants_own && list_is_empty(&member->acks) &&
           session->outbox.len == 0 && client->outbox_noted == 0 &&
           session->state == EIO_STATE_OPEN && session->transport == EIO_WEBSOCKET;
}

bool flight_send_news(struct member *member, struct news *news)
{
    if (!lacks_only_news(member)) {
        return false;
    }
    if (news->from != member->cursor) {
        find_news(member->room, member->cursor, news);
    }
    struct client *client = member_client(member);
    struct hub *hub = member->room->hub;
    size_t written = news->segment == NULL
                         ? 0
                         : hub->world.write(hub->world.user, client,
                                            news->segment->bytes + news->offset, news->len);
    if (written == 0) {
        return false;
    }
    hub->stats.bytes_out += written;
    struct piece piece = {.type = PIECE_LOG,
                          .len = news->len,
                          .member = member,
                          .segment = news->segment,
                          .offset = news->offset,
                          .end_id = news->end};
    advance_log(client_session(client), &piece, written);
    if (written < news->len) {
        client_note_outbox(client); /* the rest of a frame */
    }
    return true;
}

/* --- aside ------------------------------------------------------------------------------------------------------ */

bool flight_send_aside(struct member *member, struct bytes frame)
{
    struct client *client = member_client(member);
    struct hub *hub = client_hub(client);
    struct eio_session *session = client_session(client);
    if (session->state != EIO_STATE_OPEN || session->outbox.len > 0 || client->outbox_noted != 0) {
        return false;
    }
    if (session->transport != EIO_WEBSOCKET) {
        buf_append_bytes(eio_session_begin_write(session), frame);
        eio_session_end_write(session);
        return true;
    }
    size_t written = hub->world.write(hub->world.user, client, frame.data, frame.len);
    if (written == 0) {
        return false;
    }
    hub->stats.bytes_out += written;
    if (written < frame.len) {
        keep_rest(session, frame.data + written, frame.len - written);
        client_note_outbox(client);
    }
    return true;
}
