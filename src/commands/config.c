#include <stdio.h>

#include "base/json_text.h"
#include "commands/options.h"
#include "commands/output.h"

enum { PRINT_MAX = 4 << 20 };

static int check_file(const struct options *options, const char *path)
{
    struct error err;
    if (config_check_file(os_system().fs, path, &err) != STATUS_OK) {
        complain(options, "%s", err.message);
        return COMMAND_USAGE;
    }
    if (!options_has(options, "json")) {
        printf("%s: good\n", path);
        return COMMAND_DONE;
    }
    struct bytes text;
    bytes_init(&text, PRINT_MAX);
    enum status status = bytes_append_text(&text, "{\"file\":");
    if (status == STATUS_OK)
        status = json_append_string(&text, slice_from_text(path));
    if (status == STATUS_OK)
        printf("%.*s,\"good\":true}\n", (int)text.size, (const char *)text.data);
    else
        complain(options, "no memory to print the result");
    bytes_release(&text);
    return status == STATUS_OK ? COMMAND_DONE : COMMAND_FAILED;
}

static int print_config(const struct options *options)
{
    struct config config;
    int exit_code = options_load_config(options, os_system(), &config);
    if (exit_code != COMMAND_DONE)
        return exit_code;
    struct bytes text;
    bytes_init(&text, PRINT_MAX);
    bool json = options_has(options, "json");
    enum status status =
        json ? config_print_json(&config, &text) : config_print_text(&config, &text);
    if (status == STATUS_OK) {
        fwrite(text.data, 1, text.size, stdout);
        if (text.size > 0 && text.data[text.size - 1] != '\n')
            putchar('\n');
    } else {
        complain(options, "no memory to print the configuration");
        exit_code = COMMAND_FAILED;
    }
    bytes_release(&text);
    config_release(&config);
    return exit_code;
}

int command_config(int argc, char **argv)
{
    struct options options;
    int exit_code;
    if (options_parse(&options, command_find("config"), argc, argv, &exit_code)) {
        const char *path = options_value(&options, "check");
        exit_code = path != NULL ? check_file(&options, path) : print_config(&options);
    }
    return options_end(&options, exit_code);
}
