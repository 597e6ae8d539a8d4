/*
 * fuzz - what every fuzz target includes: libFuzzer's entry point, which replay.c calls as well.
 */
#ifndef METRIC_STORE_TESTS_FUZZ_FUZZ_H
#define METRIC_STORE_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Feeds one input; aborts (invariant) when the code under test breaks a promise. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
