/*
 * loop.h - libh2o's event loops, from their beginning to a clean end.
 *
 * libh2o keeps spare buffers for each thread, and a socket takes its buffers from the thread that made it, without a
 * lock. So a loop, its queues and its sockets belong to one thread: made there, run there, freed there. Otherwise two
 * threads hand out the same buffer, now and then, and one client's bytes end up in another one's request.
 */
#ifndef PARLEY_LOOP_H
#define PARLEY_LOOP_H

#include <h2o.h>

/*
 * Frees @loop, whose sockets are closed, and the calling thread's spare buffers. (It begins with h2o_evloop_create().)
 */
void loop_free(h2o_loop_t *loop);

/* Frees @queue, whose receivers are unregistered: libh2o 2.2 closes it, and forgets the memory. */
void loop_queue_free(h2o_multithread_queue_t *queue);

#endif
