/*
 * listener.h - a listening TCP socket for a host and a port that the user chose.
 */
#ifndef PARLEY_LISTENER_H
#define PARLEY_LISTENER_H

/*
 * Listens on @host (a name or an address) and *@port; 0 takes any free port, and *@port says which. Returns the socket,
 * non-blocking and close-on-exec, or -1 with the reason in @ret_reason (a static string); *@port is unchanged then.
 */
int listener_open(const char *host, int *port, const char **ret_reason);

#endif
