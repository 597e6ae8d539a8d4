#include "../../test.h"

#include <dirent.h>
#include <stdatomic.h>
#include <unistd.h>

#include "os/thread.h"
#include "storage/engine/file_pool.h"

enum { FILES = 20, THREADS = 4, TURNS = 3000 };

static char directory[] = "/tmp/file_pool_test_XXXXXX";
static char paths[FILES][64];

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    for (size_t i = 0; i < FILES; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%02zu", directory, i);
        FILE *file = fopen(paths[i], "w");
        if (file == NULL)
            return -1;
        fprintf(file, "file %02zu", i);
        fclose(file);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < FILES; i++)
        unlink(paths[i]);
    return rmdir(directory);
}

static size_t open_descriptors(void)
{
    DIR *listing = opendir("/proc/self/fd");
    assert_non_null(listing);
    size_t count = 0;
    while (readdir(listing) != NULL)
        count++;
    closedir(listing);
    return count;
}

struct set {
    struct file_pool *pool;
    struct file *files[FILES];
};

static enum status open_in(struct file_pool *pool, const char *path, struct file **file,
                           struct error *err)
{
    return filesystem_open(file_pool_filesystem(pool), path, FILE_READ, file, err);
}

static void open_set(struct set *set, size_t max_open)
{
    struct error err;
    set->pool = file_pool_new(filesystem_posix(), max_open);
    assert_non_null(set->pool);
    for (size_t i = 0; i < FILES; i++)
        if (open_in(set->pool, paths[i], &set->files[i], &err) != STATUS_OK)
            test_fail("%s", err.message);
}

static void close_set(struct set *set)
{
    for (size_t i = 0; i < FILES; i++)
        file_close(set->files[i]);
    file_pool_free(set->pool);
}

static struct file_pool_stats stats_of(struct set *set)
{
    struct file_pool_stats stats;
    file_pool_stats(set->pool, &stats);
    return stats;
}

static bool reads(struct file *file, size_t number)
{
    char want[16], got[16] = "";
    snprintf(want, sizeof want, "%02zu", number);
    return file_read_exactly(file, got, 2, 5, NULL) == STATUS_OK && strcmp(got, want) == 0;
}

static void without_a_bound_all_stay_open(void **state)
{
    (void)state;
    struct set set;
    size_t before = open_descriptors();
    open_set(&set, 0);
    for (size_t i = 0; i < FILES; i++)
        assert_true(reads(set.files[i], i));
    assert_int_equal(open_descriptors(), before + FILES);
    assert_int_equal(stats_of(&set).reopened, 0);
    close_set(&set);
    assert_int_equal(open_descriptors(), before);
}

static void no_more_are_open_than_the_bound_and_all_can_be_read(void **state)
{
    (void)state;
    struct set set;
    size_t before = open_descriptors();
    open_set(&set, 3);
    assert_int_equal(open_descriptors(), before + 3);
    for (int turn = 0; turn < 3; turn++)
        for (size_t i = 0; i < FILES; i++) {
            uint64_t size;
            assert_true(reads(set.files[i], i));
            assert_int_equal(file_size(set.files[i], &size, NULL), STATUS_OK);
            assert_int_equal(size, 7);
            assert_int_equal(open_descriptors(), before + 3);
        }
    assert_int_equal(stats_of(&set).open, 3);
    close_set(&set);
    assert_int_equal(open_descriptors(), before);
}

static void a_file_that_is_read_often_stays_open(void **state)
{
    (void)state;
    struct set set;
    open_set(&set, 4);
    assert_true(reads(set.files[0], 0));
    uint64_t before = stats_of(&set).reopened;
    for (size_t i = 1; i < FILES; i++) {
        assert_true(reads(set.files[i], i));
        assert_true(reads(set.files[0], 0));
    }
    assert_true(stats_of(&set).reopened - before <= FILES - 1 + 1);
    close_set(&set);
}

static void a_file_that_is_not_there_is_not_found_or_damage_later(void **state)
{
    (void)state;
    struct set set;
    struct file *file;
    struct error err = {0};
    open_set(&set, 1);
    char path[80];
    snprintf(path, sizeof path, "%s/none", directory);
    assert_int_equal(open_in(set.pool, path, &file, &err), STATUS_NOT_FOUND);
    assert_null(file);
    assert_true(reads(set.files[1], 1));
    char away[80];
    snprintf(away, sizeof away, "%s/away", directory);
    assert_int_equal(rename(paths[0], away), 0);
    char byte;
    assert_int_equal(file_read_exactly(set.files[0], &byte, 1, 0, &err), STATUS_CORRUPT);
    assert_non_null(strstr(err.message, paths[0]));
    assert_int_equal(rename(away, paths[0]), 0);
    assert_true(reads(set.files[0], 0));
    close_set(&set);
}

struct reader {
    struct set *set;
    size_t number;
    atomic_bool failed;
};

static void read_all_the_time(void *context)
{
    struct reader *reader = context;
    for (size_t turn = 0; turn < TURNS; turn++) {
        size_t file = (turn * (2 * reader->number + 1) + turn / 11) % FILES;
        if (!reads(reader->set->files[file], file))
            atomic_store(&reader->failed, true);
    }
}

static void threads_read_files_that_are_closed_and_opened_again(void **state)
{
    (void)state;
    struct set set;
    struct error err;
    open_set(&set, 5);
    struct reader readers[THREADS];
    struct thread *threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        readers[i].set = &set;
        readers[i].number = i;
        atomic_init(&readers[i].failed, false);
        if (threads_start(threads_posix(), "reader", read_all_the_time, &readers[i], &threads[i],
                          &err) != STATUS_OK)
            test_fail("%s", err.message);
    }
    for (size_t i = 0; i < THREADS; i++) {
        threads_join(threads_posix(), threads[i]);
        assert_false(atomic_load(&readers[i].failed));
    }
    assert_true(stats_of(&set).open <= 5 + THREADS);
    close_set(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_bound_all_stay_open),
        cmocka_unit_test(no_more_are_open_than_the_bound_and_all_can_be_read),
        cmocka_unit_test(a_file_that_is_read_often_stays_open),
        cmocka_unit_test(a_file_that_is_not_there_is_not_found_or_damage_later),
        cmocka_unit_test(threads_read_files_that_are_closed_and_opened_again),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
