#include "storage/engine/sample_array.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"

static size_t capacity_for(const struct sample_array *array, size_t count)
{
    size_t capacity = array->capacity == 0 ? 1024 : array->capacity;
    while (capacity < count)
        capacity *= 2;
    return capacity;
}

size_t sample_array_growth(const struct sample_array *array, size_t count)
{
    if (count <= array->capacity)
        return 0;
    return (capacity_for(array, count) - array->capacity) * (sizeof(int64_t) + sizeof(double));
}

enum status sample_array_reach(struct sample_array *array, size_t count)
{
    if (count <= array->capacity)
        return STATUS_OK;
    size_t capacity = capacity_for(array, count);
    int64_t *times = realloc(array->times, capacity * sizeof times[0]);
    if (times != NULL)
        array->times = times;
    double *values = realloc(array->values, capacity * sizeof values[0]);
    if (values != NULL)
        array->values = values;
    if (times == NULL || values == NULL)
        return STATUS_MEMORY;
    array->capacity = capacity;
    return STATUS_OK;
}

void sample_array_append(struct sample_array *array, const int64_t *times, const double *values,
                         size_t count)
{
    if (count == 0)
        return;
    memcpy(array->times + array->count, times, count * sizeof times[0]);
    memcpy(array->values + array->count, values, count * sizeof values[0]);
    array->count += count;
}

void sample_array_release(struct sample_array *array)
{
    free(array->times);
    free(array->values);
    *array = (struct sample_array){0};
}

void sample_array_swap(struct sample_array *a, struct sample_array *b)
{
    struct sample_array swap = *a;
    *a = *b;
    *b = swap;
}

void sample_array_merge(const struct sample_array *earlier, const struct sample_array *later,
                        struct sample_array *to)
{
    invariant(to->capacity >= earlier->count + later->count);
    size_t left = 0;
    size_t right = 0;
    size_t at = 0;
    while (left < earlier->count || right < later->count) {
        bool take_right = right < later->count &&
                          (left == earlier->count || later->times[right] <= earlier->times[left]);
        const struct sample_array *from = take_right ? later : earlier;
        size_t index = take_right ? right++ : left++;
        if (take_right && left < earlier->count && earlier->times[left] == from->times[index])
            left++;
        to->times[at] = from->times[index];
        to->values[at++] = from->values[index];
    }
    to->count = at;
}
