#include "commands/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json_text.h"
#include "base/nearest.h"
#include "commands/output.h"

static const struct option common_options[] = {
    {.name = "config", .argument = "FILE", .help = "read settings from this YAML file"},
    {.name = "set", .argument = "SECTION.KEY=VALUE", .help = "one setting; repeatable"},
    {.name = "preset", .argument = "NAME", .help = "begin with a set of settings: kubernetes"},
    {.name = "log-level", .argument = "LEVEL", .help = "debug, info, warn or error"},
    {.name = "help", .help = "this text"},
    OPTION_END,
};

enum { SENTENCE_SIZE = 2 * ERROR_MESSAGE_SIZE };

struct options_report {
    bool json; /* was asked for */
    bool answered;
    char sentence[SENTENCE_SIZE]; /* the last one */
};

/* ---- complaints ------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 0))) static void say(const struct options *options,
                                                      const char *format, va_list args)
{
    char text[SENTENCE_SIZE];
    vsnprintf(text, sizeof text, format, args);
    if (options->report != NULL)
        memcpy(options->report->sentence, text, sizeof text);
    fflush(stdout);
    fprintf(stderr, "metric-store %s: %s\n", options->command->name, text);
}

void complain(const struct options *options, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(options, format, args);
    va_end(args);
}

int complain_of(const struct options *options, const struct error *err)
{
    /* Both know already: who left, and who interrupted. */
    if (err->status == STATUS_CANCELLED && err->code != NULL &&
        strcmp(err->code, "reader_left") == 0)
        return COMMAND_FAILED;
    if (err->status == STATUS_CANCELLED) {
        if (options->report != NULL)
            snprintf(options->report->sentence, SENTENCE_SIZE, "%s", err->message);
        return COMMAND_INTERRUPTED;
    }
    complain(options, "%s", err->message);
    return COMMAND_FAILED;
}

int complain_of_request(const struct options *options, const struct error *err)
{
    int exit_code = complain_of(options, err);
    return err->status == STATUS_INVALID && exit_code == COMMAND_FAILED ? COMMAND_USAGE : exit_code;
}

int complain_usage(const struct options *options, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(options, format, args);
    va_end(args);
    fprintf(stderr, "`metric-store help %s` lists what it takes.\n", options->command->name);
    return COMMAND_USAGE;
}

/* ---- help ------------------------------------------------------------------------------- */

static void print_option(const struct option *option)
{
    char left[64];
    snprintf(left, sizeof left, "%s%c%s--%s%s%s", option->letter != 0 ? "-" : "  ",
             option->letter != 0 ? option->letter : ' ', option->letter != 0 ? ", " : " ",
             option->name, option->argument != NULL ? " " : "",
             option->argument != NULL ? option->argument : "");
    printf("  %-28s %s\n", left, option->help);
}

void options_print_help(const struct command *command)
{
    printf("usage: metric-store %s%s%s\n\n%s", command->name, command->usage[0] != 0 ? " " : "",
           command->usage, command->long_help);
    printf("\nOptions:\n");
    for (const struct option *option = command->options; option->name != NULL; option++)
        print_option(option);
    for (const struct option *option = common_options; option->name != NULL; option++)
        print_option(option);
}

/* ---- parsing ---------------------------------------------------------------------------- */

static const struct option *find_in(const struct option *list, const char *name, size_t size)
{
    for (; list->name != NULL; list++)
        if (strlen(list->name) == size && memcmp(list->name, name, size) == 0)
            return list;
    return NULL;
}

static const struct option *find_long(const struct command *command, const char *name, size_t size)
{
    const struct option *found = find_in(command->options, name, size);
    return found != NULL ? found : find_in(common_options, name, size);
}

static const struct option *find_letter(const struct command *command, char letter)
{
    for (const struct option *option = command->options; option->name != NULL; option++)
        if (option->letter == letter)
            return option;
    return NULL;
}

/* NULL where none is near. */
static const char *nearest_name(const struct command *command, struct slice name)
{
    const struct option *lists[] = {command->options, common_options};
    struct nearest nearest = nearest_to(name, NEAREST_LIKELY);
    const char *found = NULL;
    for (size_t i = 0; i < 2; i++)
        for (const struct option *option = lists[i]; option->name != NULL; option++) {
            unsigned before = nearest.distance;
            nearest_offer(&nearest, 0, slice_from_text(option->name));
            if (nearest.distance < before)
                found = option->name;
        }
    return found;
}

/* `dashes` and `name`, as they were given. */
static void complain_unknown(const struct options *options, const char *dashes, struct slice name)
{
    const char *nearest = nearest_name(options->command, name);
    complain_usage(options, "there is no option %s%.*s%s%s", dashes, SLICE_FORMAT(name),
                   nearest != NULL ? "; the nearest is --" : "", nearest != NULL ? nearest : "");
}

/* Settings with a flag of their own, "--set" among them, go to the configuration. */
static bool is_setting(const struct option *option)
{
    if (strcmp(option->name, "set") == 0)
        return true;
    size_t count;
    const struct config_key *keys = config_keys(&count);
    for (size_t i = 0; i < count; i++)
        if (keys[i].flag != NULL && strcmp(keys[i].flag + 2, option->name) == 0)
            return true;
    return false;
}

struct parser {
    struct options *options;
    int argc;
    char **argv;
    int next;
    char (*names)[40]; /* "--name" of each flag */
};

static void take(struct parser *parser, const struct option *option, const char *value)
{
    struct options *options = parser->options;
    options->given[options->given_count++] = (struct option_given){option, value};
    if (strcmp(option->name, "config") == 0)
        options->config_file = value;
    if (strcmp(option->name, "preset") == 0)
        options->preset = value;
    if (is_setting(option)) {
        char *name = parser->names[options->flag_count];
        snprintf(name, sizeof parser->names[0], "--%s", option->name);
        options->flags[options->flag_count++] = (struct config_flag){name, value};
    }
}

/* The value of `option`, which is `inline_value` or the next argument; false after a complaint. */
static bool take_value(struct parser *parser, const struct option *option, const char *inline_value)
{
    if (option->argument == NULL && inline_value != NULL) {
        complain_usage(parser->options, "--%s takes no value", option->name);
        return false;
    }
    if (option->argument != NULL && inline_value == NULL) {
        if (parser->next == parser->argc) {
            complain_usage(parser->options, "--%s needs a value: --%s %s", option->name,
                           option->name, option->argument);
            return false;
        }
        inline_value = parser->argv[parser->next++];
    }
    take(parser, option, inline_value);
    return true;
}

static bool parse_long(struct parser *parser, const char *text)
{
    const char *equals = strchr(text, '=');
    size_t size = equals != NULL ? (size_t)(equals - text) : strlen(text);
    const struct option *option = find_long(parser->options->command, text, size);
    if (option != NULL)
        return take_value(parser, option, equals != NULL ? equals + 1 : NULL);
    complain_unknown(parser->options, "--", slice_of(text, size));
    return false;
}

static bool parse_short(struct parser *parser, const char *text)
{
    const struct option *option = find_letter(parser->options->command, text[0]);
    if (option == NULL && text[0] == 'h' && text[1] == 0)
        option = find_in(common_options, "help", 4);
    if (option != NULL)
        return take_value(parser, option, text[1] != 0 ? text + 1 : NULL);
    complain_unknown(parser->options, "-", slice_from_text(text));
    return false;
}

static bool parse_all(struct parser *parser)
{
    struct options *options = parser->options;
    bool ended = false;
    while (parser->next < parser->argc) {
        const char *text = parser->argv[parser->next++];
        bool good = true;
        if (ended || text[0] != '-' || text[1] == 0)
            options->arguments[options->argument_count++] = text;
        else if (text[1] != '-')
            good = parse_short(parser, text + 1);
        else if (text[2] == 0)
            ended = true;
        else
            good = parse_long(parser, text + 2);
        if (!good)
            return false;
    }
    if (options->argument_count > options->command->max_arguments) {
        complain_usage(options, "\"%s\" is one argument too many",
                       options->arguments[options->command->max_arguments]);
        return false;
    }
    return true;
}

/* Also where parsing ends before it comes to it. */
static bool asks_for_json(const struct command *command, int argc, char **argv)
{
    if (find_in(command->options, "json", 4) == NULL)
        return false;
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

bool options_parse(struct options *options, const struct command *command, int argc, char **argv,
                   int *exit_code)
{
    *options = (struct options){.command = command};
    size_t room = (size_t)argc + 1;
    options->report = calloc(1, sizeof *options->report);
    options->given = calloc(room, sizeof options->given[0]);
    options->arguments = calloc(room, sizeof options->arguments[0]);
    /* The names behind the flags, in one piece. */
    options->flags = calloc(room, sizeof options->flags[0] + 40);
    *exit_code = COMMAND_FAILED;
    if (options->report == NULL || options->given == NULL || options->arguments == NULL ||
        options->flags == NULL) {
        complain(options, "no memory for the command line");
        return false;
    }
    options->report->json = asks_for_json(command, argc, argv);
    struct parser parser = {
        .options = options,
        .argc = argc,
        .argv = argv,
        .next = 1,
        .names = (char(*)[40])(void *)(options->flags + room),
    };
    *exit_code = COMMAND_USAGE;
    if (!parse_all(&parser))
        return false;
    options->report->json = options_has(options, "json");
    if (options_has(options, "help")) {
        options_print_help(command);
        *exit_code = COMMAND_DONE;
        return false;
    }
    return true;
}

void options_answered(const struct options *options)
{
    options->report->answered = true;
}

static void print_failure(const struct options_report *report, int exit_code)
{
    struct bytes text;
    bytes_init(&text, 8 * SENTENCE_SIZE);
    enum status status =
        bytes_format(&text, "{\"status\":\"error\",\"exit_code\":%d,\"error\":", exit_code);
    if (status == STATUS_OK)
        status = json_append_string(&text, slice_from_text(report->sentence));
    if (status == STATUS_OK)
        status = bytes_append_text(&text, "}\n");
    /* Without memory for a line the exit code says it alone. */
    if (status == STATUS_OK)
        fwrite(text.data, 1, text.size, stdout);
    bytes_release(&text);
}

int options_end(struct options *options, int exit_code)
{
    const struct options_report *report = options->report;
    if (report != NULL && report->json && !report->answered && exit_code != COMMAND_DONE)
        print_failure(report, exit_code);
    free(options->report);
    free(options->given);
    free((void *)options->arguments);
    free(options->flags);
    return exit_code;
}

const char *options_value(const struct options *options, const char *name)
{
    for (size_t i = options->given_count; i-- > 0;)
        if (strcmp(options->given[i].option->name, name) == 0)
            return options->given[i].value;
    return NULL;
}

bool options_has(const struct options *options, const char *name)
{
    for (size_t i = 0; i < options->given_count; i++)
        if (strcmp(options->given[i].option->name, name) == 0)
            return true;
    return false;
}

const char *options_each(const struct options *options, const char *name, size_t *at)
{
    while (*at < options->given_count) {
        const struct option_given *given = &options->given[(*at)++];
        if (strcmp(given->option->name, name) == 0)
            return given->value;
    }
    return NULL;
}

/* ---- configuration ---------------------------------------------------------------------- */

struct config_sources options_sources(const struct options *options, struct os os)
{
    return (struct config_sources){
        .fs = os.fs,
        .file = options->config_file,
        .environment = environ,
        .flags = options->flags,
        .flag_count = options->flag_count,
        .preset = options->preset,
    };
}

int options_load_config(const struct options *options, struct os os, struct config *config)
{
    struct config_sources sources = options_sources(options, os);
    struct error err;
    enum status status = config_load(config, &sources, &err);
    if (status == STATUS_OK)
        return COMMAND_DONE;
    *config = (struct config){0};
    complain(options, "%s", err.message);
    return status == STATUS_MEMORY ? COMMAND_FAILED : COMMAND_USAGE;
}

static int64_t log_now(void *context)
{
    return clock_wall_ms(context);
}

struct log options_log(const struct config *config, struct os os)
{
    enum log_level level = config->log.level;
    size_t count;
    const struct config_key *keys = config_keys(&count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(keys[i].section, "log") == 0 && strcmp(keys[i].name, "level") == 0 &&
            config_origin(config, &keys[i])->source == CONFIG_SOURCE_DEFAULT)
            level = LOG_WARN;
    return (struct log){.fd = STDERR_FILENO,
                        .level = level,
                        .format = config->log.format,
                        .now_ms = log_now,
                        .context = os.clock};
}
