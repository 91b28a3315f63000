/*
 * history.h - `chat history`: a page of older (or newer) messages, answered from the log and from
 * pages.
 */
#ifndef PARLEY_HUB_HISTORY_H
#define PARLEY_HUB_HISTORY_H

#include "client.h"

/*
 * Answers @request of @member, which must be CHAT_REQUEST_HISTORY, with the acknowledgement
 * @ack_id: at once where the messages are in memory, otherwise when they came, and with an error at
 * the deadline.
 */
void history_submit(struct member *member, const struct chat_request *request, uint64_t ack_id,
                    uint64_t now_ms);

/* @member goes: forgets what it waits for. */
void history_forget_member(struct member *member);

#endif
