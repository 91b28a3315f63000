/*
 * read.h - what a read lane does: stretches of a room's log, and heads. Plain SQL by primary key.
 */
#ifndef PARLEY_STORE_READ_H
#define PARLEY_STORE_READ_H

#include "bus.h"
#include "lane.h"
#include "proto/contract.h"

struct read_settings {
    struct bus *bus;
    struct stats *stats;
};

/* A lane's on_requests: @user is a struct read_settings, @list are bus requests of BUS_READ. */
void read_on_requests(void *user, struct lane *lane, struct queue_entry *list);

/* Answers @request without doing anything. Any thread. */
void read_refuse(struct bus *bus, struct bus_request *request, enum contract_status status,
                 const char *reason);

#endif
