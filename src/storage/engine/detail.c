#include "storage/engine/detail.h"

#include <inttypes.h>
#include <math.h>

#include "base/json_text.h"
#include "base/times.h"

static void keep(struct detail *detail, enum status status)
{
    if (detail->status == STATUS_OK)
        detail->status = status;
}

static void put_key(struct detail *detail, const char *key)
{
    keep(detail, bytes_format(detail->to, detail->json ? ",\"%s\":" : " %s=", key));
}

void detail_begin(struct detail *detail, const char *type)
{
    if (detail->json)
        keep(detail,
             bytes_format(detail->to, "%s{\"detail\":\"%s\"", detail->any ? ",\n" : "", type));
    else
        keep(detail, bytes_append_text(detail->to, type));
    detail->any = true;
}

void detail_count(struct detail *detail, const char *key, uint64_t number)
{
    put_key(detail, key);
    keep(detail, bytes_format(detail->to, "%" PRIu64, number));
}

void detail_time_ms(struct detail *detail, const char *key, int64_t time_ms)
{
    put_key(detail, key);
    keep(detail, bytes_format(detail->to, "%" PRId64, time_ms));
}

void detail_instant(struct detail *detail, const char *key, int64_t time_ms)
{
    char text[INSTANT_TEXT_SIZE];
    instant_format(text, time_ms);
    detail_word(detail, key, text);
}

void detail_value(struct detail *detail, const char *key, double value)
{
    if (detail->json && !isfinite(value)) {
        detail_word(detail, key, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
        return;
    }
    put_key(detail, key);
    keep(detail, bytes_format(detail->to, "%.17g", value));
}

void detail_word(struct detail *detail, const char *key, const char *word)
{
    put_key(detail, key);
    keep(detail, detail->json ? json_append_string(detail->to, slice_from_text(word))
                              : bytes_append_text(detail->to, word));
}

void detail_text(struct detail *detail, const char *key, struct slice text)
{
    put_key(detail, key);
    keep(detail, json_append_string(detail->to, text));
}

void detail_labels(struct detail *detail, const char *key, const struct labels *labels)
{
    put_key(detail, key);
    keep(detail, bytes_append(detail->to, "{", 1));
    for (size_t i = 0; i < labels->count; i++) {
        if (i > 0)
            keep(detail, bytes_append(detail->to, ",", 1));
        keep(detail, json_append_string(detail->to, labels->items[i].name));
        keep(detail, bytes_append(detail->to, detail->json ? ":" : "=", 1));
        keep(detail, json_append_string(detail->to, labels->items[i].value));
    }
    keep(detail, bytes_append(detail->to, "}", 1));
}

void detail_end(struct detail *detail)
{
    keep(detail, bytes_append(detail->to, detail->json ? "}" : "\n", 1));
}

void detail_damage(struct detail *detail, const char *message)
{
    if (detail->json)
        detail_word(detail, "damage", message);
    else
        keep(detail, bytes_format(detail->to, " damaged: %s", message));
    detail_end(detail);
}
