/* contract_control.c - what store-services tell all gateways. */
#include "contract_control.h"
#include "wire_arena.h"

#include <stdlib.h>

static_assert((int)CONTRACT_KICK == (int)PARLEY__V1__CONTROL__TYPE__KICK &&
                  (int)CONTRACT_REVOKE == (int)PARLEY__V1__CONTROL__TYPE__REVOKE &&
                  (int)CONTRACT_COUNT == (int)PARLEY__V1__CONTROL__TYPE__COUNT,
              "a type is cast from one to the other");

/* --- Control ------------------------------------------------------------------------------------------------------ */

void contract_encode_control(struct buf *out, const struct contract_control *control)
{
    Parley__V1__Control packed = PARLEY__V1__CONTROL__INIT;
    struct wire_array revocations =
        wire_array_new(control->revocation_count, sizeof(Parley__V1__Revocation));
    Parley__V1__Revocation *wire = revocations.elements;
    for (size_t i = 0; i < control->revocation_count; i++) {
        const struct contract_revocation *one = &control->revocations[i];
        parley__v1__revocation__init(&wire[i]);
        wire[i].user = to_wire(one->user);
        wire[i].token_id = to_wire(one->token_id);
        wire[i].before_ms = one->before_ms;
        wire[i].until_ms = one->until_ms;
    }
    ProtobufCBinaryData *rooms = mem_alloc((control->room_count + 1) * sizeof(*rooms));
    for (size_t i = 0; i < control->room_count; i++) {
        rooms[i] = to_wire(control->rooms[i]);
    }
    packed.type = (Parley__V1__Control__Type)control->type;
    packed.user = to_wire(control->user);
    packed.session = to_wire(control->session);
    packed.room = to_wire(control->room);
    packed.n_revocations = control->revocation_count;
    packed.revocations = (Parley__V1__Revocation **)revocations.pointers;
    packed.n_rooms = control->room_count;
    packed.rooms = rooms;
    wire_pack(out, &packed.base);
    wire_array_free(revocations);
    free(rooms);
}

static bool read_revocations(struct contract_control *control, const Parley__V1__Control *wire)
{
    control->revocation_count = wire->n_revocations;
    control->revocations = arena_array(control, wire->n_revocations, sizeof(*control->revocations));
    for (size_t i = 0; i < wire->n_revocations; i++) {
        const Parley__V1__Revocation *one = wire->revocations[i];
        if ((one->user.len == 0) == (one->token_id.len == 0) ||
            one->user.len + one->token_id.len > CONTRACT_SENDER_BYTES_MAX) {
            return false;
        }
        control->revocations[i] = (struct contract_revocation){
            .user = from_wire(one->user),
            .token_id = from_wire(one->token_id),
            .before_ms = one->before_ms,
            .until_ms = one->until_ms,
        };
    }
    return true;
}

static bool read_control(struct contract_control *control, struct bytes payload)
{
    const Parley__V1__Control *wire =
        wire_unpack(control, &parley__v1__control__descriptor, payload, CONTRACT_MESSAGE_BYTES_MAX);
    if (wire == NULL || wire->type < PARLEY__V1__CONTROL__TYPE__KICK ||
        wire->type > PARLEY__V1__CONTROL__TYPE__COUNT || wire->n_rooms > CONTRACT_COUNTS_MAX ||
        wire->n_revocations > CONTRACT_REVOCATIONS_MAX) {
        return false;
    }
    control->type = (enum contract_control_type)wire->type;
    control->user = from_wire(wire->user);
    control->session = from_wire(wire->session);
    control->room = from_wire(wire->room);
    control->room_count = wire->n_rooms;
    control->rooms = arena_array(control, wire->n_rooms, sizeof(*control->rooms));
    for (size_t i = 0; i < wire->n_rooms; i++) {
        control->rooms[i] = from_wire(wire->rooms[i]);
    }
    bool is_for_nobody =
        control->type == CONTRACT_KICK && control->user.len == 0 && control->session.len == 0;
    return !is_for_nobody && read_revocations(control, wire);
}

DEFINE_DECODER(control)

/* --- ControlReply ------------------------------------------------------------------------------------------------- */

void contract_encode_control_reply(struct buf *out, const struct contract_control_reply *reply)
{
    Parley__V1__ControlReply packed = PARLEY__V1__CONTROL_REPLY__INIT;
    packed.gateway = to_wire(reply->gateway);
    packed.members = reply->members;
    packed.n_counts = reply->count_count;
    packed.counts = reply->counts;
    wire_pack(out, &packed.base);
}

static bool read_control_reply(struct contract_control_reply *reply, struct bytes payload)
{
    const Parley__V1__ControlReply *wire = wire_unpack(
        reply, &parley__v1__control_reply__descriptor, payload, CONTRACT_MESSAGE_BYTES_MAX);
    if (wire == NULL || wire->gateway.len != CONTRACT_GATEWAY_ID_BYTES ||
        wire->n_counts > CONTRACT_COUNTS_MAX) {
        return false;
    }
    reply->gateway = from_wire(wire->gateway);
    reply->members = wire->members;
    reply->count_count = wire->n_counts;
    reply->counts = wire->counts;
    return true;
}

DEFINE_DECODER(control_reply)
