/*
 * process_metrics - this process as the kernel sees it, under the names that every exporter uses.
 */
#include "telemetry/telemetry.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "os/read_all.h"

/* /proc/stat has a line a processor and one with a number for every interrupt. */
enum { PROC_FILE_MAX = 4 << 20 };

/* Fields of /proc/self/stat by their number in proc(5), counted behind the program's name, which
 * may hold anything: "17 (metric store) S 1 ..." */
enum { STAT_FIRST = 3, STAT_UTIME = 14, STAT_STIME = 15, STAT_START = 22 };

struct process_reader {
    struct filesystem *fs;
    const char *root;
    struct bytes text; /* of the file that was read last */
    struct error *err;
};

static enum status path_of(const struct process_reader *reader, const char *file,
                           char path[PATH_MAX])
{
    int size = snprintf(path, PATH_MAX, "%s%s", reader->root, file);
    if (size < 0 || size >= PATH_MAX)
        return fail(reader->err, STATUS_LIMIT, "the path of %s is longer than %d bytes", file,
                    PATH_MAX);
    return STATUS_OK;
}

static enum status read_file(struct process_reader *reader, const char *file)
{
    char path[PATH_MAX];
    enum status status = path_of(reader, file, path);
    if (status != STATUS_OK)
        return status;
    bytes_clear(&reader->text);
    return filesystem_read_all(reader->fs, path, &reader->text, reader->err);
}

static enum status malformed(struct process_reader *reader, const char *file, const char *what)
{
    return fail(reader->err, STATUS_INVALID, "%s has no %s where it has always been", file, what);
}

/* The next word, taken out of *rest; empty at the end. */
static struct slice next_word(struct slice *rest)
{
    while (rest->size > 0 && (rest->data[0] == ' ' || rest->data[0] == '\t'))
        *rest = slice_from(*rest, 1);
    struct slice word = slice_of(rest->data, 0);
    while (rest->size > 0 && rest->data[0] != ' ' && rest->data[0] != '\t' &&
           rest->data[0] != '\n') {
        word.size++;
        *rest = slice_from(*rest, 1);
    }
    return word;
}

static bool parse_count(struct slice text, uint64_t *count)
{
    *count = 0;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < '0' || text.data[i] > '9' || __builtin_mul_overflow(*count, 10, count) ||
            __builtin_add_overflow(*count, (uint64_t)(text.data[i] - '0'), count))
            return false;
    return text.size > 0;
}

/* What follows `key` at the beginning of a line; false where no line begins so. */
static bool find_line(struct slice text, const char *key, struct slice *value)
{
    size_t key_size = strlen(key);
    while (text.size > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.size);
        size_t size = end == NULL ? text.size : (size_t)(end - text.data);
        if (size >= key_size && memcmp(text.data, key, key_size) == 0) {
            *value = slice_of(text.data + key_size, size - key_size);
            return true;
        }
        text = slice_from(text, end == NULL ? size : size + 1);
    }
    return false;
}

static bool find_count(const struct process_reader *reader, const char *key, uint64_t *count)
{
    struct slice value;
    return find_line(bytes_slice(&reader->text), key, &value) &&
           parse_count(next_word(&value), count);
}

/* "VmRSS:	   10468 kB" */
static bool find_kib(const struct process_reader *reader, const char *key, uint64_t *size_bytes)
{
    return find_count(reader, key, size_bytes) &&
           !__builtin_mul_overflow(*size_bytes, 1024, size_bytes);
}

static enum status read_status(struct process_reader *reader, struct process_stats *stats)
{
    static const char file[] = "/proc/self/status";
    enum status status = read_file(reader, file);
    if (status != STATUS_OK)
        return status;
    if (!find_kib(reader, "VmSize:", &stats->virtual_bytes) ||
        !find_kib(reader, "VmRSS:", &stats->resident_bytes) ||
        !find_kib(reader, "RssAnon:", &stats->anonymous_bytes) ||
        !find_count(reader, "Threads:", &stats->threads))
        return malformed(reader, file, "sizes of memory and number of threads");
    return STATUS_OK;
}

/* Processor time, and the start in ticks since boot. */
static enum status read_stat(struct process_reader *reader, double ticks_per_second,
                             struct process_stats *stats, uint64_t *start_ticks)
{
    static const char file[] = "/proc/self/stat";
    enum status status = read_file(reader, file);
    if (status != STATUS_OK)
        return status;
    struct slice rest = bytes_slice(&reader->text);
    const uint8_t *name_end = rest.size == 0 ? NULL : memrchr(rest.data, ')', rest.size);
    if (name_end == NULL)
        return malformed(reader, file, "name in brackets");
    rest = slice_from(rest, (size_t)(name_end - rest.data) + 1);
    uint64_t user = 0;
    uint64_t system = 0;
    bool good = true;
    for (int field = STAT_FIRST; field <= STAT_START; field++) {
        struct slice word = next_word(&rest);
        if (field == STAT_UTIME)
            good = good && parse_count(word, &user);
        else if (field == STAT_STIME)
            good = good && parse_count(word, &system);
        else if (field == STAT_START)
            good = good && parse_count(word, start_ticks);
    }
    if (!good)
        return malformed(reader, file, "processor times and start");
    stats->cpu_seconds = ((double)user + (double)system) / ticks_per_second;
    return STATUS_OK;
}

static enum status read_boot_time(struct process_reader *reader, uint64_t *boot_seconds)
{
    static const char file[] = "/proc/stat";
    enum status status = read_file(reader, file);
    if (status == STATUS_OK && !find_count(reader, "btime ", boot_seconds))
        return malformed(reader, file, "btime");
    return status;
}

/* "Max open files            1024                 524288               files" */
static enum status read_limits(struct process_reader *reader, struct process_stats *stats)
{
    static const char file[] = "/proc/self/limits";
    enum status status = read_file(reader, file);
    if (status != STATUS_OK)
        return status;
    struct slice value;
    if (!find_line(bytes_slice(&reader->text), "Max open files ", &value))
        return malformed(reader, file, "limit of open files");
    struct slice soft = next_word(&value);
    stats->max_fds = 0;
    if (!slice_equal_text(soft, "unlimited") && !parse_count(soft, &stats->max_fds))
        return malformed(reader, file, "limit of open files");
    return STATUS_OK;
}

static enum status count_name(void *context, const char *name, bool is_directory, struct error *err)
{
    (void)name;
    (void)is_directory;
    (void)err;
    (*(uint64_t *)context)++;
    return STATUS_OK;
}

static enum status read_descriptors(struct process_reader *reader, struct process_stats *stats)
{
    char path[PATH_MAX];
    uint64_t count = 0;
    enum status status = path_of(reader, "/proc/self/fd", path);
    if (status == STATUS_OK)
        status = filesystem_list(reader->fs, path, count_name, &count, reader->err);
    /* The walk itself holds one open. */
    stats->open_fds = count > 0 ? count - 1 : 0;
    return status;
}

enum status process_stats_read(struct filesystem *fs, const char *root, struct process_stats *stats,
                               struct error *err)
{
    *stats = (struct process_stats){0};
    long ticks = sysconf(_SC_CLK_TCK);
    if (ticks <= 0)
        return fail(err, STATUS_INVALID, "the system does not say how long a clock tick is");
    struct process_reader reader = {.fs = fs, .root = root, .err = err};
    bytes_init(&reader.text, PROC_FILE_MAX);
    uint64_t start_ticks = 0;
    uint64_t boot_seconds = 0;
    enum status status = read_status(&reader, stats);
    if (status == STATUS_OK)
        status = read_stat(&reader, (double)ticks, stats, &start_ticks);
    if (status == STATUS_OK)
        status = read_boot_time(&reader, &boot_seconds);
    if (status == STATUS_OK)
        status = read_limits(&reader, stats);
    if (status == STATUS_OK)
        status = read_descriptors(&reader, stats);
    stats->start_time_seconds = (double)boot_seconds + (double)start_ticks / (double)ticks;
    bytes_release(&reader.text);
    return status;
}

void metrics_write_process(struct metrics_writer *writer, const struct process_stats *stats)
{
    metrics_family(writer, "process_cpu_seconds", METRIC_COUNTER, "seconds",
                   "Processor time, user and system.");
    metrics_value(writer, NULL, stats->cpu_seconds);
    metrics_family(writer, "process_start_time_seconds", METRIC_GAUGE, "seconds",
                   "Start of the process, since 1970.");
    metrics_value(writer, NULL, stats->start_time_seconds);
    metrics_family(writer, "process_virtual_memory_bytes", METRIC_GAUGE, "bytes", "Address space.");
    metrics_count(writer, NULL, stats->virtual_bytes);
    metrics_family(writer, "process_resident_memory_bytes", METRIC_GAUGE, "bytes",
                   "Memory that is resident, mapped files included.");
    metrics_count(writer, NULL, stats->resident_bytes);
    metrics_family(writer, "process_anonymous_memory_bytes", METRIC_GAUGE, "bytes",
                   "Resident memory that is no file's: what the kernel cannot take back.");
    metrics_count(writer, NULL, stats->anonymous_bytes);
    metrics_family(writer, "process_threads", METRIC_GAUGE, NULL, "Threads.");
    metrics_count(writer, NULL, stats->threads);
    metrics_family(writer, "process_open_fds", METRIC_GAUGE, NULL, "Open file descriptors.");
    metrics_count(writer, NULL, stats->open_fds);
    if (stats->max_fds == 0)
        return;
    metrics_family(writer, "process_max_fds", METRIC_GAUGE, NULL,
                   "File descriptors that may be open.");
    metrics_count(writer, NULL, stats->max_fds);
}
