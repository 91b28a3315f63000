#include "loop.h"

#include <stdlib.h>

static_assert(H2O_VERSION_MAJOR == 2 && H2O_VERSION_MINOR == 2,
              "this version of libh2o leaves behind what is freed here: does yours?");

void loop_free(h2o_loop_t *loop)
{
    h2o_evloop_run(loop, 0); /* frees the sockets that were closed last */
    h2o_evloop_destroy(loop);
    h2o_mem_recycle_t *spare = &h2o_socket_buffer_prototype.allocator;
    while (spare->cnt > 0) {
        free(h2o_mem_alloc_recycle(spare, 1));
    }
}

void loop_queue_free(h2o_multithread_queue_t *queue)
{
    h2o_multithread_destroy_queue(queue);
    free(queue);
}
