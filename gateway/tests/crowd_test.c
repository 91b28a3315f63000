/*
 * crowd_test.c - how the HTTP server and the engine deal with many clients at once: over sockets, on a loop whose turns the
 * tests make.
 */
#include "base/clock.h"
#include "base/loop.h"
#include "base/random.h"
#include "base/tests/testing.h"
#include "edge/engine.h"
#include "edge/server.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LAG_BOUND_MS = 100, LAG_BOUND_US = LAG_BOUND_MS * 1000, BACKLOG_BYTES = 1024 * 1024 };

static h2o_loop_t *loop;
static struct timers timers;
static struct eio_waits waits;
static struct lag lag;
static struct cors cors;
static struct engine *engine;
static struct server *server;

/* Of those who came, in their order. */
static struct {
    struct eio_session *session;
    struct transport *transport;
    size_t outbox_len; /* as it was noted */
} crowd[ENGINE_GO_ON_PER_TURN + 1];
static size_t crowd_count;

static struct eio_settings eio = {
    .ping_interval_ms = 100000,
    .ping_timeout_ms = 100000,
    .upgrade_timeout_ms = 10000,
    .payload_bytes_max = 1000,
    .outbox_bytes_max = 2 * BACKLOG_BYTES,
    .waits = &waits,
};

/* --- sessions that say nothing ------------------------------------------------------------------------------------ */

static void on_message(struct eio_session *session, struct bytes message, bool binary,
                       uint64_t now_ms)
{
    (void)session, (void)message, (void)binary, (void)now_ms;
}

static void on_close(struct eio_session *session, enum eio_close_reason reason, uint64_t now_ms)
{
    (void)session, (void)reason, (void)now_ms;
}

static void on_output(struct eio_session *session)
{
    (void)session;
}

static void on_upgraded(struct eio_session *session, struct eio_probe *probe, uint64_t now_ms)
{
    (void)session, (void)probe, (void)now_ms;
}

static struct eio_session *open_session(void *user, struct transport *transport,
                                        enum eio_transport type, uint64_t now_ms)
{
    (void)user;
    struct eio_session *session = mem_alloc_zeroed(sizeof(*session));
    char sid[EIO_SID_BYTES];
    random_id(sid, EIO_SID_BYTES);
    eio_session_open(session, &eio, sid, type, now_ms);
    ASSERT(crowd_count < COUNT_OF(crowd));
    crowd[crowd_count].session = session;
    crowd[crowd_count++].transport = transport;
    return session;
}

static void free_session(void *user, struct eio_session *session)
{
    (void)user;
    eio_session_release(session);
    free(session);
}

static void serve(void *user, h2o_req_t *req, struct bytes rest)
{
    (void)user, (void)rest;
    engine_serve(engine, req);
}

static size_t count_websockets(void *user)
{
    (void)user;
    return engine_stats(engine).websockets;
}

static int set_up(void **state)
{
    (void)state;
    loop = h2o_evloop_create();
    timers_init(&timers);
    eio_waits_init(&waits, &timers);
    lag_init(&lag, LAG_BOUND_MS);
    crowd_count = 0;
    CHECK(cors_parse("https://example.org", &cors) == NULL);
    eio.callbacks = (struct eio_callbacks){.on_message = on_message,
                                           .on_close = on_close,
                                           .on_output = on_output,
                                           .on_upgraded = on_upgraded};
    struct engine_settings settings = {
        .eio = &eio, .timers = &timers, .cors = &cors, .connections_max = 1000, .lag = &lag};
    struct engine_callbacks callbacks = {.open = open_session, .free = free_session};
    engine = engine_new(loop, &settings, &callbacks);
    struct server_settings server_settings = {.host = "127.0.0.1",
                                              .body_bytes_max = 10000,
                                              .sockets_max = 1000,
                                              .count_other_sockets = count_websockets};
    struct server_route route = {.path = "/", .serve = serve};
    struct buf error = BUF_INIT;
    server = server_new(loop, &server_settings, &route, 1, &error);
    return server == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    engine_close(engine);
    server_free(server);
    engine_free(engine);
    cors_release(&cors);
    timers_release(&timers);
    loop_free(loop);
    return 0;
}

/* --- clients ------------------------------------------------------------------------------------------------------ */

static int connect_client(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)server_port(server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* The kernels on both sides hold little, so that who does not read is soon behind. */
    int buffer_bytes = 4096, segment_bytes = 536;
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes)) == 0);
    CHECK(setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment_bytes, sizeof(segment_bytes)) == 0);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}

static void turn(void)
{
    h2o_evloop_run(loop, 10);
    engine_reap(engine);
}

/* Sends @request, and has the loop turn until an answer's head is there. Returns what came, owned. */
static char *ask(int fd, const char *request)
{
    CHECK(send(fd, request, strlen(request), 0) == (ssize_t)strlen(request));
    struct buf answer = BUF_INIT;
    while (answer.len == 0 || memmem(answer.data, answer.len, "\r\n\r\n", 4) == NULL) {
        turn();
        ssize_t got = recv(fd, buf_reserve(&answer, 4096), 4096, MSG_DONTWAIT);
        CHECK(got != 0);
        answer.len += (size_t)MAX_OF(got, 0);
    }
    char *text = bytes_to_string(buf_bytes(&answer));
    buf_release(&answer);
    return text;
}

/* Asks on a connection of its own. */
static char *ask_once(const char *request)
{
    int fd = connect_client();
    char *answer = ask(fd, request);
    close(fd);
    return answer;
}

static const char POLLING[] = "GET /?EIO=4&transport=polling HTTP/1.1\r\n"
                              "Host: a\r\nOrigin: https://example.org\r\n\r\n";
static const char WEBSOCKET[] = "GET /?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\n"
                                "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                "Sec-WebSocket-Version: 13\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

static void overload(void)
{
    for (int i = 0; i < LAG_PROBES_LATE; i++) {
        lag_note(&lag, LAG_BOUND_US + 1);
    }
}

TEST(as_many_are_let_in_by_a_turn_as_may_and_one_more_by_the_next)
{
    for (int count = SERVER_ACCEPTS_PER_TURN; count <= SERVER_ACCEPTS_PER_TURN + 1; count++) {
        int clients[SERVER_ACCEPTS_PER_TURN + 1];
        for (int i = 0; i < count; i++) {
            clients[i] = connect_client();
        }
        uint64_t paced = server_stats(server).accepts_paced;
        turn();
        assert_int_equal(server_stats(server).sockets, SERVER_ACCEPTS_PER_TURN);
        assert_int_equal(server_stats(server).accepts_paced, paced + 1);
        while (server_stats(server).sockets < (size_t)count) {
            turn();
        }
        assert_int_equal(server_stats(server).accepts_paced, paced + 1);
        for (int i = 0; i < count; i++) {
            close(clients[i]);
        }
        while (server_stats(server).sockets > 0) {
            turn();
        }
    }
}

TEST(newcomers_are_refused_while_it_is_overloaded_and_not_a_moment_longer)
{
    overload();
    char *answer = ask_once(POLLING);
    CHECK(strstr(answer, "HTTP/1.1 503 ") == answer);
    CHECK(strcasestr(answer, "\r\nconnection: close\r\n") != NULL);
    CHECK(strstr(answer, "\r\nretry-after: ") != NULL);
    /* A page of another origin can read that, and comes again. */
    CHECK(strstr(answer, "\r\naccess-control-allow-origin: https://example.org\r\n") != NULL);
    free(answer);
    answer = ask_once(WEBSOCKET);
    CHECK(strstr(answer, "HTTP/1.1 503 ") == answer);
    free(answer);
    assert_int_equal(engine_stats(engine).refused_overloaded, 2);
    assert_int_equal(engine_open_count(engine), 0);

    lag_note(&lag, LAG_BOUND_US);
    answer = ask_once(POLLING);
    CHECK(strstr(answer, "HTTP/1.1 200 ") == answer);
    free(answer);
    answer = ask_once(WEBSOCKET);
    CHECK(strstr(answer, "HTTP/1.1 101 ") == answer);
    free(answer);
}

TEST(who_is_here_is_served_and_may_upgrade_while_newcomers_are_refused)
{
    int fd = connect_client();
    char *answer = ask(fd, POLLING);
    const char *at = strstr(answer, "\"sid\":\"");
    CHECK(at != NULL);
    char sid[EIO_SID_BYTES + 1] = {0};
    memcpy(sid, at + strlen("\"sid\":\""), EIO_SID_BYTES);
    free(answer);
    overload();
    struct buf request = BUF_INIT;
    buf_append_format(&request,
                      "POST /?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: a\r\n"
                      "Content-Length: 6\r\n\r\n4hello",
                      sid);
    buf_append_char(&request, '\0');
    answer = ask(fd, request.data);
    CHECK(strstr(answer, "HTTP/1.1 200 ") == answer);
    free(answer);
    buf_clear(&request);
    buf_append_format(&request, "GET /?EIO=4&transport=websocket&sid=%s %s", sid,
                      strstr(WEBSOCKET, "HTTP/1.1"));
    buf_append_char(&request, '\0');
    answer = ask_once(request.data);
    CHECK(strstr(answer, "HTTP/1.1 101 ") == answer);
    free(answer);
    buf_release(&request);
    close(fd);
    assert_int_equal(engine_stats(engine).refused_overloaded, 0);
}

/* A client on a WebSocket. */
static int join_crowd(void)
{
    int fd = connect_client();
    char *answer = ask(fd, WEBSOCKET);
    CHECK(strstr(answer, "HTTP/1.1 101 ") == answer);
    free(answer);
    return fd;
}

/* The @count clients of the crowd read, until the sockets of all can be written to again. */
static void read_until_unblocked(const int *fds, size_t count)
{
    static char bytes[BACKLOG_BYTES];
    while (engine_stats(engine).websockets_blocked > 0) {
        for (size_t i = 0; i < count; i++) {
            (void)!recv(fds[i], bytes, sizeof(bytes), MSG_DONTWAIT);
        }
        turn();
    }
}

static void note_outboxes(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        crowd[i].outbox_len = crowd[i].session->outbox.len;
    }
}

/* How many of the crowd were written something since. */
static size_t count_written(size_t count)
{
    size_t written = 0;
    for (size_t i = 0; i < count; i++) {
        written += crowd[i].session->outbox.len < crowd[i].outbox_len;
    }
    return written;
}

TEST(as_many_who_catch_up_go_on_in_a_turn_as_may_and_one_more_in_the_next)
{
    char *backlog = mem_alloc_zeroed(BACKLOG_BYTES);
    for (size_t count = ENGINE_GO_ON_PER_TURN; count <= ENGINE_GO_ON_PER_TURN + 1; count++) {
        tear_down(NULL);
        set_up(NULL);
        int fds[ENGINE_GO_ON_PER_TURN + 1];
        for (size_t i = 0; i < count; i++) {
            fds[i] = join_crowd();
        }
        for (size_t i = 0; i < count; i++) {
            eio_session_send(crowd[i].session, bytes_of(backlog, BACKLOG_BYTES), true);
            engine_flush(crowd[i].transport);
        }
        assert_int_equal(engine_stats(engine).websockets_blocked, count);
        CHECK(!engine_has_work(engine));
        read_until_unblocked(fds, count);
        CHECK(engine_has_work(engine));
        note_outboxes(count);
        engine_go_on(engine);
        assert_int_equal(count_written(count), ENGINE_GO_ON_PER_TURN);
        engine_go_on(engine);
        assert_int_equal(count_written(count), count);
        for (size_t i = 0; i < count; i++) {
            close(fds[i]);
        }
    }
    free(backlog);
}

#define WITH_A_SERVER(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

TEST_MAIN(WITH_A_SERVER(as_many_are_let_in_by_a_turn_as_may_and_one_more_by_the_next),
          WITH_A_SERVER(newcomers_are_refused_while_it_is_overloaded_and_not_a_moment_longer),
          WITH_A_SERVER(as_many_who_catch_up_go_on_in_a_turn_as_may_and_one_more_in_the_next),
          WITH_A_SERVER(who_is_here_is_served_and_may_upgrade_while_newcomers_are_refused))
