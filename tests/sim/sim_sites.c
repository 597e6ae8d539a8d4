#include "sim_sites.h"

#include "base/invariant.h"
#include "os/file.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

extern const char __executable_start[]; /* from the linker */

static _Thread_local uintptr_t current_site;

uintptr_t sim_site_current(void)
{
    return current_site;
}

static uintptr_t site_of(const void *address)
{
    return (uintptr_t)address - (uintptr_t)__executable_start;
}

uint64_t sim_sites_count(struct sim_sites *sites, uintptr_t site)
{
    if (site == 0)
        return 0;
    size_t at = 0;
    while (at < sites->count && sites->sites[at].site != site)
        at++;
    if (at == sites->count) {
        invariant(sites->count < SIM_SITES_MAX);
        sites->sites[sites->count++] = (struct sim_site){.site = site};
    }
    return ++sites->sites[at].calls;
}

bool sim_sites_sync(struct sim_sites *sites, uintptr_t site)
{
    if (sites == NULL || site == 0)
        return false;
    (void)sim_sites_count(sites, site);
    if (sites->suppressed != site)
        return false;
    sites->suppressed_calls++;
    return true;
}

/* The function whose range holds `site`. */
static void name_from_symbols(const uint8_t *elf, size_t size, uintptr_t site,
                              char name[SIM_SITE_NAME_SIZE])
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)elf;
    if (size < sizeof *header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(elf + header->e_shoff);
    for (size_t i = 0; i < header->e_shnum; i++) {
        if (sections[i].sh_type != SHT_SYMTAB)
            continue;
        const Elf64_Sym *symbols = (const Elf64_Sym *)(elf + sections[i].sh_offset);
        const char *strings = (const char *)elf + sections[sections[i].sh_link].sh_offset;
        const char *file = "";
        for (size_t s = 0; s < sections[i].sh_size / sizeof *symbols; s++) {
            unsigned type = ELF64_ST_TYPE(symbols[s].st_info);
            bool local = ELF64_ST_BIND(symbols[s].st_info) == STB_LOCAL;
            if (type == STT_FILE)
                file = strings + symbols[s].st_name;
            /* A return address may be the byte after the function's last instruction. */
            if (type == STT_FUNC && site > symbols[s].st_value &&
                site <= symbols[s].st_value + symbols[s].st_size)
                snprintf(name, SIM_SITE_NAME_SIZE, "%s%s%s+0x%zx", local ? file : "",
                         local ? ":" : "", strings + symbols[s].st_name,
                         (size_t)(site - symbols[s].st_value));
        }
    }
}

void sim_site_name(uintptr_t site, char name[SIM_SITE_NAME_SIZE])
{
    snprintf(name, SIM_SITE_NAME_SIZE, "0x%zx", (size_t)site);
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat stat;
    if (fd >= 0 && fstat(fd, &stat) == 0) {
        size_t size = (size_t)stat.st_size;
        void *elf = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (elf != MAP_FAILED) {
            name_from_symbols(elf, size, site, name);
            munmap(elf, size);
        }
    }
    if (fd >= 0)
        close(fd);
}

static bool is_proven_elsewhere(const struct sim_sites *sites, const char *name)
{
    const char *file_end = strchr(name, ':');
    const char *function = file_end == NULL ? name : file_end + 1;
    size_t size = strcspn(function, "+");
    for (const char *const *at = sites->proven_elsewhere; at != NULL && *at != NULL; at++)
        if (strlen(*at) == size && memcmp(*at, function, size) == 0)
            return true;
    return false;
}

void sim_sites_report(const char *what, uintptr_t site, const char *verdict)
{
    const char *path = getenv("METRIC_STORE_SIM_SITES");
    if (path == NULL)
        return;
    FILE *file = fopen(path, "ae");
    invariant(file != NULL);
    char name[SIM_SITE_NAME_SIZE];
    sim_site_name(site, name);
    fprintf(file, "%s %s %s\n", what, name, verdict);
    invariant(fclose(file) == 0);
}

bool sim_sites_mutate(struct sim_sites *sites, bool (*workload)(void *context), void *context)
{
    sites->suppressed = 0;
    if (!workload(context)) {
        printf("the workload fails with nothing suppressed\n");
        return false;
    }
    size_t count = sites->count;
    size_t killed = 0;
    size_t proven = 0;
    for (size_t i = 0; i < count; i++) {
        char name[SIM_SITE_NAME_SIZE];
        sim_site_name(sites->sites[i].site, name);
        sites->suppressed = sites->sites[i].site;
        bool survived = workload(context);
        bool excused = survived && is_proven_elsewhere(sites, name);
        proven += excused ? 1 : 0;
        killed += survived ? 0 : 1;
        printf("sync site %s: %s\n", name,
               excused    ? "proven elsewhere"
               : survived ? "SURVIVED"
                          : "killed");
        sim_sites_report("sync", sites->suppressed, survived ? "survived" : "killed");
    }
    sites->suppressed = 0;
    printf("killed %zu/%zu, proven elsewhere %zu\n", killed, count, proven);
    return killed > 0 && killed + proven == count;
}

/*
 * --wrap: the linker sends calls of NAME to __wrap_NAME, and __real_NAME to NAME.
 */

static uintptr_t site_enter(const void *address)
{
    uintptr_t before = current_site;
    current_site = site_of(address);
    return before;
}

enum status __real_file_write(struct file *file, const void *from, size_t size, uint64_t offset,
                              struct error *err);
enum status __wrap_file_write(struct file *file, const void *from, size_t size, uint64_t offset,
                              struct error *err);
enum status __real_file_sync(struct file *file, struct error *err);
enum status __wrap_file_sync(struct file *file, struct error *err);
enum status __real_file_resize(struct file *file, uint64_t size, struct error *err);
enum status __wrap_file_resize(struct file *file, uint64_t size, struct error *err);
enum status __real_filesystem_open(struct filesystem *fs, const char *path, enum file_mode mode,
                                   struct file **file, struct error *err);
enum status __wrap_filesystem_open(struct filesystem *fs, const char *path, enum file_mode mode,
                                   struct file **file, struct error *err);
enum status __real_filesystem_rename(struct filesystem *fs, const char *from, const char *to,
                                     struct error *err);
enum status __wrap_filesystem_rename(struct filesystem *fs, const char *from, const char *to,
                                     struct error *err);
enum status __real_filesystem_link(struct filesystem *fs, const char *from, const char *to,
                                   struct error *err);
enum status __wrap_filesystem_link(struct filesystem *fs, const char *from, const char *to,
                                   struct error *err);
enum status __real_filesystem_remove(struct filesystem *fs, const char *path, struct error *err);
enum status __wrap_filesystem_remove(struct filesystem *fs, const char *path, struct error *err);
enum status __real_filesystem_make_directory(struct filesystem *fs, const char *path,
                                             struct error *err);
enum status __wrap_filesystem_make_directory(struct filesystem *fs, const char *path,
                                             struct error *err);
enum status __real_filesystem_remove_directory(struct filesystem *fs, const char *path,
                                               struct error *err);
enum status __wrap_filesystem_remove_directory(struct filesystem *fs, const char *path,
                                               struct error *err);
enum status __real_filesystem_sync_directory(struct filesystem *fs, const char *path,
                                             struct error *err);
enum status __wrap_filesystem_sync_directory(struct filesystem *fs, const char *path,
                                             struct error *err);
enum status __real_filesystem_lock(struct filesystem *fs, const char *path, struct file **lock,
                                   struct error *err);
enum status __wrap_filesystem_lock(struct filesystem *fs, const char *path, struct file **lock,
                                   struct error *err);

enum status __wrap_file_write(struct file *file, const void *from, size_t size, uint64_t offset,
                              struct error *err)
{
    uintptr_t before = site_enter(__builtin_return_address(0));
    enum status status = __real_file_write(file, from, size, offset, err);
    current_site = before;
    return status;
}

enum status __wrap_file_sync(struct file *file, struct error *err)
{
    uintptr_t before = site_enter(__builtin_return_address(0));
    enum status status = __real_file_sync(file, err);
    current_site = before;
    return status;
}

enum status __wrap_file_resize(struct file *file, uint64_t size, struct error *err)
{
    uintptr_t before = site_enter(__builtin_return_address(0));
    enum status status = __real_file_resize(file, size, err);
    current_site = before;
    return status;
}

enum status __wrap_filesystem_open(struct filesystem *fs, const char *path, enum file_mode mode,
                                   struct file **file, struct error *err)
{
    uintptr_t before = site_enter(__builtin_return_address(0));
    enum status status = __real_filesystem_open(fs, path, mode, file, err);
    current_site = before;
    return status;
}

enum status __wrap_filesystem_rename(struct filesystem *fs, const char *from, const char *to,
                                     struct error *err)
{
    uintptr_t before = site_enter(__builtin_return_address(0));
    enum status status = __real_filesystem_rename(fs, from, to, err);
    current_site = before;
    return status;
}

enum status __wrap_filesystem_link(struct filesystem *fs, const char *from, const char *to,
                                   struct error *err)
{
    uintptr_t before = site_enter(__builtin_return_address(0));
    enum status status = __real_filesystem_link(fs, from, to, err);
    current_site = before;
    return status;
}

enum status __wrap_filesystem_remove(struct filesystem *fs, const char *path, struct error *err)
{
    uintptr_t before = site_enter(__builtin_return_address(0));
    enum status status = __real_filesystem_remove(fs, path, err);
    current_site = before;
    return status;
}

enum status __wrap_filesystem_make_directory(struct filesystem *fs, const char *path,
                                             struct error *err)
{
    uintptr_t before = site_enter(__builtin_return_address(0));
    enum status status = __real_filesystem_make_directory(fs, path, err);
    current_site = before;
    return status;
}

enum status __wrap_filesystem_remove_directory(struct filesystem *fs, const char *path,
                                               struct error *err)
{
    uintptr_t before = site_enter(__builtin_return_address(0));
    enum status status = __real_filesystem_remove_directory(fs, path, err);
    current_site = before;
    return status;
}

enum status __wrap_filesystem_sync_directory(struct filesystem *fs, const char *path,
                                             struct error *err)
{
    uintptr_t before = site_enter(__builtin_return_address(0));
    enum status status = __real_filesystem_sync_directory(fs, path, err);
    current_site = before;
    return status;
}

enum status __wrap_filesystem_lock(struct filesystem *fs, const char *path, struct file **lock,
                                   struct error *err)
{
    uintptr_t before = site_enter(__builtin_return_address(0));
    enum status status = __real_filesystem_lock(fs, path, lock, err);
    current_site = before;
    return status;
}
