#include "listener.h"

#include "bytes.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int bound_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    char service[16];
    uint64_t port = 0;
    bool is_known = getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
                    getnameinfo((struct sockaddr *)&address, len, NULL, 0, service, sizeof(service),
                                NI_NUMERICSERV) == 0 &&
                    bytes_to_u64(bytes_of_string(service), &port);
    ASSERT(is_known);
    return (int)port;
}

int listener_open(const char *host, int *port, const char **ret_reason)
{
    char service[16];
    snprintf(service, sizeof(service), "%d", *port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    int failure = getaddrinfo(host, service, &hints, &found);
    if (failure != 0) {
        *ret_reason = gai_strerror(failure);
        return -1;
    }
    int yes = 1, send_buffer = LISTENER_SEND_BUFFER_BYTES; /* accepted sockets inherit it */
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool is_listening =
        fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer)) == 0 &&
        bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0;
    if (!is_listening) {
        *ret_reason = strerror(errno);
        if (fd >= 0) {
            close(fd);
        }
    }
    freeaddrinfo(found);
    if (!is_listening) {
        return -1;
    }
    *port = bound_port(fd);
    return fd;
}
