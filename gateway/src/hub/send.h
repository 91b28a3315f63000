/*
 * send.h - messages on their way from a member to the store: one append in flight for each room.
 *
 *             room.queue                    room.batch                         sender's own copy is
 * not out yet accepted ──────────▶ QUEUED ──append──▶ SENT ──answer──▶ acknowledged ◀── COMMITTED
 * (member.acks) │ deadline         │ deadline          ▲                 │ copy out, or ACK_WAIT_MS
 *                          ▼                  ▼                   └─────────────────┘
 *                  chat error, forgotten   chat error; stays in the batch, which is sent again
 * until it is answered
 *
 * What members send while an append is in flight is gathered into the next. That keeps the order of
 * each sender with any number of store replicas, and batches by itself under load. A batch that was
 * ever sent is sent again, the very same, until it is answered: it may have been committed, and
 * nothing may overtake it.
 */
#ifndef PARLEY_HUB_SEND_H
#define PARLEY_HUB_SEND_H

#include "client.h"
#include "proto/contract_peer.h"

enum send_state {
    SEND_QUEUED,
    SEND_SENT,
    SEND_COMMITTED,
    SEND_HELD, /* waits in front of the queue, for what its client's last gateway has yet to settle: handover.h */
    SEND_ELSEWHERE, /* is on its way there; only its outcome comes here */
};

struct forward;

struct send {
    struct list
        of_room; /* room.queue or room.batch; of HELD and ELSEWHERE, a list of its client.s struct settling */
    struct list of_member; /* member.sends or member.acks */
    struct list by_time;   /* hub.unsettled_sends, hub.waiting_acks */
    struct room *room;
    struct member *member;   /* NULL: nobody here is to be told any more */
    struct forward *forward; /* of a client that has moved: who is to be told there */
    enum send_state state;
    bool has_ack;
    bool is_own_id;    /* the gateway made the client id */
    bool is_duplicate; /* COMMITTED */
    uint64_t ack_id;
    uint64_t arrived_ms;
    uint64_t due_ms; /* of by_time */
    uint64_t id;     /* COMMITTED */
    uint32_t index;  /* in the Handover, of one with a forward and of an ELSEWHERE one */
    uint32_t content_len;
    uint8_t sender_len;
    uint8_t client_id_len;
    char text[]; /* sender, session, client id, content */
};

/* Accepts @request of @member, which must be a message, or refuses it with what the client is to
 * know. Borrows. */
void send_submit(struct member *member, const struct chat_request *request, bool has_ack,
                 uint64_t ack_id, uint64_t now_ms);

/* A send of @member that is ELSEWHERE; @client_id is empty where the gateway there made it. Owned by its member. */
struct send *send_new_elsewhere(struct member *member, const struct contract_handover_send *handed,
                                uint64_t now_ms);

/* The outcomes of one that is ELSEWHERE. Each may free it. */
void send_on_stored_elsewhere(struct send *send, uint64_t id, bool is_duplicate, uint64_t now_ms);
void send_on_refused_elsewhere(struct send *send, struct bytes reason, bool is_forbidden);
void send_on_unavailable_elsewhere(struct send *send);

/* A HELD send joins its room's queue. */
void send_release_held(struct send *send);

/* What the other gateway needs to know of @send. Borrows from it. */
struct contract_handover_send send_hand_over(const struct send *send);

/* Whether @send, of its room's batch, is @member's, who was told that it is late: it may be stored yet. */
bool send_is_late_of(const struct send *send, const struct member *member);

/* @send's outcome is to be told to @forward from now on. */
void send_forward(struct send *send, struct forward *forward, uint32_t index);

/* Sends what waits in @room, where no append is in flight. */
void send_start(struct room *room, uint64_t now_ms);

/* Refuses a request of @member for good: an error acknowledgement where it waits for one, a chat
 * error otherwise. */
void send_refuse(struct member *member, enum chat_code code, const char *why,
                 struct bytes client_id, bool has_ack, uint64_t ack_id);

/* Appends the frames of the acknowledgement of @send, which is COMMITTED. */
void send_append_ack(const struct send *send, struct buf *out);

/* Ends a COMMITTED send whose acknowledgement is on its way. */
void send_free_acked(struct send *send);

/* @member goes: nobody is told of its sends any more. */
void send_forget_member(struct member *member);

/* Forgets all that @room has on its way, for the hub's end. */
void send_release_room(struct room *room);

/* Sends the batch in flight again now. */
void send_hurry(struct room *room, uint64_t now_ms);

/* The room's append timer, the hub's timers of deadlines and of acknowledgements. */
void send_on_append_due(struct timer *timer, uint64_t now_ms);
void send_on_deadline(struct timer *timer, uint64_t now_ms);
void send_on_ack_due(struct timer *timer, uint64_t now_ms);

/* Key of hub.appends. */
struct bytes send_append_key(const void *room);

#endif
