/*
 * admission.h - whom a token lets into a room, for how long, and who is put out before.
 *
 *   CONNECT ──▶ admission_ask() ──▶ a pass: the member has it as long as it is one; its name is the token's
 *                        │
 *                        ├──▶ the token will never do, or not for this room: CONNECT_ERROR
 *                        └──▶ another one may do: the CONNECT is held, and then its connection closes, since a client that gets
 *                             a CONNECT_ERROR does not come back, and one whose connection closes asks for a token again
 *
 *   a pass expires, or its token is revoked ──▶ its connection closes
 *
 * Where names are free (hub_world.admit is NULL) nobody has a pass, and all this costs nothing.
 *
 * Thread      The loop's.
 * Invariants  A member whose pass was revoked, or expired, is put out with the timers' next run; or, where the clock was set, within
 *             PASS_CHECK_MS.
 * Limits      REVOCATIONS_MAX; past it, the one that ends first is forgotten.
 */
#ifndef PARLEY_HUB_ADMISSION_H
#define PARLEY_HUB_ADMISSION_H

#include "client.h"

struct pass {
    struct timer end;
    struct member *member;
    uint64_t expires_ms, issued_ms; /* since 1970 */
    bool may_write;
    uint8_t id_len;
    char id[]; /* of its token; may be empty */
};

/*
 * Asks whether @auth's token opens @room to @client. On success @auth.username is the token's, and *@ret_pass is for
 * pass_give(), or NULL where names are free. False: the client has been told, or its connection is about to close.
 */
MUST_USE bool admission_ask(struct client *client, struct bytes namespace, struct bytes room,
                            struct chat_auth *auth, struct pass **ret_pass, uint64_t now_ms);

/* A pass as another gateway handed it over. Returns owned. */
struct pass *pass_new(uint64_t expires_ms, uint64_t issued_ms, bool may_write, struct bytes id);

/* @member has @pass (NULL: none is needed) from now on, and is put out when it expires. Takes @pass. */
void pass_give(struct member *member, struct pass *pass, uint64_t now_ms);

/* Takes @member's pass away, if it has one. */
void pass_take(struct member *member);

/* NULL: it has none, and needs none. */
const struct pass *pass_of(const struct member *member);

bool member_may_write(const struct member *member);

/*
 * What @client asks for cannot be had now: it is not answered, and its connection closes with @reason and @code after FAREWELL_MS_MIN
 * to _MAX; its library comes back by itself then, maybe to another gateway.
 */
void admission_say_farewell(struct client *client, enum eio_close_reason reason, uint16_t code,
                            uint64_t now_ms);

/* A client's connection is over: it need not be closed any more. */
void admission_forget_client(struct client *client);

/* Keys of hub.passes, hub.farewells and hub.revocations. */
struct bytes pass_key(const void *pass);
struct bytes farewell_key(const void *farewell);
struct bytes revocation_key(const void *revocation);

void admission_release(struct hub *hub);

#endif
