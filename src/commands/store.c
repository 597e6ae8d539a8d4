#include "commands/store.h"

#include <stdio.h>

#include "base/invariant.h"

enum { RAW_CACHE_BYTES = 64 << 20, PATH_SIZE = 4200 };

static enum engine_sync sync_of(enum config_sync sync)
{
    switch (sync) {
    case CONFIG_SYNC_ALWAYS:
        return ENGINE_SYNC_ALWAYS;
    case CONFIG_SYNC_INTERVAL:
        return ENGINE_SYNC_INTERVAL;
    case CONFIG_SYNC_NEVER:
        return ENGINE_SYNC_NEVER;
    }
    invariant(sync <= CONFIG_SYNC_NEVER);
    return ENGINE_SYNC_ALWAYS;
}

void store_options(const struct config *config, struct os os, const struct log *log,
                   struct engine_options *options)
{
    *options = (struct engine_options){
        .os = os,
        .dir = config->storage.path,
        .log = log,
        .sync = sync_of(config->storage.sync),
        .sync_interval_ms = config->storage.sync_interval_ms,
        .head_bytes = config->storage.head_bytes,
        .raw_cache_bytes = RAW_CACHE_BYTES,
        .log_segment_bytes = config->storage.wal_segment_bytes,
        .max_chunks = (uint32_t)config->storage.max_chunks,
        .merge_fan_in = (uint32_t)config->storage.merge_fan_in,
        .retention_ms = config->retention.default_ms,
    };
}

/* Nothing is made where a store is only to be read. */
static enum status expect_store(const struct config *config, struct os os, struct error *err)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/manifest", config->storage.path);
    struct file *file = NULL;
    enum status status = filesystem_open(os.fs, path, FILE_READ, &file, err);
    file_close(file);
    if (status == STATUS_NOT_FOUND)
        return fail(err, status, "there is no store in %s; name its directory with --data",
                    config->storage.path);
    return status;
}

enum status store_open(const struct config *config, struct os os, const struct log *log,
                       bool read_only, struct tier **tier, struct error *err)
{
    struct engine_options options;
    store_options(config, os, log, &options);
    options.read_only = read_only;
    options.background = !read_only;
    *tier = NULL;
    enum status status = read_only ? expect_store(config, os, err) : STATUS_OK;
    if (status == STATUS_OK)
        status = engine_open(&options, tier, err);
    if (status != STATUS_CONFLICT)
        return status;
    char message[ERROR_MESSAGE_SIZE];
    snprintf(message, sizeof message, "%s", err->message);
    return fail(err, status, "%.400s; or ask it, with --url", message);
}

void store_query_limits(const struct config *config, struct query_limits *limits)
{
    *limits = (struct query_limits){
        .max_samples = config->query.max_samples,
        .max_memory_bytes = (size_t)config->query.max_memory_bytes,
        .max_points = config->query.max_points,
        .default_limit = config->query.default_limit,
    };
}
