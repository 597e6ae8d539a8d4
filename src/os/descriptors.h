/*
 * descriptors - how many files and sockets this process may have open.
 */
#ifndef METRIC_STORE_OS_DESCRIPTORS_H
#define METRIC_STORE_OS_DESCRIPTORS_H

#include <stdint.h>

/*
 * Raises the process's soft limit of open files to its hard limit, where the system lets it, and
 * gives the limit that is in force then; UINT64_MAX where there is none or the system does not say.
 * Not for two threads at once.
 */
uint64_t descriptors_raise(void);

/*
 * How many connections, of `wanted`, a limit of open files leaves when the process has `own` others
 * open: at least a third of the limit, whose shortage the others then share, and at least one.
 */
uint64_t descriptors_for_connections(uint64_t limit, uint64_t own, uint64_t wanted);

#endif
