#include "query/execute/family.h"

/* Which types have series of other names than the family's. */
static const struct family_suffix {
    const char *suffix;
    enum metric_type type;
} suffixes[] = {
    {"_total", METRIC_COUNTER},
    {"_bucket", METRIC_HISTOGRAM},
    {"_count", METRIC_HISTOGRAM},
    {"_sum", METRIC_HISTOGRAM},
    {"_count", METRIC_SUMMARY},
    {"_sum", METRIC_SUMMARY},
    {"_info", METRIC_INFO},
    {"_bucket", METRIC_GAUGEHISTOGRAM},
    {"_gcount", METRIC_GAUGEHISTOGRAM},
    {"_gsum", METRIC_GAUGEHISTOGRAM},
    {"_created", METRIC_COUNTER},
    {"_created", METRIC_HISTOGRAM},
    {"_created", METRIC_SUMMARY},
};

static bool has_suffix(struct slice name, const char *suffix)
{
    size_t size = strlen(suffix);
    return name.size > size && memcmp(name.data + name.size - size, suffix, size) == 0;
}

enum status family_find(struct tier *tier, struct slice name, struct arena *arena,
                        struct metric *descriptor, struct error *err)
{
    enum status status = storage_metric(tier, name, arena, descriptor, err);
    for (size_t i = 0; status == STATUS_NOT_FOUND && i < sizeof suffixes / sizeof suffixes[0];
         i++) {
        if (!has_suffix(name, suffixes[i].suffix))
            continue;
        struct slice family = slice_of(name.data, name.size - strlen(suffixes[i].suffix));
        status = storage_metric(tier, family, arena, descriptor, err);
        if (status == STATUS_OK && descriptor->type != suffixes[i].type)
            status = STATUS_NOT_FOUND;
    }
    if (status != STATUS_NOT_FOUND)
        return status;
    *descriptor = (struct metric){.name = arena_copy(arena, name)};
    return descriptor->name.data != NULL ? STATUS_OK : budget_no_memory(arena, err);
}
