#include "config/settings.h"
#include "config/value.h"

enum { COMMENT_COLUMN = 40 };

static bool begins_section(const struct settings_table *table, size_t index)
{
    return index == 0 || strcmp(table->keys[index].section, table->keys[index - 1].section) != 0;
}

static enum status print_comment(const char *text, size_t column, struct bytes *out)
{
    enum status status = STATUS_OK;
    for (; column < COMMENT_COLUMN && status == STATUS_OK; column++)
        status = bytes_append_text(out, " ");
    return status == STATUS_OK ? bytes_format(out, " # %s\n", text) : status;
}

static enum status print_text_line(const struct settings *settings, size_t index, struct bytes *out)
{
    const struct config_key *key = &settings->table->keys[index];
    size_t start = out->size;
    enum status status;
    /* The secret itself is not shown, so the line must not set it to anything else either. */
    if (key->secret && value_is_set(key, settings->values))
        status = bytes_format(out, "  # %s: (secret)", key->name);
    else if ((status = bytes_format(out, "  %s: ", key->name)) == STATUS_OK)
        status = value_print(key, settings->values, false, out);
    if (status != STATUS_OK)
        return status;
    return print_comment(settings->origins[index].text, out->size - start, out);
}

enum status settings_print_text(const struct settings *settings, struct bytes *out)
{
    for (size_t i = 0; i < settings->table->key_count; i++) {
        enum status status = STATUS_OK;
        if (begins_section(settings->table, i))
            status =
                bytes_format(out, "%s%s:\n", i == 0 ? "" : "\n", settings->table->keys[i].section);
        if (status == STATUS_OK)
            status = print_text_line(settings, i, out);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status print_json_member(const struct settings *settings, size_t index,
                                     struct bytes *out)
{
    const struct config_key *key = &settings->table->keys[index];
    enum status status = bytes_format(out, "\"%s\":{\"value\":", key->name);
    if (status != STATUS_OK)
        return status;
    if (key->secret)
        status = bytes_format(out, "null,\"secret\":\"%s\"",
                              value_is_set(key, settings->values) ? "set" : "empty");
    else
        status = value_print(key, settings->values, true, out);
    if (status == STATUS_OK)
        status = bytes_append_text(out, ",\"origin\":");
    if (status == STATUS_OK)
        status = value_print_quoted(slice_from_text(settings->origins[index].text), out);
    return status == STATUS_OK ? bytes_append_text(out, "}") : status;
}

enum status settings_print_json(const struct settings *settings, struct bytes *out)
{
    enum status status = bytes_append_text(out, "{");
    for (size_t i = 0; i < settings->table->key_count && status == STATUS_OK; i++) {
        if (begins_section(settings->table, i))
            status = bytes_format(out, "%s\"%s\":{", i == 0 ? "" : "},",
                                  settings->table->keys[i].section);
        else
            status = bytes_append_text(out, ",");
        if (status == STATUS_OK)
            status = print_json_member(settings, i, out);
    }
    return status == STATUS_OK ? bytes_append_text(out, "}}\n") : status;
}

static struct settings settings_of(const struct config *config)
{
    /* Printing changes nothing; the other functions take the same struct and do. */
    struct config *values = (struct config *)config;
    return (struct settings){
        .table = settings_table_of_config(), .values = values, .origins = config->origins};
}

enum status config_print_text(const struct config *config, struct bytes *out)
{
    struct settings settings = settings_of(config);
    return settings_print_text(&settings, out);
}

enum status config_print_json(const struct config *config, struct bytes *out)
{
    struct settings settings = settings_of(config);
    return settings_print_json(&settings, out);
}
