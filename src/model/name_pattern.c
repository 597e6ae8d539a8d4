#include "model/name_pattern.h"

#include <stdlib.h>

#include "base/shown.h"
#include "cxx/regex.h"

static enum name_pattern_kind kind_of(struct slice text)
{
    if (text.data[0] == '~')
        return NAME_PATTERN_REGEX;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '*' || text.data[i] == '?')
            return NAME_PATTERN_GLOB;
        if (text.data[i] == '\\')
            i++;
    }
    return NAME_PATTERN_EXACT;
}

/* Whether the last backslash has a character behind it. */
static bool escapes_end(struct slice text)
{
    size_t at = 0;
    while (at < text.size)
        at += text.data[at] == '\\' ? 2 : 1;
    return at == text.size;
}

/* Copies, for a name without backslashes that escape. */
static enum status copy_text(struct name_pattern *pattern, struct slice text)
{
    uint8_t *copy = malloc(text.size);
    if (copy == NULL)
        return STATUS_MEMORY;
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (pattern->kind == NAME_PATTERN_EXACT && text.data[i] == '\\')
            i++;
        copy[size++] = text.data[i];
    }
    pattern->text = slice_of(copy, size);
    return STATUS_OK;
}

enum status name_pattern_init(struct name_pattern *pattern, struct slice text, struct error *err)
{
    *pattern = (struct name_pattern){0};
    if (text.size == 0 || slice_equal_text(text, "~"))
        return fail(err, STATUS_INVALID, "a pattern that matches no name");
    if (text.size > NAME_PATTERN_MAX_SIZE)
        return fail(err, STATUS_LIMIT, "a pattern of %zu bytes; at most %d are allowed", text.size,
                    NAME_PATTERN_MAX_SIZE);
    pattern->kind = kind_of(text);
    if (pattern->kind == NAME_PATTERN_REGEX)
        return regex_new_within(&pattern->regex, slice_from(text, 1), NAME_PATTERN_REGEX_MEMORY,
                                err);
    if (!escapes_end(text))
        return fail(err, STATUS_INVALID, "\"%s\" ends with a backslash that escapes nothing",
                    shown_text(text).text);
    enum status status = copy_text(pattern, text);
    if (status != STATUS_OK)
        return fail(err, status, "no memory for a pattern of names");
    return STATUS_OK;
}

void name_pattern_release(struct name_pattern *pattern)
{
    regex_free(pattern->regex);
    free((void *)(uintptr_t)pattern->text.data);
    *pattern = (struct name_pattern){0};
}

static size_t next_character(struct slice name, size_t at)
{
    do
        at++;
    while (at < name.size && (name.data[at] & 0xc0) == 0x80);
    return at;
}

/* Of the glob at *in_glob and the name at *in_name one step of what is no star; false where it does
 * not match. */
static bool step(struct slice glob, size_t *in_glob, struct slice name, size_t *in_name)
{
    uint8_t byte = glob.data[*in_glob];
    if (byte == '?') {
        *in_glob += 1;
        *in_name = next_character(name, *in_name);
        return true;
    }
    size_t escape = byte == '\\' ? 1 : 0;
    if (name.data[*in_name] != glob.data[*in_glob + escape])
        return false;
    *in_glob += 1 + escape;
    *in_name += 1;
    return true;
}

/* What does not fit goes back to the last star only, which then takes one byte more: an earlier one
 * need never take more than it has. So the time is at most the product of the lengths. Where the
 * name ends first, a star that takes more leaves still less for the rest. */
static bool glob_matches(struct slice glob, struct slice name)
{
    size_t in_glob = 0, in_name = 0;
    size_t behind_star = SIZE_MAX, star_end = 0;
    for (;;) {
        if (in_glob < glob.size && glob.data[in_glob] == '*') {
            behind_star = ++in_glob;
            star_end = in_name;
        } else if (in_name == name.size) {
            return in_glob == glob.size;
        } else if (in_glob == glob.size || !step(glob, &in_glob, name, &in_name)) {
            if (behind_star == SIZE_MAX)
                return false;
            in_glob = behind_star;
            in_name = ++star_end;
        }
    }
}

bool name_pattern_matches(const struct name_pattern *pattern, struct slice name)
{
    switch (pattern->kind) {
    case NAME_PATTERN_EXACT:
        return slice_equal(pattern->text, name);
    case NAME_PATTERN_GLOB:
        return glob_matches(pattern->text, name);
    case NAME_PATTERN_REGEX:
        break;
    }
    return regex_matches(pattern->regex, name);
}

/* ---- lists ------------------------------------------------------------------------------- */

static enum status add(struct name_patterns *patterns, struct slice text, const char *what,
                       struct error *err)
{
    char *copy = malloc(text.size + 1);
    if (copy == NULL)
        return fail(err, STATUS_MEMORY, "no memory for a pattern of names");
    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    enum status status = name_pattern_init(&patterns->items[patterns->count], text, err);
    if (status != STATUS_OK) {
        free(copy);
        error_prefix(err, "%s %zu, \"%s\"", what, patterns->count + 1, shown_text(text).text);
        return status;
    }
    patterns->texts[patterns->count++] = copy;
    return STATUS_OK;
}

enum status name_patterns_init(struct name_patterns *patterns, const char *const *texts,
                               size_t count, const char *what, struct error *err)
{
    *patterns = (struct name_patterns){0};
    if (count > NAME_PATTERNS_MAX)
        return fail(err, STATUS_INVALID, "%zu %ss; at most %d are allowed", count, what,
                    NAME_PATTERNS_MAX);
    patterns->items = calloc(count + 1, sizeof patterns->items[0]);
    patterns->texts = calloc(count + 1, sizeof patterns->texts[0]);
    enum status status = STATUS_OK;
    if (patterns->items == NULL || patterns->texts == NULL)
        status = fail(err, STATUS_MEMORY, "no memory for patterns of names");
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = add(patterns, slice_from_text(texts[i]), what, err);
    if (status != STATUS_OK)
        name_patterns_release(patterns);
    return status;
}

void name_patterns_release(struct name_patterns *patterns)
{
    for (size_t i = 0; i < patterns->count; i++) {
        free(patterns->texts[i]);
        name_pattern_release(&patterns->items[i]);
    }
    free(patterns->items);
    free(patterns->texts);
    *patterns = (struct name_patterns){0};
}
