#include "config/check.h"

#include <stdio.h>

#include "base/invariant.h"
#include "config/settings.h"
#include "config/value.h"
#include "os/socket_address.h"

static const struct config_key *key_named(const char *section, const char *name)
{
    const struct config_key *key =
        settings_find(settings_table_of_config(), slice_from_text(section), slice_from_text(name));
    invariant(key != NULL);
    return key;
}

/* By the rule that the server itself goes by. */
static enum status check_address(const struct config *config, const struct config_key *key,
                                 const char *value, struct error *err)
{
    struct sockaddr_storage address;
    socklen_t size;
    struct error why;
    if (socket_address_parse(value, &address, &size, &why) == STATUS_OK)
        return STATUS_OK;
    return fail(err, STATUS_INVALID, "%s: %s.%s: %s", config_origin(config, key)->text,
                key->section, key->name, why.message);
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
