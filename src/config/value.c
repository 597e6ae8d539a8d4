#include "config/value.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/invariant.h"
#include "base/times.h"
#include "base/utf8.h"
#include "config/records.h"
#include "config/settings.h"
#include "config/size_text.h"
#include "cxx/number.h"
#include "model/matcher.h"
#include "model/name_pattern.h"

enum { SHOWN_MAX = 200 }; /* bytes of a long value in a message */

static void *field_of(const struct config_key *key, void *values)
{
    return (char *)values + key->offset;
}

static const void *field_at(const struct config_key *key, const void *values)
{
    return (const char *)values + key->offset;
}

/* A bound of `key` in the words of its type. */
static void bound_format(const struct config_key *key, int64_t bound, char text[INSTANT_TEXT_SIZE])
{
    static_assert((int)SIZE_TEXT_SIZE <= (int)INSTANT_TEXT_SIZE, "one buffer serves both");
    if (key->type == CONFIG_SIZE)
        size_format(text, (uint64_t)bound);
    else if (key->type == CONFIG_DURATION)
        duration_format(text, bound);
    else
        snprintf(text, INSTANT_TEXT_SIZE, "%" PRId64, bound);
}

static void expected_choices(const struct config_key *key, char text[VALUE_EXPECTED_SIZE])
{
    size_t size = (size_t)snprintf(text, VALUE_EXPECTED_SIZE, "one of ");
    for (size_t i = 0; key->choices[i] != NULL && size < VALUE_EXPECTED_SIZE; i++)
        size += (size_t)snprintf(text + size, VALUE_EXPECTED_SIZE - size, "%s%s",
                                 i == 0 ? "" : ", ", key->choices[i]);
}

void value_expected(const struct config_key *key, char text[VALUE_EXPECTED_SIZE])
{
    const char *what = "";
    switch (key->type) {
    case CONFIG_BOOL:
        snprintf(text, VALUE_EXPECTED_SIZE, "true or false");
        return;
    case CONFIG_RATIO:
        snprintf(text, VALUE_EXPECTED_SIZE, "a number over 0 and at most 1");
        return;
    case CONFIG_ENUMERATION:
        expected_choices(key, text);
        return;
    case CONFIG_TEXT:
        snprintf(text, VALUE_EXPECTED_SIZE,
                 "UTF-8 text of %" PRId64 " to %" PRId64 " bytes without zero bytes", key->min,
                 key->max);
        return;
    case CONFIG_SELECTOR:
        snprintf(text, VALUE_EXPECTED_SIZE,
                 "a series selector (such as up{job=\"x\"}) of at most %" PRId64
                 " bytes, one of whose matchers does not match the empty value",
                 key->max);
        return;
    case CONFIG_PATTERN:
        snprintf(text, VALUE_EXPECTED_SIZE,
                 "a metric's name, a glob (`http_*`) or ~ and a regular expression (`~http_.+`), "
                 "of at most %" PRId64 " bytes",
                 key->max);
        return;
    case CONFIG_RECORDS:
        records_expected(key, text);
        return;
    case CONFIG_LIST:
        snprintf(text, VALUE_EXPECTED_SIZE,
                 "a list of at most %d texts, each UTF-8 of %" PRId64 " to %" PRId64
                 " bytes without zero bytes",
                 SETTINGS_LIST_MAX, key->min, key->max);
        return;
    case CONFIG_INTEGER:
    case CONFIG_UNSIGNED:
        what = "a whole number";
        break;
    case CONFIG_SIZE:
        what = "a size (such as 512KiB, 64MiB, 10MB)";
        break;
    case CONFIG_DURATION:
        what = "a duration (such as 250ms, 15s, 10d)";
        break;
    }
    char min[INSTANT_TEXT_SIZE], max[INSTANT_TEXT_SIZE];
    bound_format(key, key->min, min);
    bound_format(key, key->max, max);
    size_t size = (size_t)snprintf(text, VALUE_EXPECTED_SIZE, "%s from %s to %s", what, min, max);
    if (key->zero != NULL && size < VALUE_EXPECTED_SIZE)
        snprintf(text + size, VALUE_EXPECTED_SIZE - size, ", or 0 (%s)", key->zero);
}

static enum status refuse(const struct config_key *key, struct slice text, struct error *err)
{
    char expected[VALUE_EXPECTED_SIZE];
    value_expected(key, expected);
    if (key->secret)
        return fail(err, STATUS_INVALID, "%s.%s must be %s", key->section, key->name, expected);
    return fail(err, STATUS_INVALID, "%s.%s must be %s; it is \"%.*s\"", key->section, key->name,
                expected, SLICE_FORMAT(text));
}

static bool integer_parse(struct slice text, int64_t *value)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    size_t at = negative ? 1 : 0;
    if (at == text.size)
        return false;
    *value = 0;
    for (; at < text.size; at++) {
        int digit = text.data[at] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, negative ? -digit : digit, value))
            return false;
    }
    return true;
}

static bool in_range(const struct config_key *key, int64_t value)
{
    return (value >= key->min && value <= key->max) || (value == 0 && key->zero != NULL);
}

static enum status parse_number(const struct config_key *key, struct slice text, void *field,
                                struct error *err)
{
    int64_t number = 0;
    uint64_t size = 0;
    bool valid;
    if (key->type == CONFIG_SIZE) {
        valid = size_parse(text, &size) && size <= INT64_MAX;
        number = (int64_t)size;
    } else if (key->type == CONFIG_DURATION) {
        valid = duration_parse(text, &number);
    } else {
        valid = integer_parse(text, &number);
    }
    if (!valid || !in_range(key, number))
        return refuse(key, text, err);
    /* Signed and unsigned fields of 64 bits hold a number that is not negative alike. */
    invariant(number >= 0 || key->type == CONFIG_INTEGER);
    memcpy(field, &number, sizeof number);
    return STATUS_OK;
}

static enum status parse_ratio(const struct config_key *key, struct slice text, void *field,
                               struct error *err)
{
    double ratio;
    bool overflow = false;
    if (!number_parse(text, &ratio, &overflow) || overflow || !(ratio > 0 && ratio <= 1))
        return refuse(key, text, err);
    memcpy(field, &ratio, sizeof ratio);
    return STATUS_OK;
}

static enum status parse_choice(const struct config_key *key, struct slice text, void *field,
                                struct error *err)
{
    for (int i = 0; key->choices[i] != NULL; i++)
        if (slice_equal_text(text, key->choices[i])) {
            memcpy(field, &i, sizeof i);
            return STATUS_OK;
        }
    return refuse(key, text, err);
}

static enum status parse_bool(const struct config_key *key, struct slice text, void *field,
                              struct error *err)
{
    bool value = slice_equal_text(text, "true");
    if (!value && !slice_equal_text(text, "false"))
        return refuse(key, text, err);
    memcpy(field, &value, sizeof value);
    return STATUS_OK;
}

static enum status no_room(struct arena *arena, struct error *err)
{
    if (arena_status(arena) == STATUS_MEMORY)
        return fail(err, STATUS_MEMORY, "no memory left for the configuration");
    return fail(err, STATUS_LIMIT, "the configuration is larger than %zu bytes", arena->max);
}

/* Checks one text and copies it, zero-terminated. */
static enum status take_text(const struct config_key *key, struct slice text, struct arena *arena,
                             const char **copy, struct error *err)
{
    if ((int64_t)text.size < key->min || (int64_t)text.size > key->max || !utf8_valid(text) ||
        (text.size > 0 && memchr(text.data, 0, text.size) != NULL))
        return refuse(key, text, err);
    char *to = arena_alloc(arena, text.size + 1);
    if (to == NULL)
        return no_room(arena, err);
    if (text.size > 0)
        memcpy(to, text.data, text.size);
    to[text.size] = 0;
    *copy = to;
    return STATUS_OK;
}

static enum status take_selector(const struct config_key *key, struct slice text,
                                 struct arena *arena, const char **copy, struct error *err)
{
    enum { PARSED_MAX = 1 << 20 };
    enum status status = take_text(key, text, arena, copy, err);
    if (status != STATUS_OK)
        return status;
    struct arena scratch;
    struct matchers matchers = {0};
    struct error why = {0};
    arena_init(&scratch, PARSED_MAX);
    status = matchers_parse(text, &scratch, &matchers, &why);
    if (status == STATUS_OK)
        matchers_release(&matchers);
    arena_release(&scratch);
    if (status == STATUS_OK || status == STATUS_MEMORY)
        return status == STATUS_OK ? status : fail(err, status, "%s", why.message);
    return fail(err, STATUS_INVALID, "%s.%s must be a series selector; it is \"%.*s\": %s",
                key->section, key->name, (int)utf8_prefix(text, SHOWN_MAX), (const char *)text.data,
                why.message);
}

static enum status take_pattern(const struct config_key *key, struct slice text,
                                struct arena *arena, const char **copy, struct error *err)
{
    enum status status = take_text(key, text, arena, copy, err);
    if (status != STATUS_OK)
        return status;
    struct name_pattern pattern;
    struct error why = {0};
    status = name_pattern_init(&pattern, text, &why);
    if (status == STATUS_OK)
        name_pattern_release(&pattern);
    if (status == STATUS_OK || status == STATUS_MEMORY)
        return status == STATUS_OK ? status : fail(err, status, "%s", why.message);
    char expected[VALUE_EXPECTED_SIZE];
    value_expected(key, expected);
    return fail(err, STATUS_INVALID, "%s.%s must be %s: %s", key->section, key->name, expected,
                why.message);
}

enum status value_refuse_items(const struct config_key *key, struct error *err)
{
    return fail(err, STATUS_INVALID, "%s.%s is a list of %s", key->section, key->name,
                key->type == CONFIG_RECORDS ? "maps, such as [{name: value}], not of plain values"
                                            : "plain values, not of maps");
}

enum status value_parse_records(const struct config_key *key, const struct yaml_records *records,
                                void *values, struct arena *arena, struct error *err)
{
    invariant(key->type == CONFIG_RECORDS);
    return records_parse(key, records, true, field_of(key, values), arena, err);
}

enum status value_parse_list(const struct config_key *key, const struct slice *items, size_t count,
                             void *values, struct arena *arena, struct error *err)
{
    invariant(key->type == CONFIG_LIST);
    if (count > SETTINGS_LIST_MAX)
        return fail(err, STATUS_INVALID, "%s.%s has more than %d items", key->section, key->name,
                    SETTINGS_LIST_MAX);
    const char **copies = arena_calloc(arena, count + 1, sizeof *copies);
    if (copies == NULL)
        return no_room(arena, err);
    for (size_t i = 0; i < count; i++) {
        enum status status = take_text(key, items[i], arena, &copies[i], err);
        if (status != STATUS_OK)
            return status;
    }
    struct config_list list = {.items = copies, .count = count};
    memcpy(field_of(key, values), &list, sizeof list);
    return STATUS_OK;
}

static enum status parse_commas(const struct config_key *key, struct slice text, void *values,
                                struct arena *arena, struct error *err)
{
    struct slice items[SETTINGS_LIST_MAX + 1];
    size_t count = 0;
    while (text.size > 0 && count <= SETTINGS_LIST_MAX) {
        const uint8_t *comma = memchr(text.data, ',', text.size);
        size_t size = comma == NULL ? text.size : (size_t)(comma - text.data);
        items[count++] = slice_of(text.data, size);
        text = slice_from(text, comma == NULL ? size : size + 1);
    }
    return value_parse_list(key, items, count, values, arena, err);
}

enum status value_parse(const struct config_key *key, struct slice text, void *values,
                        struct arena *arena, struct error *err)
{
    void *field = field_of(key, values);
    switch (key->type) {
    case CONFIG_BOOL:
        return parse_bool(key, text, field, err);
    case CONFIG_INTEGER:
    case CONFIG_UNSIGNED:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
        return parse_number(key, text, field, err);
    case CONFIG_RATIO:
        return parse_ratio(key, text, field, err);
    case CONFIG_ENUMERATION:
        return parse_choice(key, text, field, err);
    case CONFIG_LIST:
        return parse_commas(key, text, values, arena, err);
    case CONFIG_RECORDS:
        return records_parse_text(key, text, field, arena, err);
    case CONFIG_SELECTOR:
    case CONFIG_PATTERN:
    case CONFIG_TEXT:
        break;
    }
    const char *copy = NULL;
    enum status status;
    if (key->type == CONFIG_SELECTOR)
        status = take_selector(key, text, arena, &copy, err);
    else if (key->type == CONFIG_PATTERN)
        status = take_pattern(key, text, arena, &copy, err);
    else
        status = take_text(key, text, arena, &copy, err);
    if (status == STATUS_OK)
        memcpy(field, &copy, sizeof copy);
    return status;
}

/* Characters beyond ASCII that YAML refuses or folds in quotes: C1 controls, line and paragraph
 * separators, the byte order mark and what is not a character. `at` has `left` bytes of UTF-8. */
static unsigned escaped_character(const uint8_t *at, size_t left)
{
    if (left >= 2 && at[0] == 0xc2 && at[1] < 0xa0)
        return at[1];
    if (left < 3 || (at[0] != 0xe2 && at[0] != 0xef))
        return 0;
    unsigned character = (at[0] & 0x0fu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
    bool escaped = character == 0x2028 || character == 0x2029 || character == 0xfeff ||
                   character == 0xfffe || character == 0xffff;
    return escaped ? character : 0;
}

enum status value_print_quoted(struct slice text, struct bytes *out)
{
    enum status status = bytes_append_text(out, "\"");
    for (size_t i = 0; i < text.size && status == STATUS_OK; i++) {
        uint8_t byte = text.data[i];
        unsigned character = byte < 0x80 ? 0 : escaped_character(text.data + i, text.size - i);
        if (character != 0) {
            status = bytes_format(out, "\\u%04x", character);
            i += character < 0x800 ? 1 : 2;
        } else if (byte == '"' || byte == '\\') {
            status = bytes_format(out, "\\%c", byte);
        } else if (byte < 0x20 || byte == 0x7f) {
            status = bytes_format(out, "\\u%04x", byte);
        } else {
            status = bytes_append(out, &byte, 1);
        }
    }
    return status == STATUS_OK ? bytes_append_text(out, "\"") : status;
}

/* Texts that YAML reads back unchanged without quotes, whatever it resolves them to. */
static bool is_plain(struct slice text)
{
    static const char inside[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:-";
    if (text.size == 0 || text.data[0] == '-' || text.data[0] == ':' ||
        text.data[text.size - 1] == ':' || slice_equal_text(text, "null") ||
        slice_equal_text(text, "Null") || slice_equal_text(text, "NULL") ||
        slice_equal_text(text, "...") || memchr(text.data, 0, text.size) != NULL)
        return false;
    for (size_t i = 0; i < text.size; i++)
        if (strchr(inside, text.data[i]) == NULL)
            return false;
    return true;
}

static enum status print_word(const char *text, bool json, struct bytes *out)
{
    struct slice word = slice_from_text(text);
    return json || !is_plain(word) ? value_print_quoted(word, out) : bytes_append_text(out, text);
}

static enum status print_list(const struct config_list *list, struct bytes *out)
{
    enum status status = bytes_append_text(out, "[");
    for (size_t i = 0; i < list->count && status == STATUS_OK; i++) {
        if (i > 0)
            status = bytes_append_text(out, ", ");
        if (status == STATUS_OK)
            status = value_print_quoted(slice_from_text(list->items[i]), out);
    }
    return status == STATUS_OK ? bytes_append_text(out, "]") : status;
}

enum status value_print(const struct config_key *key, const void *values, bool json,
                        struct bytes *out)
{
    const void *field = field_at(key, values);
    char text[INSTANT_TEXT_SIZE];
    char ratio[NUMBER_TEXT_SIZE];
    switch (key->type) {
    case CONFIG_BOOL:
        return bytes_append_text(out, *(const bool *)field ? "true" : "false");
    case CONFIG_INTEGER:
        return bytes_format(out, "%" PRId64, *(const int64_t *)field);
    case CONFIG_UNSIGNED:
        return bytes_format(out, "%" PRIu64, *(const uint64_t *)field);
    case CONFIG_SIZE:
        size_format(text, *(const uint64_t *)field);
        return print_word(text, json, out);
    case CONFIG_DURATION:
        duration_format(text, *(const int64_t *)field);
        return print_word(text, json, out);
    case CONFIG_RATIO:
        return bytes_append(out, ratio, number_format(ratio, *(const double *)field));
    case CONFIG_ENUMERATION:
        return print_word(key->choices[*(const int *)field], json, out);
    case CONFIG_LIST:
        return print_list(field, out);
    case CONFIG_RECORDS:
        return records_print(key, field, json, out);
    case CONFIG_SELECTOR:
    case CONFIG_PATTERN:
    case CONFIG_TEXT:
        break;
    }
    return print_word(*(const char *const *)field, json, out);
}

static bool is_text(const struct config_key *key)
{
    return key->type == CONFIG_TEXT || key->type == CONFIG_SELECTOR || key->type == CONFIG_PATTERN;
}

bool value_is_set(const struct config_key *key, const void *values)
{
    const void *field = field_at(key, values);
    if (is_text(key))
        return **(const char *const *)field != 0;
    if (key->type == CONFIG_RECORDS)
        return ((const struct config_records *)field)->count > 0;
    return key->type != CONFIG_LIST || ((const struct config_list *)field)->count > 0;
}

static bool list_equal(const struct config_list *a, const struct config_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

static size_t field_size(const struct config_key *key)
{
    switch (key->type) {
    case CONFIG_BOOL:
        return sizeof(bool);
    case CONFIG_ENUMERATION:
        return sizeof(int);
    case CONFIG_TEXT:
    case CONFIG_SELECTOR:
    case CONFIG_PATTERN:
        return sizeof(const char *);
    case CONFIG_LIST:
        return sizeof(struct config_list);
    case CONFIG_RECORDS:
        return sizeof(struct config_records);
    case CONFIG_INTEGER:
    case CONFIG_UNSIGNED:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
    case CONFIG_RATIO:
        break;
    }
    return 8;
}

bool value_equal(const struct config_key *key, const void *a, const void *b)
{
    const void *in_a = field_at(key, a);
    const void *in_b = field_at(key, b);
    if (key->type == CONFIG_LIST)
        return list_equal(in_a, in_b);
    if (key->type == CONFIG_RECORDS)
        return records_equal(key, in_a, in_b);
    if (is_text(key))
        return strcmp(*(const char *const *)in_a, *(const char *const *)in_b) == 0;
    return memcmp(in_a, in_b, field_size(key)) == 0;
}

static enum status copy_list(const struct config_list *from, struct config_list *to,
                             struct arena *arena)
{
    const char **items = arena_calloc(arena, from->count + 1, sizeof *items);
    if (items == NULL)
        return arena_status(arena);
    for (size_t i = 0; i < from->count; i++) {
        items[i] =
            (const char *)arena_copy(arena, slice_of(from->items[i], strlen(from->items[i]) + 1))
                .data;
        if (items[i] == NULL)
            return arena_status(arena);
    }
    *to = (struct config_list){.items = items, .count = from->count};
    return STATUS_OK;
}

enum status value_copy(const struct config_key *key, const void *from, void *to,
                       struct arena *arena)
{
    const void *source = field_at(key, from);
    void *target = field_of(key, to);
    if (key->type == CONFIG_LIST)
        return copy_list(source, target, arena);
    if (key->type == CONFIG_RECORDS)
        return records_copy(key, source, target, arena);
    if (!is_text(key)) {
        memcpy(target, source, field_size(key));
        return STATUS_OK;
    }
    const char *text = *(const char *const *)source;
    const void *copy = arena_copy(arena, slice_of(text, strlen(text) + 1)).data;
    if (copy == NULL)
        return arena_status(arena);
    memcpy(target, &copy, sizeof copy);
    return STATUS_OK;
}
