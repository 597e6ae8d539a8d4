/*
 * Patterns of names: the first line is the pattern, the rest the name. A pattern is refused with a
 * reason, or compiled; a glob matches what its translation into a regular expression matches.
 */
#include "fuzz.h"

#include "base/bytes.h"
#include "base/invariant.h"
#include "base/utf8.h"
#include "cxx/regex.h"
#include "model/name_pattern.h"

enum { NAME_MAX_SIZE = 4096, REGEX_TEXT_MAX = 16 * NAME_PATTERN_MAX_SIZE };

static void put_plain(struct bytes *to, uint8_t byte)
{
    if (byte < 0x80)
        invariant(bytes_format(to, "\\x%02x", byte) == STATUS_OK);
    else
        invariant(bytes_append(to, &byte, 1) == STATUS_OK);
}

static void translate(struct slice glob, struct bytes *to)
{
    for (size_t i = 0; i < glob.size; i++) {
        if (glob.data[i] == '*')
            invariant(bytes_append_text(to, ".*") == STATUS_OK);
        else if (glob.data[i] == '?')
            invariant(bytes_append_text(to, ".") == STATUS_OK);
        else
            put_plain(to, glob.data[i] == '\\' ? glob.data[++i] : glob.data[i]);
    }
}

static void check_glob(struct slice glob, struct slice name, bool matches)
{
    struct bytes text;
    bytes_init(&text, REGEX_TEXT_MAX);
    translate(glob, &text);
    struct regex *regex;
    struct error err;
    enum status status = regex_new(&regex, bytes_slice(&text), &err);
    invariant(status == STATUS_OK || status == STATUS_LIMIT);
    if (status == STATUS_OK) {
        invariant(regex_matches(regex, name) == matches);
        regex_free(regex);
    }
    bytes_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size == 0 ? NULL : memchr(data, '\n', size);
    if (end == NULL)
        return 0;
    struct slice text = slice_of(data, (size_t)(end - data));
    struct slice name = slice_from(slice_of(data, size), text.size + 1);
    if (!utf8_valid(text) || !utf8_valid(name) || name.size > NAME_MAX_SIZE)
        return 0;
    struct name_pattern pattern;
    struct error err = {0};
    enum status status = name_pattern_init(&pattern, text, &err);
    invariant(status == STATUS_OK || status == STATUS_INVALID || status == STATUS_LIMIT);
    invariant(status == STATUS_OK || err.message[0] != '\0');
    if (status != STATUS_OK)
        return 0;
    bool matches = name_pattern_matches(&pattern, name);
    if (pattern.kind != NAME_PATTERN_REGEX)
        check_glob(text, name, matches);
    name_pattern_release(&pattern);
    return 0;
}
