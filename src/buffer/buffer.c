#include "buffer/buffer.h"

#include <stdlib.h>

#include "base/invariant.h"

enum { GROUP_MAX = 256, BACKOFF_FIRST_MS = 10, BACKOFF_LONGEST_MS = 500 };

struct write_buffer {
    struct write_buffer_options options;
    struct thread *thread;
    struct mutex lock; /* of all below */
    struct condition work;
    struct write_entry *first;
    struct write_entry **end;
    size_t bytes; /* waiting and being committed */
    uint64_t count;
    bool closing;
    struct write_buffer_stats stats;
};

/* One commit's worth, taken off the queue. */
struct group {
    struct write_entry *entries[GROUP_MAX];
    struct batch *batches[GROUP_MAX];
    size_t count;
};

static void take_group(struct write_buffer *buffer, struct group *group)
{
    size_t samples = 0;
    group->count = 0;
    while (buffer->first != NULL && group->count < GROUP_MAX) {
        struct write_entry *entry = buffer->first;
        samples += entry->batch->sample_count;
        if (group->count > 0 && samples > buffer->options.max_commit_samples)
            break;
        buffer->first = entry->next;
        if (buffer->first == NULL)
            buffer->end = &buffer->first;
        group->entries[group->count] = entry;
        group->batches[group->count++] = entry->batch;
    }
}

static unsigned latency_bucket(int64_t duration_ns)
{
    unsigned bucket = 0;
    for (int64_t bound_ns = 250000; bucket < COMMIT_BUCKETS - 1 && duration_ns > bound_ns;
         bound_ns *= 2)
        bucket++;
    return bucket;
}

/* Counts first, calls then: after `done` the entry is its owner's. */
static void finish(struct write_buffer *buffer, struct write_entry *entry, enum status status,
                   const struct error *why)
{
    int64_t duration_ns = clock_monotonic_ns(buffer->options.os.clock) - entry->submitted_ns;
    mutex_lock(&buffer->lock);
    buffer->bytes -= entry->bytes;
    buffer->count--;
    if (status == STATUS_OK) {
        buffer->stats.batches++;
        buffer->stats.samples += entry->batch->sample_count;
        buffer->stats.latency_buckets[latency_bucket(duration_ns)]++;
        buffer->stats.latency_ns_sum += (uint64_t)duration_ns;
    } else {
        buffer->stats.failed_batches++;
    }
    mutex_unlock(&buffer->lock);
    entry->done(entry->context, status, why);
}

static bool worth_retrying(enum status status)
{
    return status == STATUS_BUSY || status == STATUS_IO;
}

/* Counts a retry; false when the buffer is closing: then nothing is tried again. */
static bool may_retry(struct write_buffer *buffer)
{
    mutex_lock(&buffer->lock);
    bool closing = buffer->closing;
    buffer->stats.retries += !closing;
    mutex_unlock(&buffer->lock);
    return !closing;
}

static enum status append_retrying(struct write_buffer *buffer, struct batch *const *batches,
                                   size_t count, int64_t give_up_ns, struct error *err)
{
    const struct os *os = &buffer->options.os;
    int64_t backoff_ms = BACKOFF_FIRST_MS;
    for (;;) {
        enum status status = storage_append(buffer->options.tier, batches, count, err);
        if (!worth_retrying(status) || clock_monotonic_ns(os->clock) >= give_up_ns ||
            !may_retry(buffer)) {
            mutex_lock(&buffer->lock);
            buffer->stats.commits += status == STATUS_OK;
            mutex_unlock(&buffer->lock);
            return status;
        }
        /* Half of it and a random part of the other half. */
        int64_t jitter_ms = (int64_t)(random_u64(os->random) % (uint64_t)(backoff_ms / 2 + 1));
        clock_sleep_ms(os->clock, backoff_ms / 2 + jitter_ms);
        backoff_ms = backoff_ms * 2 < BACKOFF_LONGEST_MS ? backoff_ms * 2 : BACKOFF_LONGEST_MS;
    }
}

static void commit_group(struct write_buffer *buffer, struct group *group)
{
    struct error why = {0};
    /* One deadline for the group, also when it is taken apart. */
    int64_t give_up_ns =
        clock_monotonic_ns(buffer->options.os.clock) + buffer->options.retry_ms * 1000000;
    enum status status = append_retrying(buffer, group->batches, group->count, give_up_ns, &why);
    bool one_by_one = (status == STATUS_LIMIT || status == STATUS_MEMORY) && group->count > 1;
    for (size_t i = 0; i < group->count; i++) {
        /* What is too large together may do alone, and one batch's fault is not the others'. */
        if (one_by_one)
            status = append_retrying(buffer, &group->batches[i], 1, give_up_ns, &why);
        finish(buffer, group->entries[i], status, &why);
    }
}

static void run(void *context)
{
    struct write_buffer *buffer = context;
    for (;;) {
        struct group group;
        mutex_lock(&buffer->lock);
        while (buffer->first == NULL && !buffer->closing)
            condition_wait(&buffer->work, &buffer->lock);
        take_group(buffer, &group);
        mutex_unlock(&buffer->lock);
        if (group.count == 0)
            return;
        commit_group(buffer, &group);
    }
}

enum status write_buffer_open(struct write_buffer **result,
                              const struct write_buffer_options *options, struct error *err)
{
    *result = NULL;
    struct write_buffer *buffer = calloc(1, sizeof *buffer);
    if (buffer == NULL)
        return fail(err, STATUS_MEMORY, "no memory for the write buffer");
    buffer->options = *options;
    buffer->end = &buffer->first;
    mutex_init(&buffer->lock);
    condition_init(&buffer->work);
    enum status status =
        threads_start(options->os.threads, "committer", run, buffer, &buffer->thread, err);
    if (status != STATUS_OK) {
        write_buffer_close(buffer);
        return status;
    }
    *result = buffer;
    return STATUS_OK;
}

void write_buffer_close(struct write_buffer *buffer)
{
    if (buffer == NULL)
        return;
    mutex_lock(&buffer->lock);
    buffer->closing = true;
    condition_signal(&buffer->work);
    mutex_unlock(&buffer->lock);
    if (buffer->thread != NULL)
        threads_join(buffer->options.os.threads, buffer->thread);
    invariant(buffer->first == NULL);
    mutex_release(&buffer->lock);
    condition_release(&buffer->work);
    free(buffer);
}

enum status write_buffer_submit(struct write_buffer *buffer, struct write_entry *entry,
                                struct error *err)
{
    enum status status = STATUS_OK;
    entry->next = NULL;
    entry->submitted_ns = clock_monotonic_ns(buffer->options.os.clock);
    mutex_lock(&buffer->lock);
    /* A batch larger than the buffer passes when nothing else is there. */
    bool full = buffer->bytes > 0 && (entry->bytes > buffer->options.max_bytes ||
                                      buffer->bytes > buffer->options.max_bytes - entry->bytes);
    if (buffer->closing) {
        status = fail(err, STATUS_UNAVAILABLE, "the service is stopping");
    } else if (full) {
        buffer->stats.refused_full++;
        status = fail_code(err, STATUS_BUSY, "ingest_queue_full",
                           "%zu bytes of samples wait to be written, and ingest.queue_size allows "
                           "%zu; try again shortly",
                           buffer->bytes, buffer->options.max_bytes);
    } else {
        *buffer->end = entry;
        buffer->end = &entry->next;
        buffer->bytes += entry->bytes;
        buffer->count++;
        condition_signal(&buffer->work);
    }
    mutex_unlock(&buffer->lock);
    return status;
}

void write_buffer_stats(struct write_buffer *buffer, struct write_buffer_stats *stats)
{
    mutex_lock(&buffer->lock);
    *stats = buffer->stats;
    stats->waiting_batches = buffer->count;
    stats->waiting_bytes = buffer->bytes;
    stats->max_bytes = buffer->options.max_bytes;
    mutex_unlock(&buffer->lock);
}
