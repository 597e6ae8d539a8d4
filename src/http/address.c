#include "http/address.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/invariant.h"

struct address_entry {
    struct address_entry *next;
    struct address_key key;
    size_t count;
};

struct address_key address_key(const struct sockaddr_storage *address)
{
    struct address_key key = {{0}};
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        key.bytes[10] = key.bytes[11] = 0xff;
        memcpy(key.bytes + 12, &v4->sin_addr, 4);
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        size_t size = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) ? 16 : 8;
        memcpy(key.bytes, &v6->sin6_addr, size);
    }
    return key;
}

void address_format(const struct sockaddr_storage *address, char text[INET6_ADDRSTRLEN])
{
    text[0] = '\0';
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        inet_ntop(AF_INET, &v4->sin_addr, text, INET6_ADDRSTRLEN);
    } else if (address->ss_family == AF_INET6) {
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(v6))
            inet_ntop(AF_INET, v6->s6_addr + 12, text, INET6_ADDRSTRLEN);
        else
            inet_ntop(AF_INET6, v6, text, INET6_ADDRSTRLEN);
    }
}

enum status address_counts_init(struct address_counts *counts, size_t max_entries, uint64_t seed,
                                struct error *err)
{
    size_t size = 16;
    while (size < max_entries && size < (size_t)1 << 20)
        size *= 2;
    *counts = (struct address_counts){calloc(size, sizeof(void *)), size, seed};
    if (counts->buckets == NULL)
        return fail(err, STATUS_MEMORY, "no memory for %zu counts of addresses", size);
    return STATUS_OK;
}

void address_counts_release(struct address_counts *counts)
{
    for (size_t i = 0; counts->buckets != NULL && i < counts->bucket_count; i++)
        while (counts->buckets[i] != NULL) {
            struct address_entry *next = counts->buckets[i]->next;
            free(counts->buckets[i]);
            counts->buckets[i] = next;
        }
    free(counts->buckets);
    *counts = (struct address_counts){0};
}

/* The link that holds the entry of `key`, or the end of its chain. */
static struct address_entry **entry_link(struct address_counts *counts, struct address_key key)
{
    uint64_t hash = hash64(slice_of(key.bytes, sizeof key.bytes), counts->seed);
    struct address_entry **link = &counts->buckets[hash & (counts->bucket_count - 1)];
    while (*link != NULL && memcmp(&(*link)->key, &key, sizeof key) != 0)
        link = &(*link)->next;
    return link;
}

enum status address_counts_add(struct address_counts *counts, struct address_key key, size_t max)
{
    struct address_entry **link = entry_link(counts, key);
    struct address_entry *entry = *link;
    if (entry == NULL) {
        entry = calloc(1, sizeof *entry);
        if (entry == NULL)
            return STATUS_MEMORY;
        entry->key = key;
        *link = entry;
    }
    if (max > 0 && entry->count >= max)
        return STATUS_LIMIT;
    entry->count++;
    return STATUS_OK;
}

void address_counts_remove(struct address_counts *counts, struct address_key key)
{
    struct address_entry **link = entry_link(counts, key);
    invariant(*link != NULL && (*link)->count > 0);
    if (--(*link)->count > 0)
        return;
    struct address_entry *gone = *link;
    *link = gone->next;
    free(gone);
}
