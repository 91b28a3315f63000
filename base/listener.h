/*
 * listener.h - a listening TCP socket for a host and a port that the user chose.
 */
#ifndef PARLEY_LISTENER_H
#define PARLEY_LISTENER_H

enum {
    /*
     * What the kernel may keep for a peer that does not read, as setsockopt(2) takes it: Linux doubles it for its own
     * needs. Left to itself it would keep up to 4 MiB for each (tcp_wmem), 1.4 MiB on a loopback device. Of one path of
     * 100 ms it is enough for 1 MiB/s.
     */
    LISTENER_SEND_BUFFER_BYTES = 128 * 1024,
};

/*
 * Listens on @host (a name or an address) and *@port; 0 takes any free port, and *@port says which. Returns the socket,
 * non-blocking and close-on-exec, whose connections have LISTENER_SEND_BUFFER_BYTES, or -1 with the reason in @ret_reason (a static string); *@port is unchanged then.
 */
int listener_open(const char *host, int *port, const char **ret_reason);

#endif
