/* upgrade.c - WebSockets that came with a sid, until they are their session's, or closed. */
#include "engine_impl.h"

#include "base/clock.h"
#include <stdlib.h>

enum { PIECES_MAX = 4 };

struct upgrade {
    struct engine *engine;
    struct raw_socket socket; /* not open: the session has it now */
    struct list link;         /* engine.upgrades */
    struct list dirty;        /* engine.dirty_upgrades */
    struct ask *ask;          /* the session is a peer's: what was asked there */
    bool is_over;
    struct eio_probe probe;
};

static void wake(struct upgrade *upgrade)
{
    if (list_is_empty(&upgrade->dirty)) {
        list_append(&upgrade->engine->dirty_upgrades, &upgrade->dirty);
    }
}

static void on_output(struct eio_probe *probe)
{
    wake(CONTAINER_OF(probe, struct upgrade, probe));
}

static void on_probe(struct eio_probe *probe, uint64_t now_ms)
{
    (void)now_ms;
    struct upgrade *upgrade = CONTAINER_OF(probe, struct upgrade, probe);
    relay_go_on(upgrade->ask, CONTRACT_PEER_PROBE);
}

/* Until the session is here, nothing is read: what comes now is the session's. */
static void on_upgrade(struct eio_probe *probe, uint64_t now_ms)
{
    (void)now_ms;
    struct upgrade *upgrade = CONTAINER_OF(probe, struct upgrade, probe);
    raw_socket_stop(&upgrade->socket);
    relay_go_on(upgrade->ask, CONTRACT_PEER_MOVE);
}

static const struct eio_probe_callbacks callbacks = {
    .on_output = on_output, .on_probe = on_probe, .on_upgrade = on_upgrade};

/* Nothing more is to come of it: upgrades_flush() frees it. */
static void end(struct upgrade *upgrade)
{
    upgrade->is_over = true;
    raw_socket_stop(&upgrade->socket);
    wake(upgrade);
}

static size_t on_bytes(struct raw_socket *socket, char *data, size_t len)
{
    struct upgrade *upgrade = CONTAINER_OF(socket, struct upgrade, socket);
    size_t taken = eio_probe_receive(&upgrade->probe, data, len, clock_monotonic_ms());
    upgrade->engine->stats.bytes_in += taken;
    if (upgrade->probe.state == EIO_PROBE_UPGRADED) {
        end(upgrade);
    }
    return taken;
}

static void on_end(struct raw_socket *socket)
{
    end(CONTAINER_OF(socket, struct upgrade, socket));
}

/* A write that blocks ends an upgrade: nobody waits for on_writable(). */
static void on_writable(struct raw_socket *socket)
{
    (void)socket;
}

const struct raw_socket_callbacks upgrade_socket_callbacks = {
    .on_bytes = on_bytes, .on_end = on_end, .on_writable = on_writable};

static struct upgrade *upgrade_alloc(struct engine *engine, h2o_socket_t *socket)
{
    struct upgrade *upgrade = mem_alloc_zeroed(sizeof(*upgrade));
    upgrade->engine = engine;
    list_init(&upgrade->link);
    list_init(&upgrade->dirty);
    list_append(&engine->upgrades, &upgrade->link);
    engine->stats.websockets++;
    raw_socket_open(&engine->probes, &upgrade->socket, socket);
    return upgrade;
}

void upgrade_new(struct engine *engine, const char sid[EIO_SID_BYTES], h2o_socket_t *socket)
{
    struct transport *transport = map_get(&engine->by_sid, bytes_of(sid, EIO_SID_BYTES));
    if (transport == NULL || transport->state != TRANSPORT_OPEN) {
        /* it went to a peer, or ended while the upgrade was answered */
        upgrade_start(upgrade_new_elsewhere(engine, NULL, socket));
        return;
    }
    struct upgrade *upgrade = upgrade_alloc(engine, socket);
    eio_probe_open(&upgrade->probe, transport->session, engine->settings.eio, &callbacks,
                   clock_monotonic_ms());
    upgrade_start(upgrade);
}

struct upgrade *upgrade_new_elsewhere(struct engine *engine, struct ask *ask, h2o_socket_t *socket)
{
    struct upgrade *upgrade = upgrade_alloc(engine, socket);
    upgrade->ask = ask;
    eio_probe_open(&upgrade->probe, NULL, engine->settings.eio, &callbacks, clock_monotonic_ms());
    if (ask == NULL) {
        eio_probe_close(&upgrade->probe);
    }
    return upgrade;
}

void upgrade_start(struct upgrade *upgrade)
{
    raw_socket_start(&upgrade->engine->probes, &upgrade->socket);
}

void upgrade_on_probed(struct upgrade *upgrade)
{
    eio_probe_answer(&upgrade->probe);
}

void upgrade_on_over(struct upgrade *upgrade)
{
    upgrade->ask = NULL;
    eio_probe_close(&upgrade->probe);
}

struct transport *upgrade_on_moved(struct upgrade *upgrade, const char sid[EIO_SID_BYTES],
                                   uint32_t address, struct bytes handover, bool *ret_awaits)
{
    upgrade->ask = NULL;
    struct transport *transport = NULL;
    if (upgrade->probe.state == EIO_PROBE_MOVING) {
        transport = transport_take_over(upgrade->engine, sid, address, handover, &upgrade->probe,
                                        ret_awaits);
    }
    if (transport == NULL) {
        eio_probe_close(&upgrade->probe);
        return NULL;
    }
    upgrade->is_over = true;
    wake(upgrade);
    raw_socket_start(&transport->engine->websockets, &transport->socket);
    return transport;
}

void upgrade_move_socket(struct eio_probe *probe, struct transport *transport)
{
    struct upgrade *upgrade = CONTAINER_OF(probe, struct upgrade, probe);
    struct engine *engine = upgrade->engine;
    raw_socket_move(&engine->probes, &upgrade->socket, &engine->websockets, &transport->socket);
}

static void upgrade_free(struct upgrade *upgrade)
{
    list_leave(&upgrade->link);
    list_leave(&upgrade->dirty);
    if (upgrade->ask != NULL) {
        relay_cancel(upgrade->ask);
    }
    eio_probe_release(&upgrade->probe);
    if (upgrade->socket.is_open) {
        upgrade->engine->stats.websockets--;
        raw_socket_close(&upgrade->socket);
    }
    free(upgrade);
}

/* A probe's answers are a few bytes: whoever does not read them is not waited for. */
static void flush(struct upgrade *upgrade)
{
    struct iovec pieces[PIECES_MAX];
    size_t count;
    while (!upgrade->is_over && upgrade->socket.is_open &&
           (count = eio_probe_peek(&upgrade->probe, pieces, PIECES_MAX)) > 0) {
        size_t written = 0;
        if (raw_socket_write(&upgrade->socket, pieces, count, &written) != RAW_WRITE_DONE) {
            upgrade->is_over = true;
            break;
        }
        eio_probe_advance(&upgrade->probe, written);
    }
    if (upgrade->is_over || upgrade->probe.state == EIO_PROBE_CLOSED) {
        upgrade_free(upgrade);
    }
}

void upgrades_flush(struct engine *engine)
{
    struct list *node;
    while ((node = list_take_first(&engine->dirty_upgrades)) != NULL) {
        flush(CONTAINER_OF(node, struct upgrade, dirty));
    }
}

void upgrades_doom_all(struct engine *engine)
{
    struct list *node;
    while ((node = list_first(&engine->upgrades)) != NULL) {
        upgrade_free(CONTAINER_OF(node, struct upgrade, link));
    }
}
