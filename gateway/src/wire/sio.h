/*
 * sio.h - Socket.IO protocol 5, server side, over an Engine.IO session: namespaces, events, acknowledgements.
 *
 * A client is one Engine.IO session; a socket is its membership in one namespace, embedded in whatever the user keeps
 * for it. What the events mean is the user's.
 *
 *   client: 40/room,{auth}  ──▶ on_connect(): sio_socket_init() a socket (CONNECTING), or sio_client_refuse()
 *                               sio_socket_accept()  ──▶ CONNECTED  40/room,{"sid":…}
 *                               sio_socket_refuse()  ──▶ GONE       44/room,{"message":…}
 *   client: 42/room,id[…]   ──▶ on_event()        only while CONNECTED
 *   client: 41/room,        ──▶ on_disconnect()   GONE
 *   session over            ──▶ on_disconnect() for each socket, then on_client_close()
 *
 * A CONNECT may be answered within on_connect() or held as long as need be. Events that come meanwhile close the
 * connection, as in the reference (clients send none before the reply), and so does a second CONNECT to a namespace
 * that is joined or being joined. Packets for a namespace that is not joined are ignored, since namespaces are rooms
 * here, and one may have been left a moment ago. Acknowledgements are ignored: this side asks for none.
 *
 * A packet with attachments, 45<n>-… and n binary messages, is delivered when the last of them is there;
 * acknowledgements with attachments are read and ignored likewise. Text meanwhile, binary that none announced, a
 * placeholder that is not {"_placeholder":true,"num":0 … n-1}: each closes the connection.
 *
 * Limits  SIO_ATTACHMENTS_MAX attachments; a packet with all of them is at most payload_bytes_max long, and in memory (one
 *         for a client) only until it is complete.
 *
 * A server on this library, its own sockets and HTTP left out (eio.h says what to do with them):
 *
 *     static void on_connect(struct sio_client *client, struct bytes namespace, struct bytes auth, uint64_t now_ms)
 *     {
 *         if (!bytes_equal(namespace, BYTES("/"))) {
 *             sio_client_refuse(client, namespace, BYTES("Invalid namespace"), (struct bytes){0});
 *             return;
 *         }
 *         struct sio_socket *socket = …;               // freed in on_disconnect()
 *         sio_socket_init(socket, client, "/", 1);
 *         sio_socket_accept(socket, …an id…, (struct bytes){0});
 *         sio_socket_emit(socket, BYTES("\"hello\",\"world\""));
 *     }
 *
 *     eio_waits_init(&waits, &timers);
 *     struct sio_settings settings = {.eio = {…, .waits = &waits}, .connect_timeout_ms = 45000, .callbacks = {…}};
 *     sio_settings_init(&settings);
 *
 *     sio_client_open(client, &settings, sid, EIO_WEBSOCKET, now_ms);            // after the 101
 *     taken = eio_session_receive(&client->eio, data, len, now_ms);             // bytes in
 *     while ((count = eio_session_peek(&client->eio, iov, 16)) > 0) {           // bytes out, after on_output()
 *         eio_session_advance(&client->eio, …what writev() took…);
 *     }
 *     timers_run(&timers, now_ms);                                              // time, at timers_next_due()
 *     eio_session_transport_closed(&client->eio, now_ms);                       // the end
 *     sio_client_release(client);
 *
 * Thread  One; time is an argument.
 */
#ifndef PARLEY_WIRE_SIO_H
#define PARLEY_WIRE_SIO_H

#include "eio.h"
#include "eio_probe.h"
#include "json.h"

enum {
    SIO_NAMESPACE_BYTES_MAX = 255, /* with its '/'; longer ones are refused as unknown */
    SIO_ATTACHMENTS_MAX = 10,
    SIO_ACK_DIGITS_MAX = 10,
};

enum sio_packet_type {
    SIO_CONNECT = '0',
    SIO_DISCONNECT = '1',
    SIO_EVENT = '2',
    SIO_ACK = '3',
    SIO_CONNECT_ERROR = '4',
    SIO_BINARY_EVENT = '5',
    SIO_BINARY_ACK = '6',
};

struct sio_packet {
    enum sio_packet_type type;
    struct bytes namespace; /* with its '/'; "/" where absent */
    bool has_ack_id;
    uint64_t ack_id;
    uint32_t attachments;
    struct bytes payload; /* scanned JSON without blanks around it, len 0 when absent */
};

enum sio_result {
    SIO_OK,
    SIO_BAD_TYPE,
    SIO_BAD_ATTACHMENTS, /* no count, or more than SIO_ATTACHMENTS_MAX */
    SIO_BAD_ACK,         /* not 1..SIO_ACK_DIGITS_MAX digits */
    SIO_BAD_PAYLOAD,     /* no JSON, or not of the form that the type asks for */
    SIO_RESERVED_EVENT, /* connect, connect_error, disconnect, disconnecting, newListener, removeListener */
};

/*
 * Reads  <type>[<attachments>-][/nsp,][ack][json]  (Socket.IO protocol 5, "Packet encoding"). Accepts "40/room" without
 * its comma. Allocates nothing: the result borrows from @text. @ret_packet is written only on SIO_OK.
 */
MUST_USE enum sio_result sio_parse(struct bytes text, struct sio_packet *ret_packet);

/*
 * Whether each placeholder in the scanned array @payload (an object with "_placeholder":true) names one of @count
 * attachments. Linear in its length.
 */
bool sio_placeholders_are_valid(struct bytes payload, uint32_t count);

/* Of a scanned event payload ["name", …]: its name as JSON (a string with quotes, or a number) and what follows it. */
void sio_event_split(struct bytes payload, struct bytes *ret_name,
                     struct json_iterator *ret_arguments);

struct sio_client;
struct sio_socket;
struct sio_assembly; /* a packet whose attachments are not all there yet */

struct sio_event {
    struct bytes payload; /* the scanned array: ["name", argument, …] */
    bool has_ack_id;      /* the client waits for sio_socket_ack(…, ack_id, …) */
    uint64_t ack_id;
    /* The payload then holds their placeholders. */
    bool has_binary;
    uint32_t attachment_count;
    const struct bytes *attachments;
};

struct sio_callbacks {
    /*
     * The client wants to join @namespace with @auth (a scanned JSON object, or len 0). Calls sio_socket_init() with
     * the socket that it is to have, or sio_client_refuse().
     */
    void (*on_connect)(struct sio_client *client, struct bytes namespace, struct bytes auth,
                       uint64_t now_ms);
    void (*on_event)(struct sio_socket *socket, const struct sio_event *event, uint64_t now_ms);
    /* The socket is GONE: left by the client, or its session is over. The user frees it; nothing is sent. */
    void (*on_disconnect)(struct sio_socket *socket, uint64_t now_ms);
    /* The session is over, after on_disconnect() of its sockets. See eio_callbacks.on_close. */
    void (*on_client_close)(struct sio_client *client, enum eio_close_reason reason,
                            uint64_t now_ms);
};

/*
 * Shared by all clients of a server; must outlive them. sio_settings_init() sets eio.callbacks.on_message and
 * on_close.
 */
struct sio_settings {
    struct eio_settings eio;
    /* time to join the first namespace; does not count while a CONNECT is held */
    uint32_t connect_timeout_ms;
    struct sio_callbacks callbacks;
};

void sio_settings_init(struct sio_settings *settings);

enum sio_socket_state { SIO_CONNECTING, SIO_CONNECTED, SIO_GONE };

struct sio_socket {
    struct sio_client *client;
    struct sio_socket *next; /* of the client's sockets */
    const char *namespace;   /* borrowed from the user, with its '/' */
    uint8_t namespace_len;
    uint8_t state; /* enum sio_socket_state */
};

struct sio_connect_wait; /* for the first namespace; on the heap only until then */

struct sio_client {
    struct eio_session eio;
    struct sio_connect_wait *connect_wait;
    struct sio_socket *sockets;
    struct sio_assembly *assembly; /* NULL: no binary is awaited */
};

/* The client that @session is part of. */
static inline struct sio_client *sio_client_of(struct eio_session *session)
{
    return CONTAINER_OF(session, struct sio_client, eio);
}

void sio_client_open(struct sio_client *client, const struct sio_settings *settings,
                     const char sid[EIO_SID_BYTES], enum eio_transport transport, uint64_t now_ms);

/*
 * Opens a client that another server has handed over: see eio_session_take_over(), sio_socket_take_over() and
 * sio_client_take_incomplete().
 */
void sio_client_take_over(struct sio_client *client, const struct sio_settings *settings,
                          const char sid[EIO_SID_BYTES], const struct eio_handover *handover,
                          struct bytes undelivered, struct eio_probe *probe, uint64_t now_ms);

/*
 * A packet whose attachments are not all there, for a server that takes over: appends it, as its client wrote it, to
 * @out, and points @ret_attachments at those that are there. False, with nothing done, where there is none.
 */
MUST_USE bool sio_client_incomplete(const struct sio_client *client, struct buf *out,
                                    uint32_t *ret_count,
                                    struct bytes ret_attachments[SIO_ATTACHMENTS_MAX]);

/* What that gave on the server that had @client, once its sockets are here. The rest comes from the client. */
void sio_client_take_incomplete(struct sio_client *client, struct bytes text,
                                const struct bytes *attachments, size_t count, uint64_t now_ms);

/* Frees what the client holds; its sockets are GONE, without on_disconnect(). See eio_session_release(). */
void sio_client_release(struct sio_client *client);

/* The client's socket in @namespace, or NULL. */
struct sio_socket *sio_client_find(const struct sio_client *client, struct bytes namespace);

/* Sends a CONNECT_ERROR. @message is plain text; @data is JSON, or len 0 for none. */
void sio_client_refuse(struct sio_client *client, struct bytes namespace, struct bytes message,
                       struct bytes data);

/*
 * Makes @socket the @client's in @namespace (1..SIO_NAMESPACE_BYTES_MAX bytes, borrowed until it is GONE), CONNECTING.
 * From here on it can be accepted or refused.
 */
void sio_socket_init(struct sio_socket *socket, struct sio_client *client, const char *namespace,
                     size_t namespace_len);

/* As sio_socket_init(), but the socket is CONNECTED, as it was on the server that had it, and nothing is sent. */
void sio_socket_take_over(struct sio_socket *socket, struct sio_client *client,
                          const char *namespace, size_t namespace_len);

/* Answers a CONNECTING socket with @sid, and @pid unless its len is 0; it is CONNECTED. */
void sio_socket_accept(struct sio_socket *socket, struct bytes sid, struct bytes pid);

/* Answers a CONNECTING socket with a CONNECT_ERROR; it is GONE, without on_disconnect(). */
void sio_socket_refuse(struct sio_socket *socket, struct bytes message, struct bytes data);

/* Sends a DISCONNECT, after which the client does not come back by itself; the socket is GONE, and on_disconnect() is called. */
void sio_socket_disconnect(struct sio_socket *socket, uint64_t now_ms);

/* Takes the socket from its client without a word to the peer: it is GONE, without on_disconnect(). */
void sio_socket_detach(struct sio_socket *socket);

/* Sends an event; @arguments is the JSON between '[' and ']', the name first. Ignored unless CONNECTED. */
void sio_socket_emit(struct sio_socket *socket, struct bytes arguments);

/* Sends an acknowledgement; @arguments is the JSON between '[' and ']', may be empty. Ignored unless CONNECTED. */
void sio_socket_ack(struct sio_socket *socket, uint64_t ack_id, struct bytes arguments);

/*
 * The same with @count (1..SIO_ATTACHMENTS_MAX) attachments, for which @arguments hold the placeholders. The packet
 * and its attachments go out one behind the other, with no other message between them.
 */
void sio_socket_emit_binary(struct sio_socket *socket, struct bytes arguments,
                            const struct bytes *attachments, uint32_t count);
void sio_socket_ack_binary(struct sio_socket *socket, uint64_t ack_id, struct bytes arguments,
                           const struct bytes *attachments, uint32_t count);

/* Appends the packet's beginning: the '4' of Engine.IO, @type, and the namespace with its comma unless it is "/". */
void sio_append_packet_head(struct buf *out, enum sio_packet_type type, struct bytes namespace);

/*
 * Appends a whole WebSocket text frame with the event (or acknowledgement) packet for a namespace to @out: what
 * sio_socket_emit() and sio_socket_ack() send, for users that keep frames of their own.
 */
void sio_append_event_frame(struct buf *out, struct bytes namespace, struct bytes arguments);
void sio_append_ack_frame(struct buf *out, struct bytes namespace, uint64_t ack_id,
                          struct bytes arguments);

#endif
