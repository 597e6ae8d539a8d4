#include "../unit/test.h"

#include "sim_disk.h"
#include "sim_explore.h"

enum { SEEDS = 200 };

static struct file *must_open(struct sim_disk *disk, const char *path, enum file_mode mode)
{
    struct file *file = NULL;
    struct error err;
    if (filesystem_open(sim_disk_filesystem(disk), path, mode, &file, &err) != STATUS_OK)
        test_fail("%s", err.message);
    return file;
}

static void must_write(struct file *file, const void *from, size_t size, uint64_t offset)
{
    assert_int_equal(file_write(file, from, size, offset, NULL), STATUS_OK);
}

static void must_sync(struct file *file)
{
    assert_int_equal(file_sync(file, NULL), STATUS_OK);
}

static void must_sync_root(struct sim_disk *disk)
{
    assert_int_equal(filesystem_sync_directory(sim_disk_filesystem(disk), "/", NULL), STATUS_OK);
}

static bool exists(struct sim_disk *disk, const char *path)
{
    struct file *file = NULL;
    enum status status = filesystem_open(sim_disk_filesystem(disk), path, FILE_READ, &file, NULL);
    file_close(file);
    return status == STATUS_OK;
}

/* The file's content after a crash of a clone; `size` bytes at most; -1: it is not there. */
static long crashed_content(struct sim_disk *disk, uint64_t seed, const char *path, void *to,
                            size_t size)
{
    struct sim_disk *clone = sim_disk_clone(disk);
    sim_disk_crash(clone, &(struct sim_crash){.seed = seed});
    long result = -1;
    if (exists(clone, path)) {
        struct file *file = must_open(clone, path, FILE_READ);
        size_t got = 0;
        assert_int_equal(file_read(file, to, size, 0, &got, NULL), STATUS_OK);
        result = (long)got;
        file_close(file);
    }
    sim_disk_free(clone);
    return result;
}

static void what_was_synced_with_its_name_survives_every_crash(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct file *file = must_open(disk, "/a", FILE_CREATE_NEW);
    must_write(file, "synced", 6, 0);
    must_sync(file);
    must_sync_root(disk);
    assert_true(sim_disk_is_clean(disk));
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        char read[16];
        assert_int_equal(crashed_content(disk, seed, "/a", read, sizeof read), 6);
        assert_memory_equal(read, "synced", 6);
    }
    file_close(file);
    sim_disk_free(disk);
}

static void an_unsynced_write_is_kept_in_some_crashes_and_lost_in_others(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct file *file = must_open(disk, "/a", FILE_CREATE_NEW);
    must_write(file, "old", 3, 0);
    must_sync(file);
    must_sync_root(disk);
    must_write(file, "new", 3, 0);
    int kept = 0;
    int lost = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        char read[3];
        assert_int_equal(crashed_content(disk, seed, "/a", read, 3), 3);
        bool is_new = memcmp(read, "new", 3) == 0;
        assert_true(is_new || memcmp(read, "old", 3) == 0);
        *(is_new ? &kept : &lost) += 1;
    }
    assert_true(kept > 10 && lost > 10);
    file_close(file);
    sim_disk_free(disk);
}

static void a_write_tears_at_sectors_only(void **state)
{
    (void)state;
    enum { SIZE = 4 * SIM_SECTOR_SIZE };
    struct sim_disk *disk = sim_disk_new(1);
    struct file *file = must_open(disk, "/a", FILE_CREATE_NEW);
    uint8_t bytes[SIZE];
    memset(bytes, 'o', SIZE);
    must_write(file, bytes, SIZE, 0);
    must_sync(file);
    must_sync_root(disk);
    memset(bytes, 'n', SIZE);
    must_write(file, bytes, SIZE, 0);
    int torn = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        assert_int_equal(crashed_content(disk, seed, "/a", bytes, SIZE), SIZE);
        int new_sectors = 0;
        for (size_t sector = 0; sector < 4; sector++) {
            const uint8_t *start = bytes + sector * SIM_SECTOR_SIZE;
            for (size_t i = 1; i < SIM_SECTOR_SIZE; i++)
                assert_int_equal(start[i], start[0]);
            new_sectors += start[0] == 'n';
        }
        torn += new_sectors > 0 && new_sectors < 4;
    }
    assert_true(torn > 10);
    file_close(file);
    sim_disk_free(disk);
}

static void a_later_write_to_a_sector_is_never_there_without_the_earlier(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct file *file = must_open(disk, "/a", FILE_CREATE_NEW);
    must_write(file, "..", 2, 0);
    must_sync(file);
    must_sync_root(disk);
    must_write(file, "1", 1, 0);
    must_write(file, "2", 1, 1);
    int first_only = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        char read[2];
        assert_int_equal(crashed_content(disk, seed, "/a", read, 2), 2);
        assert_false(read[0] == '.' && read[1] == '2');
        first_only += read[0] == '1' && read[1] == '.';
    }
    assert_true(first_only > 0);
    file_close(file);
    sim_disk_free(disk);
}

static void an_extension_may_leave_zeros_or_a_shorter_file(void **state)
{
    (void)state;
    enum { SIZE = 3 * SIM_SECTOR_SIZE };
    struct sim_disk *disk = sim_disk_new(1);
    struct file *file = must_open(disk, "/a", FILE_CREATE_NEW);
    must_sync(file);
    must_sync_root(disk);
    uint8_t bytes[SIZE];
    memset(bytes, 'n', SIZE);
    must_write(file, bytes, SIZE, 0);
    int shorter = 0;
    int zeros = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        long size = crashed_content(disk, seed, "/a", bytes, SIZE);
        assert_true(size == 0 || size == SIZE);
        shorter += size == 0;
        for (long i = 0; i < size; i += SIM_SECTOR_SIZE)
            zeros += bytes[i] == 0;
    }
    assert_true(shorter > 0 && zeros > 0);
    file_close(file);
    sim_disk_free(disk);
}

static void a_synced_file_is_lost_with_its_unsynced_name(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct file *file = must_open(disk, "/a", FILE_CREATE_NEW);
    must_write(file, "synced", 6, 0);
    must_sync(file);
    int lost = 0;
    int kept = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        char read[6];
        long size = crashed_content(disk, seed, "/a", read, 6);
        assert_true(size == -1 || (size == 6 && memcmp(read, "synced", 6) == 0));
        *(size == -1 ? &lost : &kept) += 1;
    }
    assert_true(lost > 10 && kept > 10);
    file_close(file);
    sim_disk_free(disk);
}

static void a_rename_leaves_one_of_the_two_names(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct filesystem *fs = sim_disk_filesystem(disk);
    file_close(must_open(disk, "/old", FILE_CREATE_NEW));
    must_sync_root(disk);
    assert_int_equal(filesystem_rename(fs, "/old", "/new", NULL), STATUS_OK);
    assert_true(exists(disk, "/new") && !exists(disk, "/old"));
    int renamed = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *clone = sim_disk_clone(disk);
        sim_disk_crash(clone, &(struct sim_crash){.seed = seed, .names_in_any_order = true});
        assert_true(exists(clone, "/old") != exists(clone, "/new"));
        renamed += exists(clone, "/new");
        sim_disk_free(clone);
    }
    assert_true(renamed > 0 && renamed < SEEDS);
    must_sync_root(disk);
    sim_disk_crash(disk, &(struct sim_crash){.seed = 3});
    assert_true(exists(disk, "/new") && !exists(disk, "/old"));
    sim_disk_free(disk);
}

static void a_link_leads_to_the_same_bytes_and_either_name_may_go(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct filesystem *fs = sim_disk_filesystem(disk);
    file_close(must_open(disk, "/old", FILE_CREATE_NEW));
    must_sync_root(disk);
    assert_int_equal(filesystem_link(fs, "/old", "/new", NULL), STATUS_OK);
    assert_int_equal(filesystem_link(fs, "/old", "/new", NULL), STATUS_CONFLICT);
    assert_int_equal(filesystem_link(fs, "/none", "/other", NULL), STATUS_NOT_FOUND);
    int linked = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *clone = sim_disk_clone(disk);
        sim_disk_crash(clone, &(struct sim_crash){.seed = seed});
        assert_true(exists(clone, "/old"));
        linked += exists(clone, "/new");
        sim_disk_free(clone);
    }
    assert_true(linked > 0 && linked < SEEDS);
    must_sync_root(disk);
    assert_int_equal(filesystem_remove(fs, "/old", NULL), STATUS_OK);
    must_sync_root(disk);
    sim_disk_crash(disk, &(struct sim_crash){.seed = 3});
    assert_true(exists(disk, "/new") && !exists(disk, "/old"));
    sim_disk_free(disk);
}

/* How often /b was there without /a, which was created before it. */
static int later_without_earlier(bool in_any_order)
{
    struct sim_disk *disk = sim_disk_new(1);
    file_close(must_open(disk, "/a", FILE_CREATE_NEW));
    file_close(must_open(disk, "/b", FILE_CREATE_NEW));
    int count = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *clone = sim_disk_clone(disk);
        sim_disk_crash(clone,
                       &(struct sim_crash){.seed = seed, .names_in_any_order = in_any_order});
        count += exists(clone, "/b") && !exists(clone, "/a");
        sim_disk_free(clone);
    }
    sim_disk_free(disk);
    return count;
}

static void names_are_dropped_in_order_or_in_any_order(void **state)
{
    (void)state;
    assert_int_equal(later_without_earlier(false), 0);
    assert_true(later_without_earlier(true) > 0);
}

static void a_directory_whose_name_is_lost_takes_its_files_along(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct filesystem *fs = sim_disk_filesystem(disk);
    assert_int_equal(filesystem_make_directory(fs, "/d", NULL), STATUS_OK);
    struct file *file = must_open(disk, "/d/a", FILE_CREATE_NEW);
    must_sync(file);
    file_close(file);
    assert_int_equal(filesystem_sync_directory(fs, "/d", NULL), STATUS_OK);
    int lost = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        char byte;
        lost += crashed_content(disk, seed, "/d/a", &byte, 1) == -1;
    }
    assert_true(lost > 0 && lost < SEEDS);
    sim_disk_free(disk);
}

static void after_a_failed_sync_a_second_one_makes_nothing_durable(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct file *file = must_open(disk, "/a", FILE_CREATE_NEW);
    must_write(file, "old", 3, 0);
    must_sync(file);
    must_sync_root(disk);
    must_write(file, "new", 3, 0);
    sim_disk_add_fault(
        disk, &(struct sim_fault){.kinds = SIM_SYNC, .nth = 1, .repeat = 1, .failure = SIM_EIO});
    assert_int_equal(file_sync(file, NULL), STATUS_IO);
    must_sync(file);
    char read[4];
    size_t got = 0;
    assert_int_equal(file_read(file, read, 3, 0, &got, NULL), STATUS_OK);
    assert_memory_equal(read, "new", 3);
    must_write(file, "+", 1, 3);
    must_sync(file);
    assert_int_equal(crashed_content(disk, 5, "/a", read, 4), 4);
    assert_memory_equal(read, "old+", 4);
    file_close(file);
    sim_disk_free(disk);
}

static void the_nth_call_of_a_kind_fails_as_often_as_told(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct file *file = must_open(disk, "/a", FILE_CREATE_NEW);
    sim_disk_add_fault(disk, &(struct sim_fault){
                                 .kinds = SIM_WRITE, .nth = 2, .repeat = 2, .failure = SIM_ENOSPC});
    must_write(file, "1", 1, 0);
    must_sync(file);
    struct error err;
    assert_int_equal(file_write(file, "2", 1, 1, &err), STATUS_NO_SPACE);
    assert_non_null(strstr(err.message, "/a"));
    assert_int_equal(file_write(file, "2", 1, 1, NULL), STATUS_NO_SPACE);
    must_write(file, "2", 1, 1);
    sim_disk_add_fault(disk,
                       &(struct sim_fault){.kinds = SIM_ANY_CALL, .nth = 1, .failure = SIM_EIO});
    assert_int_equal(file_write(file, "3", 1, 2, NULL), STATUS_IO);
    assert_int_equal(file_sync(file, NULL), STATUS_IO);
    sim_disk_clear_faults(disk);
    must_write(file, "3", 1, 2);
    file_close(file);
    sim_disk_free(disk);
}

static void a_short_write_leaves_a_prefix(void **state)
{
    (void)state;
    int partial = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct file *file = must_open(disk, "/a", FILE_CREATE_NEW);
        sim_disk_add_fault(
            disk, &(struct sim_fault){
                      .kinds = SIM_WRITE, .nth = 1, .repeat = 1, .failure = SIM_SHORT_EIO});
        assert_int_equal(file_write(file, "0123456789", 10, 0, NULL), STATUS_IO);
        char read[10];
        size_t got = 0;
        assert_int_equal(file_read(file, read, 10, 0, &got, NULL), STATUS_OK);
        assert_true(got < 10);
        assert_memory_equal(read, "0123456789", got);
        partial += got > 0;
        file_close(file);
        sim_disk_free(disk);
    }
    assert_true(partial > 25);
}

static void a_full_disk_takes_what_fits_and_room_returns_with_a_removal(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    sim_disk_set_space(disk, 3 * 4096);
    uint8_t bytes[4096 * 2] = {1};
    struct file *a = must_open(disk, "/a", FILE_CREATE_NEW);
    struct file *b = must_open(disk, "/b", FILE_CREATE_NEW);
    must_write(a, bytes, sizeof bytes, 0);
    assert_int_equal(file_write(b, bytes, sizeof bytes, 0, NULL), STATUS_NO_SPACE);
    uint64_t size = 0;
    assert_int_equal(file_size(b, &size, NULL), STATUS_OK);
    assert_int_equal(size, 4096);
    must_write(a, bytes, sizeof bytes, 0); /* in place: needs no room */
    struct filesystem_space space;
    assert_int_equal(filesystem_space(sim_disk_filesystem(disk), "/", &space, NULL), STATUS_OK);
    assert_int_equal(space.free_bytes, 0);
    assert_int_equal(filesystem_remove(sim_disk_filesystem(disk), "/a", NULL), STATUS_OK);
    must_write(b, bytes, sizeof bytes, 4096);
    file_close(a);
    file_close(b);
    sim_disk_free(disk);
}

static void files_opened_before_a_crash_fail_after_it(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct file *lock = NULL;
    struct file *second = NULL;
    struct filesystem *fs = sim_disk_filesystem(disk);
    assert_int_equal(filesystem_lock(fs, "/lock", &lock, NULL), STATUS_OK);
    assert_int_equal(filesystem_lock(fs, "/lock", &second, NULL), STATUS_CONFLICT);
    must_sync_root(disk);
    sim_disk_crash(disk, &(struct sim_crash){.seed = 1});
    assert_int_equal(file_sync(lock, NULL), STATUS_IO);
    assert_int_equal(filesystem_lock(fs, "/lock", &second, NULL), STATUS_OK);
    file_close(lock);
    assert_int_equal(filesystem_lock(fs, "/lock", &lock, NULL), STATUS_CONFLICT);
    file_close(second);
    sim_disk_free(disk);
}

static void a_killed_process_loses_its_locks_and_no_bytes(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct filesystem *fs = sim_disk_filesystem(disk);
    struct file *lock = NULL;
    assert_int_equal(filesystem_lock(fs, "/lock", &lock, NULL), STATUS_OK);
    must_write(lock, "unsynced", 8, 0);
    sim_disk_kill(disk);
    file_close(lock);
    assert_int_equal(filesystem_lock(fs, "/lock", &lock, NULL), STATUS_OK);
    char read[8];
    assert_int_equal(file_read_exactly(lock, read, 8, 0, NULL), STATUS_OK);
    assert_memory_equal(read, "unsynced", 8);
    assert_false(sim_disk_is_clean(disk));
    file_close(lock);
    sim_disk_free(disk);
}

static void a_clone_and_its_original_do_not_see_each_other(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct file *file = must_open(disk, "/a", FILE_CREATE_NEW);
    must_write(file, "original", 8, 0);
    struct sim_disk *clone = sim_disk_clone(disk);
    struct file *copy = must_open(clone, "/a", FILE_READ_WRITE);
    must_write(copy, "clone", 5, 0);
    must_write(file, "ORIG", 4, 0);
    char read[8];
    assert_int_equal(file_read_exactly(copy, read, 8, 0, NULL), STATUS_OK);
    assert_memory_equal(read, "clonenal", 8);
    assert_int_equal(file_read_exactly(file, read, 8, 0, NULL), STATUS_OK);
    assert_memory_equal(read, "ORIGinal", 8);
    file_close(file);
    sim_disk_free(disk);
    assert_int_equal(file_read_exactly(copy, read, 8, 0, NULL), STATUS_OK);
    assert_memory_equal(read, "clonenal", 8);
    file_close(copy);
    sim_disk_free(clone);
}

static void the_same_seed_gives_the_same_crash(void **state)
{
    (void)state;
    enum { SIZE = 64 * SIM_SECTOR_SIZE };
    struct sim_disk *disk = sim_disk_new(1);
    struct file *file = must_open(disk, "/a", FILE_CREATE_NEW);
    must_sync(file);
    must_sync_root(disk);
    uint8_t *first = calloc(1, SIZE);
    uint8_t *second = calloc(1, SIZE);
    assert_true(first != NULL && second != NULL);
    memset(first, 'x', SIZE);
    must_write(file, first, SIZE, 0);
    for (uint64_t seed = 0; seed < 20; seed++) {
        long size = crashed_content(disk, seed, "/a", first, SIZE);
        assert_int_equal(crashed_content(disk, seed, "/a", second, SIZE), size);
        assert_memory_equal(first, second, (size_t)size);
    }
    free(first);
    free(second);
    file_close(file);
    sim_disk_free(disk);
}

static void a_flipped_bit_is_there_before_and_after_a_crash(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct file *file = must_open(disk, "/a", FILE_CREATE_NEW);
    must_write(file, "aaa", 3, 0);
    must_sync(file);
    must_sync_root(disk);
    sim_disk_flip(disk, "/a", 9);
    char read[3];
    assert_int_equal(file_read_exactly(file, read, 3, 0, NULL), STATUS_OK);
    assert_memory_equal(read, "aca", 3);
    assert_int_equal(crashed_content(disk, 1, "/a", read, 3), 3);
    assert_memory_equal(read, "aca", 3);
    file_close(file);
    sim_disk_free(disk);
}

/* A workload with two syncs that both matter, and one that does not. */
struct careful {
    struct sim_sites sites;
    struct sim_disk *disk;
    bool acknowledged;
};

static bool check_acknowledged(void *context, struct sim_disk *disk)
{
    struct careful *careful = context;
    char read[6] = {0};
    if (!careful->acknowledged)
        return true;
    if (!exists(disk, "/a"))
        return false;
    struct file *file = must_open(disk, "/a", FILE_READ);
    size_t got = 0;
    bool right = file_read(file, read, 6, 0, &got, NULL) == STATUS_OK && got == 6 &&
                 memcmp(read, "synced", 6) == 0;
    file_close(file);
    return right;
}

static bool acknowledge_carefully(void *context)
{
    struct careful *careful = context;
    struct sim_disk *disk = sim_disk_new(1);
    sim_disk_set_sites(disk, &careful->sites);
    struct sim_explore explore = {
        .check = check_acknowledged, .context = careful, .seed = 1, .crashes = 20, .every = 1};
    careful->acknowledged = false;
    sim_explore_attach(&explore, disk);
    struct file *file = must_open(disk, "/a", FILE_CREATE_NEW);
    must_write(file, "synced", 6, 0);
    bool done = file_sync(file, NULL) == STATUS_OK;
    done = done && filesystem_sync_directory(sim_disk_filesystem(disk), "/", NULL) == STATUS_OK;
    careful->acknowledged = done;
    sim_explore_now(&explore, disk);
    assert_true(explore.states >= 20);
    file_close(file);
    sim_disk_free(disk);
    return explore.violations == 0;
}

static void suppressing_each_sync_site_is_noticed(void **state)
{
    (void)state;
    struct careful careful = {.acknowledged = false};
    assert_true(sim_sites_mutate(&careful.sites, acknowledge_carefully, &careful));
    assert_int_equal(careful.sites.count, 2);
    char name[SIM_SITE_NAME_SIZE];
    sim_site_name(careful.sites.sites[0].site, name);
    assert_non_null(strstr(name, "acknowledge_carefully"));
}

static bool acknowledge_twice_synced(void *context)
{
    struct careful *careful = context;
    bool passed = acknowledge_carefully(context);
    struct sim_disk *disk = sim_disk_new(1);
    sim_disk_set_sites(disk, &careful->sites);
    struct file *file = must_open(disk, "/b", FILE_CREATE_NEW);
    must_sync(file);
    file_close(file);
    sim_disk_free(disk);
    return passed;
}

static void a_sync_site_that_no_test_needs_survives(void **state)
{
    (void)state;
    struct careful careful = {.acknowledged = false};
    assert_false(sim_sites_mutate(&careful.sites, acknowledge_twice_synced, &careful));
}

/* One call site, which stays one: neither inlined nor turned into a jump. */
__attribute__((noinline)) static enum status sync_here(struct file *file)
{
    enum status status = file_sync(file, NULL);
    assert_true(status == STATUS_OK || status == STATUS_IO);
    return status;
}

static void faults_hit_one_call_site_only(void **state)
{
    (void)state;
    struct sim_sites sites = {.count = 0};
    struct sim_disk *disk = sim_disk_new(1);
    sim_disk_set_sites(disk, &sites);
    struct file *file = must_open(disk, "/a", FILE_CREATE_NEW);
    assert_int_equal(sync_here(file), STATUS_OK);
    sim_disk_add_fault(
        disk, &(struct sim_fault){
                  .kinds = SIM_SYNC, .site = sites.sites[0].site, .nth = 1, .failure = SIM_EIO});
    must_sync(file);
    assert_int_equal(sync_here(file), STATUS_IO);
    must_sync(file);
    file_close(file);
    sim_disk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_synced_with_its_name_survives_every_crash),
        cmocka_unit_test(an_unsynced_write_is_kept_in_some_crashes_and_lost_in_others),
        cmocka_unit_test(a_write_tears_at_sectors_only),
        cmocka_unit_test(a_later_write_to_a_sector_is_never_there_without_the_earlier),
        cmocka_unit_test(an_extension_may_leave_zeros_or_a_shorter_file),
        cmocka_unit_test(a_synced_file_is_lost_with_its_unsynced_name),
        cmocka_unit_test(a_rename_leaves_one_of_the_two_names),
        cmocka_unit_test(a_link_leads_to_the_same_bytes_and_either_name_may_go),
        cmocka_unit_test(names_are_dropped_in_order_or_in_any_order),
        cmocka_unit_test(a_directory_whose_name_is_lost_takes_its_files_along),
        cmocka_unit_test(after_a_failed_sync_a_second_one_makes_nothing_durable),
        cmocka_unit_test(the_nth_call_of_a_kind_fails_as_often_as_told),
        cmocka_unit_test(a_short_write_leaves_a_prefix),
        cmocka_unit_test(a_full_disk_takes_what_fits_and_room_returns_with_a_removal),
        cmocka_unit_test(files_opened_before_a_crash_fail_after_it),
        cmocka_unit_test(a_killed_process_loses_its_locks_and_no_bytes),
        cmocka_unit_test(a_clone_and_its_original_do_not_see_each_other),
        cmocka_unit_test(the_same_seed_gives_the_same_crash),
        cmocka_unit_test(a_flipped_bit_is_there_before_and_after_a_crash),
        cmocka_unit_test(suppressing_each_sync_site_is_noticed),
        cmocka_unit_test(a_sync_site_that_no_test_needs_survives),
        cmocka_unit_test(faults_hit_one_call_site_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
