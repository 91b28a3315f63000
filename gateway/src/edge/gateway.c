#include "gateway.h"

#include "assets.h"
#include "base/admin.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/random.h"
#include "bus.h"
#include "drain.h"
#include "engine.h"
#include "gateway_metrics.h"
#include "http.h"
#include "hub/limits.h"
#include "lag.h"
#include "passes.h"
#include "server.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    OPEN_FILES_BESIDE_CLIENTS = 100,
    PACKET_BYTES_BESIDE_CONTENT = 512, /* event, room and client id */
};

struct gateway {
    const struct gateway_config *config;
    h2o_loop_t *loop;
    struct timers timers;
    struct tls *tls;       /* NULL: the clients' port speaks plain HTTP */
    struct passes *passes; /* NULL: AUTH is none */
    struct hub *hub;
    struct bus *bus;
    struct engine *engine;
    struct engine_peers peers;
    struct cors cors;
    struct proxies proxies;
    struct assets *page, *client_bundles;
    struct server *server;
    struct admin *admin;
    h2o_socket_t *signals;
    struct drain drain;
    struct lag lag;
    struct histogram turn_cpu_us;
    size_t sockets_max; /* of clients: what the files allow */
};

/* --- what the hub wants done ------------------------------------------------------------------------------------ */

static void world_subscribe(void *user, struct bytes room)
{
    bus_subscribe(((struct gateway *)user)->bus, room);
}

static void world_unsubscribe(void *user, struct bytes room)
{
    bus_unsubscribe(((struct gateway *)user)->bus, room);
}

static void world_watch(void *user, struct bytes room, bool listens)
{
    bus_watch(((struct gateway *)user)->bus, room, listens);
}

static void world_announce(void *user, struct bytes room, struct bytes payload)
{
    bus_publish_presence(((struct gateway *)user)->bus, room, payload);
}

static void world_append(void *user, unsigned shard, uint64_t request, struct bytes payload)
{
    bus_request(((struct gateway *)user)->bus, BUS_APPEND, shard, request, payload);
}

static void world_query(void *user, unsigned shard, uint64_t request, struct bytes payload)
{
    bus_request(((struct gateway *)user)->bus, BUS_QUERY, shard, request, payload);
}

static void world_publish(void *user, struct bytes room, struct bytes payload)
{
    bus_publish_to_room(((struct gateway *)user)->bus, room, payload);
}

static void world_flush(void *user, struct client *client)
{
    (void)user;
    engine_flush(client_transport(client));
}

static size_t world_write(void *user, struct client *client, const char *data, size_t len)
{
    (void)user;
    return engine_write(client_transport(client), data, len);
}

static uint32_t world_source(void *user, const void *transport)
{
    (void)user;
    return engine_source(transport);
}

static void world_on_upgraded(void *user, struct client *client, struct eio_probe *probe)
{
    (void)user;
    engine_on_upgraded(client_transport(client), probe);
}

static void world_forward(void *user, const struct contract_peer_key *to, struct bytes payload,
                          bool is_last)
{
    engine_forward(((struct gateway *)user)->engine, to, payload, is_last);
}

static enum hub_admission world_admit(void *user, struct bytes token, struct bytes room,
                                      struct hub_pass *ret_pass, const char **ret_why)
{
    return passes_admit(((struct gateway *)user)->passes, token, room, ret_pass, ret_why);
}

static uint64_t world_wall_ms(void *user)
{
    (void)user;
    return clock_wall_ms();
}

static void tell_message(const struct gateway *gateway, const struct hub_event *event)
{
    if (gateway->config->log_messages) {
        LOG(LOG_INFO, "message", F_BYTES("room", event->room), F_BYTES("from", event->username),
            F_BYTES("text", event->content), F_BYTES("client_id", event->client_id));
    } else {
        LOG(LOG_DEBUG, "message_in", F_BYTES("room", event->room),
            F_BYTES("client_id", event->client_id), F_INT("bytes", event->content.len));
    }
}

static void world_tell(void *user, const struct hub_event *event)
{
    const struct gateway *gateway = user;
    int64_t number = event->client == NULL ? 0 : (int64_t)client_number(event->client);
    switch (event->type) {
    case HUB_CLIENT_OPENED: LOG(LOG_INFO, "client_connected", F_INT("client", number)); break;
    case HUB_CLIENT_CLOSED:
        LOG(LOG_INFO, "client_disconnected", F_INT("client", number),
            F_STR("reason", event->reason));
        break;
    case HUB_MEMBER_JOINED:
        LOG(LOG_INFO, "member_joined", F_BYTES("room", event->room),
            F_BYTES("username", event->username), F_INT("client", number),
            F_STR("how", event->reason), F_INT("after", event->id));
        break;
    case HUB_MEMBER_LEFT:
        LOG(LOG_INFO, "member_left", F_BYTES("room", event->room),
            F_BYTES("username", event->username), F_INT("client", number));
        break;
    case HUB_MESSAGE_IN: tell_message(gateway, event); break;
    case HUB_MESSAGE_STORED:
        LOG(LOG_DEBUG, "message_stored", F_BYTES("room", event->room),
            F_BYTES("client_id", event->client_id), F_INT("id", event->id));
        break;
    case HUB_MESSAGE_REFUSED:
        LOG(LOG_DEBUG, "message_refused", F_BYTES("room", event->room),
            F_BYTES("client_id", event->client_id), F_INT("client", number),
            F_STR("code", event->reason));
        break;
    case HUB_ROOM_OPENED:
        LOG(LOG_DEBUG, "room_opened", F_BYTES("room", event->room), F_INT("head", event->id));
        break;
    case HUB_ROOM_CLOSED: LOG(LOG_DEBUG, "room_closed", F_BYTES("room", event->room)); break;
    case HUB_ROOM_REPAIRED:
        LOG(LOG_INFO, "room_repaired", F_BYTES("room", event->room), F_INT("from", event->id),
            F_INT("count", event->count));
        break;
    case HUB_TOKEN_REFUSED:
        LOG(LOG_INFO, "token_refused", F_INT("client", number), F_BYTES("room", event->room),
            F_STR("reason", event->reason));
        break;
    case HUB_EPOCH_CHANGED:
        LOG(LOG_WARN, "epoch_changed", F_BYTES("room", event->room), F_INT("first_id", event->id));
        break;
    }
}

/* --- what happens to the hub ------------------------------------------------------------------------------------ */

static void on_room_event(void *user, struct contract_room_event *event)
{
    hub_on_room_event(((struct gateway *)user)->hub, event, clock_monotonic_ms());
}

static void on_append_reply(void *user, uint64_t request, const struct contract_append_reply *reply)
{
    hub_on_append_reply(((struct gateway *)user)->hub, request, reply, clock_monotonic_ms());
}

static void on_query_reply(void *user, uint64_t request, const struct contract_query_reply *reply)
{
    hub_on_query_reply(((struct gateway *)user)->hub, request, reply, clock_monotonic_ms());
}

static void on_presence(void *user, const struct contract_presence *presence)
{
    hub_on_presence(((struct gateway *)user)->hub, presence, clock_monotonic_ms());
}

static size_t revoke_all(struct hub *hub, const struct contract_control *control, uint64_t now_ms)
{
    size_t members = 0;
    for (size_t i = 0; i < control->revocation_count; i++) {
        const struct contract_revocation *one = &control->revocations[i];
        bool is_user = one->user.len > 0;
        members +=
            hub_revoke(hub, is_user ? HUB_REVOKED_USER : HUB_REVOKED_TOKEN,
                       is_user ? one->user : one->token_id, one->before_ms, one->until_ms, now_ms);
    }
    return members;
}

static void on_control(void *user, const struct contract_control *control, const char *reply)
{
    struct gateway *gateway = user;
    uint64_t now_ms = clock_monotonic_ms();
    uint32_t counts[CONTRACT_COUNTS_MAX];
    size_t members = 0;
    switch (control->type) {
    case CONTRACT_KICK:
        members = hub_kick(gateway->hub, control->user, control->session, control->room, now_ms);
        break;
    case CONTRACT_REVOKE: members = revoke_all(gateway->hub, control, now_ms); break;
    case CONTRACT_COUNT:
        for (size_t i = 0; i < control->room_count; i++) {
            counts[i] = hub_member_count(gateway->hub, control->rooms[i]);
        }
        break;
    }
    if (control->type != CONTRACT_COUNT && members > 0) {
        LOG(LOG_INFO, "members_put_out", F_INT("members", members),
            F_STR("by", control->type == CONTRACT_KICK ? "kick" : "revocation"));
    }
    if (reply[0] != '\0') {
        struct buf payload = BUF_INIT;
        contract_encode_control_reply(
            &payload, &(struct contract_control_reply){
                          .gateway = bytes_of(gateway->peers.id, CONTRACT_GATEWAY_ID_BYTES),
                          .members = (uint32_t)members,
                          .count_count = control->room_count,
                          .counts = counts,
                      });
        bus_answer_control(gateway->bus, reply, buf_bytes(&payload));
        buf_release(&payload);
    }
}

static void on_restored(void *user)
{
    hub_on_bus_restored(((struct gateway *)user)->hub, clock_monotonic_ms());
}

static void on_peer_request(void *user, const struct contract_peer_request *request)
{
    engine_on_peer_request(((struct gateway *)user)->engine, request);
}

static void on_peer_answer(void *user, uint64_t number, const struct contract_peer_answer *answer)
{
    engine_on_peer_answer(((struct gateway *)user)->engine, number, answer);
}

/* --- sessions between gateways ---------------------------------------------------------------------------------- */

static void peers_ask(void *user, const char peer[CONTRACT_GATEWAY_ID_BYTES], uint64_t number,
                      struct bytes payload)
{
    bus_ask_peer(((struct gateway *)user)->bus, peer, number, payload);
}

static void peers_answer(void *user, const struct contract_peer_key *key, struct bytes payload)
{
    bus_answer_peer(((struct gateway *)user)->bus, key, payload);
}

static bool peers_hand_over(void *user, struct eio_session *session,
                            const struct contract_peer_key *to, struct buf *out, bool *ret_follows,
                            uint64_t now_ms)
{
    (void)user;
    return hub_hand_over(client_of_session(session), to, out, ret_follows, now_ms);
}

static struct eio_session *peers_take_over(void *user, struct transport *transport,
                                           const char sid[EIO_SID_BYTES], struct bytes handover,
                                           struct eio_probe *probe, bool *ret_awaits,
                                           uint64_t now_ms)
{
    struct contract_handover *decoded = contract_decode_handover(handover);
    struct client *client = decoded == NULL
                                ? NULL
                                : hub_take_over(((struct gateway *)user)->hub, transport, sid,
                                                decoded, probe, ret_awaits, now_ms);
    contract_free(decoded);
    if (client == NULL) {
        LOG(LOG_WARN, "handover_malformed", F_INT("bytes", handover.len));
        return NULL;
    }
    return client_session(client);
}

static bool peers_on_forward(void *user, struct eio_session *session, struct bytes payload,
                             uint64_t now_ms)
{
    (void)user;
    struct contract_moved_outcome *outcome = contract_decode_moved_outcome(payload);
    enum hub_forward_result result = hub_on_forward(client_of_session(session), outcome, now_ms);
    contract_free(outcome);
    if (result == HUB_FORWARD_LOST) {
        eio_session_close(session, EIO_CLOSE_SERVER, WS_CLOSE_GOING_AWAY, now_ms);
    }
    return result == HUB_FORWARD_AWAITS;
}

/* --- the admin port --------------------------------------------------------------------------------------------- */

static void write_unready(void *user, struct buf *out)
{
    const struct gateway *gateway = user;
    if (drain_has_begun(&gateway->drain)) {
        buf_append_bytes(out, BYTES("draining: this gateway is shutting down\n"));
    } else if (!bus_is_connected(gateway->bus)) {
        buf_append_bytes(
            out,
            bus_is_too_small(gateway->bus)
                ? BYTES("the NATS server of NATS_URL takes too little: raise its max_payload\n")
                : BYTES("no connection to the NATS server of NATS_URL\n"));
    }
}

static void write_metrics(void *user, struct buf *out)
{
    struct gateway *gateway = user;
    gateway_metrics_write(
        out, &(struct gateway_numbers){
                 .hub = hub_stats(gateway->hub),
                 .bus = bus_stats(gateway->bus),
                 .engine = engine_stats(gateway->engine),
                 .server = server_stats(gateway->server),
                 .config = gateway->config,
                 .certificate_expires_s = gateway->tls != NULL ? tls_expires_s(gateway->tls) : 0,
                 .sockets_max = gateway->sockets_max,
                 .lag_us = &gateway->lag.lag_us,
                 .turn_cpu_us = &gateway->turn_cpu_us,
             });
}

/* --- draining --------------------------------------------------------------------------------------------------- */

static void drain_refuse(void *user)
{
    struct gateway *gateway = user;
    engine_refuse_sessions(gateway->engine);
    server_end(gateway->server);
    LOG(LOG_INFO, "drain_closing", F_INT("clients", engine_open_count(gateway->engine)),
        F_INT("over_ms", gateway->config->drain_ms));
}

static size_t drain_count(void *user)
{
    return engine_open_count(((struct gateway *)user)->engine);
}

static bool waits_for_answer(struct eio_session *session)
{
    return client_waits_for_answer(client_of_session(session));
}

static void drain_close(void *user, size_t count, bool spares_waiting)
{
    engine_close_some(((struct gateway *)user)->engine, count,
                      spares_waiting ? waits_for_answer : NULL);
}

static bool drain_is_quiet(void *user)
{
    const struct gateway *gateway = user;
    return hub_sends_in_flight(gateway->hub) == 0 && engine_relayed_count(gateway->engine) == 0 &&
           engine_stats(gateway->engine).websockets == 0 &&
           server_stats(gateway->server).requests == 0;
}

static void init_drain(struct gateway *gateway)
{
    struct drain_callbacks callbacks = {
        .user = gateway,
        .refuse = drain_refuse,
        .count = drain_count,
        .close = drain_close,
        .is_quiet = drain_is_quiet,
    };
    drain_init(&gateway->drain, &callbacks, &gateway->timers,
               (uint64_t)gateway->config->drain_delay_ms, (uint64_t)gateway->config->drain_ms);
}

static void on_signal(h2o_socket_t *socket, const char *error)
{
    struct gateway *gateway = socket->data;
    struct signalfd_siginfo info;
    while (error == NULL &&
           read(h2o_socket_get_fd(socket), &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (drain_has_begun(&gateway->drain)) {
            drain_cut_short(&gateway->drain);
        } else {
            LOG(LOG_INFO, "draining", F_INT("clients", engine_open_count(gateway->engine)),
                F_INT("delay_ms", gateway->config->drain_delay_ms));
            drain_begin(&gateway->drain, clock_monotonic_ms());
        }
    }
}

static void watch_signals(struct gateway *gateway)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    ASSERT(fd >= 0);
    gateway->signals = h2o_evloop_socket_create(gateway->loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    gateway->signals->data = gateway;
    h2o_socket_read_start(gateway->signals, on_signal);
}

/* --- life ------------------------------------------------------------------------------------------------------- */

/* Has all threads, those of libraries included, leave the signals to signalfd. Before the first thread is made. */
static void block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/*
 * A connection is an open file: takes as many as the system gives, and says so when they are too few. Requests for the
 * page, and WebSockets that do not know yet that they are, may be as many again.
 */
static bool raise_open_files(int64_t connections_max, size_t *ret_sockets_max,
                             struct buf *ret_error)
{
    struct rlimit limit;
    ASSERT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    rlim_t needed = (rlim_t)connections_max + OPEN_FILES_BESIDE_CLIENTS;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < needed) {
        buf_append_format(
            ret_error,
            "CONNECTIONS_MAX is %lld, but this system lets a process have %llu open "
            "files only: set it to at "
            "most %llu, or raise the limit (ulimit -n)",
            (long long)connections_max, (unsigned long long)limit.rlim_cur,
            (unsigned long long)MAX_OF(limit.rlim_cur, (rlim_t)OPEN_FILES_BESIDE_CLIENTS + 1) -
                OPEN_FILES_BESIDE_CLIENTS);
        return false;
    }
    *ret_sockets_max = MIN_OF((size_t)limit.rlim_cur - OPEN_FILES_BESIDE_CLIENTS,
                              (size_t)connections_max * 2 + OPEN_FILES_BESIDE_CLIENTS);
    return true;
}

/* Settings that are sound alone and make no sense together. */
static bool check_settings(const struct gateway_config *config, struct buf *ret_error)
{
    if (config->room_log_bytes_max > config->log_bytes_max) {
        buf_append_bytes(ret_error,
                         BYTES("ROOM_LOG_BYTES_MAX is more than LOG_BYTES_MAX, which is for "
                               "all rooms together: lower the one or raise the other"));
        return false;
    }
    if (config->payload_bytes_max < config->content_bytes_max + PACKET_BYTES_BESIDE_CONTENT) {
        buf_append_format(ret_error,
                          "PAYLOAD_BYTES_MAX leaves no room for a message of CONTENT_BYTES_MAX: "
                          "set it to at least %lld",
                          (long long)config->content_bytes_max + PACKET_BYTES_BESIDE_CONTENT);
        return false;
    }
    return true;
}

static struct pace_rule pace_rule(const struct gateway_config *config, int64_t per_second)
{
    return (struct pace_rule){
        .per_second = (uint32_t)per_second,
        .burst = (uint32_t)(per_second * config->rate_burst_ms / 1000),
    };
}

static bool read_settings(const struct gateway_config *config, struct hub_settings *ret_settings,
                          struct buf *ret_error)
{
    *ret_settings = (struct hub_settings){
        .ping_interval_ms = (uint32_t)config->ping_interval_ms,
        .ping_timeout_ms = (uint32_t)config->ping_timeout_ms,
        .connect_timeout_ms = (uint32_t)config->connect_timeout_ms,
        .payload_bytes_max = (uint32_t)config->payload_bytes_max,
        .content_bytes_max = (uint32_t)config->content_bytes_max,
        .recovery_max = (uint32_t)config->recovery_max,
        .send_deadline_ms = (uint32_t)config->send_deadline_ms,
        .room_grace_ms = (uint32_t)config->room_grace_ms,
        .presence_refresh_ms = (uint32_t)config->presence_refresh_ms,
        .rooms_per_client_max = (uint32_t)config->rooms_per_client_max,
        .rooms_max = (uint32_t)config->rooms_max,
        .rooms_per_source_max =
            config->connections_per_address_max == 0 ? 0 : (uint32_t)config->rooms_per_address_max,
        .client_rule = pace_rule(config, config->client_rate),
        .user_rule = pace_rule(config, config->user_rate),
        .room_rule = pace_rule(config, config->room_rate),
        .joins_per_turn = JOINS_PER_TURN,
        .catch_ups_per_turn = CATCH_UPS_PER_TURN,
        .deliveries_per_turn = DELIVERIES_PER_TURN,
        .histories_per_turn = HISTORIES_PER_TURN,
        .bytes_per_turn = BYTES_PER_TURN,
        .presence_visits_per_turn = PRESENCE_VISITS_PER_TURN,
        .presence_rooms_per_turn = PRESENCE_ROOMS_PER_TURN,
        .room_log_bytes_max = (size_t)config->room_log_bytes_max,
        .log_bytes_max = (size_t)config->log_bytes_max,
        .page_answer_bytes_max = PAGE_ANSWER_BYTES_MAX,
    };
    random_id(ret_settings->gateway_id, HUB_GATEWAY_ID_BYTES);
    if (config->session_keys[0] == '\0') {
        pid_keys_make(&ret_settings->keys);
        LOG(LOG_WARN, "session_keys_made",
            F_STR("hint",
                  "SESSION_KEYS is not set: sessions resume on this gateway alone, until it ends"));
        return true;
    }
    const char *wrong = pid_keys_parse(bytes_of_string(config->session_keys), &ret_settings->keys);
    if (wrong != NULL) {
        buf_append_format(ret_error,
                          "SESSION_KEYS: %s; write them as id:hex,id:hex, the first signs", wrong);
        return false;
    }
    return true;
}

static bool start_hub(struct gateway *gateway, struct buf *ret_error)
{
    struct hub_settings settings;
    if (!read_settings(gateway->config, &settings, ret_error)) {
        return false;
    }
    struct hub_world world = {
        .user = gateway,
        .subscribe = world_subscribe,
        .unsubscribe = world_unsubscribe,
        .watch = world_watch,
        .announce = world_announce,
        .append = world_append,
        .query = world_query,
        .publish = world_publish,
        .flush = world_flush,
        .write = world_write,
        .on_upgraded = world_on_upgraded,
        .source = world_source,
        .forward = world_forward,
        .tell = world_tell,
        .admit = gateway->passes != NULL ? world_admit : NULL,
        .wall_ms = world_wall_ms,
    };
    gateway->hub = hub_new(&settings, &world, &gateway->timers);
    struct bus_callbacks callbacks = {
        .user = gateway,
        .on_room_event = on_room_event,
        .on_append_reply = on_append_reply,
        .on_query_reply = on_query_reply,
        .on_peer_request = on_peer_request,
        .on_peer_answer = on_peer_answer,
        .on_presence = on_presence,
        .on_control = on_control,
        .on_restored = on_restored,
    };
    gateway->peers = (struct engine_peers){
        .user = gateway,
        .ask = peers_ask,
        .answer = peers_answer,
        .hand_over = peers_hand_over,
        .take_over = peers_take_over,
        .on_forward = peers_on_forward,
    };
    memcpy(gateway->peers.id, settings.gateway_id, CONTRACT_GATEWAY_ID_BYTES);
    struct bytes id = bytes_of(settings.gateway_id, HUB_GATEWAY_ID_BYTES);
    struct nats_settings nats = NATS_SETTINGS_OF(gateway->config);
    gateway->bus = bus_new(gateway->loop, &nats, id, &callbacks, ret_error);
    if (gateway->bus != NULL) {
        LOG(LOG_INFO, "starting", F_BYTES("gateway", id));
    }
    return gateway->bus != NULL;
}

static struct eio_session *open_session(void *user, struct transport *transport,
                                        enum eio_transport type, uint64_t now_ms)
{
    return client_session(hub_client_open(((struct gateway *)user)->hub, transport, type, now_ms));
}

static void free_session(void *user, struct eio_session *session)
{
    hub_client_free(((struct gateway *)user)->hub, client_of_session(session));
}

static bool start_engine(struct gateway *gateway, struct buf *ret_error)
{
    const char *wrong = cors_parse(gateway->config->cors_origins, &gateway->cors);
    if (wrong != NULL) {
        buf_append_format(ret_error, "CORS_ORIGINS is \"%s\": %s", gateway->config->cors_origins,
                          wrong);
        return false;
    }
    wrong = proxies_parse(gateway->config->trusted_proxies, &gateway->proxies);
    if (wrong != NULL) {
        buf_append_format(ret_error, "TRUSTED_PROXIES is \"%s\": %s",
                          gateway->config->trusted_proxies, wrong);
        return false;
    }
    if (gateway->config->proxy_protocol == PROXY_PROTOCOL_ON && gateway->proxies.count == 0) {
        buf_append_bytes(ret_error,
                         BYTES("PROXY_PROTOCOL is on, and TRUSTED_PROXIES names nobody who may "
                               "speak it: name the balancers there"));
        return false;
    }
    struct engine_settings settings = {
        .peers = &gateway->peers,
        .eio = hub_eio_settings(gateway->hub),
        .timers = &gateway->timers,
        .cors = &gateway->cors,
        .connections_max = (size_t)gateway->config->connections_max,
        .address_connections_max = (uint32_t)gateway->config->connections_per_address_max,
        .proxies = &gateway->proxies,
        .lag = &gateway->lag,
    };
    struct engine_callbacks callbacks = {
        .user = gateway, .open = open_session, .free = free_session};
    gateway->engine = engine_new(gateway->loop, &settings, &callbacks);
    return true;
}

/* The client's bundles lie below the path that Socket.IO is served at. */
static void serve_socket_io(void *user, h2o_req_t *req, struct bytes rest)
{
    struct gateway *gateway = user;
    if (rest.len == 0 || bytes_equal(rest, BYTES("/"))) {
        engine_serve(gateway->engine, req);
    } else if (!assets_serve(gateway->client_bundles, req, rest)) {
        http_respond(req, 404, "Not Found", "text/plain", BYTES("no such file\n"));
    }
}

static void serve_page(void *user, h2o_req_t *req, struct bytes rest)
{
    if (!assets_serve(((struct gateway *)user)->page, req, rest)) {
        http_respond(req, 404, "Not Found", "text/plain", BYTES("no such page\n"));
    }
}

static bool read_assets(struct gateway *gateway, struct buf *ret_error)
{
    const struct gateway_config *config = gateway->config;
    gateway->client_bundles = assets_read_client(config->client_root, "CLIENT_ROOT", ret_error);
    if (gateway->client_bundles != NULL) {
        gateway->page =
            assets_read_page(config->web_root, gateway->client_bundles, "WEB_ROOT", ret_error);
    }
    return gateway->page != NULL;
}

static size_t count_websockets(void *user)
{
    return engine_stats(((struct gateway *)user)->engine).websockets;
}

static bool start_servers(struct gateway *gateway, struct buf *ret_error)
{
    const struct gateway_config *config = gateway->config;
    struct admin_callbacks callbacks = {
        .write_unready = write_unready,
        .write_metrics = write_metrics,
        .user = gateway,
    };
    struct server_settings settings = {
        .host = config->host,
        .port = (int)config->port,
        .access_log = (enum access_log_format)config->access_log,
        .body_bytes_max =
            (size_t)config->payload_bytes_max * 2, /* so that it is the engine who refuses */
        .tls = gateway->tls,
        .proxies = config->proxy_protocol == PROXY_PROTOCOL_ON ? &gateway->proxies : NULL,
        .hsts_seconds = (int64_t)config->hsts_days * 24 * 60 * 60,
        .sockets_max = gateway->sockets_max,
        .count_other_sockets = count_websockets,
        .user = gateway,
    };
    const struct server_route routes[] = {
        {.path = "/socket.io", .serve = serve_socket_io, .user = gateway},
        {.path = "/", .serve = serve_page, .user = gateway},
    };
    gateway->admin = admin_new(gateway->loop, config->admin_host, (int)config->admin_port,
                               &callbacks, ret_error);
    if (gateway->admin != NULL) {
        gateway->server = server_new(gateway->loop, &settings, routes, COUNT_OF(routes), ret_error);
    }
    if (gateway->server == NULL) {
        return false;
    }
    LOG(LOG_INFO, "admin_listening", F_STR("host", config->admin_host),
        F_INT("port", admin_port(gateway->admin)));
    LOG(LOG_INFO, "listening", F_STR("host", config->host),
        F_INT("port", server_port(gateway->server)), F_BOOL("tls", gateway->tls != NULL));
    return true;
}

struct gateway *gateway_new(const struct gateway_config *config, struct buf *ret_error)
{
    struct gateway *gateway = mem_alloc_zeroed(sizeof(*gateway));
    gateway->config = config;
    block_signals();
    gateway->loop = h2o_evloop_create();
    timers_init(&gateway->timers);
    init_drain(gateway);
    lag_init(&gateway->lag, (uint64_t)config->overload_lag_ms);
    bool is_started = check_settings(config, ret_error) &&
                      raise_open_files(config->connections_max, &gateway->sockets_max, ret_error) &&
                      tls_new(config->tls_cert_file, config->tls_key_file, &gateway->timers,
                              &gateway->tls, ret_error) &&
                      passes_new(config, &gateway->timers, &gateway->passes, ret_error) &&
                      start_hub(gateway, ret_error) && start_engine(gateway, ret_error) &&
                      read_assets(gateway, ret_error) && start_servers(gateway, ret_error);
    if (!is_started) {
        gateway_free(gateway);
        return NULL;
    }
    watch_signals(gateway);
    lag_measure(&gateway->lag, gateway->loop, &gateway->timers);
    return gateway;
}

static int32_t loop_wait_ms(const struct gateway *gateway)
{
    bool has_work = engine_has_work(gateway->engine) || hub_has_work(gateway->hub);
    uint64_t now_ms = clock_monotonic_ms(), due_ms = timers_next_due(&gateway->timers);
    if (has_work || due_ms <= now_ms) {
        return 0;
    }
    return due_ms == TIMER_NEVER ? INT32_MAX
                                 : (int32_t)MIN_OF(due_ms - now_ms, (uint64_t)INT32_MAX);
}

void gateway_run(struct gateway *gateway)
{
    uint64_t turn_began_us = clock_thread_cpu_us();
    while (!drain_is_over(&gateway->drain)) {
        h2o_evloop_run(gateway->loop, loop_wait_ms(gateway));
        uint64_t now_ms = clock_monotonic_ms();
        timers_run(&gateway->timers, now_ms);
        engine_go_on(gateway->engine);
        hub_flush(gateway->hub, now_ms);
        engine_reap(gateway->engine);
        uint64_t cpu_us = clock_thread_cpu_us();
        histogram_record(&gateway->turn_cpu_us, cpu_us - turn_began_us);
        turn_began_us = cpu_us;
    }
    LOG(LOG_INFO, "stopped", F_INT("clients", engine_open_count(gateway->engine)));
}

void gateway_free(struct gateway *gateway)
{
    if (gateway == NULL) {
        return;
    }
    engine_close(gateway->engine);
    lag_release(&gateway->lag);
    if (gateway->signals != NULL) {
        h2o_socket_close(gateway->signals);
    }
    /* These two have the loop run: clients and peers still ask. */
    server_free(gateway->server);
    admin_free(gateway->admin);
    engine_free(gateway->engine);
    hub_free(gateway->hub); /* which leaves its rooms' subjects; without a bus there are none */
    passes_free(gateway->passes);
    tls_free(gateway->tls);
    bus_free(gateway->bus);
    assets_free(gateway->page);
    assets_free(gateway->client_bundles);
    cors_release(&gateway->cors);
    timers_release(&gateway->timers);
    loop_free(gateway->loop);
    free(gateway);
}
