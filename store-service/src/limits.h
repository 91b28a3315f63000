/*
 * limits.h - every bound of the store-service that is not a setting, and what happens there.
 */
#ifndef PARLEY_STORE_LIMITS_H
#define PARLEY_STORE_LIMITS_H

#include "proto/contract.h"

enum {
    /*
     * How long a request may wait for Postgres to come back; after that it is answered with STATUS_UNAVAILABLE. Far
     * enough below the gateways' SEND_DEADLINE (8 s) for them to ask once more.
     */
    REQUEST_WAIT_MS_MAX = 3000,

    /* Bytes of requests in one transaction; what is beyond waits for the next. One request is never split. */
    TRANSACTION_BYTES_MAX = 8 * 1024 * 1024,

    /* What the connection asks of Postgres, unless DATABASE_URL or the database's own settings say otherwise. */
    CONNECT_TIMEOUT_S = 3,
    TCP_USER_TIMEOUT_MS = 5000,
    STATEMENT_TIMEOUT_MS = 5000,

    /*
     * How long a lane stands still for a room that another replica holds, which takes milliseconds as a rule. After that
     * the room's requests go to the end of the queue.
     */
    LOCK_TIMEOUT_MS = 100,

    /* Our own patience with an answer: a Postgres that is frozen keeps no lane for longer. Its answer is then unknown. */
    STATEMENT_DEADLINE_MS = STATEMENT_TIMEOUT_MS + 1000,
    MIGRATION_DEADLINE_MS = 15 * 60 * 1000,

    /*
     * For the statement that begins an epoch, which waits for all who append, and writes the row of every room: a million
     * took 15 s. Then it lets go of them all, to be tried again. And our own patience with it.
     */
    EPOCH_TIMEOUT_MS = 2 * 60 * 1000,
    EPOCH_DEADLINE_MS = EPOCH_TIMEOUT_MS + 1000,

    /* For a statement of --check, which may have terabytes to read. */
    CHECK_DEADLINE_MS = 7 * 24 * 60 * 60 * 1000,

    /* For deleting a room, which may have millions of messages, and for a room that --erase-user waits for. */
    DELETE_DEADLINE_MS = 60 * 60 * 1000,

    /* Messages that --erase-user looks at in one transaction, and that --export holds in memory. */
    ERASE_MESSAGES_MAX = 1000,
    EXPORT_MESSAGES_MAX = 256,

    /* Calls of the API that wait for their turn; more are answered 503. */
    API_CALLS_MAX = 64,
    /* So long gateways have to say how many members they have, or whom they put out. */
    API_GATEWAYS_MS = 250,
    API_KEY_BYTES_MIN = 16,
    API_IDLE_MS = 60 * 1000, /* it is woken for a call */

    /* Gateways are told of revoked tokens so often; of many, of so many in a millisecond. */
    REVOCATIONS_MS = 1000,
    REVOCATIONS_PER_MS = 1,

    /* Between two attempts, doubled from the first to the second. */
    BACKOFF_MS_MIN = 50,
    BACKOFF_MS_MAX = 1000,

    /* An idle lane looks so often whether its connection still lives. */
    LANE_IDLE_MS = 1000,

    /* The announcer looks so often for what it was not notified of, and tells so many messages in one transaction, which
       fit into memory many times over. */
    ANNOUNCE_IDLE_MS = 2000,
    ANNOUNCED_ROWS_MAX = 256,

    /* Old messages leave so many at a time, which takes some milliseconds; so many rooms are looked at for that. Then there is
       a pause, and a longer one when all rooms have been seen. */
    EXPIRY_MESSAGES_MAX = 1000,
    EXPIRY_ROOMS_MAX = 1000,
    EXPIRY_STEP_MS = 100,
    EXPIRY_ROUND_MS = 60 * 1000,

    /* Requests that a read lane takes at a time. */
    READ_REQUESTS_MAX = 16,

    /* The newest epochs of a room that a range reply tells; 24 bytes each, they fit into the envelope. */
    RANGE_EPOCHS_MAX = 256,

    STORE_SESSION_BYTES_MAX = 128,
    STORE_BODY_BYTES_MAX = 65536,

    /* Time to let go of NATS when the process ends. */
    DRAIN_MS_MAX = 5000,

    /*
     * From SIGTERM to the end of the process at most, also when NATS and Postgres are both frozen: letting go of the one,
     * then a statement's deadline and one attempt to connect for the other. What is unanswered then, gateways ask another
     * replica.
     */
    END_MS_MAX = 20000,
};

static_assert(END_MS_MAX >= DRAIN_MS_MAX + STATEMENT_DEADLINE_MS + CONNECT_TIMEOUT_S * 1000 +
                                STATEMENT_DEADLINE_MS,
              "an end that takes its time is not cut short");
static_assert((int)TRANSACTION_BYTES_MAX >= (int)CONTRACT_MESSAGE_BYTES_MAX,
              "any request fits into a transaction");
static_assert(RANGE_EPOCHS_MAX * 24 + (int)CONTRACT_ROOM_BYTES_MAX + 64 <=
                  (int)CONTRACT_ENVELOPE_BYTES_MAX,
              "a range reply's envelope holds its epochs");
static_assert(STORE_BODY_BYTES_MAX + CONTRACT_ENVELOPE_BYTES_MAX + 1024 <=
                  CONTRACT_MESSAGE_BYTES_MAX,
              "any message fits into a payload");

#endif
