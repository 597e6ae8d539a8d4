/*
 * patience - whether anyone still waits: asked now and then by work that takes long.
 */
#ifndef METRIC_STORE_BASE_PATIENCE_H
#define METRIC_STORE_BASE_PATIENCE_H

#include <stddef.h>

#include "base/status.h"

/* How much work is done between two questions, where nothing says otherwise: series, values. */
enum { PATIENCE_EVERY = 1024 };

struct patience {
    /* OK to go on; anything else ends the work, and is what it returns. NULL: it never ends. */
    enum status (*check)(void *context, struct error *err);
    void *context;
};

/* `patience` may be NULL. */
MUST_CHECK static inline enum status patience_check(const struct patience *patience,
                                                    struct error *err)
{
    return patience == NULL || patience->check == NULL ? STATUS_OK
                                                       : patience->check(patience->context, err);
}

#endif
