#include "../test.h"

#include "os/random.h"

static void every_byte_of_a_large_buffer_is_filled(void **state)
{
    (void)state;
    enum { SIZE = 100000, ROUNDS = 4 };
    uint8_t *any = calloc(1, SIZE);
    uint8_t *bytes = calloc(1, SIZE);
    assert_true(any != NULL && bytes != NULL);
    for (int round = 0; round < ROUNDS; round++) {
        random_fill(random_system(), bytes, SIZE);
        for (size_t i = 0; i < SIZE; i++)
            any[i] |= bytes[i];
    }
    size_t untouched = 0;
    for (size_t i = 0; i < SIZE; i++)
        untouched += any[i] == 0;
    /* A byte stays zero four times by chance once in 2^32. */
    assert_true(untouched <= 2);
    free(any);
    free(bytes);
}

static void two_values_differ(void **state)
{
    (void)state;
    assert_true(random_u64(random_system()) != random_u64(random_system()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_of_a_large_buffer_is_filled),
        cmocka_unit_test(two_values_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
