#include "../test.h"

#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The system calls that the loops and the error names are about, replaced for this program. The
 * kernel is asked directly; a test says what the next calls do instead.
 */
static struct {
    size_t most_bytes; /* a call moves at most these; 0: no limit */
    int interrupts;    /* so many calls fail with EINTR first */
    int error;         /* the errno of every call afterwards; 0: none */
    int calls;
} fault;

static bool fault_hits(size_t *size)
{
    fault.calls++;
    if (fault.interrupts > 0) {
        fault.interrupts--;
        errno = EINTR;
        return true;
    }
    if (fault.error != 0) {
        errno = fault.error;
        return true;
    }
    if (fault.most_bytes != 0 && *size > fault.most_bytes)
        *size = fault.most_bytes;
    return false;
}

ssize_t pwrite(int fd, const void *from, size_t size, off_t offset)
{
    return fault_hits(&size) ? -1 : syscall(SYS_pwrite64, fd, from, size, offset);
}

ssize_t pread(int fd, void *to, size_t size, off_t offset)
{
    return fault_hits(&size) ? -1 : syscall(SYS_pread64, fd, to, size, offset);
}

int fdatasync(int fd)
{
    size_t none = 0;
    return fault_hits(&none) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

struct place {
    char directory[64];
    char path[128];
    struct filesystem *fs;
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    strcpy(place->directory, "/tmp/metric-store-file-test-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    snprintf(place->path, sizeof place->path, "%s/file", place->directory);
    place->fs = filesystem_posix();
    memset(&fault, 0, sizeof fault);
    *state = place;
    return 0;
}

static enum status remove_name(void *context, const char *name, bool is_directory,
                               struct error *err)
{
    (void)err;
    struct place *place = context;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", place->directory, name);
    return is_directory ? filesystem_remove_directory(place->fs, path, NULL)
                        : filesystem_remove(place->fs, path, NULL);
}

static int tear_down(void **state)
{
    struct place *place = *state;
    memset(&fault, 0, sizeof fault);
    assert_int_equal(filesystem_list(place->fs, place->directory, remove_name, place, NULL),
                     STATUS_OK);
    assert_int_equal(filesystem_remove_directory(place->fs, place->directory, NULL), STATUS_OK);
    free(place);
    return 0;
}

static struct file *must_open(struct place *place, enum file_mode mode)
{
    struct file *file = NULL;
    struct error err;
    if (filesystem_open(place->fs, place->path, mode, &file, &err) != STATUS_OK)
        test_fail("%s", err.message);
    return file;
}

static void short_writes_and_interrupts_end_in_a_whole_write(void **state)
{
    struct place *place = *state;
    struct file *file = must_open(place, FILE_CREATE);
    fault.most_bytes = 3;
    fault.interrupts = 2;
    assert_int_equal(file_write(file, "0123456789", 10, 5, NULL), STATUS_OK);
    assert_int_equal(fault.calls, 2 + 4);
    char read[16] = {0};
    size_t got = 0;
    fault.interrupts = 1;
    assert_int_equal(file_read(file, read, sizeof read, 0, &got, NULL), STATUS_OK);
    assert_int_equal(got, 15);
    assert_memory_equal(read,
                        "\0\0\0\0\0"
                        "0123456789",
                        15);
    file_close(file);
}

static void a_full_disk_a_quota_and_a_read_only_disk_are_no_space(void **state)
{
    struct place *place = *state;
    struct file *file = must_open(place, FILE_CREATE);
    const int errors[] = {ENOSPC, EDQUOT, EROFS};
    for (size_t i = 0; i < 3; i++) {
        fault.error = errors[i];
        struct error err;
        assert_int_equal(file_write(file, "x", 1, 0, &err), STATUS_NO_SPACE);
        assert_non_null(strstr(err.message, place->path));
    }
    fault.error = EIO;
    assert_int_equal(file_write(file, "x", 1, 0, NULL), STATUS_IO);
    file_close(file);
}

static void a_failed_sync_is_not_called_again_even_when_interrupted(void **state)
{
    struct place *place = *state;
    struct file *file = must_open(place, FILE_CREATE);
    const int errors[] = {EIO, EINTR};
    for (size_t i = 0; i < 2; i++) {
        fault.error = errors[i];
        fault.calls = 0;
        assert_int_equal(file_sync(file, NULL), STATUS_IO);
        assert_int_equal(fault.calls, 1);
    }
    file_close(file);
}

static void reading_exactly_past_the_end_is_corrupt(void **state)
{
    struct place *place = *state;
    struct file *file = must_open(place, FILE_CREATE);
    assert_int_equal(file_write(file, "abc", 3, 0, NULL), STATUS_OK);
    char read[4];
    struct error err;
    assert_int_equal(file_read_exactly(file, read, 3, 0, NULL), STATUS_OK);
    assert_int_equal(file_read_exactly(file, read, 4, 0, &err), STATUS_CORRUPT);
    assert_non_null(strstr(err.message, "ends at byte 3"));
    size_t got = 1;
    assert_int_equal(file_read(file, read, 4, 1000, &got, NULL), STATUS_OK);
    assert_int_equal(got, 0);
    file_close(file);
}

static void modes_say_whether_a_file_must_or_must_not_exist(void **state)
{
    struct place *place = *state;
    struct file *file = NULL;
    assert_int_equal(filesystem_open(place->fs, place->path, FILE_READ, &file, NULL),
                     STATUS_NOT_FOUND);
    assert_null(file);
    assert_int_equal(filesystem_open(place->fs, place->path, FILE_READ_WRITE, &file, NULL),
                     STATUS_NOT_FOUND);
    file_close(must_open(place, FILE_CREATE_NEW));
    assert_int_equal(filesystem_open(place->fs, place->path, FILE_CREATE_NEW, &file, NULL),
                     STATUS_CONFLICT);
    file = must_open(place, FILE_CREATE);
    assert_int_equal(file_write(file, "kept", 4, 0, NULL), STATUS_OK);
    file_close(file);
    file = must_open(place, FILE_CREATE);
    uint64_t size = 0;
    assert_int_equal(file_size(file, &size, NULL), STATUS_OK);
    assert_int_equal(size, 4);
    file_close(file);
    file = must_open(place, FILE_READ);
    assert_int_equal(file_write(file, "x", 1, 0, NULL), STATUS_IO);
    file_close(file);
    file_close(NULL);
}

static void files_and_directories_are_for_their_owner_only(void **state)
{
    struct place *place = *state;
    file_close(must_open(place, FILE_CREATE));
    struct stat stat_of_path;
    assert_int_equal(stat(place->path, &stat_of_path), 0);
    assert_int_equal(stat_of_path.st_mode & 077, 0);
    char path[200];
    snprintf(path, sizeof path, "%s/sub", place->directory);
    assert_int_equal(filesystem_make_directory(place->fs, path, NULL), STATUS_OK);
    assert_int_equal(filesystem_make_directory(place->fs, path, NULL), STATUS_OK);
    assert_int_equal(stat(path, &stat_of_path), 0);
    assert_int_equal(stat_of_path.st_mode & 077, 0);
    assert_int_equal(filesystem_make_directory(place->fs, place->path, NULL), STATUS_IO);
}

static void resize_cuts_and_extends_with_zeros(void **state)
{
    struct place *place = *state;
    struct file *file = must_open(place, FILE_CREATE);
    assert_int_equal(file_write(file, "abcdef", 6, 0, NULL), STATUS_OK);
    assert_int_equal(file_resize(file, 2, NULL), STATUS_OK);
    assert_int_equal(file_resize(file, 4, NULL), STATUS_OK);
    char read[4];
    assert_int_equal(file_read_exactly(file, read, 4, 0, NULL), STATUS_OK);
    assert_memory_equal(read, "ab\0\0", 4);
    file_close(file);
}

struct listing {
    int files;
    int directories;
    int stop_after;
};

static enum status count_name(void *context, const char *name, bool is_directory, struct error *err)
{
    struct listing *listing = context;
    assert_string_not_equal(name, ".");
    assert_string_not_equal(name, "..");
    *(is_directory ? &listing->directories : &listing->files) += 1;
    if (listing->files + listing->directories == listing->stop_after)
        return fail(err, STATUS_LIMIT, "enough");
    return STATUS_OK;
}

static void listing_tells_files_from_directories_and_stops_when_told(void **state)
{
    struct place *place = *state;
    char path[200];
    snprintf(path, sizeof path, "%s/sub", place->directory);
    assert_int_equal(filesystem_make_directory(place->fs, path, NULL), STATUS_OK);
    file_close(must_open(place, FILE_CREATE));
    struct listing listing = {0};
    assert_int_equal(filesystem_list(place->fs, place->directory, count_name, &listing, NULL),
                     STATUS_OK);
    assert_int_equal(listing.files, 1);
    assert_int_equal(listing.directories, 1);
    listing = (struct listing){.stop_after = 1};
    assert_int_equal(filesystem_list(place->fs, place->directory, count_name, &listing, NULL),
                     STATUS_LIMIT);
    assert_int_equal(listing.files + listing.directories, 1);
    assert_int_equal(filesystem_list(place->fs, "/nowhere/at/all", count_name, &listing, NULL),
                     STATUS_NOT_FOUND);
}

static void a_link_is_a_second_name_that_is_never_taken_from_another_file(void **state)
{
    struct place *place = *state;
    char other[160];
    char missing[160];
    struct file *file = NULL;
    struct error err = {0};
    uint64_t size = 0;
    snprintf(other, sizeof other, "%s/other", place->directory);
    snprintf(missing, sizeof missing, "%s/missing", place->directory);
    assert_int_equal(filesystem_open(place->fs, place->path, FILE_CREATE, &file, NULL), STATUS_OK);
    assert_int_equal(file_write(file, "abc", 3, 0, NULL), STATUS_OK);
    file_close(file);
    assert_int_equal(filesystem_link(place->fs, place->path, other, NULL), STATUS_OK);
    assert_int_equal(filesystem_link(place->fs, place->path, other, &err), STATUS_CONFLICT);
    assert_non_null(strstr(err.message, other));
    assert_int_equal(filesystem_link(place->fs, place->path, place->directory, NULL),
                     STATUS_CONFLICT);
    assert_int_equal(filesystem_remove(place->fs, place->path, NULL), STATUS_OK);
    assert_int_equal(filesystem_link(place->fs, place->path, missing, NULL), STATUS_NOT_FOUND);
    assert_int_equal(filesystem_open(place->fs, other, FILE_READ, &file, NULL), STATUS_OK);
    assert_int_equal(file_size(file, &size, NULL), STATUS_OK);
    assert_int_equal(size, 3);
    file_close(file);
    assert_int_equal(filesystem_remove(place->fs, other, NULL), STATUS_OK);
}

static void rename_replaces_and_remove_removes(void **state)
{
    struct place *place = *state;
    char other[200];
    snprintf(other, sizeof other, "%s/other", place->directory);
    struct file *file = must_open(place, FILE_CREATE);
    assert_int_equal(file_write(file, "new", 3, 0, NULL), STATUS_OK);
    file_close(file);
    assert_int_equal(filesystem_open(place->fs, other, FILE_CREATE, &file, NULL), STATUS_OK);
    file_close(file);
    assert_int_equal(filesystem_rename(place->fs, place->path, other, NULL), STATUS_OK);
    assert_int_equal(filesystem_sync_directory(place->fs, place->directory, NULL), STATUS_OK);
    assert_int_equal(filesystem_open(place->fs, other, FILE_READ, &file, NULL), STATUS_OK);
    uint64_t size = 0;
    assert_int_equal(file_size(file, &size, NULL), STATUS_OK);
    assert_int_equal(size, 3);
    file_close(file);
    assert_int_equal(filesystem_rename(place->fs, place->path, other, NULL), STATUS_NOT_FOUND);
    assert_int_equal(filesystem_remove(place->fs, other, NULL), STATUS_OK);
    assert_int_equal(filesystem_remove(place->fs, other, NULL), STATUS_NOT_FOUND);
}

static void a_directory_whose_parents_are_missing_is_not_made_and_the_first_is_named(void **state)
{
    struct place *place = *state;
    char path[300];
    char named[400];
    struct error err;
    snprintf(path, sizeof path, "%s/a//b/c", place->directory);
    snprintf(named, sizeof named, "there is no directory %s/a", place->directory);
    assert_int_equal(filesystem_make_directory(place->fs, path, &err), STATUS_NOT_FOUND);
    assert_string_equal(err.message + strlen(err.message) - strlen(named), named);
    snprintf(path, sizeof path, "%s/a", place->directory);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void what_is_no_file_is_refused_without_waiting_and_named(void **state)
{
    struct place *place = *state;
    struct file *file = NULL;
    struct error err;
    assert_int_equal(mkfifo(place->path, 0600), 0);
    for (enum file_mode mode = FILE_READ; mode <= FILE_CREATE; mode++) {
        assert_int_equal(filesystem_open(place->fs, place->path, mode, &file, &err),
                         STATUS_CORRUPT);
        assert_non_null(strstr(err.message, "it is a pipe"));
        assert_int_equal(filesystem_open(place->fs, place->directory, mode, &file, &err),
                         STATUS_CORRUPT);
        assert_non_null(strstr(err.message, "it is a directory"));
        assert_int_equal(filesystem_open(place->fs, "/dev/null", mode, &file, &err),
                         STATUS_CORRUPT);
        assert_non_null(strstr(err.message, "it is a device"));
    }
    assert_null(file);
}

static void a_second_lock_of_one_process_conflicts_and_names_the_holder(void **state)
{
    struct place *place = *state;
    struct file *lock = NULL;
    struct file *second = NULL;
    struct error err;
    assert_int_equal(filesystem_lock(place->fs, place->path, &lock, NULL), STATUS_OK);
    assert_int_equal(filesystem_lock(place->fs, place->path, &second, &err), STATUS_CONFLICT);
    assert_null(second);
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(err.message, pid));
    file_close(lock);
    assert_int_equal(filesystem_lock(place->fs, place->path, &lock, NULL), STATUS_OK);
    file_close(lock);
}

static void a_readers_lock_keeps_everybody_out_where_files_can_be_written(void **state)
{
    struct place *place = *state;
    struct file *lock = NULL;
    struct file *second = NULL;
    assert_int_equal(filesystem_lock_for_reading(place->fs, place->path, &lock, NULL), STATUS_OK);
    assert_non_null(lock);
    assert_int_equal(filesystem_lock(place->fs, place->path, &second, NULL), STATUS_CONFLICT);
    assert_int_equal(filesystem_lock_for_reading(place->fs, place->path, &second, NULL),
                     STATUS_CONFLICT);
    assert_null(second);
    file_close(lock);
    char missing[300];
    snprintf(missing, sizeof missing, "%s.d/lock", place->path);
    assert_int_equal(filesystem_lock_for_reading(place->fs, missing, &lock, NULL),
                     STATUS_NOT_FOUND);
    assert_null(lock);
}

static void a_lock_ends_with_the_process_that_held_it(void **state)
{
    struct place *place = *state;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct file *held = NULL;
        char result = filesystem_lock(place->fs, place->path, &held, NULL) == STATUS_OK ? 'y' : 'n';
        if (write(ready[1], &result, 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    char result = 0;
    assert_int_equal(read(ready[0], &result, 1), 1);
    assert_int_equal(result, 'y');
    struct file *lock = NULL;
    struct error err;
    assert_int_equal(filesystem_lock(place->fs, place->path, &lock, &err), STATUS_CONFLICT);
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld", (long)child);
    assert_non_null(strstr(err.message, pid));
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(filesystem_lock(place->fs, place->path, &lock, NULL), STATUS_OK);
    file_close(lock);
    close(ready[0]);
    close(ready[1]);
}

/* ---- write-back ------------------------------------------------------------------------- */

struct noting_file {
    struct file file;
    uint64_t offsets[4], sizes[4];
    size_t count;
};

static void note_write_back(struct file *file, uint64_t offset, uint64_t size)
{
    struct noting_file *noting = (struct noting_file *)file;
    assert_true(noting->count < 4);
    noting->offsets[noting->count] = offset;
    noting->sizes[noting->count++] = size;
}

static void a_file_written_in_order_is_written_back_piece_by_piece(void **state)
{
    (void)state;
    static const struct file_ops ops = {.begin_write_back = note_write_back};
    struct noting_file noting = {.file = {&ops}};
    uint64_t begun = 0;
    for (uint64_t written = 0; written <= 600 * 1024; written += 100 * 1024)
        file_write_back_behind(&noting.file, &begun, written);
    assert_int_equal(noting.count, 2);
    assert_int_equal(noting.offsets[0], 0);
    assert_int_equal(noting.sizes[0], 300 * 1024);
    assert_int_equal(noting.offsets[1], 300 * 1024);
    assert_int_equal(noting.sizes[1], 300 * 1024);
}

static void descriptors_are_not_inherited_by_a_started_program(void **state)
{
    struct place *place = *state;
    struct file *file = must_open(place, FILE_CREATE);
    int unset = 0;
    for (int fd = 3; fd < 64; fd++) {
        char link[64];
        char target[256] = {0};
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        if (readlink(link, target, sizeof target - 1) > 0 && strcmp(target, place->path) == 0)
            unset += (fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0 ? 100 : 1;
    }
    assert_int_equal(unset, 1);
    file_close(file);
}

static void space_is_told_in_bytes(void **state)
{
    struct place *place = *state;
    struct filesystem_space space = {0};
    assert_int_equal(filesystem_space(place->fs, place->directory, &space, NULL), STATUS_OK);
    assert_true(space.total_bytes >= space.free_bytes);
    assert_true(space.total_bytes > 0);
    assert_int_equal(filesystem_space(place->fs, "/nowhere/at/all", &space, NULL),
                     STATUS_NOT_FOUND);
}

#define in_place(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_place(short_writes_and_interrupts_end_in_a_whole_write),
        in_place(a_full_disk_a_quota_and_a_read_only_disk_are_no_space),
        in_place(a_failed_sync_is_not_called_again_even_when_interrupted),
        in_place(reading_exactly_past_the_end_is_corrupt),
        in_place(modes_say_whether_a_file_must_or_must_not_exist),
        in_place(files_and_directories_are_for_their_owner_only),
        in_place(resize_cuts_and_extends_with_zeros),
        in_place(listing_tells_files_from_directories_and_stops_when_told),
        in_place(a_link_is_a_second_name_that_is_never_taken_from_another_file),
        in_place(rename_replaces_and_remove_removes),
        in_place(a_directory_whose_parents_are_missing_is_not_made_and_the_first_is_named),
        in_place(what_is_no_file_is_refused_without_waiting_and_named),
        in_place(a_second_lock_of_one_process_conflicts_and_names_the_holder),
        in_place(a_readers_lock_keeps_everybody_out_where_files_can_be_written),
        in_place(a_lock_ends_with_the_process_that_held_it),
        in_place(a_file_written_in_order_is_written_back_piece_by_piece),
        in_place(descriptors_are_not_inherited_by_a_started_program),
        in_place(space_is_told_in_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
