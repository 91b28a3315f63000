/*
 * process_metrics.h - what every process tells of itself at /metrics, under the names that all Prometheus clients use.
 */
#ifndef PARLEY_PROCESS_METRICS_H
#define PARLEY_PROCESS_METRICS_H

#include "bytes.h"

/* Writes parley_build_info of @service ("gateway") and the families process_…; reads /proc. Always in one thread. */
void process_metrics_write(struct buf *out, const char *service);

#endif
