/* contract_presence.c - who is in a room, between gateways. */
#include "contract_peer.h"
#include "wire_arena.h"

#include <stdlib.h>

static ProtobufCBinaryData *names_to_wire(const struct bytes *names, size_t count)
{
    ProtobufCBinaryData *wire = mem_alloc((count + 1) * sizeof(*wire));
    for (size_t i = 0; i < count; i++) {
        wire[i] = to_wire(names[i]);
    }
    return wire;
}

void contract_encode_presence(struct buf *out, const struct contract_presence *presence)
{
    Parley__V1__Presence packed = PARLEY__V1__PRESENCE__INIT;
    Parley__V1__Census census = PARLEY__V1__CENSUS__INIT;
    Parley__V1__Typing typing = PARLEY__V1__TYPING__INIT;
    packed.room = to_wire(presence->room);
    packed.gateway = to_wire(presence->gateway);
    if (presence->has_census) {
        census.count = presence->census.count;
        census.has_names = presence->census.has_names;
        census.wants_presence = presence->census.wants_presence;
        census.valid_ms = presence->census.valid_ms;
        census.n_names = presence->census.name_count;
        census.names = names_to_wire(presence->census.names, presence->census.name_count);
        packed.census = &census;
    }
    if (presence->has_typing) {
        typing.n_users = presence->typing.user_count;
        typing.users = names_to_wire(presence->typing.users, presence->typing.user_count);
        typing.more = presence->typing.more;
        packed.typing = &typing;
    }
    wire_pack(out, &packed.base);
    free(census.names);
    free(typing.users);
}

/* False: too many, or one that is no name. */
static bool read_names(void *object, const ProtobufCBinaryData *wire, size_t count,
                       size_t count_max, struct bytes **ret_names)
{
    if (count > count_max) {
        return false;
    }
    struct bytes *names = arena_array(object, count, sizeof(*names));
    for (size_t i = 0; i < count; i++) {
        names[i] = from_wire(wire[i]);
        if (names[i].len == 0 || names[i].len > CONTRACT_SENDER_BYTES_MAX) {
            return false;
        }
    }
    *ret_names = names;
    return true;
}

static bool read_census(struct contract_presence *presence, const Parley__V1__Census *wire)
{
    presence->has_census = true;
    presence->census.count = wire->count;
    presence->census.has_names = wire->has_names;
    presence->census.wants_presence = wire->wants_presence;
    presence->census.valid_ms = wire->valid_ms;
    presence->census.name_count = wire->n_names;
    return read_names(presence, wire->names, wire->n_names, CONTRACT_NAMES_MAX,
                      &presence->census.names);
}

static bool read_typing(struct contract_presence *presence, const Parley__V1__Typing *wire)
{
    presence->has_typing = true;
    presence->typing.more = wire->more;
    presence->typing.user_count = wire->n_users;
    return read_names(presence, wire->users, wire->n_users, CONTRACT_TYPERS_MAX,
                      &presence->typing.users);
}

static bool read_presence(struct contract_presence *presence, struct bytes payload)
{
    const Parley__V1__Presence *wire = wire_unpack(presence, &parley__v1__presence__descriptor,
                                                   payload, CONTRACT_MESSAGE_BYTES_MAX);
    if (wire == NULL || wire->room.len < 1 || wire->room.len > CONTRACT_ROOM_BYTES_MAX ||
        wire->gateway.len != CONTRACT_GATEWAY_ID_BYTES) {
        return false;
    }
    presence->room = from_wire(wire->room);
    presence->gateway = from_wire(wire->gateway);
    return (wire->census == NULL || read_census(presence, wire->census)) &&
           (wire->typing == NULL || read_typing(presence, wire->typing));
}

DEFINE_DECODER(presence)
