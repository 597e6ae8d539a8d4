#include <stdio.h>

#include "api/api_internal.h"
#include "base/nearest.h"
#include "base/shown.h"

enum { PARAMETER_NAMES_SIZE = 128 };

static bool knows(struct http_fields fields, const char *const *names, struct error *err)
{
    for (size_t i = 0; i < fields.count; i++) {
        struct nearest nearest = nearest_to(fields.items[i].name, NEAREST_LIKELY);
        bool known = false;
        char all[PARAMETER_NAMES_SIZE] = "";
        size_t size = 0;
        for (size_t j = 0; names[j] != NULL; j++) {
            known = known || slice_equal_text(fields.items[i].name, names[j]);
            nearest_offer(&nearest, j, slice_from_text(names[j]));
            if (size < sizeof all)
                size += (size_t)snprintf(all + size, sizeof all - size, "%s%s", j == 0 ? "" : ", ",
                                         names[j]);
        }
        if (known)
            continue;
        struct shown shown = shown_text(fields.items[i].name);
        fail_code(err, STATUS_INVALID, "invalid_parameter", "unknown parameter \"%s\"%s%s",
                  shown.text,
                  nearest.found ? "; the nearest is "
                  : size > 0    ? "; this route takes "
                                : "; this route takes none",
                  nearest.found ? names[nearest.index] : all);
        return false;
    }
    return true;
}

bool api_knows_parameters(const struct http_request *request, const char *const *names,
                          struct error *err)
{
    return knows(http_request_query(request), names, err) &&
           knows(http_request_form(request), names, err);
}
