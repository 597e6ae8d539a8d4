/*
 * options - the command line of one command: GNU long options, and what all commands share.
 *
 *   --name VALUE, --name=VALUE, -o VALUE, -oVALUE; options and arguments in any order; `--` ends
 *   the options, `-` is an argument.
 *
 * Ownership: texts borrow argv. Threads: one.
 */
#ifndef METRIC_STORE_COMMANDS_OPTIONS_H
#define METRIC_STORE_COMMANDS_OPTIONS_H

#include <stdbool.h>

#include "base/log.h"
#include "commands/commands.h"
#include "config/config.h"
#include "os/os.h"

struct option {
    const char *name;     /* without dashes */
    const char *argument; /* what its value is called; NULL: it takes none */
    const char *help;
    char letter; /* a short form, or 0 */
};

#define OPTION_END                                                                                 \
    {                                                                                              \
        .name = NULL                                                                               \
    }
#define OPTION_DATA                                                                                \
    {                                                                                              \
        .name = "data", .argument = "DIR",                                                         \
        .help = "the directory of a store that no server has open"                                 \
    }
#define OPTION_URL                                                                                 \
    {                                                                                              \
        .name = "url", .argument = "URL",                                                          \
        .help = "a running server; without --data the default is where server.listen points"       \
    }
#define OPTION_JSON                                                                                \
    {                                                                                              \
        .name = "json", .help = "the result as JSON"                                               \
    }

struct option_given {
    const struct option *option;
    const char *value; /* NULL where it takes none */
};

struct options_report; /* private: what was said, for a failure's JSON */

struct options {
    const struct command *command;
    struct options_report *report;
    struct option_given *given; /* in order */
    size_t given_count;
    const char **arguments;
    size_t argument_count;
    struct config_flag *flags; /* those that are settings */
    size_t flag_count;
    const char *config_file; /* or NULL */
    const char *preset;      /* or NULL */
};

/*
 * Reads the arguments. False: the command is over (usage was complained about, or help was asked
 * for and printed), and *exit_code says how. Ended by options_end either way.
 */
bool options_parse(struct options *options, const struct command *command, int argc, char **argv,
                   int *exit_code);

/* Standard output has the result, or the beginning of one, as --json asked for. */
void options_answered(const struct options *options);

/*
 * The last call of a command, which returns what it returns: `exit_code`. Where --json was given,
 * the command failed and options_answered was not called, it prints
 * {"status":"error","exit_code":N,"error":"the last sentence on stderr"}.
 */
MUST_CHECK int options_end(struct options *options, int exit_code);

/* The last one counts. NULL where it was not given. */
const char *options_value(const struct options *options, const char *name);
bool options_has(const struct options *options, const char *name);
/* Walks over the values of a repeatable option: *at begins at 0. NULL at the end. */
const char *options_each(const struct options *options, const char *name, size_t *at);

/* Where the configuration comes from; borrows the options. */
struct config_sources options_sources(const struct options *options, struct os os);

/* Loads the configuration as the options say; complains and gives an exit code other than 0. */
MUST_CHECK int options_load_config(const struct options *options, struct os os,
                                   struct config *config);

/* A log on stderr; of a command that is no server only what matters, unless the level was set. */
struct log options_log(const struct config *config, struct os os);

/* The help of one command, on stdout. */
void options_print_help(const struct command *command);

/* One sentence on stderr. */
void complain(const struct options *options, const char *format, ...) PRINTF_LIKE(2, 3);
/* The same, and the exit code that belongs to the error. */
int complain_of(const struct options *options, const struct error *err);
/* The same of a request that was refused: a parameter that means nothing (INVALID) is a wrong
 * usage, as an unknown option is. */
int complain_of_request(const struct options *options, const struct error *err);
/* "...; see `metric-store help NAME`", and COMMAND_USAGE. */
int complain_usage(const struct options *options, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
