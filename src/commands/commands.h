/*
 * commands - what the program does, by the first word after its name.
 */
#ifndef METRIC_STORE_COMMANDS_COMMANDS_H
#define METRIC_STORE_COMMANDS_COMMANDS_H

/* The whole program. */
int commands_main(int argc, char **argv);

#endif
