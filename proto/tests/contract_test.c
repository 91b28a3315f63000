#include "proto/contract_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define assert_bytes(actual, expected) assert_true(bytes_equal(actual, expected))

/* The decoded slice is the expected one, and a NUL is behind it. */
static void assert_slice(struct bytes actual, struct bytes expected)
{
    assert_bytes(actual, expected);
    assert_int_equal(actual.data[actual.len], '\0');
}

static void an_append_comes_back_as_it_was(void **state)
{
    (void)state;
    struct contract_new_message messages[] = {
        {BYTES("ann"), BYTES("s1"), BYTES("c1"), BYTES("hello")},
        {BYTES("bob"), BYTES(""), BYTES("c2"), BYTES("a\0b")}, /* U+0000 is not cut off */
        {BYTES(""), BYTES(""), BYTES(""), BYTES("")},
    };
    struct contract_append append = {
        .room = BYTES("lobby"),
        .repeat = true,
        .gateway = BYTES("g"),
        .message_count = COUNT_OF(messages),
        .messages = messages,
    };
    struct buf out = BUF_INIT;
    contract_encode_append(&out, &append);
    struct contract_append *back = contract_decode_append(buf_bytes(&out));
    buf_release(&out); /* the decoded object borrows nothing */
    assert_non_null(back);
    assert_slice(back->room, append.room);
    assert_slice(back->gateway, append.gateway);
    assert_true(back->repeat);
    assert_int_equal(back->message_count, COUNT_OF(messages));
    for (size_t i = 0; i < COUNT_OF(messages); i++) {
        assert_slice(back->messages[i].sender, messages[i].sender);
        assert_slice(back->messages[i].session, messages[i].session);
        assert_slice(back->messages[i].client_id, messages[i].client_id);
        assert_slice(back->messages[i].body, messages[i].body);
    }
    contract_free(back);
}

static void the_room_of_an_append_is_found_without_decoding_it(void **state)
{
    (void)state;
    char longest[CONTRACT_ROOM_BYTES_MAX + 1];
    memset(longest, 'r', sizeof(longest));
    for (size_t len = 1; len <= CONTRACT_ROOM_BYTES_MAX; len++) {
        struct contract_append append = {.room = bytes_of(longest, len), .gateway = BYTES("g")};
        struct buf out = BUF_INIT;
        contract_encode_append(&out, &append);
        assert_bytes(contract_peek_append_room(buf_bytes(&out)), append.room);
        for (size_t cut = 0; cut < len + 2; cut++) {
            assert_int_equal(contract_peek_append_room(bytes_of(out.data, cut)).len, 0);
        }
        buf_release(&out);
    }
    assert_int_equal(contract_peek_append_room(BYTES("\x0a\x41"
                                                     "0123456789"))
                         .len,
                     0);
    assert_int_equal(contract_peek_append_room(BYTES("\x12\x01r")).len, 0); /* another field */
    assert_int_equal(contract_peek_append_room((struct bytes){0}).len, 0);
}

static void an_append_reply_comes_back_as_it_was(void **state)
{
    (void)state;
    struct contract_outcome outcomes[] = {
        {.id = UINT64_MAX, .at_ms = 1700000000000, .duplicate = true},
        {.refusal = BYTES("the text is too long")},
    };
    struct contract_append_reply reply = {
        .status = CONTRACT_OK,
        .epoch = 7,
        .head = 9,
        .outcome_count = COUNT_OF(outcomes),
        .outcomes = outcomes,
        .reason = BYTES("because"),
    };
    struct buf out = BUF_INIT;
    contract_encode_append_reply(&out, &reply);
    struct contract_append_reply *back = contract_decode_append_reply(buf_bytes(&out));
    buf_release(&out);
    assert_non_null(back);
    assert_int_equal(back->status, CONTRACT_OK);
    assert_int_equal(back->epoch, 7);
    assert_int_equal(back->head, 9);
    assert_slice(back->reason, reply.reason);
    assert_int_equal(back->outcome_count, 2);
    assert_true(back->outcomes[0].id == UINT64_MAX);
    assert_true(back->outcomes[0].at_ms == 1700000000000);
    assert_true(back->outcomes[0].duplicate);
    assert_int_equal(back->outcomes[1].id, 0);
    assert_false(back->outcomes[1].duplicate);
    assert_slice(back->outcomes[1].refusal, outcomes[1].refusal);
    contract_free(back);
}

static void each_status_comes_back_and_an_unknown_one_does_not(void **state)
{
    (void)state;
    for (int status = CONTRACT_OK; status <= CONTRACT_INVALID + 1; status++) {
        struct contract_append_reply reply = {.status = (enum contract_status)status};
        struct buf out = BUF_INIT;
        contract_encode_append_reply(&out, &reply);
        struct contract_append_reply *back = contract_decode_append_reply(buf_bytes(&out));
        assert_int_equal(back != NULL, status <= CONTRACT_INVALID);
        if (back != NULL) {
            assert_int_equal(back->status, status);
        }
        contract_free(back);
        buf_release(&out);
    }
}

/* BYTES() is no constant expression. */
#define TEXT(literal)                \
    {                                \
        literal, sizeof(literal) - 1 \
    }

static struct contract_stored_message stored[] = {
    {TEXT("ann"), TEXT("s1"), TEXT("c1"), TEXT("hello"), 1},
    {TEXT("bob"), TEXT("s2"), TEXT("c2"), TEXT("\xf0\x9f\x98\x80"), UINT64_MAX},
};

static void assert_stored(const struct contract_stored_message *messages, size_t count)
{
    assert_int_equal(count, COUNT_OF(stored));
    for (size_t i = 0; i < count; i++) {
        assert_slice(messages[i].sender, stored[i].sender);
        assert_slice(messages[i].session, stored[i].session);
        assert_slice(messages[i].client_id, stored[i].client_id);
        assert_slice(messages[i].body, stored[i].body);
        assert_true(messages[i].at_ms == stored[i].at_ms);
    }
}

static void a_batch_comes_back_as_it_was(void **state)
{
    (void)state;
    struct contract_room_event event = {
        .room = BYTES("lobby"),
        .type = CONTRACT_BATCH,
        .batch = {.epoch = 3, .first_id = 41, .message_count = 2, .messages = stored},
    };
    struct buf out = BUF_INIT;
    contract_encode_room_event(&out, &event);
    struct contract_room_event *back = contract_decode_room_event(buf_bytes(&out));
    buf_release(&out);
    assert_non_null(back);
    assert_slice(back->room, event.room);
    assert_int_equal(back->type, CONTRACT_BATCH);
    assert_int_equal(back->batch.epoch, 3);
    assert_int_equal(back->batch.first_id, 41);
    assert_stored(back->batch.messages, back->batch.message_count);
    contract_free(back);
}

static void a_batch_whose_ids_overflow_or_that_is_empty_is_malformed(void **state)
{
    (void)state;
    const struct {
        uint64_t first_id;
        size_t count;
        bool is_valid;
    } cases[] = {
        {0, 1, false},
        {1, 0, false},
        {1, 1, true},
        {UINT64_MAX - 2, 2, true},
        {UINT64_MAX - 1, 2, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct contract_room_event event = {
            .room = BYTES("lobby"),
            .type = CONTRACT_BATCH,
            .batch = {.first_id = cases[i].first_id,
                      .message_count = cases[i].count,
                      .messages = stored},
        };
        struct buf out = BUF_INIT;
        contract_encode_room_event(&out, &event);
        struct contract_room_event *back = contract_decode_room_event(buf_bytes(&out));
        assert_int_equal(back != NULL, cases[i].is_valid);
        contract_free(back);
        buf_release(&out);
    }
}

static void a_resumed_session_comes_back_as_it_was(void **state)
{
    (void)state;
    struct contract_room_event event = {
        .room = BYTES("lobby"),
        .type = CONTRACT_SESSION_RESUMED,
        .resumed = {.session = BYTES("s"), .gateway = BYTES("g"), .connection = 12},
    };
    struct buf out = BUF_INIT;
    contract_encode_room_event(&out, &event);
    struct contract_room_event *back = contract_decode_room_event(buf_bytes(&out));
    buf_release(&out);
    assert_non_null(back);
    assert_int_equal(back->type, CONTRACT_SESSION_RESUMED);
    assert_slice(back->resumed.session, BYTES("s"));
    assert_slice(back->resumed.gateway, BYTES("g"));
    assert_int_equal(back->resumed.connection, 12);
    contract_free(back);
}

static void a_question_who_is_here_comes_back_as_it_was(void **state)
{
    (void)state;
    struct contract_room_event event = {
        .room = BYTES("lobby"),
        .type = CONTRACT_PRESENCE_WANTED,
        .presence_wanted = {.gateway = BYTES("gw0-0001"), .valid_ms = 30000, .is_new = true},
    };
    struct buf out = BUF_INIT;
    contract_encode_room_event(&out, &event);
    struct contract_room_event *back = contract_decode_room_event(buf_bytes(&out));
    buf_release(&out);
    assert_non_null(back);
    assert_int_equal(back->type, CONTRACT_PRESENCE_WANTED);
    assert_slice(back->presence_wanted.gateway, BYTES("gw0-0001"));
    assert_int_equal(back->presence_wanted.valid_ms, 30000);
    assert_true(back->presence_wanted.is_new);
    contract_free(back);
}

/* A gateway of the version before knows the fields 1 to 3 of a RoomEvent, and wants one of 2 and 3. */
static void a_question_who_is_here_is_a_resumed_session_of_nobody_to_readers_of_before(void **state)
{
    (void)state;
    struct contract_room_event event = {
        .room = BYTES("r"),
        .type = CONTRACT_PRESENCE_WANTED,
        .presence_wanted = {.gateway = BYTES("gw0-0001")},
    };
    struct buf out = BUF_INIT;
    contract_encode_room_event(&out, &event);
    struct bytes known = bytes_of(out.data, 5); /* room: 3 bytes; an empty session_resumed: 2 */
    assert_bytes(known, BYTES("\x0A\x01r\x1A\0"));
    struct contract_room_event *back = contract_decode_room_event(known);
    assert_non_null(back);
    assert_int_equal(back->type, CONTRACT_SESSION_RESUMED);
    assert_int_equal(back->resumed.session.len, 0);
    contract_free(back);
    buf_release(&out);
}

static void what_a_gateway_says_of_its_members_comes_back_as_it_was(void **state)
{
    (void)state;
    struct bytes names[] = {BYTES("ann"), BYTES("bob")}, users[] = {BYTES("bob")};
    struct contract_presence presence = {
        .room = BYTES("lobby"),
        .gateway = BYTES("gw0-0001"),
        .has_census = true,
        .census = {.count = 3,
                   .has_names = true,
                   .wants_presence = true,
                   .valid_ms = 30000,
                   .name_count = 2,
                   .names = names},
        .has_typing = true,
        .typing = {.user_count = 1, .users = users, .more = 7},
    };
    struct buf out = BUF_INIT;
    contract_encode_presence(&out, &presence);
    struct contract_presence *back = contract_decode_presence(buf_bytes(&out));
    assert_non_null(back);
    assert_slice(back->room, BYTES("lobby"));
    assert_slice(back->gateway, BYTES("gw0-0001"));
    assert_true(back->has_census && back->census.has_names && back->census.wants_presence);
    assert_int_equal(back->census.count, 3);
    assert_int_equal(back->census.valid_ms, 30000);
    assert_int_equal(back->census.name_count, 2);
    assert_slice(back->census.names[1], names[1]);
    assert_true(back->has_typing && back->typing.user_count == 1 && back->typing.more == 7);
    assert_slice(back->typing.users[0], users[0]);
    contract_free(back);

    buf_clear(&out);
    presence.has_census = presence.has_typing = false;
    contract_encode_presence(&out, &presence);
    back = contract_decode_presence(buf_bytes(&out));
    assert_true(back != NULL && !back->has_census && !back->has_typing);
    contract_free(back);
    buf_release(&out);
}

static bool presence_is_valid(const struct contract_presence *presence)
{
    struct buf out = BUF_INIT;
    contract_encode_presence(&out, presence);
    struct contract_presence *back = contract_decode_presence(buf_bytes(&out));
    bool is_valid = back != NULL;
    contract_free(back);
    buf_release(&out);
    return is_valid;
}

static void a_census_has_so_many_names_at_most_and_typers_so_many(void **state)
{
    (void)state;
    struct bytes names[CONTRACT_NAMES_MAX + 1];
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        names[i] = BYTES("x");
    }
    struct contract_presence presence = {
        .room = BYTES("lobby"),
        .gateway = BYTES("gw0-0001"),
        .has_census = true,
        .census = {.name_count = CONTRACT_NAMES_MAX, .names = names},
        .has_typing = true,
        .typing = {.user_count = CONTRACT_TYPERS_MAX, .users = names},
    };
    assert_true(presence_is_valid(&presence));
    presence.census.name_count++;
    assert_false(presence_is_valid(&presence));
    presence.census.name_count--;
    presence.typing.user_count++;
    assert_false(presence_is_valid(&presence));
    presence.typing.user_count--;
    names[3] = BYTES("");
    assert_false(presence_is_valid(&presence));
    char long_name[CONTRACT_SENDER_BYTES_MAX + 1] = {0};
    names[3] = bytes_of(long_name, CONTRACT_SENDER_BYTES_MAX);
    assert_true(presence_is_valid(&presence));
    names[3].len++;
    assert_false(presence_is_valid(&presence));
    names[3] = BYTES("x");
    presence.gateway = BYTES("gw");
    assert_false(presence_is_valid(&presence));
}

static void queries_come_back_as_they_were(void **state)
{
    (void)state;
    struct contract_query range = {
        .type = CONTRACT_RANGE,
        .range = {.room = BYTES("a"), .from = 257, .to = 512, .limit = 256, .newest = true},
    };
    struct buf out = BUF_INIT;
    contract_encode_query(&out, &range);
    struct contract_query *back = contract_decode_query(buf_bytes(&out));
    assert_non_null(back);
    assert_int_equal(back->type, CONTRACT_RANGE);
    assert_slice(back->range.room, BYTES("a"));
    assert_int_equal(back->range.from, 257);
    assert_int_equal(back->range.to, 512);
    assert_int_equal(back->range.limit, 256);
    assert_true(back->range.newest);
    contract_free(back);

    struct bytes rooms[] = {BYTES("a"), BYTES("b.c")};
    struct contract_query heads = {
        .type = CONTRACT_HEADS,
        .heads = {.room_count = 2, .rooms = rooms},
    };
    buf_clear(&out);
    contract_encode_query(&out, &heads);
    back = contract_decode_query(buf_bytes(&out));
    assert_non_null(back);
    assert_int_equal(back->type, CONTRACT_HEADS);
    assert_int_equal(back->heads.room_count, 2);
    assert_slice(back->heads.rooms[0], BYTES("a"));
    assert_slice(back->heads.rooms[1], BYTES("b.c"));
    contract_free(back);
    buf_release(&out);
}

static void replies_to_queries_come_back_as_they_were(void **state)
{
    (void)state;
    struct contract_epoch_start epochs[] = {{1, 1}, {1700000000, 41}};
    struct contract_query_reply range = {
        .type = CONTRACT_RANGE,
        .range = {.epoch = 1700000000,
                  .head = 42,
                  .oldest = 1,
                  .first_id = 41,
                  .message_count = 2,
                  .messages = stored,
                  .epoch_count = 2,
                  .epochs = epochs},
    };
    struct buf out = BUF_INIT;
    contract_encode_query_reply(&out, &range);
    struct contract_query_reply *back = contract_decode_query_reply(buf_bytes(&out));
    assert_non_null(back);
    assert_int_equal(back->type, CONTRACT_RANGE);
    assert_int_equal(back->range.epoch, 1700000000);
    assert_int_equal(back->range.head, 42);
    assert_int_equal(back->range.oldest, 1);
    assert_int_equal(back->range.first_id, 41);
    assert_stored(back->range.messages, back->range.message_count);
    assert_int_equal(back->range.epoch_count, 2);
    assert_int_equal(back->range.epochs[1].epoch, 1700000000);
    assert_int_equal(back->range.epochs[1].first_id, 41);
    contract_free(back);

    struct contract_head heads[] = {{.epoch = 1, .head = 2}, {.epoch = 3, .head = 0}};
    struct contract_query_reply head_reply = {
        .type = CONTRACT_HEADS,
        .heads = {.head_count = 2, .heads = heads},
    };
    buf_clear(&out);
    contract_encode_query_reply(&out, &head_reply);
    back = contract_decode_query_reply(buf_bytes(&out));
    assert_non_null(back);
    assert_int_equal(back->type, CONTRACT_HEADS);
    assert_int_equal(back->heads.head_count, 2);
    assert_int_equal(back->heads.heads[0].head, 2);
    assert_int_equal(back->heads.heads[1].epoch, 3);
    contract_free(back);
    buf_release(&out);
}

static void a_refused_query_has_a_reason_and_nothing_else(void **state)
{
    (void)state;
    struct contract_query_reply reply = {.status = CONTRACT_OVERLOADED, .reason = BYTES("later")};
    struct buf out = BUF_INIT;
    contract_encode_query_reply(&out, &reply);
    struct contract_query_reply *back = contract_decode_query_reply(buf_bytes(&out));
    assert_non_null(back);
    assert_int_equal(back->status, CONTRACT_OVERLOADED);
    assert_slice(back->reason, BYTES("later"));
    assert_int_equal(back->range.message_count, 0);
    contract_free(back);
    buf_release(&out);
}

static void what_is_no_such_message_is_null(void **state)
{
    (void)state;
    const struct bytes garbage[] = {
        BYTES("\xff\xff\xff\xff\xff"), /* a tag without end */
        BYTES("\x0a\x7f"),             /* a string longer than the payload */
        BYTES("{\"room\":\"lobby\"}"),
    };
    for (size_t i = 0; i < COUNT_OF(garbage); i++) {
        assert_null(contract_decode_append(garbage[i]));
        assert_null(contract_decode_append_reply(garbage[i]));
        assert_null(contract_decode_room_event(garbage[i]));
        assert_null(contract_decode_query(garbage[i]));
        assert_null(contract_decode_query_reply(garbage[i]));
    }
    /* Well-formed protobuf, but without what the message is about. */
    assert_null(contract_decode_append(BYTES("")));
    assert_null(contract_decode_room_event(BYTES("")));
    assert_null(contract_decode_room_event(BYTES("\x0a\x01x")));
    assert_null(contract_decode_query(BYTES("")));
    assert_null(contract_decode_query_reply(BYTES(""))); /* status OK, no reply */
    contract_free(NULL);
}

static void every_truncation_of_a_message_is_survived(void **state)
{
    (void)state;
    struct contract_room_event event = {
        .room = BYTES("lobby"),
        .type = CONTRACT_BATCH,
        .batch = {.epoch = 3, .first_id = 41, .message_count = 2, .messages = stored},
    };
    struct buf out = BUF_INIT;
    contract_encode_room_event(&out, &event);
    for (size_t len = 0; len < out.len; len++) {
        char *exact = mem_copy_string(out.data, len); /* so that ASan sees a read past the end */
        contract_free(contract_decode_room_event(bytes_of(exact, len)));
        free(exact);
    }
    buf_release(&out);
}

static void a_room_name_may_have_64_bytes_and_no_more(void **state)
{
    (void)state;
    char name[CONTRACT_ROOM_BYTES_MAX + 1];
    memset(name, 'x', sizeof(name));
    for (size_t len = CONTRACT_ROOM_BYTES_MAX; len <= CONTRACT_ROOM_BYTES_MAX + 1; len++) {
        struct contract_append append = {.room = bytes_of(name, len)};
        struct buf out = BUF_INIT;
        contract_encode_append(&out, &append);
        struct contract_append *back = contract_decode_append(buf_bytes(&out));
        assert_int_equal(back != NULL, len <= CONTRACT_ROOM_BYTES_MAX);
        contract_free(back);
        buf_release(&out);
    }
}

static void a_payload_may_have_512_kib_and_no_more(void **state)
{
    (void)state;
    static char text[CONTRACT_MESSAGE_BYTES_MAX];
    struct contract_new_message message = {.body = bytes_of(text, sizeof(text) - 100)};
    struct contract_append append = {.room = BYTES("a"), .message_count = 1, .messages = &message};
    struct buf out = BUF_INIT;
    contract_encode_append(&out, &append);
    message.body.len += CONTRACT_MESSAGE_BYTES_MAX - out.len;
    for (int extra = 0; extra <= 1; extra++) {
        message.body.len += (size_t)extra;
        buf_clear(&out);
        contract_encode_append(&out, &append);
        assert_int_equal(out.len, CONTRACT_MESSAGE_BYTES_MAX + extra);
        struct contract_append *back = contract_decode_append(buf_bytes(&out));
        assert_int_equal(back != NULL, extra == 0);
        contract_free(back);
    }
    buf_release(&out);
}

/* Encoded length of an Append and of a Batch with @count times the same message of @len bytes in
 * each field. */
static size_t append_length(size_t count, size_t len, size_t *ret_bound)
{
    static char text[200000];
    struct bytes field = bytes_of(text, len);
    struct contract_new_message messages[2] = {{field, field, field, field},
                                               {field, field, field, field}};
    struct contract_append append = {
        .room = BYTES("a"), .message_count = count, .messages = messages};
    struct buf out = BUF_INIT;
    contract_encode_append(&out, &append);
    size_t length = out.len;
    buf_release(&out);
    *ret_bound = contract_new_message_size(&messages[0]);
    return length;
}

static size_t batch_length(size_t count, size_t len, size_t *ret_bound)
{
    static char text[200000];
    struct bytes field = bytes_of(text, len);
    struct contract_stored_message messages[2] = {{field, field, field, field, UINT64_MAX},
                                                  {field, field, field, field, UINT64_MAX}};
    struct contract_query_reply reply = {
        .type = CONTRACT_RANGE,
        .range = {.message_count = count, .messages = messages},
    };
    struct buf out = BUF_INIT;
    contract_encode_query_reply(&out, &reply);
    size_t length = out.len;
    buf_release(&out);
    *ret_bound = contract_stored_message_size(&messages[0]);
    return length;
}

static void sizes_are_upper_bounds_of_what_a_message_adds(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 127, 128, 16383, 16384, 100000};
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        size_t bound;
        size_t one = append_length(1, lengths[i], &bound);
        assert_true(append_length(2, lengths[i], &bound) - one <= bound);
        assert_true(append_length(1, lengths[i], &bound) <= bound + CONTRACT_ENVELOPE_BYTES_MAX);
        one = batch_length(1, lengths[i], &bound);
        /* The lengths of what is around may grow by a byte too: that is the envelope's. */
        assert_true(batch_length(2, lengths[i], &bound) - one <= bound + 2);
        assert_true(batch_length(1, lengths[i], &bound) <= bound + CONTRACT_ENVELOPE_BYTES_MAX);
    }
}

static void the_shard_of_a_room_never_changes(void **state)
{
    (void)state;
    /* Computed once with another implementation of FNV-1a: a change would move rooms between
     * databases. */
    assert_int_equal(contract_shard(BYTES("lobby")), 51);
    assert_int_equal(contract_shard(BYTES("a")), 12);
    assert_int_equal(contract_shard(BYTES("room.one~two")), 56);
    assert_int_equal(contract_shard(BYTES("")), 37);
}

static void subjects_are_what_the_contract_says(void **state)
{
    (void)state;
    char subject[CONTRACT_SUBJECT_BYTES_MAX];
    contract_append_subject(0, subject);
    assert_string_equal(subject, "parley.v1.append.0");
    contract_read_subject(63, subject);
    assert_string_equal(subject, "parley.v1.read.63");
    contract_room_subject(BYTES("lobby"), subject);
    assert_string_equal(subject, "parley.v1.room.lobby");
    contract_gateway_subject(BYTES("Gw_1-x"), subject);
    assert_string_equal(subject, "parley.v1.gateway.Gw_1-x");
}

static void nothing_in_a_room_name_is_special_in_its_subject(void **state)
{
    (void)state;
    char subject[CONTRACT_SUBJECT_BYTES_MAX];
    contract_room_subject(BYTES("a.b~c"), subject);
    assert_string_equal(subject, "parley.v1.room.a=2Eb=7Ec");
    contract_room_subject(BYTES("*.>"), subject);
    assert_string_equal(subject, "parley.v1.room.=2A=2E=3E");
    contract_room_subject(BYTES("a=2E b\r\n\xff"), subject);
    assert_string_equal(subject, "parley.v1.room.a=3D2E=20b=0D=0A=FF");
}

static void the_longest_room_name_fits_in_a_subject(void **state)
{
    (void)state;
    char name[CONTRACT_ROOM_BYTES_MAX];
    memset(name, '.', sizeof(name));
    char subject[CONTRACT_SUBJECT_BYTES_MAX];
    contract_room_subject(bytes_of(name, sizeof(name)), subject);
    assert_int_equal(strlen(subject), strlen("parley.v1.room.") + 3 * sizeof(name));
}

static void a_peers_request_comes_back_as_it_was(void **state)
{
    (void)state;
    uint64_t numbers[] = {1, UINT64_MAX, 7};
    struct contract_peer_request request = {
        .key = {.gateway = "AZ09az-_", .number = UINT64_MAX},
        .type = CONTRACT_PEER_POST,
        .session = BYTES("AZ09az-_abcdefghijkl"),
        .body = BYTES("4\0"),
        .offset = 393216,
        .more = true,
        .octet_stream = true,
        .number_count = COUNT_OF(numbers),
        .numbers = numbers,
    };
    struct buf out = BUF_INIT;
    contract_encode_peer_request(&out, &request);
    struct contract_peer_request *back = contract_decode_peer_request(buf_bytes(&out));
    buf_release(&out);
    assert_non_null(back);
    assert_memory_equal(&back->key, &request.key, sizeof(request.key));
    assert_int_equal(back->type, CONTRACT_PEER_POST);
    assert_slice(back->session, request.session);
    assert_slice(back->body, request.body);
    assert_int_equal(back->offset, 393216);
    assert_true(back->more && back->octet_stream);
    assert_int_equal(back->number_count, 3);
    assert_memory_equal(back->numbers, numbers, sizeof(numbers));
    contract_free(back);
}

static void a_peers_answer_comes_back_as_it_was(void **state)
{
    (void)state;
    uint64_t numbers[] = {5};
    struct contract_peer_answer answer = {
        .type = CONTRACT_PEER_FORWARD,
        .body = BYTES("a\0b"),
        .offset = 786432,
        .more = true,
        .number_count = 1,
        .numbers = numbers,
    };
    struct buf out = BUF_INIT;
    contract_encode_peer_answer(&out, &answer);
    struct contract_peer_answer *back = contract_decode_peer_answer(buf_bytes(&out));
    buf_release(&out);
    assert_non_null(back);
    assert_int_equal(back->type, CONTRACT_PEER_FORWARD);
    assert_slice(back->body, answer.body);
    assert_int_equal(back->offset, 786432);
    assert_true(back->more);
    assert_int_equal(back->number_count, 1);
    assert_true(back->numbers[0] == 5);
    contract_free(back);
}

static void a_request_of_nobody_is_none(void **state)
{
    (void)state;
    const char *const names[] = {"a.b-cdef", "a bcdefg", "abcdefg*", "abcdef\n>"};
    for (size_t i = 0; i < COUNT_OF(names);
         i++) { /* each would be more than one token of a subject */
        struct contract_peer_request request = {.type = CONTRACT_PEER_CHECK};
        memcpy(request.key.gateway, names[i], CONTRACT_GATEWAY_ID_BYTES);
        struct buf out = BUF_INIT;
        contract_encode_peer_request(&out, &request);
        assert_null(contract_decode_peer_request(buf_bytes(&out)));
        buf_release(&out);
    }
}

static void a_handover_comes_back_as_it_was_also_in_two_pieces(void **state)
{
    (void)state;
    struct contract_handover_send sends[] = {
        {.has_ack = true, .ack_id = 7, .client_id = BYTES("c1")},
        {.has_ack = true, .ack_id = 8, .id = 9, .duplicate = true, .client_id = BYTES("")},
    };
    struct contract_handover_history histories[] = {
        {.ack_id = 3, .after = 17, .forward = true, .limit = 50}};
    struct contract_handover_member members[] = {
        {.room = BYTES("lobby"),
         .session = BYTES("12345678901234567890"),
         .username = BYTES("ann"),
         .auth = BYTES(""),
         .no_echo = true,
         .wants_presence = true,
         .may_not_write = true,
         .expires_ms = UINT64_MAX,
         .issued_ms = 1795702625123,
         .token_id = BYTES("a token"),
         .epoch = 2,
         .cursor = 18,
         .send_count = COUNT_OF(sends),
         .sends = sends,
         .history_count = COUNT_OF(histories),
         .histories = histories},
        {.room = BYTES("garden"),
         .session = BYTES(""),
         .username = BYTES(""),
         .auth = BYTES("{\"a\":1}")},
    };
    struct bytes attachments[] = {BYTES("a\0b")};
    struct buf out = BUF_INIT;
    contract_encode_handover(
        &out, &(struct contract_handover){.member_count = COUNT_OF(members), .members = members});
    contract_encode_handover(&out, &(struct contract_handover){.heartbeat_in_ms = 25000,
                                                               .awaits_pong = true,
                                                               .undelivered = BYTES("frames"),
                                                               .incomplete = BYTES("52-[]"),
                                                               .attachment_count = 1,
                                                               .attachments = attachments});
    struct contract_handover *back = contract_decode_handover(buf_bytes(&out));
    buf_release(&out);
    assert_non_null(back);
    assert_int_equal(back->heartbeat_in_ms, 25000);
    assert_true(back->awaits_pong);
    assert_slice(back->undelivered, BYTES("frames"));
    assert_slice(back->incomplete, BYTES("52-[]"));
    assert_int_equal(back->attachment_count, 1);
    assert_slice(back->attachments[0], attachments[0]);
    assert_int_equal(back->member_count, 2);
    const struct contract_handover_member *ann = &back->members[0];
    assert_slice(ann->room, members[0].room);
    assert_slice(ann->session, members[0].session);
    assert_slice(ann->username, members[0].username);
    assert_true(ann->no_echo && ann->wants_presence && ann->epoch == 2 && ann->cursor == 18);
    assert_false(back->members[1].wants_presence);
    assert_true(ann->expires_ms == UINT64_MAX && ann->issued_ms == 1795702625123 &&
                ann->may_not_write && bytes_equal(ann->token_id, BYTES("a token")));
    assert_int_equal(ann->send_count, 2);
    assert_true(ann->sends[0].has_ack && ann->sends[0].ack_id == 7 && ann->sends[0].id == 0);
    assert_slice(ann->sends[0].client_id, BYTES("c1"));
    assert_true(ann->sends[1].id == 9 && ann->sends[1].duplicate);
    assert_int_equal(ann->history_count, 1);
    assert_true(ann->histories[0].after == 17 && ann->histories[0].forward);
    assert_int_equal(ann->histories[0].limit, 50);
    assert_slice(back->members[1].auth, members[1].auth);
    contract_free(back);
}

static void a_moved_sends_outcome_comes_back_as_it_was(void **state)
{
    (void)state;
    struct contract_moved_outcome outcome = {
        .type = CONTRACT_MOVED_SETTLED,
        .send = 3,
        .told = 4,
        .id = 5,
        .duplicate = true,
        .reason = BYTES("because"),
    };
    struct buf out = BUF_INIT;
    contract_encode_moved_outcome(&out, &outcome);
    struct contract_moved_outcome *back = contract_decode_moved_outcome(buf_bytes(&out));
    buf_release(&out);
    assert_non_null(back);
    assert_int_equal(back->type, CONTRACT_MOVED_SETTLED);
    assert_true(back->send == 3 && back->told == 4 && back->id == 5 && back->duplicate);
    assert_slice(back->reason, outcome.reason);
    contract_free(back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_append_comes_back_as_it_was),
        cmocka_unit_test(the_room_of_an_append_is_found_without_decoding_it),
        cmocka_unit_test(an_append_reply_comes_back_as_it_was),
        cmocka_unit_test(each_status_comes_back_and_an_unknown_one_does_not),
        cmocka_unit_test(a_batch_comes_back_as_it_was),
        cmocka_unit_test(a_batch_whose_ids_overflow_or_that_is_empty_is_malformed),
        cmocka_unit_test(a_resumed_session_comes_back_as_it_was),
        cmocka_unit_test(a_question_who_is_here_comes_back_as_it_was),
        cmocka_unit_test(
            a_question_who_is_here_is_a_resumed_session_of_nobody_to_readers_of_before),
        cmocka_unit_test(what_a_gateway_says_of_its_members_comes_back_as_it_was),
        cmocka_unit_test(a_census_has_so_many_names_at_most_and_typers_so_many),
        cmocka_unit_test(queries_come_back_as_they_were),
        cmocka_unit_test(replies_to_queries_come_back_as_they_were),
        cmocka_unit_test(a_refused_query_has_a_reason_and_nothing_else),
        cmocka_unit_test(a_peers_request_comes_back_as_it_was),
        cmocka_unit_test(a_peers_answer_comes_back_as_it_was),
        cmocka_unit_test(a_request_of_nobody_is_none),
        cmocka_unit_test(a_handover_comes_back_as_it_was_also_in_two_pieces),
        cmocka_unit_test(a_moved_sends_outcome_comes_back_as_it_was),
        cmocka_unit_test(what_is_no_such_message_is_null),
        cmocka_unit_test(every_truncation_of_a_message_is_survived),
        cmocka_unit_test(a_room_name_may_have_64_bytes_and_no_more),
        cmocka_unit_test(a_payload_may_have_512_kib_and_no_more),
        cmocka_unit_test(sizes_are_upper_bounds_of_what_a_message_adds),
        cmocka_unit_test(the_shard_of_a_room_never_changes),
        cmocka_unit_test(subjects_are_what_the_contract_says),
        cmocka_unit_test(nothing_in_a_room_name_is_special_in_its_subject),
        cmocka_unit_test(the_longest_room_name_fits_in_a_subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
