/*
 * client - requests to a metric-store server over one kept connection (libcurl).
 *
 * Threads: one. Errors: IO when the server cannot be reached or the answer is cut off (an answer
 * that has no end of its own, neither a length nor chunks, counts as cut off); LIMIT when an answer
 * is larger than there is room for; CANCELLED when the command was asked to end. Messages name the
 * URL and what to do.
 */
#ifndef METRIC_STORE_COMMANDS_CLIENT_H
#define METRIC_STORE_COMMANDS_CLIENT_H

#include "base/bytes.h"
#include "commands/interrupt.h"
#include "config/config.h"

struct client; /* opaque */

/* A part of a successful (2xx) answer's body; anything but OK ends the request and is returned. */
typedef enum status client_receive(void *context, struct slice piece, struct error *err);

struct client_parameter {
    const char *name;
    const char *value;
};

struct client_request {
    const char *path;                          /* "/api/v1/..." */
    const struct client_parameter *parameters; /* of the query string */
    size_t parameter_count;
    const char *content_type; /* NULL: a GET, else a POST of `body` */
    struct slice body;
    bool compressed;         /* the answer may come compressed */
    const char *answer_type; /* of a 2xx answer; another one is no answer of ours: IO. NULL: any */
    client_receive *receive; /* takes a 2xx body; NULL: it goes to client_answer.body */
    void *context;
};

struct client_answer {
    int status;            /* of HTTP */
    int64_t retry_after_s; /* -1: the server said nothing */
    /* Of an OpenMetrics export; 0 where nothing was said. */
    uint64_t samples_left_out, payloads_lost;
    struct bytes body; /* unless `receive` took it; begun and released by the caller */
};

/* `url` is http://HOST:PORT, perhaps with a path before the API's. Gives *client, ended by
 * client_close. INVALID: no URL that can be used. */
MUST_CHECK enum status client_open(struct client **client, const char *url,
                                   struct interrupt *interrupt, struct error *err);
void client_close(struct client *client); /* accepts NULL */

/* For messages: without user and password. */
const char *client_url(const struct client *client);

/* OK whatever the HTTP status is. */
MUST_CHECK enum status client_send(struct client *client, const struct client_request *request,
                                   struct client_answer *answer, struct error *err);

/* The error that an answer of 400 and above carries, in one sentence: its problem document's
 * `detail`. */
enum status client_fail(const struct client *client, const struct client_answer *answer,
                        struct error *err);

/* Where a server with this configuration listens, as a URL for a client on the same machine. */
enum { CLIENT_URL_SIZE = 320 };
void client_default_url(const struct config *config, char url[CLIENT_URL_SIZE]);

#endif
