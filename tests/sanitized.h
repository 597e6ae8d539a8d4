/*
 * sanitized - whether a sanitizer is compiled in that is after memory: a start is ten times slower
 * then, and the heap is the sanitizer's. Less is tried, and memory is not measured.
 */
#ifndef METRIC_STORE_TESTS_SANITIZED_H
#define METRIC_STORE_TESTS_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#endif
