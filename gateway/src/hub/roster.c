#include "roster.h"

#include <stdlib.h>

static_assert(CONTRACT_SENDER_BYTES_MAX <= UINT8_MAX, "a name's length is a byte");
static_assert((int)ROSTER_NAMES_MAX == (int)CONTRACT_NAMES_MAX, "one gateway may have them all");

void roster_init(struct roster *roster, struct roster_budget *budget)
{
    *roster = (struct roster){.budget = budget};
}

static void drop_names(struct roster *roster, struct roster_gateway *gateway)
{
    roster->budget->bytes -= gateway->names.len;
    buf_release(&gateway->names);
    gateway->has_names = false;
}

static void drop_all_names(struct roster *roster)
{
    for (uint32_t i = 0; i < roster->count; i++) {
        drop_names(roster, &roster->gateways[i]);
    }
}

/* The order of the others stays, so that what is told of them does. */
static void remove_gateway(struct roster *roster, struct roster_gateway *gateway)
{
    drop_names(roster, gateway);
    buf_release(&gateway->typers);
    roster->members -= gateway->count;
    struct roster_gateway *end = roster->gateways + roster->count--;
    memmove(gateway, gateway + 1, (size_t)(end - gateway - 1) * sizeof(*gateway));
}

void roster_release(struct roster *roster)
{
    while (roster->count > 0) {
        remove_gateway(roster, &roster->gateways[roster->count - 1]);
    }
    free(roster->gateways);
    roster_init(roster, roster->budget);
}

static struct roster_gateway *find(const struct roster *roster, struct bytes id)
{
    for (uint32_t i = 0; i < roster->count; i++) {
        if (bytes_equal(bytes_of(roster->gateways[i].id, CONTRACT_GATEWAY_ID_BYTES), id)) {
            return &roster->gateways[i];
        }
    }
    return NULL;
}

static struct roster_gateway *add_gateway(struct roster *roster, struct bytes id)
{
    if (roster->count == ROSTER_GATEWAYS_MAX) {
        return NULL;
    }
    if (roster->count == roster->capacity) {
        roster->capacity = MAX_OF((uint32_t)2, roster->capacity * 2);
        roster->gateways =
            mem_resize(roster->gateways, roster->capacity * sizeof(*roster->gateways));
    }
    struct roster_gateway *gateway = &roster->gateways[roster->count++];
    *gateway = (struct roster_gateway){.has_names = true, .typing_until_ms = UINT64_MAX};
    memcpy(gateway->id, id.data, CONTRACT_GATEWAY_ID_BYTES);
    return gateway;
}

static void pack(struct buf *out, const struct bytes *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_append_char(out, (char)names[i].len);
        buf_append_bytes(out, names[i]);
    }
}

/* Returns whether @packed was something else before. Takes @packed. */
static bool replace(struct buf *kept, struct buf packed)
{
    bool is_other = !bytes_equal(buf_bytes(kept), buf_bytes(&packed));
    buf_release(kept);
    *kept = packed;
    return is_other;
}

static bool note_names(struct roster *roster, struct roster_gateway *gateway,
                       const struct contract_presence *news, uint32_t members_here)
{
    bool had_names = gateway->has_names;
    if (roster->members + members_here > ROSTER_NAMES_MAX) {
        drop_all_names(roster);
        return had_names;
    }
    struct buf packed = BUF_INIT;
    pack(&packed, news->census.names, news->census.name_count);
    roster->budget->bytes -= gateway->names.len;
    gateway->has_names =
        news->census.has_names && roster->budget->bytes + packed.len <= PRESENCE_BYTES_MAX;
    if (!gateway->has_names) {
        buf_release(&packed);
    }
    roster->budget->bytes += packed.len;
    return replace(&gateway->names, packed) || had_names != gateway->has_names;
}

static enum roster_result note_census(struct roster *roster, const struct contract_presence *news,
                                      uint32_t members_here, uint64_t now_ms)
{
    struct roster_gateway *gateway = find(roster, news->gateway);
    if (news->census.count == 0) {
        if (gateway != NULL) {
            remove_gateway(roster, gateway);
        }
        return gateway != NULL ? ROSTER_CHANGED : ROSTER_KNOWN;
    }
    bool is_new = gateway == NULL;
    gateway = is_new ? add_gateway(roster, news->gateway) : gateway;
    if (gateway == NULL) {
        return ROSTER_IGNORED;
    }
    bool is_other = gateway->count != news->census.count;
    roster->members += news->census.count;
    roster->members -= gateway->count;
    gateway->count = news->census.count;
    gateway->until_ms = now_ms + MIN_OF(news->census.valid_ms, (uint32_t)PRESENCE_VALID_MS_MAX);
    is_other |= note_names(roster, gateway, news, members_here);
    return is_new ? ROSTER_ADDED : is_other ? ROSTER_CHANGED : ROSTER_KNOWN;
}

static enum roster_result note_typing(struct roster *roster, const struct contract_presence *news,
                                      uint64_t now_ms)
{
    struct roster_gateway *gateway = find(roster, news->gateway);
    if (gateway == NULL) {
        return ROSTER_IGNORED; /* all of it is told again soon */
    }
    struct buf packed = BUF_INIT;
    pack(&packed, news->typing.users, news->typing.user_count);
    bool is_other = gateway->more_typers != news->typing.more;
    gateway->more_typers = news->typing.more;
    gateway->typing_until_ms =
        packed.len > 0 || gateway->more_typers > 0 ? now_ms + TYPING_MS : UINT64_MAX;
    is_other |= replace(&gateway->typers, packed);
    return is_other ? ROSTER_CHANGED : ROSTER_KNOWN;
}

enum roster_result roster_note(struct roster *roster, const struct contract_presence *news,
                               uint32_t members_here, uint64_t now_ms)
{
    enum roster_result census = ROSTER_KNOWN, typing = ROSTER_KNOWN;
    if (news->has_census) {
        census = note_census(roster, news, members_here, now_ms);
    }
    if (news->has_typing) {
        typing = note_typing(roster, news, now_ms);
    }
    return census == ROSTER_KNOWN ? typing : census;
}

bool roster_expire(struct roster *roster, uint64_t now_ms)
{
    bool is_other = false;
    for (uint32_t i = roster->count; i-- > 0;) {
        struct roster_gateway *gateway = &roster->gateways[i];
        if (gateway->typing_until_ms <= now_ms) {
            is_other |= gateway->typers.len > 0 || gateway->more_typers > 0;
            buf_release(&gateway->typers);
            gateway->more_typers = 0;
            gateway->typing_until_ms = UINT64_MAX;
        }
        if (gateway->until_ms <= now_ms) {
            remove_gateway(roster, gateway);
            is_other = true;
        }
    }
    return is_other;
}

uint64_t roster_next_expiry(const struct roster *roster)
{
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < roster->count; i++) {
        next =
            MIN_OF(next, MIN_OF(roster->gateways[i].until_ms, roster->gateways[i].typing_until_ms));
    }
    return next;
}

bool roster_has_names(const struct roster *roster)
{
    for (uint32_t i = 0; i < roster->count; i++) {
        if (!roster->gateways[i].has_names) {
            return false;
        }
    }
    return true;
}

bool roster_next_name(struct bytes *names, struct bytes *ret_name)
{
    if (names->len == 0) {
        return false;
    }
    size_t len = (unsigned char)names->data[0];
    ASSERT(names->len > len);
    *ret_name = bytes_of(names->data + 1, len);
    *names = bytes_skip(*names, 1 + len);
    return true;
}
