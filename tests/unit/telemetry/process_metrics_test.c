#include "../test.h"

#include <fcntl.h>
#include <unistd.h>

#include "../files.h"
#include "document.h"

#define STATUS_FILE                                                                                \
    "Name:\tmetric-store\nVmPeak:\t  900 kB\nVmSize:\t  800 kB\nVmRSS:\t  300 kB\n"                \
    "RssAnon:\t  200 kB\nThreads:\t7\n"
#define STAT_FILE                                                                                  \
    "17 (a) (b S 1) S 1 17 17 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 7 0 100000 819200 75 1\n"
#define SYSTEM_FILE "cpu  1 2 3\nintr 5 6 7\nctxt 1\nbtime 1795305600\nprocesses 9\n"
#define LIMITS_FILE                                                                                \
    "Limit                     Soft Limit           Hard Limit           Units     \n"             \
    "Max open files            1024                 524288               files     \n"

/* What /proc holds; the directory of descriptors has the walk's own besides `descriptors`. */
struct proc {
    struct filesystem fs;
    struct test_files files;
    size_t descriptors;
};

static enum status proc_open(struct filesystem *fs, const char *path, enum file_mode mode,
                             struct file **file, struct error *err)
{
    struct proc *proc = container_of(fs, struct proc, fs);
    return filesystem_open(&proc->files.fs, path, mode, file, err);
}

static enum status proc_list(struct filesystem *fs, const char *path, filesystem_visit *visit,
                             void *context, struct error *err)
{
    struct proc *proc = container_of(fs, struct proc, fs);
    assert_string_equal(path, "/root/proc/self/fd");
    enum status status = STATUS_OK;
    for (size_t i = 0; i <= proc->descriptors && status == STATUS_OK; i++)
        status = visit(context, "1", false, err);
    return status;
}

static const struct filesystem_ops proc_ops = {.open = proc_open, .list = proc_list};

static enum status read_proc(const struct test_file *files, struct process_stats *stats,
                             struct error *err)
{
    struct proc proc = {.fs = {&proc_ops}, .files = test_files_of(files), .descriptors = 12};
    enum status status = process_stats_read(&proc.fs, "/root", stats, err);
    assert_int_equal(proc.files.open_count, 0);
    return status;
}

static void every_number_is_found_whatever_the_program_is_called(void **state)
{
    (void)state;
    const struct test_file files[] = {
        {.path = "/root/proc/self/status", .text = STATUS_FILE},
        {.path = "/root/proc/self/stat", .text = STAT_FILE},
        {.path = "/root/proc/stat", .text = SYSTEM_FILE},
        {.path = "/root/proc/self/limits", .text = LIMITS_FILE},
        {0},
    };
    struct process_stats stats;
    assert_int_equal(read_proc(files, &stats, NULL), STATUS_OK);
    double ticks = (double)sysconf(_SC_CLK_TCK);
    assert_true(stats.cpu_seconds == 200 / ticks);
    assert_true(stats.start_time_seconds == 1795305600 + 100000 / ticks);
    assert_int_equal(stats.virtual_bytes, 800 * 1024);
    assert_int_equal(stats.resident_bytes, 300 * 1024);
    assert_int_equal(stats.anonymous_bytes, 200 * 1024);
    assert_int_equal(stats.threads, 7);
    assert_int_equal(stats.open_fds, 12);
    assert_int_equal(stats.max_fds, 1024);
}

static void no_limit_of_descriptors_is_left_out(void **state)
{
    (void)state;
    const struct test_file files[] = {
        {.path = "/root/proc/self/status", .text = STATUS_FILE},
        {.path = "/root/proc/self/stat", .text = STAT_FILE},
        {.path = "/root/proc/stat", .text = SYSTEM_FILE},
        {.path = "/root/proc/self/limits",
         .text = "Max open files            unlimited            unlimited            files\n"},
        {0},
    };
    struct process_stats stats;
    assert_int_equal(read_proc(files, &stats, NULL), STATUS_OK);
    struct bytes bytes;
    bytes_init(&bytes, 1 << 16);
    struct metrics_writer writer;
    metrics_begin(&writer, &bytes, METRICS_TEXT);
    metrics_write_process(&writer, &stats);
    assert_int_equal(metrics_finish(&writer), STATUS_OK);
    struct document *document = document_read(bytes_slice(&bytes), METRICS_TEXT);
    assert_null(document_value(document, "process_max_fds"));
    document_expect(document, "process_open_fds", "12");
    document_expect(document, "process_resident_memory_bytes", "307200");
    document_free(document);
    bytes_release(&bytes);
}

static void files_that_are_not_as_ever_are_named(void **state)
{
    (void)state;
    const struct test_file good[] = {
        {.path = "/root/proc/self/status", .text = STATUS_FILE},
        {.path = "/root/proc/self/stat", .text = STAT_FILE},
        {.path = "/root/proc/stat", .text = SYSTEM_FILE},
        {.path = "/root/proc/self/limits", .text = LIMITS_FILE},
        {0},
    };
    const struct test_file bad[] = {
        {.path = "/root/proc/self/status", .text = "VmSize:\t  800 kB\nVmRSS:\t  x kB\n"},
        {.path = "/root/proc/self/status",
         .text = "VmSize:\t18446744073709551615 kB\nVmRSS:\t1 kB\nRssAnon:\t1 kB\nThreads:\t1\n"},
        {.path = "/root/proc/self/stat", .text = "17 (metric-store) S 1 17 17"},
        {.path = "/root/proc/self/stat", .text = "17 metric-store S 1 17 17"},
        {.path = "/root/proc/stat", .text = "cpu 1 2 3\nxbtime 1\n"},
        {.path = "/root/proc/self/limits", .text = "Max processes 1 2 processes\n"},
        {.path = "/root/proc/self/limits", .text = "Max open files            \n"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct test_file files[5];
        memcpy(files, good, sizeof files);
        for (size_t j = 0; j < 4; j++)
            if (strcmp(files[j].path, bad[i].path) == 0)
                files[j] = bad[i];
        struct process_stats stats;
        struct error err;
        assert_int_equal(read_proc(files, &stats, &err), STATUS_INVALID);
        assert_non_null(strstr(err.message, bad[i].path + strlen("/root")));
    }
}

static void a_missing_file_is_named(void **state)
{
    (void)state;
    const struct test_file files[] = {
        {.path = "/root/proc/self/status", .text = STATUS_FILE},
        {0},
    };
    struct process_stats stats;
    struct error err;
    assert_int_equal(read_proc(files, &stats, &err), STATUS_NOT_FOUND);
    assert_non_null(strstr(err.message, "/proc/self/stat"));
}

static void this_very_process_is_seen(void **state)
{
    (void)state;
    struct process_stats before;
    struct process_stats after;
    assert_int_equal(process_stats_read(filesystem_posix(), "", &before, NULL), STATUS_OK);
    int fd = open("/dev/null", O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(process_stats_read(filesystem_posix(), "", &after, NULL), STATUS_OK);
    close(fd);
    assert_int_equal(after.open_fds, before.open_fds + 1);
    assert_true(after.resident_bytes >= after.anonymous_bytes && after.anonymous_bytes > 0);
    assert_true(after.cpu_seconds >= before.cpu_seconds);
    assert_true(after.start_time_seconds > 1.5e9);
    assert_int_equal(after.threads, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_is_found_whatever_the_program_is_called),
        cmocka_unit_test(no_limit_of_descriptors_is_left_out),
        cmocka_unit_test(files_that_are_not_as_ever_are_named),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(this_very_process_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
