#include "http/routes.h"

#include <stdio.h>

static bool path_is_sound(const char *path)
{
    if (path == NULL || path[0] != '/')
        return false;
    const char *open = strchr(path, '{');
    if (open == NULL)
        return strchr(path, '}') == NULL;
    const char *close = strchr(open, '}');
    return close != NULL && open[-1] == '/' && (close[1] == '/' || close[1] == '\0') &&
           strchr(close, '{') == NULL;
}

enum status routes_check(struct routes routes, struct error *err)
{
    for (size_t i = 0; i < routes.count; i++) {
        const struct http_route *route = &routes.items[i];
        if (!path_is_sound(route->path) || route->method == NULL || route->handler == NULL)
            return fail(err, STATUS_INVALID,
                        "route %zu (\"%s\") needs a method, a handler and a path with at most one "
                        "{parameter} that fills a segment",
                        i, route->path == NULL ? "" : route->path);
    }
    return STATUS_OK;
}

static bool has_prefix(struct slice text, const char *prefix, size_t size)
{
    return text.size >= size && memcmp(text.data, prefix, size) == 0;
}

/* Whether `path` is that of the route; fills *parameter where there is one. */
static bool path_matches(const struct http_route *route, struct slice path, struct slice *parameter)
{
    *parameter = slice_of(NULL, 0);
    const char *open = strchr(route->path, '{');
    if (open == NULL)
        return slice_equal_text(path, route->path);
    size_t prefix = (size_t)(open - route->path);
    const char *suffix = strchr(open, '}') + 1;
    size_t suffix_size = strlen(suffix);
    if (!has_prefix(path, route->path, prefix) || path.size <= prefix + suffix_size)
        return false;
    size_t size = path.size - prefix - suffix_size;
    if (memcmp(path.data + prefix + size, suffix, suffix_size) != 0 ||
        memchr(path.data + prefix, '/', size) != NULL)
        return false;
    *parameter = slice_of(path.data + prefix, size);
    return true;
}

static void allow_add(struct route_match *match, const char *method)
{
    size_t used = strlen(match->allow);
    if (strstr(match->allow, method) == NULL)
        snprintf(match->allow + used, sizeof match->allow - used, "%s%s", used > 0 ? ", " : "",
                 method);
}

void routes_match(struct routes routes, const char *method, struct slice path,
                  struct route_match *match)
{
    *match = (struct route_match){0};
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    bool exact = false;
    for (size_t i = 0; i < routes.count; i++) {
        const struct http_route *route = &routes.items[i];
        struct slice parameter;
        if (!path_matches(route, path, &parameter))
            continue;
        bool route_exact = parameter.size == 0;
        if (exact && !route_exact)
            continue;
        if (route_exact && !exact) {
            exact = true;
            match->route = NULL;
            match->allow[0] = '\0';
        }
        match->path_found = true;
        allow_add(match, route->method);
        if (strcmp(route->method, "GET") == 0)
            allow_add(match, "HEAD");
        if (strcmp(route->method, wanted) == 0 && match->route == NULL) {
            match->route = route;
            match->parameter = parameter;
        }
    }
    if (match->path_found)
        allow_add(match, "OPTIONS");
}
