/*
 * append.h - what a write lane does: group commit.
 *
 * All requests that wait are one transaction, sent as one statement, parley_append() (migrations/0006_insert_first.sql), so
 * that a store that freezes holds no lock between two statements. After the commit, all that the requests name is
 * published to its room, and then they are answered; in the order of the commits, since a room has one lane in a process.
 * What an earlier transaction had stored is published again: whoever made that one may have died before it did. Only so
 * does an answer always say that the room was told.
 *
 * When a statement fails (pg.h says how):
 *   STORE_RETRY    the same again, until a request has waited for REQUEST_WAIT_MS_MAX, or Postgres could not be reached
 *                  again: STATUS_UNAVAILABLE, so that gateways ask another store
 *   STORE_UNKNOWN  as well; what was stored is then found
 *   STORE_REFUSED  first half, second half, down to the single message, which is refused
 *   STORE_BUSY     the room's requests go to the end of the queue
 * Rooms whose rows another replica holds are skipped by the transaction, and tried alone, waiting for the lock.
 */
#ifndef PARLEY_STORE_APPEND_H
#define PARLEY_STORE_APPEND_H

#include "bus.h"
#include "lane.h"
#include "proto/contract.h"

struct append_settings {
    struct bus *bus;
    struct stats *stats;
    size_t transaction_messages_max;
};

/* A lane's on_requests: @user is a struct append_settings, @list are bus requests of BUS_APPEND. */
void append_on_requests(void *user, struct lane *lane, struct queue_entry *list);

/* Answers @request without doing anything. Any thread. */
void append_refuse(struct bus *bus, struct bus_request *request, enum contract_status status,
                   const char *reason);

#endif
