#include "commands/commands.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"

const struct command *command_find(const char *name)
{
    for (const struct command *command = command_table; command->name != NULL; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

int command_unknown(const char *name)
{
    struct nearest nearest = nearest_to(slice_from_text(name), NEAREST_LIKELY);
    for (size_t i = 0; command_table[i].name != NULL; i++)
        nearest_offer(&nearest, i, slice_from_text(command_table[i].name));
    fprintf(stderr, "metric-store: there is no command \"%s\"", name);
    if (nearest.found)
        fprintf(stderr, "; the nearest is \"%s\"", command_table[nearest.index].name);
    fprintf(stderr, "\n`metric-store help` lists all of them.\n");
    return COMMAND_USAGE;
}

/* What is left in stdout's buffer may fail to be written, and that is a failure too. */
static int finish(int exit_code)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return exit_code;
    /* The reader has left: it knows. */
    if (errno != EPIPE)
        fprintf(stderr, "metric-store: cannot write to standard output: %s\n", strerror(errno));
    return exit_code == COMMAND_DONE ? COMMAND_FAILED : exit_code;
}

int commands_main(int argc, char **argv)
{
    /* A reader that leaves early is an error of that write, not the end of the program. */
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        fprintf(stderr, "metric-store: no command; `metric-store help` lists them\n");
        return COMMAND_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0)
        name = "version";
    const struct command *command = command_find(name);
    if (command == NULL)
        return command_unknown(name);
    return finish(command->run(argc - 1, argv + 1));
}
