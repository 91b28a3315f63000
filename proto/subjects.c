/* subjects.c - where things are said: the subjects of contract.h. */
#include "contract_peer.h"

#include <stdio.h>

unsigned contract_shard(struct bytes room)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a, 64 bits: offset basis and prime */
    for (size_t i = 0; i < room.len; i++) {
        hash = (hash ^ (unsigned char)room.data[i]) * 1099511628211u;
    }
    return (unsigned)(hash % CONTRACT_SHARDS);
}

void contract_append_subject(unsigned shard, char *ret_subject)
{
    ASSERT(shard < CONTRACT_SHARDS);
    snprintf(ret_subject, CONTRACT_SUBJECT_BYTES_MAX, "parley.v1.append.%u", shard);
}

void contract_read_subject(unsigned shard, char *ret_subject)
{
    ASSERT(shard < CONTRACT_SHARDS);
    snprintf(ret_subject, CONTRACT_SUBJECT_BYTES_MAX, "parley.v1.read.%u", shard);
}

static bool is_plain_in_token(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

/* Writes @prefix and @name as one token of a subject: nothing in it is special to NATS, and no two
 * names are alike. */
static void write_subject(const char *prefix, struct bytes name, char *ret_subject)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t len = strlen(prefix);
    ASSERT(len + 3 * name.len < CONTRACT_SUBJECT_BYTES_MAX);
    memcpy(ret_subject, prefix, len);
    for (size_t i = 0; i < name.len; i++) {
        if (is_plain_in_token(name.data[i])) {
            ret_subject[len++] = name.data[i];
        } else {
            ret_subject[len++] = '=';
            ret_subject[len++] = hex[(unsigned char)name.data[i] >> 4];
            ret_subject[len++] = hex[(unsigned char)name.data[i] & 15];
        }
    }
    ret_subject[len] = '\0';
}

void contract_room_subject(struct bytes room, char *ret_subject)
{
    ASSERT(room.len >= 1 && room.len <= CONTRACT_ROOM_BYTES_MAX);
    write_subject("parley.v1.room.", room, ret_subject);
}

void contract_presence_subject(struct bytes room, char *ret_subject)
{
    ASSERT(room.len >= 1 && room.len <= CONTRACT_ROOM_BYTES_MAX);
    write_subject("parley.v1.presence.", room, ret_subject);
}

void contract_gateway_subject(struct bytes gateway_id, char *ret_subject)
{
    write_subject("parley.v1.gateway.", gateway_id, ret_subject);
}

bool contract_gateway_id_is_valid(struct bytes gateway_id)
{
    for (size_t i = 0; i < gateway_id.len; i++) {
        if (!is_plain_in_token(gateway_id.data[i])) {
            return false;
        }
    }
    return gateway_id.len == CONTRACT_GATEWAY_ID_BYTES;
}
