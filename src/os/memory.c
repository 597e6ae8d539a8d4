#include "os/memory.h"

#include <limits.h>
#include <stdio.h>

#include "os/read_all.h"

/* A machine with many containers has a long mountinfo, one line a mount. */
enum { MEMORY_FILE_MAX = 8 << 20 };

struct memory_search {
    struct filesystem *fs;
    const char *root;
    struct slice own_v1; /* the process's cgroup in the hierarchy of the memory controller */
    struct slice own_v2;
    bool has_v1;
    bool has_v2;
    uint64_t least;
};

/* The text up to `end`, which is skipped; all of it where there is no `end`. */
static struct slice cut(struct slice *text, char end)
{
    const uint8_t *at = text->size == 0 ? NULL : memchr(text->data, end, text->size);
    struct slice part = slice_of(text->data, at == NULL ? text->size : (size_t)(at - text->data));
    *text = slice_from(*text, part.size + (at == NULL ? 0 : 1));
    return part;
}

static bool has_word(struct slice words, const char *word)
{
    while (words.size > 0)
        if (slice_equal_text(cut(&words, ','), word))
            return true;
    return false;
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

static enum status read_file(struct memory_search *search, const char *path, struct bytes *text,
                             struct error *err)
{
    char whole[PATH_MAX];
    int size = snprintf(whole, sizeof whole, "%s%s", search->root, path);
    if (size < 0 || size >= (int)sizeof whole)
        return fail(err, STATUS_LIMIT, "the path of a cgroup is longer than %d bytes", PATH_MAX);
    return filesystem_read_all(search->fs, whole, text, err);
}

/* "MemTotal:       24684084 kB" */
static enum status search_machine(struct memory_search *search, struct error *err)
{
    struct bytes text;
    bytes_init(&text, MEMORY_FILE_MAX);
    enum status status = read_file(search, "/proc/meminfo", &text, err);
    struct slice rest = bytes_slice(&text);
    bool found = false;
    while (status == STATUS_OK && !found && rest.size > 0) {
        struct slice line = cut(&rest, '\n');
        if (!slice_equal_text(cut(&line, ':'), "MemTotal"))
            continue;
        while (line.size > 0 && line.data[0] == ' ')
            line = slice_from(line, 1);
        uint64_t kib;
        found = parse_count(cut(&line, ' '), &kib) && slice_equal_text(line, "kB") &&
                !__builtin_mul_overflow(kib, 1024, &search->least);
        if (!found)
            break;
    }
    bytes_release(&text);
    if (status == STATUS_OK && !found)
        return fail(err, STATUS_INVALID, "/proc/meminfo has no line \"MemTotal: N kB\"");
    return status;
}

/* "4:memory:/a/b" and "0::/a/b"; a later line would be of the same hierarchy. */
static void search_own(struct memory_search *search, struct slice cgroups)
{
    while (cgroups.size > 0) {
        struct slice line = cut(&cgroups, '\n');
        struct slice number = cut(&line, ':');
        struct slice controllers = cut(&line, ':');
        if (has_word(controllers, "memory")) {
            search->own_v1 = line;
            search->has_v1 = true;
        } else if (slice_equal_text(number, "0") && controllers.size == 0) {
            search->own_v2 = line;
            search->has_v2 = true;
        }
    }
}

/* The limit of one cgroup; one without a limit has no file (version 2's root) or "max". */
static enum status search_limit(struct memory_search *search, const char *path, struct error *err)
{
    struct bytes text;
    bytes_init(&text, 4096);
    enum status status = read_file(search, path, &text, err);
    struct slice rest = bytes_slice(&text);
    struct slice line = cut(&rest, '\n');
    uint64_t limit = 0;
    if (status == STATUS_NOT_FOUND)
        status = STATUS_OK;
    else if (status == STATUS_OK && parse_count(line, &limit))
        search->least = limit < search->least ? limit : search->least;
    else if (status == STATUS_OK && !slice_equal_text(line, "max"))
        status = fail(err, STATUS_INVALID, "%s holds neither a number nor \"max\"", path);
    bytes_release(&text);
    return status;
}

/* From the cgroup `below` the mount up to the mount itself. */
static enum status search_upwards(struct memory_search *search, struct slice mount,
                                  struct slice below, const char *limit_name, struct error *err)
{
    for (;;) {
        char path[PATH_MAX];
        int size =
            snprintf(path, sizeof path, "%.*s%.*s/%s", (int)mount.size, (const char *)mount.data,
                     (int)below.size, (const char *)below.data, limit_name);
        if (size < 0 || size >= (int)sizeof path)
            return fail(err, STATUS_LIMIT, "the path of a cgroup is longer than %d bytes",
                        PATH_MAX);
        enum status status = search_limit(search, path, err);
        if (status != STATUS_OK || below.size == 0)
            return status;
        do
            below.size--;
        while (below.size > 0 && below.data[below.size] != '/');
    }
}

/* Where `own` lies below a mount that shows the cgroup `mount_root` as its top: false where it does
 * not. "/" and "/a/b" give "/a/b"; "/a" and "/a/b" give "/b". */
static bool below_mount(struct slice own, struct slice mount_root, struct slice *below)
{
    if (mount_root.size == 1)
        mount_root.size = 0;
    if (own.size == 1)
        own.size = 0;
    if (own.size < mount_root.size ||
        !slice_equal(slice_of(own.data, mount_root.size), mount_root) ||
        (own.size > mount_root.size && own.data[mount_root.size] != '/'))
        return false;
    *below = slice_from(own, mount_root.size);
    return true;
}

/* A blank in a path of mountinfo is written "\040". */
static struct slice unescape(struct slice text, char to[PATH_MAX])
{
    size_t size = 0;
    for (size_t i = 0; i < text.size && size < PATH_MAX - 1; size++) {
        const uint8_t *at = text.data + i;
        bool escaped = *at == '\\' && text.size - i >= 4 && at[1] >= '0' && at[1] <= '3' &&
                       at[2] >= '0' && at[2] <= '7' && at[3] >= '0' && at[3] <= '7';
        to[size] =
            escaped ? (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0')) : (char)*at;
        i += escaped ? 4 : 1;
    }
    return slice_of(to, size);
}

/* "35 31 0:32 /root /mount/point rw,relatime shared:1 - cgroup cgroup rw,memory" */
static enum status search_mount(struct memory_search *search, struct slice line, struct error *err)
{
    for (int i = 0; i < 3; i++)
        (void)cut(&line, ' ');
    struct slice mount_root = cut(&line, ' ');
    struct slice mount = cut(&line, ' ');
    while (line.size > 0 && !slice_equal_text(cut(&line, ' '), "-"))
        continue;
    struct slice type = cut(&line, ' ');
    (void)cut(&line, ' ');
    struct slice options = line;
    bool is_v1 = slice_equal_text(type, "cgroup") && has_word(options, "memory");
    bool is_v2 = slice_equal_text(type, "cgroup2");
    struct slice below;
    char root_text[PATH_MAX], mount_text[PATH_MAX];
    mount_root = unescape(mount_root, root_text);
    mount = unescape(mount, mount_text);
    if (is_v1 && search->has_v1 && below_mount(search->own_v1, mount_root, &below))
        return search_upwards(search, mount, below, "memory.limit_in_bytes", err);
    if (is_v2 && search->has_v2 && below_mount(search->own_v2, mount_root, &below))
        return search_upwards(search, mount, below, "memory.max", err);
    return STATUS_OK;
}

static enum status search_cgroups(struct memory_search *search, struct error *err)
{
    struct bytes cgroups, mounts;
    bytes_init(&cgroups, MEMORY_FILE_MAX);
    bytes_init(&mounts, MEMORY_FILE_MAX);
    enum status status = read_file(search, "/proc/self/cgroup", &cgroups, err);
    if (status == STATUS_OK)
        status = read_file(search, "/proc/self/mountinfo", &mounts, err);
    if (status == STATUS_OK)
        search_own(search, bytes_slice(&cgroups));
    struct slice rest = bytes_slice(&mounts);
    while (status == STATUS_OK && rest.size > 0)
        status = search_mount(search, cut(&rest, '\n'), err);
    bytes_release(&mounts);
    bytes_release(&cgroups);
    /* A kernel without cgroups has no such file. */
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status memory_available(struct filesystem *fs, const char *root, uint64_t *available_bytes,
                             struct error *err)
{
    struct memory_search search = {.fs = fs, .root = root};
    enum status status = search_machine(&search, err);
    if (status == STATUS_OK)
        status = search_cgroups(&search, err);
    if (status == STATUS_OK)
        *available_bytes = search.least;
    return status;
}
