#include "coroutine.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

enum { STACK_BYTES = 256 * 1024, SPARE_STACKS_MAX = 32 };

struct coroutine {
    ucontext_t context, caller;
    char *stack;
    void (*function)(void *argument);
    void *argument;
    bool has_begun, has_ended;
    void *fake_stack, *caller_fake_stack; /* AddressSanitizer's */
    const void *caller_stack;
    size_t caller_stack_bytes;
    void *fiber, *caller_fiber; /* ThreadSanitizer's */
};

static struct coroutine *running;
static char
    *spare_stacks[SPARE_STACKS_MAX]; /* a mapping costs more than all that a coroutine does */
static size_t spare_count;

static char *take_stack(void)
{
    if (spare_count > 0) {
        return spare_stacks[--spare_count];
    }
    char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    ASSERT(stack != MAP_FAILED);
    return stack;
}

static void give_stack(char *stack)
{
    if (spare_count < SPARE_STACKS_MAX) {
        spare_stacks[spare_count++] = stack;
    } else {
        munmap(stack, STACK_BYTES);
    }
}

struct coroutine *coroutine_new(void (*function)(void *argument), void *argument)
{
    struct coroutine *coroutine = mem_alloc_zeroed(sizeof(*coroutine));
    coroutine->function = function;
    coroutine->argument = argument;
    return coroutine;
}

void coroutine_free(struct coroutine *coroutine)
{
    ASSERT(coroutine->has_ended || !coroutine->has_begun);
    if (coroutine->stack != NULL) {
        give_stack(coroutine->stack);
    }
#ifdef __SANITIZE_THREAD__
    if (coroutine->fiber != NULL) {
        __tsan_destroy_fiber(coroutine->fiber);
    }
#endif
    free(coroutine);
}

bool coroutine_has_ended(const struct coroutine *coroutine)
{
    return coroutine->has_ended;
}

/* --- what the sanitizers want to know --- */

static void before_entering(struct coroutine *coroutine)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&coroutine->caller_fake_stack, coroutine->stack, STACK_BYTES);
#endif
#ifdef __SANITIZE_THREAD__
    coroutine->caller_fiber = __tsan_get_current_fiber();
    if (coroutine->fiber == NULL) {
        coroutine->fiber = __tsan_create_fiber(0);
    }
    __tsan_switch_to_fiber(coroutine->fiber, 0);
#endif
    (void)coroutine;
}

static void after_entering(struct coroutine *coroutine)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(coroutine->fake_stack, &coroutine->caller_stack,
                                    &coroutine->caller_stack_bytes);
#endif
    (void)coroutine;
}

static void before_leaving(struct coroutine *coroutine)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(coroutine->has_ended ? NULL : &coroutine->fake_stack,
                                   coroutine->caller_stack, coroutine->caller_stack_bytes);
#endif
#ifdef __SANITIZE_THREAD__
    __tsan_switch_to_fiber(coroutine->caller_fiber, 0);
#endif
    (void)coroutine;
}

static void after_leaving(struct coroutine *coroutine)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(coroutine->caller_fake_stack, NULL, NULL);
#endif
    (void)coroutine;
}

/* --- switching --- */

static void begin(void)
{
    struct coroutine *coroutine = running;
    after_entering(coroutine);
    coroutine->function(coroutine->argument);
    coroutine->has_ended = true;
    before_leaving(coroutine);
    setcontext(&coroutine->caller);
    ASSERT(false);
}

void coroutine_resume(struct coroutine *coroutine)
{
    ASSERT(running == NULL && !coroutine->has_ended);
    if (!coroutine->has_begun) {
        coroutine->has_begun = true;
        coroutine->stack = take_stack();
        getcontext(&coroutine->context);
        coroutine->context.uc_stack.ss_sp = coroutine->stack;
        coroutine->context.uc_stack.ss_size = STACK_BYTES;
        makecontext(&coroutine->context, begin, 0);
    }
    running = coroutine;
    before_entering(coroutine);
    swapcontext(&coroutine->caller, &coroutine->context);
    after_leaving(coroutine);
    running = NULL;
}

void coroutine_yield(void)
{
    struct coroutine *coroutine = running;
    ASSERT(coroutine != NULL);
    before_leaving(coroutine);
    swapcontext(&coroutine->context, &coroutine->caller);
    after_entering(coroutine);
}
