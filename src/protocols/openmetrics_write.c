/*
 * The OpenMetrics export. A family may claim names that another metric bears: the counter `a` (of
 * the samples `a_total`) claims `a` and `a_created`. Because metrics come in byte order, everything
 * that could clash with a later name is a prefix of it or has been written just before, so that a
 * stack of prefixes of the current name is all that must be remembered:
 *
 *   name written   a       a_created    a_total        b
 *   stack          a       a a_created  a a_total      b
 *
 * `a_created` also leaves its base `a` there, for the counter `a` could not follow it.
 */
#include <stdio.h>

#include "base/bits.h"
#include "cxx/number.h"
#include "model/value.h"
#include "protocols/protocols.h"

enum {
    OPENMETRICS_NAME_MAX = LABEL_VALUE_MAX_SIZE,
    /* Each byte of a name or value becomes at most two. */
    OPENMETRICS_SERIES_MAX = 2 * LABELS_MAX_SIZE + 8 * LABELS_MAX_COUNT + 64,
    OPENMETRICS_TAIL_MAX = 2 * NUMBER_TEXT_SIZE + 64,
};

static const char total_suffix[] = "_total";
static const char created_suffix[] = "_created";
static const char info_suffix[] = "_info";

void openmetrics_writer_init(struct openmetrics_writer *writer)
{
    *writer = (struct openmetrics_writer){.type = METRIC_UNKNOWN};
    bytes_init(&writer->series, OPENMETRICS_SERIES_MAX);
    bytes_init(&writer->name, OPENMETRICS_NAME_MAX);
    bytes_init(&writer->taken, 4 * (2 * OPENMETRICS_NAME_MAX));
}

void openmetrics_writer_release(struct openmetrics_writer *writer)
{
    bytes_release(&writer->series);
    bytes_release(&writer->name);
    bytes_release(&writer->taken);
}

/* ---- families -------------------------------------------------------------------------------- */

static size_t taken_count(const struct openmetrics_writer *writer)
{
    return writer->taken.size / sizeof(uint32_t);
}

static uint32_t taken_at(const struct openmetrics_writer *writer, size_t i)
{
    return load_u32(writer->taken.data + i * sizeof(uint32_t));
}

/* Whether the first `size` bytes of the current name are the name of a family. */
static bool is_taken(const struct openmetrics_writer *writer, size_t size)
{
    for (size_t i = taken_count(writer); i > 0; i--)
        if (taken_at(writer, i - 1) == size)
            return true;
    return false;
}

static enum status take(struct openmetrics_writer *writer, size_t size)
{
    if (is_taken(writer, size))
        return STATUS_OK;
    uint32_t prefix = (uint32_t)size;
    return bytes_append(&writer->taken, &prefix, sizeof prefix);
}

/* Forgets the names that are no prefix of the one to come. */
static void taken_cut(struct openmetrics_writer *writer, struct slice name)
{
    const uint8_t *old = writer->name.data;
    size_t shorter = writer->name.size < name.size ? writer->name.size : name.size;
    size_t common = 0;
    while (common < shorter && old[common] == name.data[common])
        common++;
    size_t kept = 0;
    for (size_t i = 0; i < taken_count(writer); i++) {
        uint32_t size = taken_at(writer, i);
        if (size <= common)
            store_u32(writer->taken.data + sizeof size * kept++, size);
    }
    writer->taken.size = kept * sizeof(uint32_t);
}

/* The size of `name` without `suffix`; 0 where it has another end, or nothing but that. */
static size_t base_size(struct slice name, const char *suffix)
{
    size_t size = strlen(suffix);
    bool ends = name.size > size && memcmp(name.data + name.size - size, suffix, size) == 0;
    return ends ? name.size - size : 0;
}

/* The family's type and how much of `name` is its name. */
static size_t family_choose(struct openmetrics_writer *writer, struct slice name,
                            enum metric_type type)
{
    writer->type = type == METRIC_GAUGE ? type : METRIC_UNKNOWN;
    if (type != METRIC_COUNTER && type != METRIC_INFO)
        return name.size;
    size_t base = base_size(name, type == METRIC_COUNTER ? total_suffix : info_suffix);
    if (base == 0 || is_taken(writer, base))
        return name.size;
    writer->type = type;
    return base;
}

/* The names that no later family may claim. */
static enum status family_take(struct openmetrics_writer *writer, struct slice name, size_t family)
{
    enum status status = take(writer, family);
    if (status == STATUS_OK)
        status = take(writer, name.size);
    size_t created = base_size(slice_of(name.data, family), created_suffix);
    if (status == STATUS_OK && created > 0)
        status = take(writer, created);
    return status;
}

static bool is_plain_name(struct slice name, bool colon)
{
    for (size_t i = 0; i < name.size; i++) {
        uint8_t byte = name.data[i];
        bool letter = (uint8_t)((byte | 0x20) - 'a') < 26 || byte == '_' || (colon && byte == ':');
        if (!letter && (i == 0 || (uint8_t)(byte - '0') >= 10))
            return false;
    }
    return name.size > 0;
}

/* With the escapes of a label value or a help text. */
static enum status escaped_append(struct bytes *to, struct slice text)
{
    enum status status = bytes_reserve(to, 2 * text.size);
    if (status != STATUS_OK)
        return status;
    uint8_t *at = to->data + to->size;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte == '"' || byte == '\\' || byte == '\n')
            *at++ = '\\';
        *at++ = byte == '\n' ? 'n' : byte;
    }
    to->size = (size_t)(at - to->data);
    return STATUS_OK;
}

static enum status quoted_append(struct bytes *to, struct slice text)
{
    enum status status = bytes_append(to, "\"", 1);
    if (status == STATUS_OK)
        status = escaped_append(to, text);
    if (status == STATUS_OK)
        status = bytes_append(to, "\"", 1);
    return status;
}

static enum status name_append(struct bytes *to, struct slice name, bool colon)
{
    return is_plain_name(name, colon) ? bytes_append(to, name.data, name.size)
                                      : quoted_append(to, name);
}

static enum status metadata_append(struct bytes *to, const char *word, struct slice name,
                                   struct slice text)
{
    enum status status = bytes_append_text(to, word);
    if (status == STATUS_OK)
        status = name_append(to, name, true);
    if (status == STATUS_OK)
        status = bytes_append(to, " ", 1);
    if (status == STATUS_OK)
        status = escaped_append(to, text);
    if (status == STATUS_OK)
        status = bytes_append(to, "\n", 1);
    return status;
}

/* A unit must end the family's name, and an info has none. */
static bool unit_fits(const struct openmetrics_writer *writer, struct slice family,
                      struct slice unit)
{
    return unit.size > 0 && family.size > unit.size && writer->type != METRIC_INFO &&
           memchr(unit.data, '\n', unit.size) == NULL &&
           family.data[family.size - unit.size - 1] == '_' &&
           slice_equal(slice_from(family, family.size - unit.size), unit);
}

enum status openmetrics_writer_metric(struct openmetrics_writer *writer, struct bytes *to,
                                      struct slice name, const struct metric *metric,
                                      struct error *err)
{
    if (writer->begun && slice_compare(bytes_slice(&writer->name), name) >= 0)
        return fail(err, STATUS_CONFLICT,
                    "cannot write metric \"%.*s\" behind \"%.*s\": OpenMetrics needs each metric "
                    "in one piece",
                    SLICE_FORMAT(name), SLICE_FORMAT(writer->name));
    writer->begun = true;
    taken_cut(writer, name);
    bytes_clear(&writer->name);
    enum status status = bytes_append(&writer->name, name.data, name.size);
    if (status != STATUS_OK)
        return fail(err, status, "no memory for the name of a metric");
    size_t size = family_choose(writer, name, metric == NULL ? METRIC_UNKNOWN : metric->type);
    struct slice family = slice_of(name.data, size);
    status = family_take(writer, name, size);
    if (status == STATUS_OK)
        status =
            metadata_append(to, "# TYPE ", family, slice_from_text(metric_type_name(writer->type)));
    /* Where the type is not said, the help of the family would become that of its parts. */
    bool described = metric != NULL && metric->type == writer->type;
    if (status == STATUS_OK && described && unit_fits(writer, family, metric->unit))
        status = metadata_append(to, "# UNIT ", family, metric->unit);
    if (status == STATUS_OK && described && metric->help.size > 0)
        status = metadata_append(to, "# HELP ", family, metric->help);
    if (status != STATUS_OK)
        return fail(err, status, "no room for the metadata of metric \"%.*s\"", SLICE_FORMAT(name));
    return STATUS_OK;
}

/* ---- samples --------------------------------------------------------------------------------- */

static enum status label_append(struct bytes *to, const struct label *label, bool first)
{
    enum status status = first ? STATUS_OK : bytes_append(to, ",", 1);
    if (status == STATUS_OK)
        status = name_append(to, label->name, false);
    if (status == STATUS_OK)
        status = bytes_append(to, "=", 1);
    if (status == STATUS_OK)
        status = quoted_append(to, label->value);
    return status;
}

enum status openmetrics_writer_series(struct openmetrics_writer *writer,
                                      const struct labels *labels)
{
    struct bytes *to = &writer->series;
    struct slice name = bytes_slice(&writer->name);
    bytes_clear(to);
    bool plain = is_plain_name(name, true);
    bool first = plain;
    bool braces = !plain;
    enum status status = STATUS_OK;
    if (!plain)
        status = bytes_append(to, "{", 1);
    if (status == STATUS_OK)
        status = name_append(to, name, true);
    for (size_t i = 0; status == STATUS_OK && i < labels->count; i++) {
        const struct label *label = &labels->items[i];
        if (slice_equal_text(label->name, METRIC_NAME_LABEL))
            continue;
        if (!braces)
            status = bytes_append(to, "{", 1);
        braces = true;
        if (status == STATUS_OK)
            status = label_append(to, label, first);
        first = false;
    }
    if (status == STATUS_OK && braces)
        status = bytes_append(to, "}", 1);
    if (status == STATUS_OK)
        status = bytes_append(to, " ", 1);
    return status;
}

enum status openmetrics_writer_sample(struct openmetrics_writer *writer, struct bytes *to,
                                      int64_t time_ms, double value)
{
    if (value_is_stale(value) || !metric_type_allows(writer->type, value)) {
        writer->omitted++;
        return STATUS_OK;
    }
    if (value != value && bits_of_double(value) != VALUE_NORMAL_NAN_BITS)
        writer->altered++;
    struct slice series = bytes_slice(&writer->series);
    enum status status = bytes_reserve(to, series.size + OPENMETRICS_TAIL_MAX);
    if (status != STATUS_OK)
        return status;
    uint8_t *at = to->data + to->size;
    memcpy(at, series.data, series.size);
    at += series.size;
    at += number_format((char *)at, value);
    uint64_t magnitude = time_ms < 0 ? -(uint64_t)time_ms : (uint64_t)time_ms;
    at += sprintf((char *)at, " %s%llu.%03u\n", time_ms < 0 ? "-" : "",
                  (unsigned long long)(magnitude / 1000), (unsigned)(magnitude % 1000));
    to->size = (size_t)(at - to->data);
    return STATUS_OK;
}

enum status openmetrics_writer_end(struct bytes *to)
{
    return bytes_append_text(to, "# EOF\n");
}
