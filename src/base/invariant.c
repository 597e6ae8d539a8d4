#include "base/invariant.h"

#include <stdio.h>
#include <stdlib.h>

void invariant_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "metric-store: invariant failed: %s (%s:%d)\n", condition, file, line);
    abort();
}
