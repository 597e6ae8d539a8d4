#include "cxx/regex.h"

#include <new>
#include <string>

#include <re2/re2.h>

#include "base/shown.h"

struct regex {
    RE2 compiled;

    regex(const std::string &pattern, const RE2::Options &options) : compiled(pattern, options)
    {
    }
};

enum status regex_new(struct regex **result, struct slice pattern, struct error *err)
{
    return regex_new_within(result, pattern, REGEX_MAX_MEMORY, err);
}

enum status regex_new_within(struct regex **result, struct slice pattern, size_t max_memory,
                             struct error *err)
{
    *result = nullptr;
    RE2::Options options;
    options.set_log_errors(false);
    options.set_dot_nl(true);
    options.set_max_mem(static_cast<int64_t>(max_memory));
    try {
        /* ^(?: ... )$ keeps alternation inside the anchors; RE2 names offsets of the whole. */
        std::string whole = "^(?s:";
        whole.append(reinterpret_cast<const char *>(pattern.data), pattern.size);
        whole += ")$";
        auto *made = new regex(whole, options);
        if (!made->compiled.ok()) {
            enum status status = made->compiled.error_code() == RE2::ErrorPatternTooLarge
                                     ? STATUS_LIMIT
                                     : STATUS_INVALID;
            const std::string &reason = made->compiled.error();
            status = fail_code(err, status, "regex_invalid", "regular expression \"%s\": %s",
                               shown_text(pattern).text,
                               shown_text(slice_of(reason.data(), reason.size())).text);
            delete made;
            return status;
        }
        *result = made;
        return STATUS_OK;
    } catch (const std::bad_alloc &) {
        return fail(err, STATUS_MEMORY, "no memory for a regular expression");
    }
}

void regex_free(struct regex *regex)
{
    delete regex;
}

bool regex_matches(const struct regex *regex, struct slice text)
{
    re2::StringPiece piece(reinterpret_cast<const char *>(text.data), text.size);
    return RE2::FullMatch(piece, regex->compiled);
}
