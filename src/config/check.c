#include "config/check.h"

#include <stdio.h>

#include "base/invariant.h"
#include "config/settings.h"
#include "config/value.h"

static const struct config_key *key_named(const char *section, const char *name)
{
    const struct config_key *key =
        settings_find(settings_table_of_config(), slice_from_text(section), slice_from_text(name));
    invariant(key != NULL);
    return key;
}

static bool is_port(struct slice text)
{
    unsigned port = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        port = port * 10 + (text.data[i] - '0');
        if (port > 65535)
            return false;
    }
    return text.size > 0;
}

/* HOST:PORT or [IPV6]:PORT. Whether the host exists is seen when it is listened on. */
static bool is_address(struct slice text)
{
    size_t colon = text.size;
    while (colon > 0 && text.data[colon - 1] != ':')
        colon--;
    if (colon < 2 || !is_port(slice_from(text, colon)))
        return false;
    struct slice host = slice_of(text.data, colon - 1);
    bool bracketed = host.data[0] == '[' && host.data[host.size - 1] == ']' && host.size > 2;
    if (bracketed)
        host = slice_of(host.data + 1, host.size - 2);
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_%:";
    for (size_t i = 0; i < host.size; i++)
        if (strchr(allowed, host.data[i]) == NULL || (!bracketed && host.data[i] == ':'))
            return false;
    return true;
}

static enum status check_address(const struct config *config, const struct config_key *key,
                                 const char *value, struct error *err)
{
    if (is_address(slice_from_text(value)))
        return STATUS_OK;
    return fail(err, STATUS_INVALID,
                "%s: %s.%s must be HOST:PORT or [IPV6]:PORT, such as 127.0.0.1:9480; it is "
                "\"%.100s\"",
                config_origin(config, key)->text, key->section, key->name, value);
}

/* "tiers.cold_after (10d, metric-store.yml:4)" */
static enum status describe(const struct config *config, const struct config_key *key,
                            struct bytes *out)
{
    enum status status = bytes_format(out, "%s.%s (", key->section, key->name);
    if (status == STATUS_OK)
        status = value_print(key, config, false, out);
    if (status == STATUS_OK)
        status = bytes_format(out, ", %.100s)", config_origin(config, key)->text);
    return status;
}

static enum status refuse_pair(const struct config *config, const struct config_key *first,
                               const char *must_be, const struct config_key *second,
                               struct error *err)
{
    struct bytes text;
    bytes_init(&text, 2048);
    enum status status = describe(config, first, &text);
    if (status == STATUS_OK)
        status = bytes_format(&text, " must be %s ", must_be);
    if (status == STATUS_OK)
        status = describe(config, second, &text);
    if (status == STATUS_OK)
        status = fail(err, STATUS_INVALID, "%.*s", (int)text.size, (const char *)text.data);
    else
        fail(err, status, "no room for a message");
    bytes_release(&text);
    return status;
}

enum status check_config(const struct config *config, struct error *err)
{
    enum status status =
        check_address(config, key_named("server", "listen"), config->server.listen, err);
    if (status != STATUS_OK)
        return status;
    if (config->server.max_decoded_bytes < config->server.max_body_bytes)
        return refuse_pair(config, key_named("server", "max_decoded_size"), "at least",
                           key_named("server", "max_body_size"), err);
    if (config->tiers.cold_after_ms <= config->tiers.warm_after_ms)
        return refuse_pair(config, key_named("tiers", "cold_after"), "later than",
                           key_named("tiers", "warm_after"), err);
    return STATUS_OK;
}
