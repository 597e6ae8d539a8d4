/*
 * client - one keep-alive connection to an HTTP server on this machine.
 *
 * A connection that broke is dialled again by the next request. Not for several threads.
 */
#ifndef METRIC_STORE_BENCH_CLIENT_H
#define METRIC_STORE_BENCH_CLIENT_H

#include "base/slice.h"

enum { CLIENT_BODY_MAX = 16384 };

struct client {
    unsigned port, timeout_s;
    int fd; /* -1: not connected */
};

struct client_answer {
    int status;                     /* 0: nobody answered, or not within the time */
    char body[CLIENT_BODY_MAX + 1]; /* as much of it as fits, ended with a zero */
    size_t body_size;
};

void client_init(struct client *client, unsigned port, unsigned timeout_s);
void client_release(struct client *client);
/* Posts a remote write request: snappy in `payload`, borrowed for the call. */
void client_write(struct client *client, const char *path, struct slice payload,
                  struct client_answer *answer);

/* Seconds of the monotonic clock, and milliseconds since 1970. */
double client_now_s(void);
int64_t client_wall_ms(void);
/* Sleeps until that time of client_now_s(), or until a signal comes. */
void client_wait_until(double when_s);

#endif
