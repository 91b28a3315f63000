#include "base/admin.h"
#include "testing.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static h2o_loop_t *loop;
static const char *unready_reason = "";

static void write_unready(void *user, struct buf *out)
{
    CHECK(user == &unready_reason);
    buf_append_bytes(out, bytes_of_string(unready_reason));
}

static void write_metrics(void *user, struct buf *out)
{
    (void)user;
    buf_append_bytes(out, BYTES("# TYPE up gauge\nup 1\n"));
}

static const struct admin_callbacks callbacks = {
    .write_unready = write_unready, .write_metrics = write_metrics, .user = &unready_reason};

static struct admin *new_admin(void)
{
    struct buf error = BUF_INIT;
    struct admin *admin = admin_new(loop, "127.0.0.1", 0, &callbacks, &error);
    CHECK(admin != NULL && error.len == 0 && admin_port(admin) > 0);
    return admin;
}

static int connect_to(struct admin *admin)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)admin_port(admin)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}

/* Sends @request and runs the loop until the server closes. Returns what it answered, owned. */
static char *answer_to(struct admin *admin, const char *request)
{
    int fd = connect_to(admin);
    CHECK(send(fd, request, strlen(request), 0) == (ssize_t)strlen(request));
    struct buf answer = BUF_INIT;
    ssize_t got;
    while ((got = recv(fd, buf_reserve(&answer, 4096), 4096, MSG_DONTWAIT)) != 0) {
        if (got > 0) {
            answer.len += (size_t)got;
        } else {
            h2o_evloop_run(loop, 10);
        }
    }
    close(fd);
    char *text = bytes_to_string(buf_bytes(&answer));
    buf_release(&answer);
    return text;
}

static void check_answer(struct admin *admin, const char *request, const char *status,
                         const char *header, const char *body)
{
    char *answer = answer_to(admin, request);
    CHECK(strncmp(answer, status, strlen(status)) == 0);
    CHECK(strstr(answer, header) != NULL);
    char *end = strstr(answer, "\r\n\r\n");
    CHECK(end != NULL);
    assert_string_equal(end + 4, body);
    free(answer);
}

TEST(the_three_pages_answer_and_others_are_not_found)
{
    struct admin *admin = new_admin();
    check_answer(admin, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ", "text/plain",
                 "ok\n");
    check_answer(admin, "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ", "text/plain",
                 "ok\n");
    check_answer(admin, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ",
                 "text/plain; version=0.0.4", "# TYPE up gauge\nup 1\n");
    check_answer(admin, "HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ", "text/plain",
                 "");
    check_answer(admin, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 ", "text/plain",
                 "/healthz, /readyz, /metrics\n");
    check_answer(admin, "POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
                 "HTTP/1.1 405 ", "text/plain", "GET and HEAD only\n");
    admin_free(admin);
}

TEST(a_process_that_is_not_ready_says_why)
{
    struct admin *admin = new_admin();
    unready_reason = "NATS is not connected.";
    check_answer(admin, "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 503 ", "text/plain",
                 "NATS is not connected.\n");
    unready_reason = "";
    check_answer(admin, "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ", "text/plain",
                 "ok\n");
    admin_free(admin);
}

TEST(a_port_in_use_and_an_unknown_host_are_told_in_a_sentence)
{
    struct admin *admin = new_admin();
    struct buf error = BUF_INIT;
    CHECK(admin_new(loop, "127.0.0.1", admin_port(admin), &callbacks, &error) == NULL);
    buf_append_char(&error, '\0');
    CHECK(strstr(error.data, "Address already in use") != NULL);
    CHECK(strstr(error.data, "ADMIN_HOST") != NULL && strstr(error.data, "ADMIN_PORT") != NULL);
    buf_clear(&error);
    CHECK(admin_new(loop, "no such host", 0, &callbacks, &error) == NULL);
    CHECK(error.len > 0);
    buf_release(&error);
    admin_free(admin);
}

TEST(a_client_that_says_nothing_disturbs_nobody)
{
    struct admin *admin = new_admin();
    int silent = connect_to(admin);
    check_answer(admin, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ", "text/plain",
                 "ok\n");
    close(silent);
    check_answer(admin, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ", "text/plain",
                 "ok\n");
    admin_free(admin);
}

TEST(connections_that_are_open_when_it_ends_are_closed)
{
    struct admin *admin = new_admin();
    int silent = connect_to(admin);
    int halfway = connect_to(admin);
    CHECK(send(halfway, "GET /hea", 8, 0) == 8);
    for (int i = 0; i < 5; i++) {
        h2o_evloop_run(loop, 10);
    }
    admin_free(admin);
    h2o_evloop_run(loop, 0);
    char byte;
    CHECK(recv(silent, &byte, 1, MSG_DONTWAIT) == 0);
    CHECK(recv(halfway, &byte, 1, MSG_DONTWAIT) == 0);
    close(silent);
    close(halfway);
}

TEST(admin_free_accepts_null)
{
    admin_free(NULL);
}

static int create_loop(void **state)
{
    (void)state;
    loop = h2o_evloop_create();
    return 0;
}

static int destroy_loop(void **state)
{
    (void)state;
    h2o_evloop_run(loop, 0); /* frees the sockets that were closed last */
    h2o_evloop_destroy(loop);
    return 0;
}

TEST_MAIN_WITH(create_loop, destroy_loop, TEST_OF(the_three_pages_answer_and_others_are_not_found),
               TEST_OF(a_process_that_is_not_ready_says_why),
               TEST_OF(a_port_in_use_and_an_unknown_host_are_told_in_a_sentence),
               TEST_OF(a_client_that_says_nothing_disturbs_nobody),
               TEST_OF(connections_that_are_open_when_it_ends_are_closed),
               TEST_OF(admin_free_accepts_null))
