/*
 * sim_content - the bytes of a simulated file, as pages that copies share until one is written.
 * A page that was never written is a hole and reads as zeros. Not for two threads.
 */
#ifndef METRIC_STORE_TESTS_SIM_CONTENT_H
#define METRIC_STORE_TESTS_SIM_CONTENT_H

#include <stddef.h>
#include <stdint.h>

enum { SIM_PAGE_SIZE = 4096 };

struct sim_page;

struct sim_content {
    struct sim_page **pages; /* NULL: a hole */
    size_t page_count;
    uint64_t size;
};

/* All zeros is the empty content. `*to` must be empty or released. */
void sim_content_copy(struct sim_content *to, const struct sim_content *from);
void sim_content_release(struct sim_content *content);

/* Returns how many bytes there were. */
size_t sim_content_read(const struct sim_content *content, void *to, size_t size, uint64_t offset);
/* Extends the size where it must. */
void sim_content_write(struct sim_content *content, const void *from, size_t size, uint64_t offset);
/* Bytes that come back by a later extension are zeros. */
void sim_content_resize(struct sim_content *content, uint64_t size);

/* Bytes of pages that are no holes, and how many a write would add to them. */
uint64_t sim_content_allocated(const struct sim_content *content);
uint64_t sim_content_growth(const struct sim_content *content, uint64_t offset, size_t size);

#endif
