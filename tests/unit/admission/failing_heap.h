/*
 * failing_heap - allocations of the code under test that fail: the program is linked with --wrap
 * for malloc and calloc.
 */
#ifndef METRIC_STORE_TESTS_UNIT_ADMISSION_FAILING_HEAP_H
#define METRIC_STORE_TESTS_UNIT_ADMISSION_FAILING_HEAP_H

#include <stdbool.h>
#include <stddef.h>

/* Allocations until one fails, and all behind it; below 0: all work. */
static long heap_left = -1;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

static bool heap_exhausted(void)
{
    if (heap_left > 0)
        heap_left--;
    else if (heap_left == 0)
        return true;
    return false;
}

void *__wrap_malloc(size_t size)
{
    return heap_exhausted() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return heap_exhausted() ? NULL : __real_calloc(count, size);
}

#endif
