#include <stdio.h>

#include "commands/options.h"
#include "commands/output.h"
#include "storage/engine/engine.h"

static enum status show(void *context, struct slice text, struct error *err)
{
    return output_write(context, text, err);
}

static int run(const struct options *options)
{
    struct os os = os_system();
    struct engine_inspect_options how = {
        .json = options_has(options, "json"),
        .details = options_has(options, "blocks"),
    };
    if (options->argument_count == 0)
        return complain_usage(options, "no FILE is named");
    struct error err;
    struct output *output = NULL;
    bool damaged = false;
    enum status status = output_open(&output, os.fs, NULL, NULL, &err);
    if (status == STATUS_OK)
        status = engine_inspect(os, options->arguments[0], &how, show, output, &damaged, &err);
    enum status inspected = status;
    struct error ignored;
    /* Half an object that is on its way cannot be taken back: then nothing follows it. */
    bool began = output != NULL && output_began(output);
    /* What could be shown is worth seeing also where the rest cannot; half an object is not. */
    if (how.json && inspected != STATUS_OK)
        output_abandon(output);
    else if (output != NULL)
        status = output_finish(output, inspected == STATUS_OK ? &err : &ignored);
    if (inspected != STATUS_OK || status != STATUS_OK) {
        if (how.json && began)
            options_answered(options);
        int exit_code = complain_of(options, &err);
        return inspected == STATUS_CORRUPT ? COMMAND_DAMAGE : exit_code;
    }
    options_answered(options);
    return damaged ? COMMAND_DAMAGE : COMMAND_DONE;
}

int command_inspect(int argc, char **argv)
{
    struct options options;
    int exit_code;
    if (options_parse(&options, command_find("inspect"), argc, argv, &exit_code))
        exit_code = run(&options);
    return options_end(&options, exit_code);
}
