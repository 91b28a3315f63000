/*
 * eio_polling_fuzz.c - any payload is read or closes the session; and what a session answers, whatever was sent and
 * however the answers are cut, says the same to whoever reads it: here another session, as if it were a POST.
 *
 * Input: a byte for the answers' length, then the payload.
 */
#include "fuzz.h"
#include "wire/eio.h"
#include "wire/utf8.h"

enum { PAYLOAD_MAX = 4000, OUTBOX_MAX = 20000 };

/* A session that notes what it reads, and one may echo. */
struct side {
    struct eio_session session;
    struct eio_settings settings;
    struct buf received; /* for each message a frame */
    unsigned closes;
    bool echoes;
};

static struct side *side_of(struct eio_session *session)
{
    return CONTAINER_OF(session, struct side, session);
}

static void on_message(struct eio_session *session, struct bytes message, bool binary,
                       uint64_t now_ms)
{
    struct side *side = side_of(session);
    (void)now_ms;
    ASSERT(session->state == EIO_STATE_OPEN && message.len <= PAYLOAD_MAX);
    ASSERT(binary || utf8_is_valid(message));
    ws_append_frame(&side->received, binary ? WS_BINARY : WS_TEXT, message);
    if (side->echoes) {
        eio_session_send(session, message, binary);
    }
}

static void on_close(struct eio_session *session, enum eio_close_reason reason, uint64_t now_ms)
{
    (void)now_ms;
    ASSERT(reason == EIO_CLOSE_PEER || reason == EIO_CLOSE_PROTOCOL ||
           reason == EIO_CLOSE_OUTBOX_FULL || reason == EIO_CLOSE_TRANSPORT);
    side_of(session)->closes++;
}

static void on_output(struct eio_session *session)
{
    (void)session;
}

static void side_open(struct side *side, struct eio_waits *waits, bool echoes)
{
    *side = (struct side){
        .settings =
            {
                .ping_interval_ms = 300,
                .ping_timeout_ms = 200,
                .payload_bytes_max = PAYLOAD_MAX,
                .outbox_bytes_max = OUTBOX_MAX,
                .waits = waits,
                .callbacks = {.on_message = on_message,
                              .on_close = on_close,
                              .on_output = on_output},
            },
        .echoes = echoes,
    };
    eio_session_open(&side->session, &side->settings, "abcdefghij0123456789", EIO_POLLING, 1000);
    struct buf out = BUF_INIT;
    ASSERT(eio_session_poll(&side->session, &out, 1, 1000) && out.data[0] == EIO_OPEN);
    buf_release(&out);
}

static void side_close(struct side *side)
{
    eio_session_transport_closed(&side->session, 1000);
    ASSERT(side->closes == 1);
    eio_session_release(&side->session);
    buf_release(&side->received);
}

/* Fetches all of @from's answers, and posts each to @to. */
static void pass_on(struct side *from, struct side *to, size_t bytes_max)
{
    struct buf out = BUF_INIT;
    while (from->session.state == EIO_STATE_OPEN &&
           eio_session_poll(&from->session, &out, bytes_max, 1000)) {
        ASSERT(eio_session_post(&to->session, buf_bytes(&out), 1000) == EIO_POST_OK);
        buf_clear(&out);
    }
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_of((const char *)data, size);
    size_t bytes_max = 1 + 16 * fuzz_byte(&input);
    struct timers timers;
    struct eio_waits waits;
    timers_init(&timers);
    eio_waits_init(&waits, &timers);
    struct side server, client;
    side_open(&server, &waits, true);
    side_open(&client, &waits, false);
    client.settings.payload_bytes_max = 2 * OUTBOX_MAX; /* an answer may be longer than a POST */

    enum eio_post_result result = eio_session_post(&server.session, input, 1000);
    if (input.len > PAYLOAD_MAX) {
        ASSERT(result == EIO_POST_TOO_LARGE && server.received.len == 0 && server.closes == 0);
    } else if (result == EIO_POST_REFUSED) {
        ASSERT(server.session.state == EIO_STATE_CLOSED && server.closes == 1);
    }
    if (server.session.state == EIO_STATE_OPEN) {
        pass_on(&server, &client, bytes_max);
        ASSERT(bytes_equal(buf_bytes(&server.received), buf_bytes(&client.received)));
        ASSERT(server.session.outbox.data == NULL);
    }
    side_close(&server);
    side_close(&client);
    ASSERT(timers_next_due(&timers) == TIMER_NEVER);
    timers_release(&timers);
    return 0;
}
