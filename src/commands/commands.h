/*
 * commands - what the program does, by the first word after its name.
 *
 * One file a command: command_NAME takes its own arguments, argv[0] being the command's name, and
 * returns the exit code. Results go to stdout, everything else to stderr.
 */
#ifndef METRIC_STORE_COMMANDS_COMMANDS_H
#define METRIC_STORE_COMMANDS_COMMANDS_H

#include <stddef.h>

enum command_exit {
    COMMAND_DONE = 0,
    COMMAND_FAILED = 1,
    COMMAND_USAGE = 2,         /* wrong usage or configuration */
    COMMAND_PART = 3,          /* done in part: some lines were refused */
    COMMAND_DAMAGE = 4,        /* damage found */
    COMMAND_INTERRUPTED = 130, /* by SIGINT or SIGTERM, in good order */
};

struct option; /* commands/options.h */

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;             /* one line */
    const char *usage;            /* what follows the name */
    const char *long_help;        /* paragraphs, each line ended; the options are listed after it */
    const struct option *options; /* its own, ended by a name of NULL; the common ones apart */
    size_t max_arguments;         /* without "--" */
};

/* Ended by a name of NULL. */
extern const struct command command_table[];

/* NULL where there is none. */
const struct command *command_find(const char *name);

/* Complains, with the nearest name where one is near; COMMAND_USAGE. */
int command_unknown(const char *name);

/* The whole program. */
int commands_main(int argc, char **argv);

int command_config(int argc, char **argv);
int command_export(int argc, char **argv);
int command_help(int argc, char **argv);
int command_import(int argc, char **argv);
int command_inspect(int argc, char **argv);
int command_query(int argc, char **argv);
int command_serve(int argc, char **argv);
int command_snapshot(int argc, char **argv);
int command_verify(int argc, char **argv);
int command_version(int argc, char **argv);

#endif
