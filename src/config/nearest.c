#include "config/nearest.h"

#include <ctype.h>

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static int folded(struct slice text, size_t at)
{
    return tolower(text.data[at]);
}

/* Optimal string alignment: rows of the usual table for a's prefixes, of which a swap needs the
 * last two. */
unsigned nearest_distance(struct slice a, struct slice b)
{
    if (a.size > NEAREST_NAME_MAX)
        a.size = NEAREST_NAME_MAX;
    if (b.size > NEAREST_NAME_MAX)
        b.size = NEAREST_NAME_MAX;
    unsigned rows[3][NEAREST_NAME_MAX + 1];
    for (size_t j = 0; j <= b.size; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a.size; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3];
        const unsigned *above_that = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.size; j++) {
            unsigned replaced = above[j - 1] + (folded(a, i - 1) != folded(b, j - 1));
            row[j] = least(replaced, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && folded(a, i - 1) == folded(b, j - 2) &&
                folded(a, i - 2) == folded(b, j - 1))
                row[j] = least(row[j], above_that[j - 2] + 1);
        }
    }
    return rows[a.size % 3][b.size];
}
