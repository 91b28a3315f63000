#include "base/health.h"
#include "testing.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A program's admin port: takes one connection, reads what is asked, says @answer and closes. */
struct door {
    int fd, port;
    const char *answer;
    char asked[512];
    pthread_t thread;
};

static void *serve(void *argument)
{
    struct door *door = argument;
    int fd = accept(door->fd, NULL, NULL);
    ssize_t got = recv(fd, door->asked, sizeof(door->asked) - 1, 0);
    CHECK(got > 0);
    door->asked[got] = '\0';
    CHECK(send(fd, door->answer, strlen(door->answer), MSG_NOSIGNAL) ==
          (ssize_t)strlen(door->answer));
    close(fd);
    return NULL;
}

/* Listens on the loopback; nobody serves yet. */
static void open_door(struct door *door)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    door->fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(door->fd, (struct sockaddr *)&address, len) == 0 && listen(door->fd, 1) == 0);
    CHECK(getsockname(door->fd, (struct sockaddr *)&address, &len) == 0);
    door->port = ntohs(address.sin_port);
}

/* Asks a program that listens on @host and says @answer; what was found wrong must be @why, "" for nothing. */
static void check_answer(const char *host, const char *answer, const char *why)
{
    struct door door = {.answer = answer};
    struct buf found = BUF_INIT;
    open_door(&door);
    CHECK(pthread_create(&door.thread, NULL, serve, &door) == 0);
    CHECK(health_ask(host, door.port, "/readyz", &found) == (why[0] == '\0'));
    CHECK(pthread_join(door.thread, NULL) == 0);
    char *sentence = bytes_to_string(buf_bytes(&found));
    assert_string_equal(sentence, why);
    CHECK(strncmp(door.asked, "GET /readyz HTTP/1.1\r\n", 22) == 0);
    free(sentence);
    buf_release(&found);
    close(door.fd);
}

TEST(only_200_is_well)
{
    check_answer("127.0.0.1", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n", "");
    check_answer("localhost", "HTTP/1.1 200 OK\r\n\r\n", "");
    check_answer("127.0.0.1", "HTTP/1.1 503 Service Unavailable\r\n\r\nno connection to NATS\n",
                 "/readyz: no connection to NATS");
    check_answer("127.0.0.1", "HTTP/1.1 2000 ?\r\n\r\nwhat\n", "/readyz: what");
    check_answer("127.0.0.1", "SSH-2.0", "/readyz: SSH-2.0");
    check_answer("127.0.0.1", "", "/readyz: ");
}

TEST(an_address_that_stands_for_all_is_asked_by_the_loopback)
{
    check_answer("0.0.0.0", "HTTP/1.1 200 OK\r\n\r\n", "");
}

static void check_refused(const char *host, int port, const char *part)
{
    struct buf why = BUF_INIT;
    CHECK(!health_ask(host, port, "/healthz", &why));
    buf_append_char(&why, '\0');
    CHECK(strstr(why.data, part) != NULL);
    buf_release(&why);
}

TEST(a_program_that_is_not_there_is_told_in_a_sentence)
{
    struct door door;
    open_door(&door);
    close(door.fd);
    check_refused("127.0.0.1", door.port, "Connection refused");
    check_refused("no such host", 9100, "ADMIN_HOST is \"no such host\": ");
    check_refused("127.0.0.1", 0, "ADMIN_PORT is 0");
}

TEST(a_program_that_hangs_is_not_waited_for)
{
    struct door door;
    open_door(&door); /* the kernel takes the connection; nobody answers */
    check_refused("127.0.0.1", door.port, "no answer in time");
    close(door.fd);
}

TEST(the_arguments_name_a_page_or_something_else)
{
    char program[] = "parley", health[] = "--healthcheck", ready[] = "--readycheck";
    char *one[] = {program, NULL}, *two[] = {program, health, NULL},
         *three[] = {program, health, ready, NULL};
    CHECK(health_page(1, one) == NULL);
    assert_string_equal(health_page(2, two), "/healthz");
    two[1] = ready;
    assert_string_equal(health_page(2, two), "/readyz");
    two[1] = program;
    CHECK(health_page(2, two) == NULL);
    CHECK(health_page(3, three) == NULL);
}

TEST_MAIN(TEST_OF(only_200_is_well),
          TEST_OF(an_address_that_stands_for_all_is_asked_by_the_loopback),
          TEST_OF(a_program_that_is_not_there_is_told_in_a_sentence),
          TEST_OF(a_program_that_hangs_is_not_waited_for),
          TEST_OF(the_arguments_name_a_page_or_something_else))
