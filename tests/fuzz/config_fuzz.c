/*
 * config_fuzz - the configuration file's parser: any bytes either load or are refused with a
 * message, and what loaded prints to a file that loads to the same values.
 */
#include "fuzz.h"

#include "base/invariant.h"
#include "config/settings.h"
#include "config/value.h"

struct loaded {
    struct config config;
    struct settings settings;
};

static enum status load(struct loaded *loaded, struct slice text)
{
    const struct settings_table *table = settings_table_of_config();
    *loaded = (struct loaded){0};
    arena_init(&loaded->config.arena, 16 << 20);
    loaded->config.origins =
        arena_calloc(&loaded->config.arena, table->key_count, sizeof(struct config_origin));
    invariant(loaded->config.origins != NULL);
    loaded->settings = (struct settings){
        .table = table,
        .values = &loaded->config,
        .origins = loaded->config.origins,
        .arena = &loaded->config.arena,
    };
    struct error err = {0};
    enum status status = settings_apply_defaults(&loaded->settings, &err);
    if (status == STATUS_OK)
        status = settings_apply_yaml(&loaded->settings, text, "fuzz.yml", &err);
    invariant(status == STATUS_OK || err.status == status);
    invariant(status == STATUS_OK || err.message[0] != 0);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct loaded first, second;
    if (size > SETTINGS_FILE_MAX)
        return 0;
    if (load(&first, slice_of(data, size)) != STATUS_OK) {
        config_release(&first.config);
        return 0;
    }
    struct bytes printed;
    bytes_init(&printed, 1 << 22);
    invariant(config_print_json(&first.config, &printed) == STATUS_OK);
    bytes_clear(&printed);
    invariant(config_print_text(&first.config, &printed) == STATUS_OK);
    invariant(load(&second, bytes_slice(&printed)) == STATUS_OK);
    const struct settings_table *table = settings_table_of_config();
    for (size_t i = 0; i < table->key_count; i++)
        invariant(value_equal(&table->keys[i], &first.config, &second.config));
    bytes_release(&printed);
    config_release(&second.config);
    config_release(&first.config);
    return 0;
}
