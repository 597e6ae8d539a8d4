/*
 * invariant - assertions about our own state. They stay on in release builds: a wrong sample
 * silently stored is worse than a restart. Bytes from disk or network are checked, never asserted.
 */
#ifndef METRIC_STORE_BASE_INVARIANT_H
#define METRIC_STORE_BASE_INVARIANT_H

#include <stddef.h>

_Noreturn void invariant_failed(const char *condition, const char *file, int line);

#define invariant(condition)                                                                       \
    (__builtin_expect(!!(condition), 1) ? (void)0                                                  \
                                        : invariant_failed(#condition, __FILE__, __LINE__))

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#endif
