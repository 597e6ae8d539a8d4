/*
 * routes - finds the route of a path in the caller's table.
 */
#ifndef METRIC_STORE_HTTP_ROUTES_H
#define METRIC_STORE_HTTP_ROUTES_H

#include "http/http.h"

enum { ROUTES_ALLOW_SIZE = 128 };

struct routes {
    const struct http_route *items;
    size_t count;
};

struct route_match {
    const struct http_route *route; /* NULL: no path, or none with that method */
    struct slice parameter;         /* still encoded */
    bool path_found;
    char allow[ROUTES_ALLOW_SIZE]; /* "GET, HEAD, OPTIONS" where the path was found */
};

/* INVALID: a path that does not begin with '/', or has more than one parameter. */
MUST_CHECK enum status routes_check(struct routes routes, struct error *err);

/* An exact path wins over one with a parameter; a parameter is never empty. */
void routes_match(struct routes routes, const char *method, struct slice path,
                  struct route_match *match);

#endif
