#include "contract_peer.h"

#include "wire_arena.h"
#include <stdlib.h>

/* protobuf-c only reads the numbers while packing, but has no const. */
static uint64_t *numbers_to_wire(const uint64_t *numbers)
{
    union {
        const uint64_t *numbers;
        uint64_t *wire;
    } pointer = {.numbers = numbers};
    return pointer.wire;
}

/* --- PeerRequest -------------------------------------------------------------------------------------------------- */

static_assert((int)CONTRACT_PEER_CHECK == (int)PARLEY__V1__PEER_REQUEST__TYPE__CHECK &&
                  (int)CONTRACT_PEER_GET == (int)PARLEY__V1__PEER_REQUEST__TYPE__GET &&
                  (int)CONTRACT_PEER_POST == (int)PARLEY__V1__PEER_REQUEST__TYPE__POST &&
                  (int)CONTRACT_PEER_CLAIM == (int)PARLEY__V1__PEER_REQUEST__TYPE__CLAIM &&
                  (int)CONTRACT_PEER_PROBE == (int)PARLEY__V1__PEER_REQUEST__TYPE__PROBE &&
                  (int)CONTRACT_PEER_MOVE == (int)PARLEY__V1__PEER_REQUEST__TYPE__MOVE &&
                  (int)CONTRACT_PEER_RELEASE == (int)PARLEY__V1__PEER_REQUEST__TYPE__RELEASE &&
                  (int)CONTRACT_PEER_CANCEL == (int)PARLEY__V1__PEER_REQUEST__TYPE__CANCEL,
              "a type is cast from one to the other");

void contract_encode_peer_request(struct buf *out, const struct contract_peer_request *request)
{
    Parley__V1__PeerRequest packed = PARLEY__V1__PEER_REQUEST__INIT;
    packed.gateway = to_wire(bytes_of(request->key.gateway, CONTRACT_GATEWAY_ID_BYTES));
    packed.number = request->key.number;
    packed.type = (Parley__V1__PeerRequest__Type)request->type;
    packed.session = to_wire(request->session);
    packed.body = to_wire(request->body);
    packed.offset = request->offset;
    packed.more = request->more;
    packed.octet_stream = request->octet_stream;
    packed.n_numbers = request->number_count;
    packed.numbers = numbers_to_wire(request->numbers);
    wire_pack(out, &packed.base);
}

static bool read_peer_request(struct contract_peer_request *request, struct bytes payload)
{
    const Parley__V1__PeerRequest *wire = wire_unpack(
        request, &parley__v1__peer_request__descriptor, payload, CONTRACT_MESSAGE_BYTES_MAX);
    bool is_valid = wire != NULL && contract_gateway_id_is_valid(from_wire(wire->gateway)) &&
                    (int)wire->type >= (int)CONTRACT_PEER_CHECK &&
                    (int)wire->type <= (int)CONTRACT_PEER_CANCEL;
    if (!is_valid) {
        return false;
    }
    memcpy(request->key.gateway, wire->gateway.data, CONTRACT_GATEWAY_ID_BYTES);
    request->key.number = wire->number;
    request->type = (enum contract_peer_request_type)wire->type;
    request->session = from_wire(wire->session);
    request->body = from_wire(wire->body);
    request->offset = wire->offset;
    request->more = wire->more;
    request->octet_stream = wire->octet_stream;
    request->number_count = wire->n_numbers;
    request->numbers = wire->numbers;
    return true;
}

/* --- PeerAnswer --------------------------------------------------------------------------------------------------- */

static_assert((int)CONTRACT_PEER_CHECKED == (int)PARLEY__V1__PEER_ANSWER__TYPE__CHECKED &&
                  (int)CONTRACT_PEER_PAYLOAD == (int)PARLEY__V1__PEER_ANSWER__TYPE__PAYLOAD &&
                  (int)CONTRACT_PEER_BAD_REQUEST ==
                      (int)PARLEY__V1__PEER_ANSWER__TYPE__BAD_REQUEST &&
                  (int)CONTRACT_PEER_UNKNOWN == (int)PARLEY__V1__PEER_ANSWER__TYPE__UNKNOWN &&
                  (int)CONTRACT_PEER_CLAIMED == (int)PARLEY__V1__PEER_ANSWER__TYPE__CLAIMED &&
                  (int)CONTRACT_PEER_BUSY == (int)PARLEY__V1__PEER_ANSWER__TYPE__BUSY &&
                  (int)CONTRACT_PEER_PROBED == (int)PARLEY__V1__PEER_ANSWER__TYPE__PROBED &&
                  (int)CONTRACT_PEER_MOVED == (int)PARLEY__V1__PEER_ANSWER__TYPE__MOVED &&
                  (int)CONTRACT_PEER_OVER == (int)PARLEY__V1__PEER_ANSWER__TYPE__OVER &&
                  (int)CONTRACT_PEER_FORWARD == (int)PARLEY__V1__PEER_ANSWER__TYPE__FORWARD,
              "a type is cast from one to the other");

void contract_encode_peer_answer(struct buf *out, const struct contract_peer_answer *answer)
{
    Parley__V1__PeerAnswer packed = PARLEY__V1__PEER_ANSWER__INIT;
    packed.type = (Parley__V1__PeerAnswer__Type)answer->type;
    packed.body = to_wire(answer->body);
    packed.offset = answer->offset;
    packed.more = answer->more;
    packed.n_numbers = answer->number_count;
    packed.numbers = numbers_to_wire(answer->numbers);
    wire_pack(out, &packed.base);
}

static bool read_peer_answer(struct contract_peer_answer *answer, struct bytes payload)
{
    const Parley__V1__PeerAnswer *wire = wire_unpack(answer, &parley__v1__peer_answer__descriptor,
                                                     payload, CONTRACT_MESSAGE_BYTES_MAX);
    bool is_valid = wire != NULL && (int)wire->type >= (int)CONTRACT_PEER_CHECKED &&
                    (int)wire->type <= (int)CONTRACT_PEER_FORWARD;
    if (!is_valid) {
        return false;
    }
    answer->type = (enum contract_peer_answer_type)wire->type;
    answer->body = from_wire(wire->body);
    answer->offset = wire->offset;
    answer->more = wire->more;
    answer->number_count = wire->n_numbers;
    answer->numbers = wire->numbers;
    return true;
}

/* --- Handover ----------------------------------------------------------------------------------------------------- */

static struct wire_array sends_to_wire(const struct contract_handover_member *member)
{
    struct wire_array array = wire_array_new(member->send_count, sizeof(Parley__V1__HandoverSend));
    Parley__V1__HandoverSend *wire = array.elements;
    for (size_t i = 0; i < member->send_count; i++) {
        const struct contract_handover_send *send = &member->sends[i];
        parley__v1__handover_send__init(&wire[i]);
        wire[i].has_ack = send->has_ack;
        wire[i].ack_id = send->ack_id;
        wire[i].client_id = to_wire(send->client_id);
        wire[i].id = send->id;
        wire[i].duplicate = send->duplicate;
    }
    return array;
}

static struct wire_array histories_to_wire(const struct contract_handover_member *member)
{
    struct wire_array array =
        wire_array_new(member->history_count, sizeof(Parley__V1__HandoverHistory));
    Parley__V1__HandoverHistory *wire = array.elements;
    for (size_t i = 0; i < member->history_count; i++) {
        const struct contract_handover_history *history = &member->histories[i];
        parley__v1__handover_history__init(&wire[i]);
        wire[i].ack_id = history->ack_id;
        wire[i].before = history->before;
        wire[i].after = history->after;
        wire[i].forward = history->forward;
        wire[i].limit = history->limit;
    }
    return array;
}

static void member_to_wire(const struct contract_handover_member *member,
                           Parley__V1__HandoverMember *wire)
{
    parley__v1__handover_member__init(wire);
    wire->room = to_wire(member->room);
    wire->session = to_wire(member->session);
    wire->username = to_wire(member->username);
    wire->no_echo = member->no_echo;
    wire->wants_presence = member->wants_presence;
    wire->expires_ms = member->expires_ms;
    wire->issued_ms = member->issued_ms;
    wire->token_id = to_wire(member->token_id);
    wire->may_not_write = member->may_not_write;
    wire->epoch = member->epoch;
    wire->cursor = member->cursor;
    wire->auth = to_wire(member->auth);
    wire->n_sends = member->send_count;
    wire->sends = (Parley__V1__HandoverSend **)sends_to_wire(member).pointers;
    wire->n_histories = member->history_count;
    wire->histories = (Parley__V1__HandoverHistory **)histories_to_wire(member).pointers;
}

void contract_encode_handover(struct buf *out, const struct contract_handover *handover)
{
    struct wire_array array =
        wire_array_new(handover->member_count, sizeof(Parley__V1__HandoverMember));
    Parley__V1__HandoverMember *wire = array.elements;
    for (size_t i = 0; i < handover->member_count; i++) {
        member_to_wire(&handover->members[i], &wire[i]);
    }
    Parley__V1__Handover packed = PARLEY__V1__HANDOVER__INIT;
    packed.heartbeat_in_ms = handover->heartbeat_in_ms;
    packed.awaits_pong = handover->awaits_pong;
    packed.undelivered = to_wire(handover->undelivered);
    packed.n_members = handover->member_count;
    packed.members = (Parley__V1__HandoverMember **)array.pointers;
    packed.incomplete = to_wire(handover->incomplete);
    ProtobufCBinaryData *attachments =
        mem_alloc((handover->attachment_count + 1) * sizeof(*attachments));
    for (size_t i = 0; i < handover->attachment_count; i++) {
        attachments[i] = to_wire(handover->attachments[i]);
    }
    packed.n_attachments = handover->attachment_count;
    packed.attachments = attachments;
    wire_pack(out, &packed.base);
    free(attachments);
    for (size_t i = 0; i < handover->member_count; i++) {
        wire_array_free((struct wire_array){.pointers = (void **)wire[i].sends});
        wire_array_free((struct wire_array){.pointers = (void **)wire[i].histories});
    }
    wire_array_free(array);
}

static void read_sends(struct contract_handover *handover, struct contract_handover_member *member,
                       const Parley__V1__HandoverMember *wire)
{
    member->send_count = wire->n_sends;
    member->sends = arena_array(handover, wire->n_sends, sizeof(*member->sends));
    for (size_t i = 0; i < wire->n_sends; i++) {
        member->sends[i] = (struct contract_handover_send){
            .has_ack = wire->sends[i]->has_ack,
            .ack_id = wire->sends[i]->ack_id,
            .client_id = from_wire(wire->sends[i]->client_id),
            .id = wire->sends[i]->id,
            .duplicate = wire->sends[i]->duplicate,
        };
    }
}

static void read_histories(struct contract_handover *handover,
                           struct contract_handover_member *member,
                           const Parley__V1__HandoverMember *wire)
{
    member->history_count = wire->n_histories;
    member->histories = arena_array(handover, wire->n_histories, sizeof(*member->histories));
    for (size_t i = 0; i < wire->n_histories; i++) {
        member->histories[i] = (struct contract_handover_history){
            .ack_id = wire->histories[i]->ack_id,
            .before = wire->histories[i]->before,
            .after = wire->histories[i]->after,
            .forward = wire->histories[i]->forward,
            .limit = wire->histories[i]->limit,
        };
    }
}

static bool read_handover(struct contract_handover *handover, struct bytes payload)
{
    const Parley__V1__Handover *wire = wire_unpack(handover, &parley__v1__handover__descriptor,
                                                   payload, CONTRACT_HANDOVER_BYTES_MAX);
    if (wire == NULL) {
        return false;
    }
    handover->heartbeat_in_ms = wire->heartbeat_in_ms;
    handover->awaits_pong = wire->awaits_pong;
    handover->undelivered = from_wire(wire->undelivered);
    handover->incomplete = from_wire(wire->incomplete);
    handover->attachment_count = wire->n_attachments;
    handover->attachments =
        arena_array(handover, wire->n_attachments, sizeof(*handover->attachments));
    for (size_t i = 0; i < wire->n_attachments; i++) {
        handover->attachments[i] = from_wire(wire->attachments[i]);
    }
    handover->member_count = wire->n_members;
    handover->members = arena_array(handover, wire->n_members, sizeof(*handover->members));
    for (size_t i = 0; i < wire->n_members; i++) {
        struct contract_handover_member *member = &handover->members[i];
        const Parley__V1__HandoverMember *one = wire->members[i];
        *member = (struct contract_handover_member){
            .room = from_wire(one->room),
            .session = from_wire(one->session),
            .username = from_wire(one->username),
            .no_echo = one->no_echo,
            .wants_presence = one->wants_presence,
            .expires_ms = one->expires_ms,
            .issued_ms = one->issued_ms,
            .token_id = from_wire(one->token_id),
            .may_not_write = one->may_not_write,
            .epoch = one->epoch,
            .cursor = one->cursor,
            .auth = from_wire(one->auth),
        };
        read_sends(handover, member, one);
        read_histories(handover, member, one);
    }
    return true;
}

/* --- MovedOutcome ------------------------------------------------------------------------------------------------- */

static_assert((int)CONTRACT_MOVED_STORED == (int)PARLEY__V1__MOVED_OUTCOME__TYPE__STORED &&
                  (int)CONTRACT_MOVED_REFUSED == (int)PARLEY__V1__MOVED_OUTCOME__TYPE__REFUSED &&
                  (int)CONTRACT_MOVED_UNAVAILABLE ==
                      (int)PARLEY__V1__MOVED_OUTCOME__TYPE__UNAVAILABLE &&
                  (int)CONTRACT_MOVED_SETTLED == (int)PARLEY__V1__MOVED_OUTCOME__TYPE__SETTLED,
              "a type is cast from one to the other");

void contract_encode_moved_outcome(struct buf *out, const struct contract_moved_outcome *outcome)
{
    Parley__V1__MovedOutcome packed = PARLEY__V1__MOVED_OUTCOME__INIT;
    packed.type = (Parley__V1__MovedOutcome__Type)outcome->type;
    packed.send = outcome->send;
    packed.id = outcome->id;
    packed.duplicate = outcome->duplicate;
    packed.forbidden = outcome->forbidden;
    packed.reason = to_wire(outcome->reason);
    packed.told = outcome->told;
    wire_pack(out, &packed.base);
}

static bool read_moved_outcome(struct contract_moved_outcome *outcome, struct bytes payload)
{
    const Parley__V1__MovedOutcome *wire = wire_unpack(
        outcome, &parley__v1__moved_outcome__descriptor, payload, CONTRACT_MESSAGE_BYTES_MAX);
    bool is_valid = wire != NULL && (int)wire->type >= (int)CONTRACT_MOVED_STORED &&
                    (int)wire->type <= (int)CONTRACT_MOVED_SETTLED;
    if (!is_valid) {
        return false;
    }
    outcome->type = (enum contract_moved_outcome_type)wire->type;
    outcome->send = wire->send;
    outcome->id = wire->id;
    outcome->duplicate = wire->duplicate;
    outcome->forbidden = wire->forbidden;
    outcome->reason = from_wire(wire->reason);
    outcome->told = wire->told;
    return true;
}

DEFINE_DECODER(peer_request)
DEFINE_DECODER(peer_answer)
DEFINE_DECODER(handover)
DEFINE_DECODER(moved_outcome)
