/*
 * Loaded before the C library: calls that change files fail while the file named by FAULT_FILE says
 * so, in a line "CALLS ERRNO SUBSTRING": CALLS is sync or change (which is all but syncs), and only
 * files whose path contains SUBSTRING are meant.
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

static int wanted(const char *calls, const char *path)
{
    char asked[16], substring[128];
    int number = 0, saved = errno;
    const char *file = getenv("FAULT_FILE");
    FILE *control = file == NULL ? NULL : fopen(file, "re");
    if (control != NULL) {
        if (fscanf(control, "%15s %d %127s", asked, &number, substring) != 3 ||
            strcmp(asked, calls) != 0 || strstr(path, substring) == NULL)
            number = 0;
        fclose(control);
    }
    errno = saved;
    return number;
}

static int fails(const char *calls, const char *path)
{
    int number = wanted(calls, path);
    if (number != 0)
        errno = number;
    return number != 0;
}

static int fails_at(const char *calls, int fd)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    path[size < 0 ? 0 : size] = 0;
    return fails(calls, path);
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
