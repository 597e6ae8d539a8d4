#include "../test.h"

#include "os/memory.h"

#include "../files.h"

#define MEMINFO "MemTotal:       24684084 kB\nMemFree:        23892164 kB\n"
#define MACHINE (UINT64_C(24684084) * 1024)

static uint64_t available(const struct test_file *contents)
{
    struct test_files files = test_files_of(contents);
    struct error err;
    uint64_t bytes = 0;
    if (memory_available(&files.fs, "/root", &bytes, &err) != STATUS_OK)
        test_fail("%s", err.message);
    assert_int_equal(files.open_count, 0);
    return bytes;
}

static enum status refusal(const struct test_file *contents, struct error *err)
{
    struct test_files files = test_files_of(contents);
    uint64_t bytes = 0;
    enum status status = memory_available(&files.fs, "/root", &bytes, err);
    assert_int_equal(files.open_count, 0);
    return status;
}

static void without_cgroups_it_is_the_machines_memory(void **state)
{
    (void)state;
    assert_int_equal(
        available((struct test_file[]){{.path = "/root/proc/meminfo", .text = MEMINFO}, {0}}),
        MACHINE);
}

static void the_limit_of_a_version_2_cgroup_holds(void **state)
{
    (void)state;
    assert_int_equal(
        available((struct test_file[]){
            {.path = "/root/proc/meminfo", .text = MEMINFO},
            {.path = "/root/proc/self/cgroup", .text = "0::/system.slice/metric-store.service\n"},
            {.path = "/root/proc/self/mountinfo",
             .text = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"},
            {.path = "/root/sys/fs/cgroup/system.slice/metric-store.service/memory.max",
             .text = "536870912\n"},
            {.path = "/root/sys/fs/cgroup/system.slice/memory.max", .text = "max\n"},
            {0},
        }),
        536870912);
}

static void a_smaller_limit_further_up_wins(void **state)
{
    (void)state;
    assert_int_equal(available((struct test_file[]){
                         {.path = "/root/proc/meminfo", .text = MEMINFO},
                         {.path = "/root/proc/self/cgroup", .text = "0::/a/b\n"},
                         {.path = "/root/proc/self/mountinfo",
                          .text = "29 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"},
                         {.path = "/root/sys/fs/cgroup/a/b/memory.max", .text = "536870912\n"},
                         {.path = "/root/sys/fs/cgroup/a/memory.max", .text = "268435456\n"},
                         {0},
                     }),
                     268435456);
}

static void version_1_is_found_beside_version_2_and_unlimited_means_the_machine(void **state)
{
    (void)state;
    struct test_file files[] = {
        {.path = "/root/proc/meminfo", .text = MEMINFO},
        {.path = "/root/proc/self/cgroup",
         .text = "5:devices:/\n4:memory,blkio:/jobs/one\n1:name=x:/y\n0::/\n"},
        {.path = "/root/proc/self/mountinfo",
         .text = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
                 "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"},
        {.path = "/root/sys/fs/cgroup/memory/jobs/one/memory.limit_in_bytes",
         .text = "134217728\n"},
        {.path = "/root/sys/fs/cgroup/memory/memory.limit_in_bytes",
         .text = "9223372036854771712\n"},
        {0},
    };
    assert_int_equal(available(files), 134217728);
    files[3].text = "9223372036854771712\n";
    assert_int_equal(available(files), MACHINE);
}

/* A container sees the host's name of its cgroup, and that cgroup mounted as the top. */
static void a_container_finds_its_limit_at_the_mount(void **state)
{
    (void)state;
    assert_int_equal(
        available((struct test_file[]){
            {.path = "/root/proc/meminfo", .text = MEMINFO},
            {.path = "/root/proc/self/cgroup", .text = "4:memory:/docker/abc\n"},
            {.path = "/root/proc/self/mountinfo",
             .text = "35 31 0:32 /docker/ab /elsewhere ro - cgroup cgroup rw,memory\n"
                     "36 31 0:32 /docker/abc /sys/fs/cgroup/my\\040memory ro master:9 - cgroup "
                     "cgroup rw,memory\n"},
            {.path = "/root/elsewhere/memory.limit_in_bytes", .text = "1\n"},
            {.path = "/root/sys/fs/cgroup/my memory/memory.limit_in_bytes", .text = "1073741824\n"},
            {0},
        }),
        1073741824);
}

static void a_file_that_is_not_as_the_kernel_writes_it_is_refused_by_name(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(
        refusal(
            (struct test_file[]){{.path = "/root/proc/meminfo", .text = "MemFree: 1 kB\n"}, {0}},
            &err),
        STATUS_INVALID);
    assert_non_null(strstr(err.message, "MemTotal"));
    assert_int_equal(refusal((struct test_file[]){{.path = "/root/proc/meminfo",
                                                   .text = "MemTotal: 99999999999999999999 kB\n"},
                                                  {0}},
                             &err),
                     STATUS_INVALID);
    assert_int_equal(refusal((struct test_file[]){{0}}, &err), STATUS_NOT_FOUND);
    assert_int_equal(
        refusal((struct test_file[]){{.path = "/root/proc/meminfo", .text = MEMINFO},
                                     {.path = "/root/proc/self/cgroup", .text = "0::/\n"},
                                     {.path = "/root/proc/self/mountinfo",
                                      .text = "29 23 0:26 / /cg rw - cgroup2 cgroup2 rw\n"},
                                     {.path = "/root/cg/memory.max", .text = "much\n"},
                                     {0}},
                &err),
        STATUS_INVALID);
    assert_non_null(strstr(err.message, "/cg/memory.max"));
}

static void a_limit_that_cannot_be_read_is_an_error_and_not_ignored(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(
        refusal(
            (struct test_file[]){{.path = "/root/proc/meminfo", .text = MEMINFO},
                                 {.path = "/root/proc/self/cgroup", .text = "0::/\n"},
                                 {.path = "/root/proc/self/mountinfo",
                                  .text = "29 23 0:26 / /cg rw - cgroup2 cgroup2 rw\n"},
                                 {.path = "/root/cg/memory.max", .text = "1\n", .unreadable = true},
                                 {0}},
            &err),
        STATUS_IO);
}

static void cut_off_lines_are_passed_over(void **state)
{
    (void)state;
    assert_int_equal(available((struct test_file[]){
                         {.path = "/root/proc/meminfo", .text = MEMINFO},
                         {.path = "/root/proc/self/cgroup", .text = "\n:\n4:memory\n0::\n"},
                         {.path = "/root/proc/self/mountinfo",
                          .text = "\n29\n29 23 0:26 / /cg\n29 23 0:26 / /cg rw -"},
                         {0},
                     }),
                     MACHINE);
}

static void this_machine_has_memory(void **state)
{
    (void)state;
    struct error err;
    uint64_t bytes = 0;
    if (memory_available(filesystem_posix(), "", &bytes, &err) != STATUS_OK)
        test_fail("%s", err.message);
    assert_true(bytes > 1 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_cgroups_it_is_the_machines_memory),
        cmocka_unit_test(the_limit_of_a_version_2_cgroup_holds),
        cmocka_unit_test(a_smaller_limit_further_up_wins),
        cmocka_unit_test(version_1_is_found_beside_version_2_and_unlimited_means_the_machine),
        cmocka_unit_test(a_container_finds_its_limit_at_the_mount),
        cmocka_unit_test(a_file_that_is_not_as_the_kernel_writes_it_is_refused_by_name),
        cmocka_unit_test(a_limit_that_cannot_be_read_is_an_error_and_not_ignored),
        cmocka_unit_test(cut_off_lines_are_passed_over),
        cmocka_unit_test(this_machine_has_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
