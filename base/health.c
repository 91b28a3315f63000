/* health.c - one HTTP request to the program's own admin port. */
#include "health.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { ANSWER_BYTES_MAX = 4096 };

const char *health_page(int argc, char **argv)
{
    if (argc != 2) {
        return NULL;
    }
    return strcmp(argv[1], "--healthcheck") == 0  ? "/healthz"
           : strcmp(argv[1], "--readycheck") == 0 ? "/readyz"
                                                  : NULL;
}

/* Returns a connected socket that waits no longer than HEALTH_TIMEOUT_MS, or -1 with errno set. */
static int connect_to(const struct addrinfo *address)
{
    struct timeval timeout = {.tv_sec = HEALTH_TIMEOUT_MS / 1000,
                              .tv_usec = HEALTH_TIMEOUT_MS % 1000 * 1000L};
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) != 0 ||
        connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* Sends the request and reads the answer until its end, or the first ANSWER_BYTES_MAX of it. */
static bool exchange(int fd, const char *page, struct buf *answer)
{
    struct buf request = BUF_INIT;
    buf_append_format(&request, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                      page);
    ssize_t sent = send(fd, request.data, request.len, MSG_NOSIGNAL);
    bool is_whole = sent == (ssize_t)request.len;
    buf_release(&request);
    ssize_t got = is_whole ? 1 : -1;
    while (got > 0 && answer->len < ANSWER_BYTES_MAX) {
        size_t space = ANSWER_BYTES_MAX - answer->len;
        got = recv(fd, buf_reserve(answer, space), space, 0);
        answer->len += got > 0 ? (size_t)got : 0;
    }
    return got >= 0;
}

/* "HTTP/1.1 200 OK", headers, and a body that says what is wrong where it is not 200. */
static bool judge(struct bytes answer, const char *page, struct buf *ret_why)
{
    static const char ok[] = "HTTP/1.1 200 ";
    if (answer.len >= sizeof(ok) - 1 && memcmp(answer.data, ok, sizeof(ok) - 1) == 0) {
        return true;
    }
    const char *body = answer.len == 0 ? NULL : memmem(answer.data, answer.len, "\r\n\r\n", 4);
    struct bytes why = answer;
    if (body != NULL) {
        why = bytes_skip(answer, (size_t)(body - answer.data) + 4);
    }
    while (why.len > 0 && why.data[why.len - 1] == '\n') {
        why.len--;
    }
    buf_append_format(ret_why, "%s: %.*s", page, BYTES_FMT(why));
    return false;
}

bool health_ask(const char *host, int port, const char *page, struct buf *ret_why)
{
    if (port == 0) {
        buf_append_bytes(ret_why, BYTES("ADMIN_PORT is 0, any free one: nobody but the program "
                                        "that listens knows which it is."));
        return false;
    }
    bool is_any = strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_family = strcmp(host, "0.0.0.0") == 0 ? AF_INET
                                          : is_any                     ? AF_INET6
                                                                       : AF_UNSPEC};
    struct addrinfo *addresses = NULL;
    char service[16];
    snprintf(service, sizeof(service), "%d", port);
    int failure = getaddrinfo(is_any ? NULL : host, service, &hints, &addresses);
    if (failure != 0) {
        buf_append_format(ret_why, "ADMIN_HOST is \"%s\": %s", host, gai_strerror(failure));
        return false;
    }
    struct buf answer = BUF_INIT;
    bool is_good = false;
    int fd = connect_to(addresses);
    if (fd < 0 || !exchange(fd, page, &answer)) {
        buf_append_format(ret_why, "Nobody answers on %s port %d: %s", host, port,
                          errno == EAGAIN || errno == EINPROGRESS ? "no answer in time"
                                                                  : strerror(errno));
    } else {
        is_good = judge(buf_bytes(&answer), page, ret_why);
    }
    if (fd >= 0) {
        close(fd);
    }
    freeaddrinfo(addresses);
    buf_release(&answer);
    return is_good;
}

int health_check(const char *host, int port, const char *page)
{
    struct buf why = BUF_INIT;
    bool is_good = health_ask(host, port, page, &why);
    if (!is_good) {
        printf("%.*s\n", BYTES_FMT(buf_bytes(&why)));
    }
    buf_release(&why);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
