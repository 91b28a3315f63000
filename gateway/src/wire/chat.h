/*
 * chat.h - the chat's own events on the wire (DESIGN: "The client surface"): what a client's JSON means, and the JSON of
 * what it is sent. Pure text: nothing here knows rooms, members or time.
 */
#ifndef PARLEY_WIRE_CHAT_H
#define PARLEY_WIRE_CHAT_H

#include "json.h"

enum {
    CHAT_ROOM_BYTES_MAX = 64,
    CHAT_USERNAME_CHARS_MAX = 32, /* that clients choose */
    CHAT_CLIENT_ID_BYTES_MAX = 64,
    CHAT_HISTORY_LIMIT_MAX = 100,
    CHAT_HISTORY_LIMIT_DEFAULT = 50,
    CHAT_PID_BYTES_MAX = 512,
    CHAT_TOKEN_BYTES_MAX = 8192,
    CHAT_TYPERS_MAX = 5, /* that are named */
};

/*
 * The room of a namespace: "/" is "lobby"; "/name" is "name" where that is [A-Za-z0-9][A-Za-z0-9_.~-]{0,63}. Returns
 * false for anything else, "/lobby" included (one room, one namespace).
 */
MUST_USE bool chat_room_of_namespace(struct bytes namespace, struct bytes *ret_room);

/* The namespace of @room, which chat_room_of_namespace() gave; written to @namespace, and returned. */
struct bytes chat_namespace_of_room(struct bytes room, char namespace[CHAT_ROOM_BYTES_MAX + 1]);

/* Whether valid UTF-8 is a name: 1 to @chars_max code points, no control characters. */
MUST_USE bool chat_name_is_valid(struct bytes name, size_t chars_max);

/* Why a message or a request is refused or delayed: the `code` that clients see. */
enum chat_code {
    CHAT_INVALID_MESSAGE, /* permanent: acknowledged with an error */
    CHAT_TOO_LARGE,
    CHAT_FORBIDDEN,
    CHAT_UNAVAILABLE, /* transient: not acknowledged, a chat error says so */
    CHAT_OVERLOADED,
    CHAT_RATE_LIMITED,
};

const char *chat_code_name(enum chat_code code);

/* What the CONNECT's auth object says. */
struct chat_auth {
    /* decoded, at least 1 and cut to CHAT_USERNAME_CHARS_MAX code points; "anonymous" if absent */
    struct buf username;
    bool echo;     /* the sender wants its own messages too (default) */
    bool presence; /* it wants to know who is here, and who types */
    bool has_server_offset;
    uint64_t server_offset;
    /* connection state recovery: "<epoch>-<id>", or a bare id (epoch 0: the current one) */
    bool has_offset;
    uint64_t offset_epoch, offset_id;
    /* borrows from the JSON, without quotes; len 0 when absent or not plain ASCII */
    struct bytes pid;
    struct buf token; /* likewise, but a copy; empty, too, when longer than CHAT_TOKEN_BYTES_MAX */
};

/*
 * Reads @auth (scanned JSON object, or len 0). What is of the wrong type or out of range counts as absent. A username of
 * control characters or with a lone surrogate or U+0000 counts as absent too. Call chat_auth_release() afterwards.
 */
void chat_auth_parse(struct bytes auth, struct chat_auth *ret_auth);
void chat_auth_release(struct chat_auth *auth);

/* Appends a JSON object that reads as @auth. Its length is bounded, whatever the client sent. */
void chat_write_auth(struct buf *out, const struct chat_auth *auth);

/* Reads "<epoch>-<id>", or "<id>" (epoch 0). Both at most 2^53 - 1. */
MUST_USE bool chat_offset_parse(struct bytes text, uint64_t *ret_epoch, uint64_t *ret_id);

/* What a client asks with an event. */
enum chat_request_type {
    CHAT_REQUEST_MESSAGE,
    CHAT_REQUEST_HISTORY,
    CHAT_REQUEST_TYPING,
    CHAT_REQUEST_UNKNOWN
};

struct chat_request {
    enum chat_request_type type;
    /* CHAT_REQUEST_MESSAGE */
    struct buf content;
    struct buf client_id; /* empty where the client gave none */
    /* CHAT_REQUEST_HISTORY: the newest, or those next to an id that is itself not among them */
    enum { CHAT_HISTORY_NEWEST, CHAT_HISTORY_BEFORE, CHAT_HISTORY_AFTER } direction;
    uint64_t before; /* CHAT_HISTORY_BEFORE: at least 1; else 0 */
    uint64_t after;  /* CHAT_HISTORY_AFTER: 0 is the room's beginning; else 0 */
    uint32_t limit;  /* 1..CHAT_HISTORY_LIMIT_MAX */
    bool is_typing;  /* CHAT_REQUEST_TYPING */
};

enum chat_parse_result {
    CHAT_PARSE_OK,
    CHAT_PARSE_INVALID, /* CHAT_INVALID_MESSAGE; *ret_why says what is wrong, in a sentence for the developer */
    CHAT_PARSE_TOO_LARGE, /* CHAT_TOO_LARGE; likewise */
};

/*
 * Reads an event's scanned payload ["name", argument, …]. @has_binary: it had attachments, which chat refuses. Always
 * fills @ret_request (release it with chat_request_release()); a client id is there whenever one could be read, so that a
 * refusal can name it. An event that the chat does not know is CHAT_REQUEST_UNKNOWN, and fine.
 */
MUST_USE enum chat_parse_result chat_request_parse(struct bytes payload, bool has_binary,
                                                   size_t content_bytes_max,
                                                   struct chat_request *ret_request,
                                                   const char **ret_why);
void chat_request_release(struct chat_request *request);

/* A message of the log, as it is shown. */
struct chat_message {
    uint64_t epoch, id, at_ms;
    struct bytes username, content, client_id; /* client_id len 0: none is shown */
};

/* Appends the whole WebSocket frame of event `chat message` for the members of @namespace. */
void chat_append_message_frame(struct buf *out, struct bytes namespace,
                               const struct chat_message *message);

/*
 * Appends {"id":"17","username":…,"content":…,"at":…,"clientId":…} from a frame that chat_append_message_frame() made:
 * an element of the answer to `chat history`.
 */
void chat_append_history_entry(struct buf *out, struct bytes frame);

/* Arguments (JSON between '[' and ']') of the other events and of acknowledgements. Appended to @out. */
void chat_write_ack_ok(struct buf *out, uint64_t id, bool duplicate);
void chat_write_ack_error(struct buf *out, enum chat_code code, const char *message);
void chat_write_error_event(struct buf *out, enum chat_code code, const char *message,
                            struct bytes client_id, uint64_t retry_after_ms);
void chat_write_gap_event(struct buf *out, uint64_t from, uint64_t to, const char *reason);

/* Appends the `data` of a CONNECT_ERROR. */
void chat_write_refusal(struct buf *out, const char *code, const char *why);

/* Who is here: @names NULL tells the count alone. */
void chat_write_presence_event(struct buf *out, uint64_t count, const struct bytes *names,
                               size_t name_count);

/* Who types: @users, and so many others. */
void chat_write_typing_event(struct buf *out, const struct bytes *users, size_t user_count,
                             uint64_t more);

#endif
