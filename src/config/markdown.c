/*
 * markdown - docs/CONFIGURATION.md out of the table, so that the document cannot lag behind.
 */
#include "config/settings.h"
#include "config/value.h"

static const char introduction[] =
    "# Configuration\n"
    "\n"
    "metric-store starts without any configuration: every setting has a default. This page is\n"
    "written from the table in `src/config/keys.c` that the program itself uses; change it there.\n"
    "\n"
    "## Where a value comes from\n"
    "\n"
    "| order | source | example |\n"
    "|---|---|---|\n"
    "| 1 | flags, a later one over an earlier one | `--set server.threads=4`, `--listen "
    "0.0.0.0:9480` |\n"
    "| 2 | environment | `METRIC_STORE_SERVER__THREADS=4` |\n"
    "| 3 | the file given by `--config FILE` | see below |\n"
    "| 4 | the preset given by `--preset NAME` | `--preset kubernetes` |\n"
    "| 5 | the default | |\n"
    "\n"
    "`metric-store config` prints every value in force with its origin, `config --json` the same\n"
    "for programs, and `config --check FILE` only says whether a file is right.\n"
    "\n"
    "A setting that does not exist, a value that does not fit, or settings that contradict each\n"
    "other stop the start (exit code 2) with the place and the name that was probably meant:\n"
    "\n"
    "```\n"
    "metric-store.yml:12: unknown setting \"cardinality.max_serie_per_metric\"; did you mean "
    "\"cardinality.max_series_per_metric\"?\n"
    "```\n"
    "\n"
    "That holds for the environment too: a variable `METRIC_STORE_...` with two underscores in\n"
    "its name must be a setting. Others that begin so, like those that Kubernetes sets for a\n"
    "service, are left alone.\n"
    "\n"
    "## The file\n"
    "\n"
    "YAML in UTF-8, at most 1 MiB, two levels deep where no list of maps stands; no anchors, "
    "aliases, tags or second document.\n"
    "A name may be given once.\n"
    "\n"
    "```yaml\n"
    "server:\n"
    "  listen: 127.0.0.1:9480\n"
    "cardinality:\n"
    "  max_series_per_metric: 50000\n"
    "```\n"
    "\n"
    "| value | written as |\n"
    "|---|---|\n"
    "| size | bytes, or a whole number directly before `B`, `KiB`, `MiB`, `GiB`, `TiB` (powers of "
    "1024) or `kB`, `MB`, `GB`, `TB` (powers of 1000): `64MiB` |\n"
    "| duration | whole numbers directly before `ms`, `s`, `m`, `h`, `d`, `w` (7 days), `y` (365 "
    "days), also several: `15s`, `1h30m`, `10d`; `0` needs no unit |\n"
    "| list | a YAML list in the file; separated by commas elsewhere |\n"
    "| list of maps | a YAML list of maps in the file; elsewhere the same on one line: "
    "`--set 'retention.rules=[{match: up, keep: 30d}]'` |\n"
    "| secret | `NAME`, or `NAME_file` with the path of a file that holds it; one line's end at "
    "the end of the file does not count. Secrets are never printed |\n"
    "\n"
    "## Reload\n"
    "\n"
    "SIGHUP loads all sources again. Settings marked *reload* take effect at once; where another\n"
    "one changed, the log says that it needs a restart, and the value in force stays. If anything\n"
    "is wrong nothing changes, and the log says what.\n";

static enum status print_row(const struct config_key *key, struct bytes *out)
{
    char expected[VALUE_EXPECTED_SIZE];
    value_expected(key, expected);
    enum status status = bytes_format(out, "| `%s` | `%s` | %s | %s%s", key->name, key->initial,
                                      expected, key->help, key->reloadable ? " *reload*" : "");
    if (status == STATUS_OK && key->secret)
        status = bytes_append_text(out, " *secret*");
    if (status == STATUS_OK && key->flag != NULL)
        status = bytes_format(out, " Flag: `%s`.", key->flag);
    return status == STATUS_OK ? bytes_append_text(out, " |\n") : status;
}

static enum status print_section(const struct settings_table *table,
                                 const struct settings_section *section, struct bytes *out)
{
    enum status status = bytes_format(out,
                                      "\n### %s\n\n%s\n\n| setting | default | value | meaning |\n"
                                      "|---|---|---|---|\n",
                                      section->name, section->help);
    for (size_t i = 0; i < table->key_count && status == STATUS_OK; i++)
        if (strcmp(table->keys[i].section, section->name) == 0)
            status = print_row(&table->keys[i], out);
    return status;
}

static enum status print_preset(const struct settings_preset *preset, struct bytes *out)
{
    enum status status = bytes_format(out,
                                      "\n### %s\n\n%s\n\n| setting | value |\n"
                                      "|---|---|\n",
                                      preset->name, preset->help);
    for (size_t i = 0; i < preset->value_count && status == STATUS_OK; i++)
        status = bytes_format(out, "| `%s.%s` | `%s` |\n", preset->values[i].section,
                              preset->values[i].name, preset->values[i].value);
    return status;
}

enum status config_print_markdown(struct bytes *out)
{
    const struct settings_table *table = settings_table_of_config();
    enum status status = bytes_append_text(out, introduction);
    if (status == STATUS_OK)
        status = bytes_append_text(out, "\n## Settings\n");
    for (size_t i = 0; i < table->section_count && status == STATUS_OK; i++)
        status = print_section(table, &table->sections[i], out);
    if (status == STATUS_OK)
        status = bytes_append_text(out, "\n## Presets\n");
    for (size_t i = 0; i < table->preset_count && status == STATUS_OK; i++)
        status = print_preset(&table->presets[i], out);
    return status;
}
