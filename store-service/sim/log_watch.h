/*
 * log_watch.h - what must be true of the log all the time, and in the end.
 *
 * After each commit: the ids of each room are contiguous from 1, in the order in which they are seen, up to its head
 * (so no snapshot has a hole); no message is there twice; an epoch begins behind the head; what a gateway sent in an
 * order is stored in it; all rooms are of the newest epoch. With every broadcast and answer of a store: it says what
 * is committed; an answer comes after a broadcast of all that it tells of, whoever stored it. In the end: all is in
 * the log, answered, and read by every gateway; nobody holds a lock.
 */
#ifndef PARLEY_SIM_LOG_WATCH_H
#define PARLEY_SIM_LOG_WATCH_H

#include "log_world.h"

void watch_commit(struct log_world *world, uint32_t xid);

/* The standby has taken over: forgets what it had not. */
void watch_promotion(struct log_world *world);

void watch_broadcast(struct log_world *world, const struct contract_room_event *event);
void watch_append_reply(struct log_world *world, const struct log_question *question,
                        const struct contract_append_reply *reply);
void watch_query_reply(struct log_world *world, const struct log_question *question,
                       const struct contract_query_reply *reply);
void watch_end(struct log_world *world);

#endif
