/*
 * talk.h - what the tests on real parts have in common: one fixture for the program, an empty database for each test, and
 * the sentences that a gateway says.
 */
#ifndef PARLEY_STORE_TALK_H
#define PARLEY_STORE_TALK_H

#include "base/clock.h"
#include "fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct fixture fixture;

static inline int start_all(void **state)
{
    (void)state;
    fixture_start(&fixture);
    return 0;
}

static inline int stop_all(void **state)
{
    (void)state;
    fixture_stop(&fixture);
    return 0;
}

static inline int empty_database(void **state)
{
    (void)state;
    fixture_database_reset(&fixture);
    return 0;
}

static inline pid_t start_ready_store(const char *const *environment)
{
    pid_t store = store_start(&fixture, environment, NULL);
    store_wait_until_ready(&fixture);
    return store;
}

/* One message from "ann" in session "s1". */
static inline struct contract_new_message message_of(const char *client_id, const char *body)
{
    return (struct contract_new_message){.sender = BYTES("ann"),
                                         .session = BYTES("s1"),
                                         .client_id = bytes_of_string(client_id),
                                         .body = bytes_of_string(body)};
}

static inline struct contract_append append_of(const char *room,
                                               struct contract_new_message *messages, size_t count)
{
    return (struct contract_append){.room = bytes_of_string(room),
                                    .gateway = BYTES("test"),
                                    .message_count = count,
                                    .messages = messages};
}

/* Appends one message and returns its outcome. */
static inline struct contract_outcome say(const char *room, struct contract_new_message message)
{
    struct contract_append append = append_of(room, &message, 1);
    struct contract_append_reply *reply = append_until_answered(&fixture, &append);
    assert_int_equal(reply->outcome_count, 1);
    struct contract_outcome outcome = reply->outcomes[0];
    outcome.refusal = outcome.id == 0 ? BYTES("refused") : BYTES("");
    contract_free(reply);
    return outcome;
}

static inline natsSubscription *listen_to(const char *room)
{
    char subject[CONTRACT_SUBJECT_BYTES_MAX];
    contract_room_subject(bytes_of_string(room), subject);
    natsSubscription *subscription = NULL;
    assert_int_equal(natsConnection_SubscribeSync(&subscription, fixture.connection, subject),
                     NATS_OK);
    assert_int_equal(natsConnection_Flush(fixture.connection), NATS_OK);
    return subscription;
}

/* The next batch that is published, NULL when none comes in @timeout_ms. Returns owned. */
static inline struct contract_room_event *next_batch(natsSubscription *subscription, int timeout_ms)
{
    natsMsg *message = NULL;
    if (natsSubscription_NextMsg(&message, subscription, timeout_ms) != NATS_OK) {
        return NULL;
    }
    struct contract_room_event *event = contract_decode_room_event(
        bytes_of(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message)));
    natsMsg_Destroy(message);
    assert_non_null(event);
    assert_int_equal(event->type, CONTRACT_BATCH);
    return event;
}

static inline struct contract_query_reply *read_range(const char *room, uint64_t from, uint64_t to,
                                                      uint32_t limit, bool newest)
{
    struct bytes name = bytes_of_string(room);
    struct contract_query range = {
        .type = CONTRACT_RANGE,
        .range = {.room = name, .from = from, .to = to, .limit = limit, .newest = newest}};
    struct contract_query_reply *reply = query(&fixture, name, &range);
    assert_non_null(reply);
    return reply;
}

/* Every room's ids are 1 … head without a hole, and no client id is there twice. */
static inline void assert_rooms_are_whole(long long messages)
{
    assert_int_equal(fixture_sql(&fixture, "SELECT count(*) FROM messages"), messages);
    assert_int_equal(
        fixture_sql(&fixture,
                    "SELECT count(*) FROM rooms r JOIN LATERAL (SELECT count(*) n, min(id) lo,"
                    " max(id) hi FROM messages m WHERE m.room_id = r.id) m ON true"
                    " WHERE r.head > 0 AND (m.n <> r.head OR m.lo <> 1 OR m.hi <> r.head)"),
        0);
    assert_int_equal(fixture_sql(&fixture, "SELECT count(*) - count(DISTINCT (room_id, client_id))"
                                           " FROM messages"),
                     0);
}

#endif
