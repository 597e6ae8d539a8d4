/*
 * The rules of OpenMetrics 1.0 for metric families (sections "Metric Types", "MetricPoint" and
 * "Text format"), as the conformance tests of the specification decide them.
 *
 * A group is a family's samples that agree in all labels but those which tell a point's parts apart
 * (le, quantile, a stateset's own label). Groups may not interleave; within one, time runs forward.
 */
#include <stdio.h>

#include "base/invariant.h"
#include "base/utf8.h"
#include "protocols/openmetrics.h"

enum { SUFFIXES_MAX = 5 };

/* What may follow the family's name in its samples. */
static const char *const type_suffixes[][SUFFIXES_MAX] = {
    [METRIC_UNKNOWN] = {""},
    [METRIC_COUNTER] = {"_total", "_created"},
    [METRIC_GAUGE] = {""},
    [METRIC_HISTOGRAM] = {"_bucket", "_count", "_sum", "_created"},
    [METRIC_SUMMARY] = {"", "_count", "_sum", "_created"},
    [METRIC_INFO] = {"_info"},
    [METRIC_STATESET] = {""},
    [METRIC_GAUGEHISTOGRAM] = {"_bucket", "_gcount", "_gsum"},
};

static bool is_histogram(enum metric_type type)
{
    return type == METRIC_HISTOGRAM || type == METRIC_GAUGEHISTOGRAM;
}

/* A set of this size stays half empty, so that probes are short. */
static enum status set_grow(struct openmetrics_set *set, struct arena *arena)
{
    size_t capacity = set->capacity == 0 ? 64 : 2 * set->capacity;
    uint64_t *slots = arena_calloc(arena, capacity, sizeof *slots);
    if (slots == NULL)
        return arena_status(arena);
    for (size_t i = 0; i < set->capacity; i++) {
        uint64_t hash = set->slots[i];
        if (hash == 0)
            continue;
        size_t at = hash & (capacity - 1);
        while (slots[at] != 0)
            at = (at + 1) & (capacity - 1);
        slots[at] = hash;
    }
    set->slots = slots;
    set->capacity = capacity;
    return STATUS_OK;
}

enum status openmetrics_set_add(struct openmetrics_set *set, struct arena *arena, uint64_t hash,
                                bool *added)
{
    *added = false;
    if (2 * set->count >= set->capacity) {
        enum status status = set_grow(set, arena);
        if (status != STATUS_OK)
            return status;
    }
    hash += hash == 0;
    size_t at = hash & (set->capacity - 1);
    for (; set->slots[at] != 0; at = (at + 1) & (set->capacity - 1))
        if (set->slots[at] == hash)
            return STATUS_OK;
    set->slots[at] = hash;
    set->count++;
    *added = true;
    return STATUS_OK;
}

/* The family's name and a suffix, one after the other in the scratch space; data is NULL when there
 * is no room for them. */
static struct slice name_with_suffix(struct openmetrics *reader, const char *suffix)
{
    struct slice base = reader->family.name;
    size_t suffix_size = strlen(suffix);
    size_t size = base.size + suffix_size;
    if (size > reader->scratch_capacity) {
        reader->scratch = arena_alloc(reader->arena, 2 * size);
        reader->scratch_capacity = reader->scratch == NULL ? 0 : 2 * size;
        if (reader->scratch == NULL)
            return slice_of(NULL, 0);
    }
    memcpy(reader->scratch, base.data, base.size);
    memcpy(reader->scratch + base.size, suffix, suffix_size);
    return slice_of(reader->scratch, size);
}

static enum status claim_name(struct openmetrics *reader, const char *suffix)
{
    struct slice name = name_with_suffix(reader, suffix);
    if (name.data == NULL)
        return openmetrics_no_memory(reader);
    bool added;
    uint64_t hash = hash64(name, reader->seed);
    if (openmetrics_set_add(&reader->names, reader->arena, hash, &added) != STATUS_OK)
        return openmetrics_no_memory(reader);
    if (!added)
        return openmetrics_fault(reader, reader->family.line,
                                 "the name \"%.*s\" already belongs to a family above; keep each "
                                 "family in one piece and its names to itself",
                                 SLICE_FORMAT(name));
    return STATUS_OK;
}

/* A family claims its own name and that of each kind of sample. */
static enum status claim_names(struct openmetrics *reader)
{
    enum status status = claim_name(reader, "");
    const char *const *suffixes = type_suffixes[reader->family.type];
    for (size_t i = 0; status == STATUS_OK && i < SUFFIXES_MAX && suffixes[i] != NULL; i++)
        if (suffixes[i][0] != 0)
            status = claim_name(reader, suffixes[i]);
    return status;
}

static enum status check_unit(struct openmetrics *reader)
{
    const struct openmetrics_family *family = &reader->family;
    struct slice unit = family->unit;
    struct slice name = family->name;
    if (unit.size == 0)
        return STATUS_OK;
    if (family->type == METRIC_INFO || family->type == METRIC_STATESET)
        return openmetrics_fault(reader, family->unit_line,
                                 "\"%.*s\" is of type %s, which has no unit", SLICE_FORMAT(name),
                                 metric_type_name(family->type));
    bool ends = name.size > unit.size && name.data[name.size - unit.size - 1] == '_' &&
                slice_equal(slice_from(name, name.size - unit.size), unit);
    if (!ends)
        return openmetrics_fault(reader, family->unit_line,
                                 "the name \"%.*s\" does not end in its unit: \"_%.*s\"",
                                 SLICE_FORMAT(name), SLICE_FORMAT(unit));
    return STATUS_OK;
}

static enum status check_histogram(struct openmetrics *reader)
{
    const struct openmetrics_histogram *histogram = &reader->family.histogram;
    if (!histogram->open)
        return STATUS_OK;
    bool has_sum = histogram->has_sum || histogram->has_gsum;
    const char *fault = NULL;
    if (!histogram->has_bucket || histogram->last_bound != __builtin_inf())
        fault = "has no bucket with le=\"+Inf\"";
    else if (histogram->has_count && histogram->count != histogram->last_value)
        fault = "has a count that differs from its bucket with le=\"+Inf\"";
    else if (histogram->has_negative_bucket && histogram->has_sum)
        fault = "has a bound below zero and a sum, which could then go down";
    else if (!histogram->has_negative_bucket && histogram->has_negative_gsum)
        fault = "has a sum below zero and no bound below zero";
    else if (has_sum && !histogram->has_count)
        fault = "has a sum and no count";
    else if (!has_sum && histogram->has_count)
        fault = "has a count and no sum";
    if (fault != NULL)
        return openmetrics_fault(reader, histogram->line, "the %s \"%.*s\" that begins here %s",
                                 metric_type_name(reader->family.type),
                                 SLICE_FORMAT(reader->family.name), fault);
    return STATUS_OK;
}

enum status openmetrics_family_close(struct openmetrics *reader)
{
    struct openmetrics_family *family = &reader->family;
    if (!family->open)
        return STATUS_OK;
    family->open = false;
    enum status status = check_unit(reader);
    if (status == STATUS_OK && is_histogram(family->type))
        status = check_histogram(reader);
    if (status == STATUS_OK)
        status = claim_names(reader);
    if (status != STATUS_OK)
        return status;
    struct metric metric = {
        .name = family->name,
        .type = family->type,
        .unit = family->unit,
        .help = family->help,
    };
    if (exposition_add_metric(reader->batch, &metric) != STATUS_OK)
        return openmetrics_no_memory(reader);
    return STATUS_OK;
}

static void family_open(struct openmetrics *reader, struct slice name)
{
    reader->family = (struct openmetrics_family){
        .open = true,
        .name = name,
        .line = reader->line,
        .ordinal = reader->family.ordinal + 1,
    };
}

enum status openmetrics_family_metadata(struct openmetrics *reader, struct slice name)
{
    struct openmetrics_family *family = &reader->family;
    if (family->open && slice_equal(family->name, name)) {
        if (family->has_samples)
            return openmetrics_fault(
                reader, reader->line,
                "the metadata of \"%.*s\" stands behind its samples; it belongs "
                "before them",
                SLICE_FORMAT(name));
        return STATUS_OK;
    }
    enum status status = openmetrics_family_close(reader);
    if (status == STATUS_OK)
        family_open(reader, name);
    return status;
}

/* ---- samples --------------------------------------------------------------------------------- */

/* The suffix with which `name` belongs to the open family; NULL: it belongs to another. */
static const char *family_suffix(const struct openmetrics_family *family, struct slice name)
{
    if (!family->open || name.size < family->name.size ||
        memcmp(name.data, family->name.data, family->name.size) != 0)
        return NULL;
    struct slice rest = slice_from(name, family->name.size);
    /* Before a # TYPE the name itself is all that is known. */
    const char *const *suffixes = type_suffixes[family->type];
    for (size_t i = 0; i < SUFFIXES_MAX && suffixes[i] != NULL; i++)
        if (slice_equal_text(rest, suffixes[i]))
            return suffixes[i];
    return NULL;
}

static const struct exposition_label *sample_label(const struct openmetrics_sample *sample,
                                                   struct slice name)
{
    for (size_t i = 0; i < sample->label_count; i++)
        if (slice_equal(sample->labels[i].name, name))
            return &sample->labels[i];
    return NULL;
}

/* The label that tells the parts of a point apart; size 0: none does. */
static struct slice part_label(const struct openmetrics_family *family, const char *suffix)
{
    if (family->type == METRIC_STATESET)
        return family->name;
    if (family->type == METRIC_SUMMARY && suffix[0] == 0)
        return slice_from_text("quantile");
    if (is_histogram(family->type) && strcmp(suffix, "_bucket") == 0)
        return slice_from_text("le");
    return slice_of(NULL, 0);
}

/* Reads the number in label `name`; infinity is written "+Inf". */
static bool label_number(const struct openmetrics_sample *sample, const char *name, double *number)
{
    const struct exposition_label *label = sample_label(sample, slice_from_text(name));
    if (label == NULL || label->value_escaped ||
        exposition_number(label->value, number) != EXPOSITION_NUMBER || *number != *number)
        return false;
    return *number != __builtin_inf() || slice_equal_text(label->value, "+Inf");
}

static bool is_whole(double value)
{
    return value == __builtin_floor(value) && value != __builtin_inf() && value != -__builtin_inf();
}

/* Labels and values by type; NULL: all is well. */
static const char *sample_type_fault(const struct openmetrics_family *family,
                                     const struct openmetrics_sample *sample, const char *suffix)
{
    double value = sample->value;
    bool bucket = strcmp(suffix, "_bucket") == 0;
    bool count = strcmp(suffix, "_count") == 0 || strcmp(suffix, "_gcount") == 0;
    bool sum = strcmp(suffix, "_sum") == 0;
    bool gsum = strcmp(suffix, "_gsum") == 0;
    bool total = strcmp(suffix, "_total") == 0;
    double number;
    if (bucket && !label_number(sample, "le", &number))
        return "a bucket needs its bound as a number in the label le, infinity as \"+Inf\"";
    if ((bucket || count) && value == value && !is_whole(value))
        return "the value of a bucket or a count must be a whole number";
    if (family->type == METRIC_SUMMARY && suffix[0] == 0) {
        if (!label_number(sample, "quantile", &number) || number < 0 || number > 1)
            return "a summary's sample needs the label quantile, a number from 0 to 1";
        if (value < 0)
            return "the value of a quantile is below zero, which it cannot be";
    }
    if (family->type == METRIC_STATESET) {
        if (sample_label(sample, family->name) == NULL)
            return "a stateset's sample needs the label that bears the family's name";
        if (value != 0 && value != 1)
            return "the value of a stateset must be 0 or 1";
    }
    if (family->type == METRIC_INFO && value != 1)
        return "the value of an info must be 1";
    if ((bucket || count || sum || gsum || total) && value != value)
        return "the value is NaN, which a total, count, sum or bucket cannot be";
    if ((bucket || count || sum || total) && value < 0)
        return "the value is below zero, which a total, count, sum or bucket cannot be";
    bool may_have_exemplar = bucket || (family->type == METRIC_COUNTER && total);
    if (sample->has_exemplar && !may_have_exemplar)
        return "this sample cannot have an exemplar: only totals of counters and buckets can";
    return NULL;
}

static int compare_time(const struct openmetrics_family *family,
                        const struct openmetrics_sample *sample)
{
    if (sample->time_ms != family->group_time_ms)
        return sample->time_ms < family->group_time_ms ? -1 : 1;
    return (sample->time_ns > family->group_time_ns) - (sample->time_ns < family->group_time_ns);
}

/*
 * Labels come in any order, so their hashes are added up. name="value" stands in one piece in the
 * document and is hashed as it stands.
 */
static uint64_t group_hash(const struct openmetrics *reader,
                           const struct openmetrics_sample *sample, const char *suffix)
{
    const struct openmetrics_family *family = &reader->family;
    uint64_t sum = 0;
    if (family->type != METRIC_INFO) {
        struct slice part = part_label(family, suffix);
        for (size_t i = 0; i < sample->label_count; i++) {
            const struct exposition_label *label = &sample->labels[i];
            if (part.size > 0 && slice_equal(label->name, part))
                continue;
            const uint8_t *end = label->value.data + label->value.size;
            sum +=
                hash64(slice_of(label->name.data, (size_t)(end - label->name.data)), reader->seed);
        }
    }
    uint64_t key[2] = {sum, family->ordinal};
    return hash64(slice_of(key, sizeof key), reader->seed);
}

/* Interleaved groups and times that run backwards. *next: a new group, or the next time of one. */
static enum status check_group(struct openmetrics *reader, const struct openmetrics_sample *sample,
                               const char *suffix, bool *next)
{
    struct openmetrics_family *family = &reader->family;
    uint64_t group = group_hash(reader, sample, suffix);
    *next = true;
    if (family->has_samples && group == family->group) {
        if (sample->has_time != family->group_has_time)
            return openmetrics_fault(reader, reader->line,
                                     "of samples with the same labels, some have a timestamp and "
                                     "some have none");
        int order = sample->has_time ? compare_time(family, sample) : 0;
        if (order < 0 && family->type != METRIC_INFO)
            return openmetrics_fault(reader, reader->line,
                                     "the timestamp lies before the one above it, of the same "
                                     "labels");
        *next = order != 0;
    } else {
        bool added;
        if (openmetrics_set_add(&reader->groups, reader->arena, group, &added) != STATUS_OK)
            return openmetrics_no_memory(reader);
        if (!added)
            return openmetrics_fault(reader, reader->line,
                                     "samples with these labels stand further up with others "
                                     "between them; keep them together");
    }
    family->has_samples = true;
    family->group = group;
    family->group_has_time = sample->has_time;
    family->group_time_ms = sample->time_ms;
    family->group_time_ns = sample->time_ns;
    return STATUS_OK;
}

static enum status histogram_sample(struct openmetrics *reader,
                                    const struct openmetrics_sample *sample, const char *suffix,
                                    bool next)
{
    struct openmetrics_histogram *histogram = &reader->family.histogram;
    if (next) {
        enum status status = check_histogram(reader);
        if (status != STATUS_OK)
            return status;
        *histogram = (struct openmetrics_histogram){.open = true, .line = reader->line};
    }
    if (strcmp(suffix, "_bucket") == 0) {
        double bound = 0;
        bool read = label_number(sample, "le", &bound);
        if (!read || (histogram->has_bucket && bound <= histogram->last_bound))
            return openmetrics_fault(reader, reader->line,
                                     "the bound le is not above that of the bucket before it");
        if (histogram->has_bucket && sample->value < histogram->last_value)
            return openmetrics_fault(reader, reader->line,
                                     "the bucket counts less than the one before it");
        histogram->has_bucket = true;
        histogram->has_negative_bucket |= bound < 0;
        histogram->last_bound = bound;
        histogram->last_value = sample->value;
    } else if (strcmp(suffix, "_count") == 0 || strcmp(suffix, "_gcount") == 0) {
        histogram->has_count = true;
        histogram->count = sample->value;
    } else if (strcmp(suffix, "_sum") == 0) {
        histogram->has_sum = true;
    } else if (strcmp(suffix, "_gsum") == 0) {
        histogram->has_gsum = true;
        histogram->has_negative_gsum |= sample->value < 0;
    }
    return STATUS_OK;
}

/* The bare name of a family whose type does not have it; no other family may bear it either. */
static enum status name_fault(struct openmetrics *reader)
{
    const struct openmetrics_family *family = &reader->family;
    const char *const *suffixes = type_suffixes[family->type];
    char names[64] = "";
    for (size_t i = 0, used = 0; i < SUFFIXES_MAX && suffixes[i] != NULL; i++) {
        int size =
            snprintf(names + used, sizeof names - used, "%s%s", i == 0 ? "" : ", ", suffixes[i]);
        used += (size_t)size;
        invariant(size > 0 && used < sizeof names);
    }
    return openmetrics_fault(reader, reader->line,
                             "\"%.*s\" is of type %s: the names of its samples end in %s",
                             SLICE_FORMAT(family->name), metric_type_name(family->type), names);
}

enum status openmetrics_family_sample(struct openmetrics *reader,
                                      const struct openmetrics_sample *sample)
{
    const char *suffix = family_suffix(&reader->family, sample->name);
    enum status status = STATUS_OK;
    if (suffix == NULL && reader->family.open && slice_equal(reader->family.name, sample->name))
        return name_fault(reader);
    if (suffix == NULL) {
        status = openmetrics_family_close(reader);
        if (status != STATUS_OK)
            return status;
        family_open(reader, sample->name);
        suffix = "";
    }
    const char *fault = sample_type_fault(&reader->family, sample, suffix);
    if (fault != NULL)
        return openmetrics_fault(reader, reader->line, "%s", fault);
    bool next;
    status = check_group(reader, sample, suffix, &next);
    if (status == STATUS_OK && is_histogram(reader->family.type))
        status = histogram_sample(reader, sample, suffix, next);
    return status;
}
