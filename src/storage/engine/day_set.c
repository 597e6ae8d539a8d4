#include "storage/engine/day_set.h"

#include <stdlib.h>
#include <string.h>

void day_set_release(struct day_set *set)
{
    free(set->days);
    *set = (struct day_set){0};
}

static size_t place_of(const struct day_set *set, int64_t day)
{
    /* Mostly days have no gaps, and shuffled samples look up another one each. */
    if (set->count > 0 && day >= set->days[0] && day <= set->days[set->count - 1]) {
        uint64_t guess = (uint64_t)day - (uint64_t)set->days[0];
        if (guess < set->count && set->days[guess] == day)
            return (size_t)guess;
    }
    size_t low = 0;
    size_t high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->days[middle] < day)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool day_set_has(const struct day_set *set, int64_t day)
{
    size_t place = place_of(set, day);
    return place < set->count && set->days[place] == day;
}

enum status day_set_add(struct day_set *set, int64_t day)
{
    size_t place = place_of(set, day);
    if (place < set->count && set->days[place] == day)
        return STATUS_OK;
    if (set->count == set->capacity) {
        size_t capacity = set->capacity == 0 ? 16 : set->capacity * 2;
        int64_t *days = realloc(set->days, capacity * sizeof days[0]);
        if (days == NULL)
            return STATUS_MEMORY;
        set->days = days;
        set->capacity = capacity;
    }
    memmove(set->days + place + 1, set->days + place, (set->count - place) * sizeof set->days[0]);
    set->days[place] = day;
    set->count++;
    return STATUS_OK;
}
