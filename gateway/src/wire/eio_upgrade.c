/*
 * eio_upgrade.c - from polling to WebSocket, from the session's side; and from server to server.
 */
#include "eio_impl.h"
#include "eio_probe.h"

bool eio_session_upgrade_claim(struct eio_session *session)
{
    if (session->state != EIO_STATE_OPEN || session->upgrade != EIO_UPGRADE_NONE ||
        session->transport != EIO_POLLING) {
        return false;
    }
    session->upgrade = EIO_UPGRADE_CLAIMED;
    return true;
}

bool eio_session_upgrade_probed(struct eio_session *session)
{
    if (session->state != EIO_STATE_OPEN || session->upgrade != EIO_UPGRADE_CLAIMED) {
        return false;
    }
    session->upgrade = EIO_UPGRADE_PROBED;
    session->settings->callbacks.on_output(session);
    return true;
}

void eio_session_upgrade_failed(struct eio_session *session)
{
    if (session->upgrade != EIO_UPGRADE_DONE) {
        session->upgrade = EIO_UPGRADE_NONE;
    }
}

/*
 * Appends what the session has yet to send by itself: a ping that nobody fetched, and the outbox, which is empty
 * then.
 */
static void take_undelivered(struct eio_session *session, struct buf *out)
{
    if (session->owes_ping) {
        session->owes_ping = false;
        eio_append_ping(out);
    }
    buf_append_bytes(out, buf_bytes(&session->outbox));
    buf_release(&session->outbox);
}

void eio_session_switch(struct eio_session *session, struct eio_probe *probe, uint64_t now_ms)
{
    ASSERT(session->state == EIO_STATE_OPEN && session->upgrade == EIO_UPGRADE_PROBED);
    session->upgrade = EIO_UPGRADE_DONE;
    session->transport = EIO_WEBSOCKET;
    struct buf outbox = BUF_INIT;
    eio_probe_take(probe, &outbox);
    take_undelivered(session, &outbox);
    session->outbox = outbox;
    session->settings->callbacks.on_upgraded(session, probe, now_ms);
    if (session->state == EIO_STATE_OPEN) {
        eio_session_outbox_was_filled(session);
    }
}

bool eio_session_hand_over(struct eio_session *session, struct buf *undelivered,
                           struct eio_handover *ret_handover, uint64_t now_ms)
{
    if (session->state != EIO_STATE_OPEN || session->upgrade != EIO_UPGRADE_PROBED ||
        session->probe != NULL) {
        return false;
    }
    *ret_handover = (struct eio_handover){
        .heartbeat_in_ms = eio_wait_left_ms(session, now_ms),
        .awaits_pong = session->awaits_pong,
    };
    take_undelivered(session, undelivered);
    eio_session_leave_open(session, EIO_STATE_CLOSED, EIO_CLOSE_MOVED);
    session->settings->callbacks.on_output(session);
    session->settings->callbacks.on_close(session, EIO_CLOSE_MOVED, now_ms);
    return true;
}

void eio_session_take_over(struct eio_session *session, const struct eio_settings *settings,
                           const char sid[EIO_SID_BYTES], const struct eio_handover *handover,
                           struct bytes undelivered, struct eio_probe *probe, uint64_t now_ms)
{
    eio_session_init(session, settings, sid, EIO_WEBSOCKET);
    session->upgrade = EIO_UPGRADE_DONE;
    session->awaits_pong = handover->awaits_pong;
    eio_wait_begin(session, EIO_WAIT_REST, now_ms, handover->heartbeat_in_ms);
    eio_probe_take(probe, &session->outbox);
    buf_append_bytes(&session->outbox, undelivered);
    eio_session_outbox_was_filled(session);
}
