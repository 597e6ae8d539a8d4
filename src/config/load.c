/*
 * load - the layers one over the other, then the checks; and the same again for a reload.
 */
#include "base/invariant.h"
#include "config/check.h"
#include "config/settings.h"
#include "config/value.h"
#include "os/read_all.h"

/* Texts of a file (1 MiB at most) and of the environment and arguments (the kernel's 2 MiB), each
 * kept with its origin. */
enum { CONFIG_MEMORY_MAX = 16 << 20 };

static struct settings settings_of(struct config *config, struct filesystem *fs)
{
    return (struct settings){
        .table = settings_table_of_config(),
        .values = config,
        .origins = config->origins,
        .arena = &config->arena,
        .fs = fs,
    };
}

static enum status no_room(const struct config *config, struct error *err)
{
    return fail(err, arena_status(&config->arena), "no room for the configuration");
}

static enum status apply_file(struct settings *settings, const char *path, struct error *err)
{
    struct bytes text;
    bytes_init(&text, SETTINGS_FILE_MAX);
    enum status status = filesystem_read_all(settings->fs, path, &text, err);
    if (status != STATUS_OK)
        error_prefix(err, "cannot read the configuration file");
    else
        status = settings_apply_yaml(settings, bytes_slice(&text), path, err);
    bytes_release(&text);
    return status;
}

static enum status apply_sources(struct settings *settings, const struct config_sources *sources,
                                 struct error *err)
{
    enum status status = settings_apply_defaults(settings, err);
    if (status == STATUS_OK && sources->preset != NULL)
        status = settings_apply_preset(settings, sources->preset, err);
    if (status == STATUS_OK && sources->file != NULL)
        status = apply_file(settings, sources->file, err);
    if (status == STATUS_OK && sources->environment != NULL)
        status = settings_apply_environment(settings, sources->environment, err);
    if (status == STATUS_OK)
        status = settings_apply_flags(settings, sources->flags, sources->flag_count, err);
    return status;
}

enum status config_load(struct config *config, const struct config_sources *sources,
                        struct error *err)
{
    invariant(sources->file == NULL || sources->fs != NULL);
    *config = (struct config){0};
    arena_init(&config->arena, CONFIG_MEMORY_MAX);
    size_t count;
    (void)config_keys(&count);
    config->origins = arena_calloc(&config->arena, count, sizeof *config->origins);
    enum status status = config->origins == NULL ? no_room(config, err) : STATUS_OK;
    struct settings settings = settings_of(config, sources->fs);
    if (status == STATUS_OK)
        status = apply_sources(&settings, sources, err);
    if (status == STATUS_OK)
        status = check_config(config, err);
    if (status != STATUS_OK)
        config_release(config);
    return status;
}

void config_release(struct config *config)
{
    arena_release(&config->arena);
    *config = (struct config){0};
}

enum status config_check_file(struct filesystem *fs, const char *path, struct error *err)
{
    struct config config;
    enum status status =
        config_load(&config, &(struct config_sources){.fs = fs, .file = path}, err);
    if (status == STATUS_OK)
        config_release(&config);
    return status;
}

const struct config_origin *config_origin(const struct config *config, const struct config_key *key)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);
    invariant(key >= keys && key < keys + count);
    return &config->origins[key - keys];
}

uint64_t config_memory_limit(const struct config *config, uint64_t available_bytes)
{
    return config->memory.limit_bytes != 0 ? config->memory.limit_bytes : available_bytes / 2;
}

/* Puts the running value and origin of key `index` back into `fresh`. */
static enum status keep_running(const struct config *running, struct config *fresh, size_t index)
{
    size_t count;
    const struct config_key *key = &config_keys(&count)[index];
    enum status status = value_copy(key, running, fresh, &fresh->arena);
    if (status != STATUS_OK)
        return status;
    struct settings settings = settings_of(fresh, NULL);
    const char *origin =
        settings_copy_text(&settings, slice_from_text(running->origins[index].text));
    if (origin == NULL)
        return arena_status(&fresh->arena);
    fresh->origins[index] =
        (struct config_origin){.source = running->origins[index].source, .text = origin};
    return STATUS_OK;
}

static enum status merge(const struct config *running, struct config *fresh,
                         struct config_changes *changes, struct error *err)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);
    /* NOLINTBEGIN(bugprone-sizeof-expression): these are arrays of pointers */
    const struct config_key **applied = arena_calloc(&fresh->arena, count, sizeof *applied);
    const struct config_key **restart = arena_calloc(&fresh->arena, count, sizeof *restart);
    /* NOLINTEND(bugprone-sizeof-expression) */
    if (applied == NULL || restart == NULL)
        return no_room(fresh, err);
    *changes = (struct config_changes){.applied = applied, .need_restart = restart};
    for (size_t i = 0; i < count; i++) {
        if (value_equal(&keys[i], running, fresh))
            continue;
        if (keys[i].reloadable) {
            applied[changes->applied_count++] = &keys[i];
            continue;
        }
        restart[changes->need_restart_count++] = &keys[i];
        enum status status = keep_running(running, fresh, i);
        if (status != STATUS_OK)
            return fail(err, status, "no room for the configuration");
    }
    return STATUS_OK;
}

enum status config_reload(const struct config *running, const struct config_sources *sources,
                          struct config *fresh, struct config_changes *changes, struct error *err)
{
    *changes = (struct config_changes){0};
    enum status status = config_load(fresh, sources, err);
    if (status != STATUS_OK)
        return status;
    status = merge(running, fresh, changes, err);
    /* Old and new values may contradict each other although each file by itself did not. */
    if (status == STATUS_OK)
        status = check_config(fresh, err);
    if (status == STATUS_OK)
        return STATUS_OK;
    *changes = (struct config_changes){0};
    config_release(fresh);
    return status;
}
