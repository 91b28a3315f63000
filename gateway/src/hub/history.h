/*
 * history.h - `chat history`: a page of older (or newer) messages, answered from the log and from
 * pages.
 */
#ifndef PARLEY_HUB_HISTORY_H
#define PARLEY_HUB_HISTORY_H

#include "client.h"
#include "proto/contract_peer.h"

/*
 * Answers @request of @member, which must be CHAT_REQUEST_HISTORY, with the acknowledgement
 * @ack_id: at once where the messages are in memory and the turn has histories_left, otherwise in its turn (turns.h) or when
 * they came, and with an error at the deadline.
 */
void history_submit(struct member *member, const struct chat_request *request, uint64_t ack_id,
                    uint64_t now_ms);

/* In a turn's flush: answers those that wait for their turn, as far as histories_left go. */
void history_flush(struct hub *hub);

/* @member, which came from another gateway, has joined: what it asked for in the meantime can be answered. */
void history_go_on_member(struct member *member);

/* Writes what @member waits for to @ret_histories, HISTORY_WAITING_MAX at most; returns how many. */
size_t history_hand_over(const struct member *member,
                         struct contract_handover_history *ret_histories);

/* @member, which has not joined yet, waited for @handed on another gateway. */
void history_take_over(struct member *member, const struct contract_handover_history *handed,
                       uint64_t now_ms);

/* @member goes: forgets what it waits for. */
void history_forget_member(struct member *member);

#endif
