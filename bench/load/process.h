/*
 * process.h - what the kernel says of other processes, from /proc.
 */
#ifndef PARLEY_BENCH_PROCESS_H
#define PARLEY_BENCH_PROCESS_H

#include "base/base.h"
#include <sys/types.h>

/*
 * CPU time, user and system, that all threads of @pid which still run have used since they began, in µs; where the kernel
 * does not tell that, in ticks of 10 ms. Returns false when there is no such process.
 */
MUST_USE bool process_cpu_us(pid_t pid, uint64_t *ret_us);

/*
 * The same of @pid and its living children, as of a Postgres, in ticks of 10 ms: one whose child ended meanwhile tells too
 * little.
 */
MUST_USE bool process_family_cpu_us(pid_t pid, uint64_t *ret_us);

/* Proportional set size in bytes: memory of user space, shared pages by halves. Needs the same user, or root. */
MUST_USE bool process_pss_bytes(pid_t pid, uint64_t *ret_bytes);

/* CPU time of this process in µs. */
uint64_t process_own_cpu_us(void);

#endif
