/*
 * memory - how much memory this process may use before the kernel kills it.
 */
#ifndef METRIC_STORE_OS_MEMORY_H
#define METRIC_STORE_OS_MEMORY_H

#include "os/file.h"

/*
 * The least of the machine's memory and the limits of the process's cgroup (versions 1 and 2) and
 * of all cgroups around it, in bytes. Reads ROOT/proc/meminfo, ROOT/proc/self/cgroup,
 * ROOT/proc/self/mountinfo and the limits below the mounts that this names; `root` is "" on a real
 * machine and a directory of files like these in tests.
 *   INVALID  the kernel's files are not as they have always been
 *   IO, NOT_FOUND, LIMIT, MEMORY
 */
MUST_CHECK enum status memory_available(struct filesystem *fs, const char *root,
                                        uint64_t *available_bytes, struct error *err);

#endif
