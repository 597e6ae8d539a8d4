#include "base/nearest.h"

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static uint8_t folded(struct slice text, size_t at)
{
    uint8_t byte = text.data[at];
    return byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte;
}

static size_t compared_size(struct slice text)
{
    return text.size < NEAREST_NAME_MAX ? text.size : NEAREST_NAME_MAX;
}

/* Optimal string alignment: rows of the usual table for a's prefixes, of which a swap needs the
 * last two. */
unsigned nearest_distance(struct slice a, struct slice b)
{
    a.size = compared_size(a);
    b.size = compared_size(b);
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

struct nearest nearest_to(struct slice name, enum nearest_reach reach)
{
    /* The first that is too far. */
    unsigned distance =
        reach == NEAREST_LIKELY ? ((unsigned)compared_size(name) + 1) / 2 : (unsigned)reach + 1;
    return (struct nearest){.name = name, .distance = distance};
}

void nearest_offer(struct nearest *nearest, size_t index, struct slice valid)
{
    /* The distance is at least the difference of the sizes: long nonsense costs no table. */
    size_t name_size = compared_size(nearest->name);
    size_t valid_size = compared_size(valid);
    size_t difference = name_size > valid_size ? name_size - valid_size : valid_size - name_size;
    if (difference >= nearest->distance)
        return;
    unsigned distance = nearest_distance(nearest->name, valid);
    if (distance >= nearest->distance)
        return;
    nearest->distance = distance;
    nearest->index = index;
    nearest->found = true;
}
