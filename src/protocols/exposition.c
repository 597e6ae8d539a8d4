#include "protocols/exposition.h"

#include "base/utf8.h"
#include "cxx/number.h"
#include "model/value.h"
#include "protocols/protocols.h"

enum { NAME_FIRST = 1, NAME_REST = 2, NAME_COLON = 4 };

/* Which bytes may begin and go on a plain name; a colon only in a metric's. */
static const uint8_t name_bytes[256] = {
    ['a' ... 'z'] = NAME_FIRST | NAME_REST,
    ['A' ... 'Z'] = NAME_FIRST | NAME_REST,
    ['_'] = NAME_FIRST | NAME_REST,
    ['0' ... '9'] = NAME_REST,
    [':'] = NAME_COLON,
};

/* The end of the plain name at `at`; `at` itself where there is none. */
static const uint8_t *name_end(const uint8_t *at, const uint8_t *end, uint8_t colon)
{
    if (at == end || !(name_bytes[*at] & (NAME_FIRST | colon)))
        return at;
    do
        at++;
    while (at < end && (name_bytes[*at] & (NAME_REST | colon)));
    return at;
}

/* `*at` stands behind the opening quote and is moved behind the closing one. */
static bool string_scan(const uint8_t **at, const uint8_t *end, struct slice *text, bool *escaped)
{
    const uint8_t *start = *at;
    const uint8_t *here = start;
    *escaped = false;
    for (; here < end && *here != '"'; here++) {
        if (*here != '\\')
            continue;
        *escaped = true;
        if (++here == end)
            break;
    }
    if (here >= end) {
        *at = end;
        return false;
    }
    *text = slice_of(start, (size_t)(here - start));
    *at = here + 1;
    return true;
}

static enum exposition_step scan_fault(struct exposition_scan *scan, const uint8_t *at,
                                       const char *fault)
{
    scan->at = at;
    scan->fault = fault;
    return EXPOSITION_FAULT;
}

bool exposition_begin(struct exposition_scan *scan, const uint8_t *at, const uint8_t *end,
                      bool strict)
{
    *scan = (struct exposition_scan){.at = at, .end = end, .strict = strict};
    const uint8_t *after = name_end(at, end, NAME_COLON);
    if (after > at) {
        scan->metric = slice_of(at, (size_t)(after - at));
        scan->at = after;
        if (!strict)
            after = exposition_skip_blanks(after, end);
    }
    if (after < end && *after == '{') {
        scan->in_labels = true;
        scan->at = after + 1;
        return true;
    }
    if (scan->metric.data != NULL)
        return true;
    scan->fault = "a metric name is expected here";
    return false;
}

/* Behind an item: a comma, or the brace, which stays. */
static bool scan_separator(struct exposition_scan *scan, const uint8_t *at)
{
    if (!scan->strict)
        at = exposition_skip_blanks(at, scan->end);
    scan->after_comma = at < scan->end && *at == ',';
    if (scan->after_comma) {
        at++;
        if (scan->strict && at < scan->end && *at == ' ')
            at++;
    } else if (at == scan->end || *at != '}') {
        scan_fault(scan, at, "a comma or a closing brace is expected here");
        return false;
    }
    scan->at = at;
    return true;
}

static enum exposition_step scan_close(struct exposition_scan *scan, const uint8_t *at)
{
    if (scan->strict && scan->after_comma)
        return scan_fault(scan, at, "a label is expected after the comma");
    scan->in_labels = false;
    scan->at = at + 1;
    if (scan->metric.data == NULL)
        return scan_fault(scan, at, "the series has no metric name");
    return EXPOSITION_END;
}

/* A string that is an item of its own is the metric's name. */
static bool scan_metric_name(struct exposition_scan *scan, const struct exposition_label *label,
                             const uint8_t *start, const uint8_t *at)
{
    if (scan->metric.data != NULL) {
        scan_fault(scan, start, "the metric name is given twice");
        return false;
    }
    scan->metric = label->name;
    scan->metric_escaped = label->name_escaped;
    return scan_separator(scan, at);
}

/* From '=' to the comma or brace behind the value. */
static enum exposition_step scan_value(struct exposition_scan *scan, const uint8_t *at,
                                       struct exposition_label *label)
{
    const uint8_t *end = scan->end;
    if (at == end || *at != '=')
        return scan_fault(scan, at, "'=' is expected after the label name");
    at++;
    if (!scan->strict)
        at = exposition_skip_blanks(at, end);
    if (at == end || *at != '"')
        return scan_fault(scan, at, "a label value in double quotes is expected here");
    at++;
    if (!string_scan(&at, end, &label->value, &label->value_escaped))
        return scan_fault(scan, at, "the line ends inside a label value");
    return scan_separator(scan, at) ? EXPOSITION_LABEL : EXPOSITION_FAULT;
}

enum exposition_step exposition_next(struct exposition_scan *scan, struct exposition_label *label)
{
    const uint8_t *end = scan->end;
    while (scan->in_labels) {
        const uint8_t *at = scan->at;
        if (!scan->strict)
            at = exposition_skip_blanks(at, end);
        if (at == end)
            return scan_fault(scan, at, "the line ends inside the labels");
        if (*at == '}')
            return scan_close(scan, at);
        const uint8_t *start = at;
        bool quoted = *at == '"';
        if (quoted) {
            at++;
            if (!string_scan(&at, end, &label->name, &label->name_escaped))
                return scan_fault(scan, at, "the line ends inside a name");
        } else {
            at = name_end(at, end, 0);
            if (at == start)
                return scan_fault(scan, at, "a label name is expected here");
            label->name = slice_of(start, (size_t)(at - start));
            label->name_escaped = false;
        }
        if (!scan->strict)
            at = exposition_skip_blanks(at, end);
        if (!quoted || at == end || (*at != ',' && *at != '}'))
            return scan_value(scan, at, label);
        if (!scan_metric_name(scan, label, start, at))
            return EXPOSITION_FAULT;
    }
    return EXPOSITION_END;
}

bool exposition_metric_name(const uint8_t **at, const uint8_t *end, struct slice *name,
                            bool *escaped)
{
    *escaped = false;
    if (*at < end && **at == '"') {
        ++*at;
        return string_scan(at, end, name, escaped) && name->size > 0;
    }
    const uint8_t *after = name_end(*at, end, NAME_COLON);
    *name = slice_of(*at, (size_t)(after - *at));
    *at = after;
    return name->size > 0;
}

enum status exposition_unescape(struct arena *arena, struct slice text,
                                enum exposition_escapes escapes, struct slice *unescaped)
{
    *unescaped = text;
    if (text.size == 0 || memchr(text.data, '\\', text.size) == NULL)
        return STATUS_OK;
    uint8_t *to = arena_alloc(arena, text.size);
    if (to == NULL)
        return arena_status(arena);
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        uint8_t next = byte == '\\' && i + 1 < text.size ? text.data[i + 1] : 0;
        bool known =
            next == '\\' || next == 'n' || (next == '"' && escapes == EXPOSITION_LABEL_ESCAPES);
        if (known) {
            byte = next == 'n' ? '\n' : next;
            i++;
        }
        to[size++] = byte;
    }
    *unescaped = slice_of(to, size);
    return STATUS_OK;
}

static enum status labels_add(struct labels *labels, size_t *capacity, size_t extra,
                              struct arena *arena, struct slice name, struct slice value)
{
    if (labels->count + extra >= *capacity) {
        size_t grown = 2 * *capacity;
        struct label *items =
            arena_grow(arena, labels->items, labels->count * sizeof *items, grown * sizeof *items);
        if (items == NULL)
            return arena_status(arena);
        labels->items = items;
        *capacity = grown;
    }
    labels->items[labels->count++] = (struct label){name, value};
    return STATUS_OK;
}

static enum status label_read(const struct exposition_label *label, struct arena *arena,
                              struct slice *name, struct slice *value)
{
    *name = label->name;
    *value = label->value;
    enum status status = STATUS_OK;
    if (label->name_escaped)
        status = exposition_unescape(arena, label->name, EXPOSITION_LABEL_ESCAPES, name);
    if (status == STATUS_OK && label->value_escaped)
        status = exposition_unescape(arena, label->value, EXPOSITION_LABEL_ESCAPES, value);
    return status;
}

enum status exposition_read_labels(struct slice raw, size_t extra, struct arena *arena,
                                   struct labels *labels, struct error *err)
{
    size_t capacity = 12 + extra;
    *labels = (struct labels){.items = arena_alloc(arena, capacity * sizeof labels->items[0])};
    if (labels->items == NULL)
        return fail(err, arena_status(arena), "no memory left for the labels of a series");
    struct exposition_scan scan;
    struct exposition_label label;
    struct slice name, value;
    enum status status = STATUS_OK;
    enum exposition_step step = EXPOSITION_FAULT;
    if (exposition_begin(&scan, raw.data, raw.data + raw.size, false))
        while ((step = exposition_next(&scan, &label)) == EXPOSITION_LABEL) {
            if (labels->count == LABELS_MAX_COUNT)
                return fail_code(err, STATUS_LIMIT, "labels_too_large",
                                 "more than %d labels in one series; send fewer", LABELS_MAX_COUNT);
            status = label_read(&label, arena, &name, &value);
            if (status == STATUS_OK)
                status = labels_add(labels, &capacity, extra, arena, name, value);
            if (status != STATUS_OK)
                return fail(err, status, "no memory left for the labels of a series");
        }
    if (step == EXPOSITION_FAULT)
        return fail_code(err, STATUS_INVALID, "label_invalid", "byte %zu of the series: %s",
                         (size_t)(scan.at - raw.data) + 1, scan.fault);
    label = (struct exposition_label){.name = scan.metric, .name_escaped = scan.metric_escaped};
    status = label_read(&label, arena, &name, &value);
    if (status == STATUS_OK)
        status =
            labels_add(labels, &capacity, extra, arena, slice_from_text(METRIC_NAME_LABEL), name);
    if (status != STATUS_OK)
        return fail(err, status, "no memory left for the labels of a series");
    return STATUS_OK;
}

enum status protocols_exposition_decode_labels(struct slice raw, struct arena *arena,
                                               struct labels *labels, struct error *err)
{
    return exposition_read_labels(raw, 0, arena, labels, err);
}

static const double powers_of_ten[] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

/*
 * Digits that fit in 2^53 times or by a power of ten up to 22 are both exact doubles, so that one
 * multiplication or division is rounded once and correctly (Clinger 1990). All else: false.
 */
static bool number_fast(const uint8_t *at, const uint8_t *end, double *value)
{
    const uint8_t *start = at;
    uint64_t mantissa = 0;
    int exponent = 0;
    while (at < end && (uint8_t)(*at - '0') < 10)
        mantissa = mantissa * 10 + (uint64_t)(*at++ - '0');
    ptrdiff_t digits = at - start;
    if (at < end && *at == '.') {
        const uint8_t *point = ++at;
        while (at < end && (uint8_t)(*at - '0') < 10)
            mantissa = mantissa * 10 + (uint64_t)(*at++ - '0');
        exponent = -(int)(at - point < 32 ? at - point : 32);
        digits += at - point;
    }
    if (digits == 0 || digits > 18 || mantissa > (UINT64_C(1) << 53))
        return false;
    if (at < end && (*at | 0x20) == 'e') {
        at++;
        bool negative = at < end && *at == '-';
        if (at < end && (*at == '-' || *at == '+'))
            at++;
        if (end - at < 1 || end - at > 3)
            return false;
        int power = 0;
        for (; at < end && (uint8_t)(*at - '0') < 10; at++)
            power = power * 10 + (*at - '0');
        exponent += negative ? -power : power;
    }
    if (at != end || exponent < -22 || exponent > 22)
        return false;
    double scale = powers_of_ten[exponent < 0 ? -exponent : exponent];
    *value = exponent < 0 ? (double)mantissa / scale : (double)mantissa * scale;
    return true;
}

/* Whether `text` is `word` (lower case) in any case. */
static bool is_word(struct slice text, const char *word)
{
    size_t size = strlen(word);
    if (text.size != size)
        return false;
    for (size_t i = 0; i < size; i++)
        if ((text.data[i] | 0x20) != (uint8_t)word[i])
            return false;
    return true;
}

enum exposition_number exposition_number(struct slice text, double *value)
{
    if (text.size == 0)
        return EXPOSITION_NO_NUMBER;
    bool negative = text.data[0] == '-';
    struct slice magnitude = slice_from(text, negative || text.data[0] == '+');
    if (number_fast(magnitude.data, magnitude.data + magnitude.size, value)) {
        if (negative)
            *value = -*value;
        return EXPOSITION_NUMBER;
    }
    bool overflow = false;
    if (number_parse(text, value, &overflow))
        return overflow ? EXPOSITION_OVERFLOW : EXPOSITION_NUMBER;
    if (is_word(magnitude, "inf") || is_word(magnitude, "infinity")) {
        *value = negative ? -__builtin_inf() : __builtin_inf();
        return EXPOSITION_NUMBER;
    }
    if (!is_word(text, "nan"))
        return EXPOSITION_NO_NUMBER;
    *value = double_of_bits(VALUE_NORMAL_NAN_BITS);
    return EXPOSITION_NUMBER;
}

enum status exposition_add_metric(struct batch *batch, const struct metric *metric)
{
    if (metric->type == METRIC_UNKNOWN && metric->unit.size == 0 && metric->help.size == 0)
        return STATUS_OK;
    bool nul =
        slice_has_nul(metric->name) || slice_has_nul(metric->unit) || slice_has_nul(metric->help);
    const char *part = metric->name.size > METRIC_NAME_MAX_SIZE   ? "name"
                       : metric->unit.size > METRIC_UNIT_MAX_SIZE ? "unit"
                       : metric->help.size > METRIC_HELP_MAX_SIZE ? "help text"
                                                                  : NULL;
    if (part == NULL && !nul)
        return batch_add_metric(batch, metric);
    struct slice shown = slice_of(metric->name.data, utf8_prefix(metric->name, 200));
    if (part == NULL) {
        batch_warn(batch, "the descriptor of metric \"%.*s\" was not kept: it has a NUL byte in it",
                   SLICE_FORMAT(shown));
        return STATUS_OK;
    }
    batch_warn(batch,
               "the descriptor of metric \"%.*s\" was not kept: its %s is too long (at most %d "
               "bytes for a name, %d for a unit, %d for a help text)",
               SLICE_FORMAT(shown), part, METRIC_NAME_MAX_SIZE, METRIC_UNIT_MAX_SIZE,
               METRIC_HELP_MAX_SIZE);
    return STATUS_OK;
}
