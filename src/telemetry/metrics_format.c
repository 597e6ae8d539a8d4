/*
 * metrics_format - which of the two text formats a scraper wants, by its header Accept.
 *
 *   application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3
 *
 * OpenMetrics is answered only where it is named, in the version that we write or in none, and not
 * with a lower weight than plain text. Weights are compared in thousandths (RFC 9110, 12.4.2).
 */
#include "telemetry/telemetry.h"

#include <strings.h>

enum { WEIGHT_MAX = 1000 };

static struct slice trim(struct slice text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = slice_from(text, 1);
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

/* The trimmed text up to `end`, which is taken out of *rest with it; all where there is none. */
static struct slice cut(struct slice *rest, char end)
{
    const uint8_t *at = rest->size == 0 ? NULL : memchr(rest->data, end, rest->size);
    size_t size = at == NULL ? rest->size : (size_t)(at - rest->data);
    struct slice part = slice_of(rest->data, size);
    *rest = slice_from(*rest, at == NULL ? size : size + 1);
    return trim(part);
}

static bool is_word(struct slice text, const char *word)
{
    return text.size == strlen(word) && strncasecmp((const char *)text.data, word, text.size) == 0;
}

static struct slice unquoted(struct slice text)
{
    if (text.size >= 2 && text.data[0] == '"' && text.data[text.size - 1] == '"')
        return slice_of(text.data + 1, text.size - 2);
    return text;
}

/* "1", "0.5", "0.25", "0.125"; what is none of these counts as 0, like something not wanted. */
static unsigned weight_parse(struct slice text)
{
    if (text.size == 0 || text.size > 5 || (text.data[0] != '0' && text.data[0] != '1') ||
        (text.size > 1 && text.data[1] != '.'))
        return 0;
    unsigned weight = text.data[0] == '1' ? WEIGHT_MAX : 0;
    unsigned digit = WEIGHT_MAX / 10;
    for (size_t i = 2; i < text.size; i++, digit /= 10) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return 0;
        weight += (unsigned)(text.data[i] - '0') * digit;
    }
    return weight > WEIGHT_MAX ? 0 : weight;
}

/* The weight of one media range; 0 where its version is not `version`. */
static unsigned range_weight(struct slice parameters, const char *version)
{
    unsigned weight = WEIGHT_MAX;
    while (parameters.size > 0) {
        struct slice value = cut(&parameters, ';');
        struct slice name = cut(&value, '=');
        value = unquoted(trim(value));
        if (is_word(name, "q"))
            weight = weight_parse(value);
        else if (is_word(name, "version") && !slice_equal_text(value, version))
            return 0;
    }
    return weight;
}

static void raise(unsigned *weight, unsigned to)
{
    if (to > *weight)
        *weight = to;
}

enum metrics_format metrics_format_accepted(struct slice accept)
{
    unsigned openmetrics = 0;
    unsigned text = 0;
    while (accept.size > 0) {
        struct slice parameters = cut(&accept, ',');
        struct slice type = cut(&parameters, ';');
        if (is_word(type, "application/openmetrics-text"))
            raise(&openmetrics, range_weight(parameters, "1.0.0"));
        else if (is_word(type, "text/plain"))
            raise(&text, range_weight(parameters, "0.0.4"));
    }
    return openmetrics > 0 && openmetrics >= text ? METRICS_OPENMETRICS : METRICS_TEXT;
}

const char *metrics_content_type(enum metrics_format format)
{
    return format == METRICS_OPENMETRICS
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}
