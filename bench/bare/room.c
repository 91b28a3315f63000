/* room.c - members, and what is sent to them. */
#include "server.h"
#include "wire/ws.h"

#include <stdio.h>

enum { ID_DIGITS_MAX = 20 };

struct room {
    struct connection **members;
    uint32_t member_count, capacity;
    uint64_t head;        /* id of the newest message */
    struct buf published; /* frames of this turn */
    struct buf past;      /* all frames, where they are to be replayed */
    bool is_dirty;
};

static struct room *rooms[ROOMS_MAX];
static struct room *dirty[ROOMS_MAX];
static uint32_t dirty_count;

static uint32_t number_of(struct bytes namespace)
{
    uint32_t number = 0, scale = 1;
    for (size_t at = namespace.len; at > 0; at--) {
        char c = namespace.data[at - 1];
        if (c >= '0' && c <= '9') {
            number += (uint32_t)(c - '0') * scale;
            scale *= 10;
        } else if (c != ',') {
            break;
        }
    }
    ASSERT(number < ROOMS_MAX);
    return number;
}

void room_join(struct connection *connection, struct bytes namespace)
{
    struct room **place = &rooms[number_of(namespace)];
    if (*place == NULL) {
        *place = mem_alloc_zeroed(sizeof(struct room));
    }
    struct room *room = *place;
    if (room->member_count == room->capacity) {
        room->capacity = MAX_OF(room->capacity * 2, 4U);
        room->members = mem_resize(room->members, room->capacity * sizeof(struct connection *));
    }
    connection->room = room;
    connection->place = room->member_count;
    room->members[room->member_count++] = connection;
}

void room_leave(struct connection *connection)
{
    struct room *room = connection->room;
    if (room == NULL) {
        return;
    }
    struct connection *last = room->members[--room->member_count];
    room->members[connection->place] = last;
    last->place = connection->place;
    connection->room = NULL;
}

static void send_to_all(struct room *room, struct bytes frames)
{
    for (uint32_t i = 0; i < room->member_count; i++) {
        connection_send(room->members[i], frames);
    }
}

void room_publish(struct room *room, struct bytes packet)
{
    char tail[ID_DIGITS_MAX + 16];
    int tail_len = snprintf(tail, sizeof(tail), "\"1-%llu\"]", (unsigned long long)++room->head);
    size_t head_len = packet.len - 1; /* without its bracket */
    size_t comma_len = 1;
    size_t len = MAX_OF((size_t)settings.packet_bytes, head_len + comma_len + (size_t)tail_len);
    size_t begin = room->published.len;
    char header[WS_SERVER_HEADER_MAX];
    buf_append(&room->published, header, ws_write_header(header, WS_TEXT, len));
    buf_append(&room->published, packet.data, head_len);
    buf_append_char(&room->published, ',');
    size_t blanks = len - head_len - comma_len - (size_t)tail_len;
    memset(buf_reserve(&room->published, blanks), ' ', blanks);
    room->published.len += blanks;
    buf_append(&room->published, tail, (size_t)tail_len);
    if (settings.has_replay) {
        buf_append_bytes(&room->past, bytes_skip(buf_bytes(&room->published), begin));
    }
    if (!settings.is_joined) {
        send_to_all(room, buf_bytes(&room->published));
        buf_clear(&room->published);
    } else if (!room->is_dirty) {
        room->is_dirty = true;
        dirty[dirty_count++] = room;
    }
}

void room_replay(struct connection *connection)
{
    connection_send(connection, buf_bytes(&connection->room->past));
}

void room_flush_all(void)
{
    for (uint32_t i = 0; i < dirty_count; i++) {
        dirty[i]->is_dirty = false;
        send_to_all(dirty[i], buf_bytes(&dirty[i]->published));
        buf_clear(&dirty[i]->published);
    }
    dirty_count = 0;
}
