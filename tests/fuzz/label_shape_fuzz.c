/*
 * Values and names of labels: the first line is a value, the second a label's name, which may be
 * missing. A value has a shape or none, whatever its bytes; its mask is ASCII of a, A, 9 and what
 * is neither letter nor digit. Words of a name are lower case, fit, and are their own words.
 */
#include "fuzz.h"

#include <ctype.h>
#include <stdlib.h>

#include "admission/label_patterns.h"
#include "admission/shape.h"
#include "base/invariant.h"

/* In a block of exactly its size. */
static uint8_t *copy_of(struct slice text)
{
    uint8_t *copy = malloc(text.size > 0 ? text.size : 1);
    invariant(copy != NULL);
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    return copy;
}

static void check_value(struct slice value)
{
    uint8_t *copy = copy_of(value);
    enum value_shape shape = shape_of(slice_of(copy, value.size));
    invariant(shape < SHAPE_COUNT && shape_name(shape) != NULL && shape_plural(shape) != NULL);
    if (value.size > 0) {
        uint8_t *mask = copy_of(value);
        shape_mask(slice_of(copy, value.size), mask);
        for (size_t i = 0; i < value.size; i++)
            invariant(mask[i] < 0x80 && (mask[i] == '9' || !isalnum(mask[i]) ||
                                         mask[i] == (value.data[i] >= 0x80  ? 'x'
                                                     : value.data[i] >= 'a' ? 'a'
                                                                            : 'A')));
        free(mask);
    }
    free(copy);
}

static void check_name(struct slice name)
{
    uint8_t *copy = copy_of(name);
    uint8_t first[LABEL_WORDS_MAX_SIZE], second[LABEL_WORDS_MAX_SIZE];
    struct slice words = label_words(slice_of(copy, name.size), first);
    invariant(words.size <= LABEL_WORDS_MAX_SIZE);
    for (size_t i = 0; i < words.size; i++) {
        uint8_t byte = words.data[i];
        bool between = i > 0 && i + 1 < words.size && words.data[i - 1] != '_';
        invariant(byte >= 0x80 || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
                  (byte == '_' && between));
    }
    invariant(slice_equal(label_words(words, second), words));
    struct label_verdict verdict = label_patterns_find(NULL, slice_of(copy, name.size));
    struct label_verdict of_words = label_patterns_find(NULL, words);
    invariant(verdict.pattern == of_words.pattern && verdict.action != LABEL_ACTION_REJECT);
    invariant((verdict.action == LABEL_ACTION_OFF) ==
              (verdict.pattern != NULL && verdict.telling == LABEL_TELLS_NOTHING));
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size == 0 ? NULL : memchr(data, '\n', size);
    struct slice value = slice_of(data, end == NULL ? size : (size_t)(end - data));
    check_value(value);
    if (end != NULL)
        check_name(slice_from(slice_of(data, size), value.size + 1));
    return 0;
}
