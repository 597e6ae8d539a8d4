/*
 * size_text - text for numbers of bytes: "64MiB", "10MB", "4096".
 */
#ifndef METRIC_STORE_CONFIG_SIZE_TEXT_H
#define METRIC_STORE_CONFIG_SIZE_TEXT_H

#include "base/slice.h"

enum { SIZE_TEXT_SIZE = 32 };

/* A whole number, alone or directly before B, KiB, MiB, GiB, TiB (powers of 1024) or kB, KB, MB,
 * GB, TB (powers of 1000). False for anything else and beyond 64 bits. */
bool size_parse(struct slice text, uint64_t *size_bytes);

/* Zero-terminated; the largest unit that loses nothing, powers of 1024 first. Returns the length.
 */
size_t size_format(char text[SIZE_TEXT_SIZE], uint64_t size_bytes);

#endif
