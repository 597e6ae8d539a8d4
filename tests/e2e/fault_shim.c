/*
 * Loaded before the C library: calls on files fail while the file named by FAULT_FILE says so, in a
 * line "CALLS ERRNO SUBSTRING FROM TO": CALLS is sync, change (which is all others that change
 * files), or read; only files whose path contains SUBSTRING are meant, or, of reads, which have to
 * touch bytes FROM to TO, those whose "inode:NUMBER:" does.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int wanted(const char *calls, const char *path, long long begin, long long end)
{
    char asked[16], substring[128];
    int number = 0, saved = errno;
    long long from = 0, to = LLONG_MAX;
    const char *file = getenv("FAULT_FILE");
    FILE *control = file == NULL ? NULL : fopen(file, "re");
    if (control != NULL) {
        if (fscanf(control, "%15s %d %127s %lld %lld", asked, &number, substring, &from, &to) < 3 ||
            strcmp(asked, calls) != 0 || strstr(path, substring) == NULL || begin >= to ||
            end <= from)
            number = 0;
        fclose(control);
    }
    errno = saved;
    return number;
}

static int fails(const char *calls, const char *path)
{
    int number = wanted(calls, path, 0, LLONG_MAX);
    if (number != 0)
        errno = number;
    return number != 0;
}

static void path_of(int fd, char path[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    path[size < 0 ? 0 : size] = 0;
}

static int fails_at(const char *calls, int fd)
{
    char path[PATH_MAX];
    path_of(fd, path);
    return fails(calls, path);
}

ssize_t pread(int fd, void *to, size_t size, off_t offset)
{
    /* Bad sectors are those of a file, whatever its name. */
    struct stat stat;
    char inode[32] = "";
    if (fstat(fd, &stat) == 0)
        snprintf(inode, sizeof inode, "inode:%llu:", (unsigned long long)stat.st_ino);
    int number = wanted("read", inode, offset, offset + (long long)size);
    if (number == 0)
        return REAL(pread)(fd, to, size, offset);
    errno = number;
    return -1;
}

int fdatasync(int fd)
{
    return fails_at("sync", fd) ? -1 : REAL(fdatasync)(fd);
}

int fsync(int fd)
{
    return fails_at("sync", fd) ? -1 : REAL(fsync)(fd);
}

ssize_t pwrite(int fd, const void *from, size_t size, off_t offset)
{
    return fails_at("change", fd) ? -1 : REAL(pwrite)(fd, from, size, offset);
}

int ftruncate(int fd, off_t size)
{
    return fails_at("change", fd) ? -1 : REAL(ftruncate)(fd, size);
}

int rename(const char *from, const char *to)
{
    return fails("change", to) ? -1 : REAL(rename)(from, to);
}

int link(const char *from, const char *to)
{
    return fails("change", to) ? -1 : REAL(link)(from, to);
}

int unlink(const char *path)
{
    return fails("change", path) ? -1 : REAL(unlink)(path);
}

int mkdir(const char *path, mode_t mode)
{
    return fails("change", path) ? -1 : REAL(mkdir)(path, mode);
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if ((flags & O_ACCMODE) != O_RDONLY && fails("change", path))
        return -1;
    return REAL(open)(path, flags, mode);
}
