/*
 * sim_disk - a disk in memory that tells what is durable from what only looks written.
 *
 * A file has two contents: the current one, which reads see, and the durable one, which a crash
 * leaves; between them stand the writes since the last sync. A directory likewise has current and
 * durable names. After a crash each unsynced write was kept, dropped, or torn at 512-byte sectors,
 * and each unsynced creation, renaming and removal was kept or dropped, as a seed decides:
 *
 *  - of two writes to one sector the later is never there without the earlier;
 *  - the size is one that the file had since its last sync; what lies in it unwritten is zeros;
 *  - a file whose data was synced is nevertheless lost when its name was not;
 *  - a rename is one change: the new name or the old one, never none and never both.
 *
 * A sync that is made to fail loses the unsynced bytes for good, although they stay readable, as
 * the kernel does it: a second sync that returns OK makes them no more durable. A directory's names
 * are different: they stay undecided after a failed sync_directory until one succeeds.
 *
 * Every call is numbered; a hook is called before each, where a test can clone the disk and see
 * what a crash at this point would leave. Clones share pages, so that they cost little.
 *
 * Paths: components parted by '/'; the root exists. Names have at most 95 bytes.
 * Not for two threads. Heap exhaustion aborts.
 */
#ifndef METRIC_STORE_TESTS_SIM_DISK_H
#define METRIC_STORE_TESTS_SIM_DISK_H

#include "os/file.h"
#include "sim_sites.h"

#include <stdio.h>

enum { SIM_SECTOR_SIZE = 512, SIM_NAME_SIZE = 96, SIM_PATH_SIZE = 512 };

enum sim_call_kind {
    SIM_READ = 1 << 0,
    SIM_WRITE = 1 << 1,
    SIM_SYNC = 1 << 2,
    SIM_RESIZE = 1 << 3,
    SIM_OPEN = 1 << 4,   /* of a file that exists */
    SIM_CREATE = 1 << 5, /* an open that makes the file, or a lock that does */
    SIM_RENAME = 1 << 6,
    SIM_REMOVE = 1 << 7,
    SIM_MAKE_DIRECTORY = 1 << 8,
    SIM_REMOVE_DIRECTORY = 1 << 9,
    SIM_SYNC_DIRECTORY = 1 << 10,
    SIM_LIST = 1 << 11,
    SIM_LINK = 1 << 12,
};
#define SIM_ANY_CALL ((1u << 13) - 1)
/* Calls after which a crash can leave something else than before them. */
#define SIM_CHANGING_CALL (SIM_ANY_CALL & ~(unsigned)(SIM_READ | SIM_OPEN | SIM_LIST))
/* Calls that a file system refuses once it is read-only, after an error for instance. */
#define SIM_REFUSED_READ_ONLY (SIM_CHANGING_CALL & ~(unsigned)SIM_SYNC_DIRECTORY)

struct sim_call {
    uint64_t number; /* from 1; a clone goes on counting */
    enum sim_call_kind kind;
    const char *path;
    uint64_t offset;
    uint64_t size;
    uintptr_t site; /* see sim_sites.h */
};

struct sim_disk;

/* Called before the call has done anything. May clone the disk; must not use it otherwise. */
typedef void sim_hook(void *context, struct sim_disk *disk, const struct sim_call *call);

enum sim_failure {
    SIM_NO_FAILURE,
    SIM_EIO,
    SIM_ENOSPC,
    SIM_SHORT_EIO,    /* a write: a random prefix is written; other calls: as SIM_EIO */
    SIM_SHORT_ENOSPC, /* the same, with ENOSPC */
    SIM_EROFS,
    SIM_ETIMEDOUT,
};

/* Of calls that read or open, one alone may fail with EIO, as a medium does that stumbles; where
 * more fail in a row it is the way to the disk that is gone: ETIMEDOUT, which is no damage. Bytes
 * that a medium has lost: sim_disk_make_unreadable. */
struct sim_fault {
    unsigned kinds;  /* of enum sim_call_kind, or SIM_ANY_CALL */
    uintptr_t site;  /* 0: any */
    uint64_t nth;    /* 1: the next matching call */
    uint64_t repeat; /* how many matching calls fail from then on; 0: all */
    enum sim_failure failure;
    bool began; /* of the disk */
};

enum { SIM_FAULTS_MAX = 8 };

struct sim_crash {
    uint64_t seed;
    /* Kept and dropped name changes in any combination; otherwise in each directory only the
     * latest ones are dropped, as journaling file systems do. */
    bool names_in_any_order;
};

/* Gives a disk with an empty root, ended by sim_disk_free. The seed is for short writes. */
struct sim_disk *sim_disk_new(uint64_t seed);
/* The same state without hook, log, faults and open files; it goes on with the same sites. */
struct sim_disk *sim_disk_clone(const struct sim_disk *disk);
/* Files still open must be closed before. */
void sim_disk_free(struct sim_disk *disk);

struct filesystem *sim_disk_filesystem(struct sim_disk *disk);

/* The machine stops and starts again. Files that are open fail from now on, and are to be closed.
 */
void sim_disk_crash(struct sim_disk *disk, const struct sim_crash *crash);

/* Only the process stops: what was written stays as it is, synced or not. Otherwise as a crash. */
void sim_disk_kill(struct sim_disk *disk);

void sim_disk_set_hook(struct sim_disk *disk, sim_hook *hook, void *context);
/* Borrows `sites` as long as the disk or a clone lives. */
void sim_disk_set_sites(struct sim_disk *disk, struct sim_sites *sites);
/* One line a call; NULL: none. */
void sim_disk_set_log(struct sim_disk *disk, FILE *log);
/* Bytes that files may take up, in pages of 4 KiB; 0: no limit. A write that does not fit writes
 * what does and is NO_SPACE. */
void sim_disk_set_space(struct sim_disk *disk, uint64_t bytes);
void sim_disk_add_fault(struct sim_disk *disk, const struct sim_fault *fault);
void sim_disk_clear_faults(struct sim_disk *disk);
/* While true no call fails that would, and none is counted: for looking on. */
void sim_disk_pause_faults(struct sim_disk *disk, bool pause);

uint64_t sim_disk_calls(const struct sim_disk *disk);
uint64_t sim_disk_used(const struct sim_disk *disk);
/* Whether a crash could still lose anything. */
bool sim_disk_is_clean(const struct sim_disk *disk);

/* Flips one bit of a file, current and durable: decay that nobody has noticed. */
void sim_disk_flip(struct sim_disk *disk, const char *path, uint64_t bit);

/* Reads of these bytes of a file are EIO from now on, whatever its name: sectors that are bad. They
 * take the place of earlier ones of the file. Not while faults are paused. */
void sim_disk_make_unreadable(struct sim_disk *disk, const char *path, uint64_t offset,
                              uint64_t size);

#endif
