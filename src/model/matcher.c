#include "model/matcher.h"

#include "cxx/regex.h"

enum status matcher_init(struct matcher *matcher, enum matcher_type type, struct slice name,
                         struct slice value, struct arena *arena, struct error *err)
{
    *matcher = (struct matcher){
        .type = type,
        .name = arena_copy(arena, name),
        .value = arena_copy(arena, value),
    };
    if (matcher->name.data == NULL || matcher->value.data == NULL)
        return fail(err, arena_status(arena), "no memory for a matcher");
    if (type == MATCH_EQUAL || type == MATCH_NOT_EQUAL)
        return STATUS_OK;
    if (value.size > REGEX_MAX_SIZE)
        return fail_code(err, STATUS_LIMIT, "regex_too_long",
                         "the regular expression for label \"%.*s\" has %zu bytes; at most %d are "
                         "accepted",
                         SLICE_FORMAT(name), value.size, REGEX_MAX_SIZE);
    return regex_new(&matcher->regex, matcher->value, err);
}

void matcher_release(struct matcher *matcher)
{
    regex_free(matcher->regex);
    matcher->regex = NULL;
}

void matchers_release(struct matchers *matchers)
{
    for (size_t i = 0; i < matchers->count; i++)
        matcher_release(&matchers->items[i]);
    matchers->count = 0;
}

bool matcher_matches_value(const struct matcher *matcher, struct slice value)
{
    switch (matcher->type) {
    case MATCH_EQUAL:
        return slice_equal(matcher->value, value);
    case MATCH_NOT_EQUAL:
        return !slice_equal(matcher->value, value);
    case MATCH_REGEX:
        return regex_matches(matcher->regex, value);
    case MATCH_NOT_REGEX:
        return !regex_matches(matcher->regex, value);
    }
    return false;
}

bool matcher_matches_empty(const struct matcher *matcher)
{
    return matcher_matches_value(matcher, slice_of("", 0));
}

bool matchers_match(const struct matchers *matchers, const struct labels *labels)
{
    for (size_t i = 0; i < matchers->count; i++) {
        struct slice value = labels_get(labels, matchers->items[i].name);
        if (!matcher_matches_value(&matchers->items[i], value))
            return false;
    }
    return true;
}
