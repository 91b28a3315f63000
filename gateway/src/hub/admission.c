#include "admission.h"

#include "base/random.h"
#include <stdlib.h>

/* A client whose connection closes soon. */
struct farewell {
    struct client *client;
    enum eio_close_reason reason;
    uint16_t code;
    struct timer timer;
};

/* Tokens of a user, or one token, that were issued before a time do not do any more. */
struct revocation {
    uint64_t before_ms, until_ms; /* since 1970; nobody has such a token after until_ms */
    size_t key_len;
    char key[]; /* enum hub_revoked, and the name */
};

static uint64_t wall_ms(const struct hub *hub)
{
    return hub->world.wall_ms(hub->world.user);
}

static void put_out(struct client *client, uint64_t now_ms)
{
    eio_session_close(client_session(client), EIO_CLOSE_UNAUTHORIZED, WS_CLOSE_POLICY_VIOLATION,
                      now_ms);
}

/* --- revoked tokens ----------------------------------------------------------------------------------------------- */

struct bytes revocation_key(const void *revocation)
{
    const struct revocation *one = revocation;
    return bytes_of(one->key, one->key_len);
}

static void write_key(struct buf *key, enum hub_revoked what, struct bytes name)
{
    buf_clear(key);
    buf_append_char(key, (char)what);
    buf_append_bytes(key, name);
}

static bool is_revoked_as(const struct hub *hub, enum hub_revoked what, struct bytes name,
                          uint64_t issued_ms, struct buf *key)
{
    write_key(key, what, name);
    const struct revocation *revocation = map_get(&hub->revocations, buf_bytes(key));
    return revocation != NULL && issued_ms < revocation->before_ms;
}

/* Whether a token that was issued to @user at @issued_ms, with the id @id (len 0: none), is revoked. */
static bool is_revoked(const struct hub *hub, struct bytes user, struct bytes id,
                       uint64_t issued_ms)
{
    if (hub->revocations.count == 0) {
        return false;
    }
    struct buf key = BUF_INIT;
    bool is = is_revoked_as(hub, HUB_REVOKED_USER, user, issued_ms, &key) ||
              (id.len > 0 && is_revoked_as(hub, HUB_REVOKED_TOKEN, id, issued_ms, &key));
    buf_release(&key);
    return is;
}

/* --- passes ------------------------------------------------------------------------------------------------------- */

static bool pass_is_revoked(const struct pass *pass)
{
    return is_revoked(pass->member->room->hub, member_username(pass->member),
                      bytes_of(pass->id, pass->id_len), pass->issued_ms);
}

/* Looks again after some time at the latest: the clock of the day may be set. */
static void set_end(struct pass *pass, uint64_t now_ms)
{
    struct hub *hub = pass->member->room->hub;
    uint64_t now_wall_ms = wall_ms(hub);
    bool is_over = pass->expires_ms <= now_wall_ms || pass_is_revoked(pass);
    uint64_t left = is_over ? 0 : pass->expires_ms - now_wall_ms;
    timers_set(hub->timers, &pass->end, now_ms + MIN_OF(left, (uint64_t)PASS_CHECK_MS));
}

static void on_end(struct timer *timer, uint64_t now_ms)
{
    struct pass *pass = CONTAINER_OF(timer, struct pass, end);
    struct hub *hub = pass->member->room->hub;
    bool is_revoked = pass_is_revoked(pass);
    if (!is_revoked && wall_ms(hub) < pass->expires_ms) {
        set_end(pass, now_ms);
        return;
    }
    hub->stats.passes_revoked += is_revoked;
    hub->stats.passes_expired += !is_revoked;
    put_out(member_client(pass->member), now_ms);
}

struct pass *pass_new(uint64_t expires_ms, uint64_t issued_ms, bool may_write, struct bytes id)
{
    struct pass *pass = mem_alloc(sizeof(*pass) + id.len);
    *pass = (struct pass){
        .expires_ms = expires_ms,
        .issued_ms = issued_ms,
        .may_write = may_write,
        .id_len = (uint8_t)id.len,
    };
    if (id.len > 0) {
        memcpy(pass->id, id.data, id.len);
    }
    timer_init(&pass->end, on_end);
    return pass;
}

struct bytes pass_key(const void *pass)
{
    return bytes_of((const char *)&((const struct pass *)pass)->member, sizeof(struct member *));
}

void pass_give(struct member *member, struct pass *pass, uint64_t now_ms)
{
    if (pass != NULL) {
        pass->member = member;
        map_add(&member->room->hub->passes, pass);
        member->has_pass = true;
        set_end(pass, now_ms);
    }
}

void pass_take(struct member *member)
{
    if (member->has_pass) {
        struct hub *hub = member->room->hub;
        struct pass *pass =
            map_remove(&hub->passes, bytes_of((const char *)&member, sizeof(struct member *)));
        timers_clear(hub->timers, &pass->end);
        free(pass);
        member->has_pass = false;
    }
}

const struct pass *pass_of(const struct member *member)
{
    return member->has_pass ? map_get(&member->room->hub->passes,
                                      bytes_of((const char *)&member, sizeof(struct member *)))
                            : NULL;
}

bool member_may_write(const struct member *member)
{
    const struct pass *pass = pass_of(member);
    return pass == NULL || pass->may_write;
}

/* --- leaving ------------------------------------------------------------------------------------------------------ */

struct bytes farewell_key(const void *farewell)
{
    return bytes_of((const char *)&((const struct farewell *)farewell)->client,
                    sizeof(struct client *));
}

static void on_farewell(struct timer *timer, uint64_t now_ms)
{
    const struct farewell *farewell = CONTAINER_OF(timer, struct farewell, timer);
    eio_session_close(client_session(farewell->client), farewell->reason, farewell->code, now_ms);
}

/* Not at once: a client that was connected comes back without delay, and would do so again and again. */
void admission_say_farewell(struct client *client, enum eio_close_reason reason, uint16_t code,
                            uint64_t now_ms)
{
    struct hub *hub = client_hub(client);
    if (client->is_leaving) {
        return;
    }
    struct farewell *farewell = mem_alloc_zeroed(sizeof(*farewell));
    farewell->client = client;
    farewell->reason = reason;
    farewell->code = code;
    timer_init(&farewell->timer, on_farewell);
    timers_set(hub->timers, &farewell->timer,
               now_ms + FAREWELL_MS_MIN + random_u64() % (FAREWELL_MS_MAX - FAREWELL_MS_MIN));
    map_add(&hub->farewells, farewell);
    client->is_leaving = true;
}

void admission_forget_client(struct client *client)
{
    if (client->is_leaving) {
        struct hub *hub = client_hub(client);
        struct farewell *farewell =
            map_remove(&hub->farewells, bytes_of((const char *)&client, sizeof(struct client *)));
        timers_clear(hub->timers, &farewell->timer);
        free(farewell);
        client->is_leaving = false;
    }
}

/* --- revoking ------------------------------------------------------------------------------------------------------- */

/* Forgets the one that ends first. Those that are over are no harm until there are too many. */
static void forget_one(struct hub *hub)
{
    struct revocation *first = NULL, *one;
    size_t cursor = 0;
    while ((one = map_next(&hub->revocations, &cursor)) != NULL) {
        first = first == NULL || one->until_ms < first->until_ms ? one : first;
    }
    ASSERT(first != NULL); /* there are too many */
    map_remove(&hub->revocations, revocation_key(first));
    free(first);
}

/* False: it is known already. */
static bool note_revocation(struct hub *hub, enum hub_revoked what, struct bytes name,
                            uint64_t before_ms, uint64_t until_ms)
{
    struct buf key = BUF_INIT;
    write_key(&key, what, name);
    struct revocation *revocation = map_get(&hub->revocations, buf_bytes(&key));
    if (revocation == NULL) {
        if (hub->revocations.count >= REVOCATIONS_MAX) {
            forget_one(hub);
        }
        revocation = mem_alloc_zeroed(sizeof(*revocation) + key.len);
        revocation->key_len = key.len;
        memcpy(revocation->key, key.data, key.len);
        map_add(&hub->revocations, revocation);
    }
    bool is_new = before_ms > revocation->before_ms;
    revocation->before_ms = MAX_OF(revocation->before_ms, before_ms);
    revocation->until_ms = MAX_OF(revocation->until_ms, until_ms);
    buf_release(&key);
    return is_new;
}

size_t hub_revoke(struct hub *hub, enum hub_revoked what, struct bytes name, uint64_t before_ms,
                  uint64_t until_ms, uint64_t now_ms)
{
    if (hub->world.admit == NULL || !note_revocation(hub, what, name, before_ms, until_ms)) {
        return 0;
    }
    size_t count = 0, cursor = 0;
    for (struct pass *pass; (pass = map_next(&hub->passes, &cursor)) != NULL;) {
        if (pass_is_revoked(pass)) {
            timers_set(hub->timers, &pass->end, now_ms);
            count++;
        }
    }
    return count;
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

static void refuse(struct client *client, struct bytes namespace, const char *message,
                   const char *code, const char *why)
{
    struct buf data = BUF_INIT;
    chat_write_refusal(&data, code, why);
    sio_client_refuse(&client->sio, namespace, bytes_of_string(message), buf_bytes(&data));
    buf_release(&data);
}

static void tell_refused(struct client *client, struct bytes room, const char *why)
{
    hub_tell(client_hub(client),
             &(struct hub_event){
                 .type = HUB_TOKEN_REFUSED, .client = client, .room = room, .reason = why});
}

bool admission_ask(struct client *client, struct bytes namespace, struct bytes room,
                   struct chat_auth *auth, struct pass **ret_pass, uint64_t now_ms)
{
    struct hub *hub = client_hub(client);
    *ret_pass = NULL;
    if (hub->world.admit == NULL) {
        return true;
    }
    if (client->is_leaving) {
        return false; /* it has heard nothing yet, and will not: another token may do */
    }
    const char *why = "a token is required: auth.token";
    struct hub_pass pass = {0};
    enum hub_admission admission = HUB_UNAUTHORIZED;
    if (auth->token.len > 0) {
        admission = hub->world.admit(hub->world.user, buf_bytes(&auth->token), room, &pass, &why);
    }
    if (admission == HUB_ADMITTED && is_revoked(hub, pass.username, pass.id, pass.issued_ms)) {
        why = "the token was revoked";
        admission = HUB_STALE;
    }
    switch (admission) {
    case HUB_ADMITTED:
        buf_clear(&auth->username);
        buf_append_bytes(&auth->username, pass.username);
        *ret_pass = pass_new(pass.expires_ms, pass.issued_ms, pass.may_write, pass.id);
        return true;
    case HUB_STALE:
        hub->stats.tokens_stale++;
        admission_say_farewell(client, EIO_CLOSE_UNAUTHORIZED, WS_CLOSE_POLICY_VIOLATION, now_ms);
        break;
    case HUB_UNAUTHORIZED:
        hub->stats.tokens_refused++;
        refuse(client, namespace, "Unauthorized", "unauthorized", why);
        break;
    case HUB_FORBIDDEN:
        hub->stats.rooms_forbidden++;
        refuse(client, namespace, "Forbidden", "forbidden", why);
        break;
    }
    tell_refused(client, room, why);
    return false;
}

void admission_release(struct hub *hub)
{
    ASSERT(hub->passes.count == 0 && hub->farewells.count == 0); /* all clients are gone */
    size_t cursor = 0;
    for (void *revocation; (revocation = map_next(&hub->revocations, &cursor)) != NULL;) {
        free(revocation);
    }
    map_release(&hub->revocations);
    map_release(&hub->passes);
    map_release(&hub->farewells);
}
