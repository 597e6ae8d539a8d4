/*
 * address - who calls, and how many connections each caller has.
 *
 * Not for two threads at once.
 */
#ifndef METRIC_STORE_HTTP_ADDRESS_H
#define METRIC_STORE_HTTP_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/status.h"

/* Who a limit counts: an IPv4 address, or the /64 of an IPv6 one. */
struct address_key {
    uint8_t bytes[16];
};

struct address_key address_key(const struct sockaddr_storage *address);

/* Zero-terminated, without the port; an IPv4 address within IPv6 in its own form. */
void address_format(const struct sockaddr_storage *address, char text[INET6_ADDRSTRLEN]);

struct address_entry;

struct address_counts {
    struct address_entry **buckets;
    size_t bucket_count;
    uint64_t seed;
};

MUST_CHECK enum status address_counts_init(struct address_counts *counts, size_t max_entries,
                                           uint64_t seed, struct error *err);
void address_counts_release(struct address_counts *counts);

/* Counts one more, unless there are `max` already (LIMIT; 0: no limit). */
MUST_CHECK enum status address_counts_add(struct address_counts *counts, struct address_key key,
                                          size_t max);
void address_counts_remove(struct address_counts *counts, struct address_key key);

#endif
