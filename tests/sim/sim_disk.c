#include "sim_disk_state.h"

#include "base/invariant.h"
#include "sim_os.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct sim_file {
    struct file file;
    struct sim_disk *disk;
    unsigned generation;
    int inode;
    bool is_lock;
    bool writable;
    char path[SIM_PATH_SIZE];
};

static struct sim_disk *disk_of(struct filesystem *fs)
{
    return container_of(fs, struct sim_disk, fs);
}

static struct sim_file *file_of(struct file *file)
{
    return container_of(file, struct sim_file, file);
}

/* ---- calls: numbers, hook, log, faults ---- */

static const char *kind_name(enum sim_call_kind kind)
{
    static const char *const names[] = {
        "read",           "write",  "sync",   "resize",         "open",
        "create",         "rename", "remove", "make_directory", "remove_directory",
        "sync_directory", "list",   "link",
    };
    return names[__builtin_ctz(kind)];
}

static enum sim_failure fault_of_call(struct sim_disk *disk, const struct sim_call *call)
{
    for (size_t i = 0; i < disk->fault_count && !disk->faults_paused; i++) {
        struct sim_fault *fault = &disk->faults[i];
        if ((fault->kinds & call->kind) == 0 || (fault->site != 0 && fault->site != call->site))
            continue;
        if (fault->nth > 1) {
            fault->nth--;
            continue;
        }
        bool alone = fault->repeat == 1 && !fault->began;
        fault->began = true;
        if (fault->repeat == 1)
            fault->kinds = 0;
        else if (fault->repeat > 1)
            fault->repeat--;
        bool reads = (call->kind & (SIM_READ | SIM_OPEN)) != 0;
        bool medium = fault->failure == SIM_EIO || fault->failure == SIM_SHORT_EIO;
        return reads && medium && !alone ? SIM_ETIMEDOUT : fault->failure;
    }
    return SIM_NO_FAILURE;
}

static enum sim_failure begin_call(struct sim_disk *disk, enum sim_call_kind kind, const char *path,
                                   uint64_t offset, uint64_t size)
{
    struct sim_call call = {
        .number = ++disk->calls,
        .kind = kind,
        .path = path,
        .offset = offset,
        .size = size,
        .site = sim_site_current(),
    };
    if (disk->hook != NULL)
        disk->hook(disk->hook_context, disk, &call);
    enum sim_failure failure = fault_of_call(disk, &call);
    if (disk->log != NULL)
        fprintf(disk->log, "%" PRIu64 " %s %s offset=%" PRIu64 " size=%" PRIu64 "%s\n", call.number,
                kind_name(kind), path, offset, size, failure == SIM_NO_FAILURE ? "" : " FAILS");
    return failure;
}

static enum status fail_call(enum sim_failure failure, enum sim_call_kind kind, const char *path,
                             struct error *err)
{
    int number = failure == SIM_ETIMEDOUT                               ? ETIMEDOUT
                 : failure == SIM_EROFS                                 ? EROFS
                 : failure == SIM_ENOSPC || failure == SIM_SHORT_ENOSPC ? ENOSPC
                                                                        : EIO;
    return fail_errno(err, number, "simulated: cannot %s %s", kind_name(kind), path);
}

/* ---- paths ---- */

struct place {
    int directory;
    char name[SIM_NAME_SIZE]; /* empty: the root itself */
    int inode;                /* SIM_NO_INODE: there is none of that name */
};

static enum status find_place(struct sim_disk *disk, const char *path, struct place *place,
                              struct error *err)
{
    *place = (struct place){.directory = 0, .inode = 0};
    const char *at = path;
    while (*at == '/')
        at++;
    while (*at != '\0') {
        size_t size = strcspn(at, "/");
        if (place->inode == SIM_NO_INODE)
            return fail_errno(err, ENOENT, "simulated: cannot find %s", path);
        if (!disk->inodes[place->inode]->is_directory)
            return fail_errno(err, ENOTDIR, "simulated: cannot find %s", path);
        if (size >= SIM_NAME_SIZE)
            return fail_errno(err, ENAMETOOLONG, "simulated: cannot find %s", path);
        place->directory = place->inode;
        memcpy(place->name, at, size);
        place->name[size] = '\0';
        place->inode = sim_names_find(&disk->inodes[place->directory]->names, place->name);
        at += size;
        while (*at == '/')
            at++;
    }
    return STATUS_OK;
}

static enum status find_existing(struct sim_disk *disk, const char *path, struct place *place,
                                 struct error *err)
{
    enum status status = find_place(disk, path, place, err);
    if (status == STATUS_OK && place->inode == SIM_NO_INODE)
        return fail_errno(err, ENOENT, "simulated: cannot find %s", path);
    return status;
}

/* Makes the changes of one operation, which stays pending. */
static void change_names(struct sim_disk *disk, const struct sim_name_operation *operation)
{
    for (size_t i = 0; i < operation->count; i++) {
        const struct sim_name_change *change = &operation->changes[i];
        struct sim_inode *directory = sim_inode_own(disk, change->directory);
        sim_names_set(&directory->names, change->name, change->inode);
    }
    disk->operations =
        realloc(disk->operations, (disk->operation_count + 1) * sizeof *disk->operations);
    invariant(disk->operations != NULL);
    disk->operations[disk->operation_count++] = *operation;
}

static struct sim_name_change change_of(const struct place *place, int inode)
{
    struct sim_name_change change = {.directory = place->directory, .inode = inode};
    memcpy(change.name, place->name, sizeof change.name);
    return change;
}

static void change_name(struct sim_disk *disk, const struct place *place, int inode)
{
    struct sim_name_operation operation = {.changes = {change_of(place, inode)}, .count = 1};
    change_names(disk, &operation);
}

/* ---- files ---- */

static enum status check_alive(const struct sim_file *file, struct error *err)
{
    if (file->generation != file->disk->generation)
        return fail(err, STATUS_IO, "simulated: %s was opened before the crash", file->path);
    return STATUS_OK;
}

static enum status sim_read(struct file *file, void *to, size_t size, uint64_t offset, size_t *got,
                            struct error *err)
{
    struct sim_file *self = file_of(file);
    enum status status = check_alive(self, err);
    if (status != STATUS_OK)
        return status;
    enum sim_failure failure = begin_call(self->disk, SIM_READ, self->path, offset, size);
    if (failure != SIM_NO_FAILURE)
        return fail_call(failure, SIM_READ, self->path, err);
    const struct sim_inode *inode = self->disk->inodes[self->inode];
    if (!self->disk->faults_paused && offset < inode->unreadable_to &&
        offset + size > inode->unreadable_from)
        return fail_call(SIM_EIO, SIM_READ, self->path, err);
    *got = sim_content_read(&inode->current, to, size, offset);
    return STATUS_OK;
}

/* How many bytes of the write there is room for. */
static size_t room_for(const struct sim_disk *disk, const struct sim_content *content,
                       uint64_t offset, size_t size)
{
    if (disk->space_limit == 0)
        return size;
    uint64_t used = sim_disk_used(disk);
    uint64_t room = used < disk->space_limit ? disk->space_limit - used : 0;
    while (size > 0 && sim_content_growth(content, offset, size) > room) {
        uint64_t last_page = (offset + size - 1) / SIM_PAGE_SIZE * SIM_PAGE_SIZE;
        size = last_page > offset ? (size_t)(last_page - offset) : 0;
    }
    return size;
}

static enum status sim_write(struct file *file, const void *from, size_t size, uint64_t offset,
                             struct error *err)
{
    struct sim_file *self = file_of(file);
    struct sim_disk *disk = self->disk;
    enum status status = check_alive(self, err);
    if (status != STATUS_OK)
        return status;
    enum sim_failure failure = begin_call(disk, SIM_WRITE, self->path, offset, size);
    if (!self->writable)
        failure = SIM_EIO;
    size_t written = size;
    if (failure == SIM_EIO || failure == SIM_ENOSPC || failure == SIM_EROFS)
        written = 0;
    if (failure == SIM_SHORT_EIO || failure == SIM_SHORT_ENOSPC)
        written = size == 0 ? 0 : sim_below(&disk->random, size);
    size_t room = room_for(disk, &disk->inodes[self->inode]->current, offset, size);
    if (failure == SIM_NO_FAILURE && room < size) {
        failure = SIM_ENOSPC;
        written = room;
    }
    sim_inode_write(sim_inode_own(disk, self->inode), from, written, offset);
    return failure == SIM_NO_FAILURE ? STATUS_OK : fail_call(failure, SIM_WRITE, self->path, err);
}

static enum status sim_sync(struct file *file, struct error *err)
{
    struct sim_file *self = file_of(file);
    enum status status = check_alive(self, err);
    if (status != STATUS_OK)
        return status;
    enum sim_failure failure = begin_call(self->disk, SIM_SYNC, self->path, 0, 0);
    if (sim_sites_sync(self->disk->sites, sim_site_current()))
        return STATUS_OK;
    struct sim_inode *inode = sim_inode_own(self->disk, self->inode);
    if (failure == SIM_NO_FAILURE) {
        sim_inode_sync(inode);
        return STATUS_OK;
    }
    if (inode->write_count > 0) {
        sim_inode_forget_writes(inode);
        inode->lost = true;
    }
    return fail_call(failure, SIM_SYNC, self->path, err);
}

static enum status sim_resize(struct file *file, uint64_t size, struct error *err)
{
    struct sim_file *self = file_of(file);
    enum status status = check_alive(self, err);
    if (status != STATUS_OK)
        return status;
    enum sim_failure failure = begin_call(self->disk, SIM_RESIZE, self->path, 0, size);
    if (!self->writable)
        failure = SIM_EIO;
    if (failure != SIM_NO_FAILURE)
        return fail_call(failure, SIM_RESIZE, self->path, err);
    sim_inode_resize(sim_inode_own(self->disk, self->inode), size);
    return STATUS_OK;
}

static enum status sim_size(struct file *file, uint64_t *size, struct error *err)
{
    struct sim_file *self = file_of(file);
    enum status status = check_alive(self, err);
    if (status == STATUS_OK)
        *size = self->disk->inodes[self->inode]->current.size;
    return status;
}

static void sim_close(struct file *file)
{
    struct sim_file *self = file_of(file);
    if (self->is_lock && self->generation == self->disk->generation)
        sim_inode_own(self->disk, self->inode)->locked = false;
    self->disk->open_files--;
    free(self);
}

static const struct file_ops sim_file_ops = {
    .read = sim_read,
    .write = sim_write,
    .sync = sim_sync,
    .resize = sim_resize,
    .size = sim_size,
    .close = sim_close,
};

static struct sim_file *sim_file_new(struct sim_disk *disk, const char *path, int inode)
{
    struct sim_file *self = calloc(1, sizeof *self);
    invariant(self != NULL);
    self->file.ops = &sim_file_ops;
    self->disk = disk;
    self->generation = disk->generation;
    self->inode = inode;
    self->writable = true;
    snprintf(self->path, sizeof self->path, "%s", path);
    disk->open_files++;
    return self;
}

/* ---- names ---- */

static enum status sim_open(struct filesystem *fs, const char *path, enum file_mode mode,
                            struct file **file, struct error *err)
{
    struct sim_disk *disk = disk_of(fs);
    struct place place;
    enum status status = find_place(disk, path, &place, err);
    if (status != STATUS_OK)
        return status;
    bool missing = place.inode == SIM_NO_INODE;
    if (missing && (mode == FILE_READ || mode == FILE_READ_WRITE))
        return fail_errno(err, ENOENT, "simulated: cannot open %s", path);
    if (!missing && mode == FILE_CREATE_NEW)
        return fail(err, STATUS_CONFLICT, "cannot create %s: it exists already", path);
    if (!missing && disk->inodes[place.inode]->is_directory)
        return fail_errno(err, EISDIR, "simulated: cannot open %s", path);
    enum sim_call_kind kind = missing ? SIM_CREATE : SIM_OPEN;
    enum sim_failure failure = begin_call(disk, kind, path, 0, 0);
    if (failure != SIM_NO_FAILURE)
        return fail_call(failure, kind, path, err);
    if (missing) {
        place.inode = sim_inode_new(disk, false);
        change_name(disk, &place, place.inode);
    }
    struct sim_file *self = sim_file_new(disk, path, place.inode);
    self->writable = mode != FILE_READ;
    *file = &self->file;
    return STATUS_OK;
}

static enum status sim_rename(struct filesystem *fs, const char *from, const char *to,
                              struct error *err)
{
    struct sim_disk *disk = disk_of(fs);
    struct place old;
    struct place new;
    enum status status = find_existing(disk, from, &old, err);
    if (status == STATUS_OK)
        status = find_place(disk, to, &new, err);
    if (status != STATUS_OK)
        return status;
    if (new.inode != SIM_NO_INODE &&
        (disk->inodes[new.inode]->is_directory || disk->inodes[old.inode]->is_directory))
        return fail_errno(err, EISDIR, "simulated: cannot rename %s to %s", from, to);
    enum sim_failure failure = begin_call(disk, SIM_RENAME, from, 0, 0);
    if (failure != SIM_NO_FAILURE)
        return fail_call(failure, SIM_RENAME, from, err);
    if (new.inode == old.inode)
        return STATUS_OK;
    struct sim_name_operation operation = {
        .changes = {change_of(&new, old.inode), change_of(&old, SIM_NO_INODE)},
        .count = 2,
    };
    change_names(disk, &operation);
    return STATUS_OK;
}

static enum status sim_link(struct filesystem *fs, const char *from, const char *to,
                            struct error *err)
{
    struct sim_disk *disk = disk_of(fs);
    struct place old;
    struct place new;
    enum status status = find_existing(disk, from, &old, err);
    if (status == STATUS_OK)
        status = find_place(disk, to, &new, err);
    if (status != STATUS_OK)
        return status;
    if (new.inode != SIM_NO_INODE)
        return fail(err, STATUS_CONFLICT, "cannot link %s to %s: it exists already", to, from);
    if (disk->inodes[old.inode]->is_directory)
        return fail_errno(err, EPERM, "simulated: cannot link %s to %s", to, from);
    enum sim_failure failure = begin_call(disk, SIM_LINK, from, 0, 0);
    if (failure != SIM_NO_FAILURE)
        return fail_call(failure, SIM_LINK, from, err);
    change_name(disk, &new, old.inode);
    return STATUS_OK;
}

static enum status remove_place(struct sim_disk *disk, const char *path, bool directory,
                                struct error *err)
{
    enum sim_call_kind kind = directory ? SIM_REMOVE_DIRECTORY : SIM_REMOVE;
    struct place place;
    enum status status = find_existing(disk, path, &place, err);
    if (status != STATUS_OK)
        return status;
    const struct sim_inode *inode = disk->inodes[place.inode];
    int number = place.inode == 0                      ? EBUSY
                 : inode->is_directory && !directory   ? EISDIR
                 : !inode->is_directory && directory   ? ENOTDIR
                 : directory && inode->names.count > 0 ? ENOTEMPTY
                                                       : 0;
    if (number != 0)
        return fail_errno(err, number, "simulated: cannot remove %s", path);
    enum sim_failure failure = begin_call(disk, kind, path, 0, 0);
    if (failure != SIM_NO_FAILURE)
        return fail_call(failure, kind, path, err);
    change_name(disk, &place, SIM_NO_INODE);
    return STATUS_OK;
}

static enum status sim_remove(struct filesystem *fs, const char *path, struct error *err)
{
    return remove_place(disk_of(fs), path, false, err);
}

static enum status sim_remove_directory(struct filesystem *fs, const char *path, struct error *err)
{
    return remove_place(disk_of(fs), path, true, err);
}

static enum status sim_make_directory(struct filesystem *fs, const char *path, struct error *err)
{
    struct sim_disk *disk = disk_of(fs);
    struct place place;
    enum status status = find_place(disk, path, &place, err);
    if (status != STATUS_OK)
        return status;
    if (place.inode != SIM_NO_INODE) {
        if (disk->inodes[place.inode]->is_directory)
            return STATUS_OK;
        return fail_errno(err, EEXIST, "simulated: cannot make directory %s", path);
    }
    enum sim_failure failure = begin_call(disk, SIM_MAKE_DIRECTORY, path, 0, 0);
    if (failure != SIM_NO_FAILURE)
        return fail_call(failure, SIM_MAKE_DIRECTORY, path, err);
    place.inode = sim_inode_new(disk, true);
    change_name(disk, &place, place.inode);
    return STATUS_OK;
}

static bool touches(const struct sim_name_operation *operation, int directory)
{
    for (size_t i = 0; i < operation->count; i++)
        if (operation->changes[i].directory == directory)
            return true;
    return false;
}

static void make_durable(struct sim_disk *disk, const struct sim_name_operation *operation)
{
    for (size_t i = 0; i < operation->count; i++) {
        const struct sim_name_change *change = &operation->changes[i];
        struct sim_inode *directory = sim_inode_own(disk, change->directory);
        sim_names_set(&directory->durable_names, change->name, change->inode);
    }
}

static enum status sim_sync_directory(struct filesystem *fs, const char *path, struct error *err)
{
    struct sim_disk *disk = disk_of(fs);
    struct place place;
    enum status status = find_existing(disk, path, &place, err);
    if (status != STATUS_OK)
        return status;
    if (!disk->inodes[place.inode]->is_directory)
        return fail_errno(err, ENOTDIR, "simulated: cannot sync %s", path);
    enum sim_failure failure = begin_call(disk, SIM_SYNC_DIRECTORY, path, 0, 0);
    if (sim_sites_sync(disk->sites, sim_site_current()))
        return STATUS_OK;
    if (failure != SIM_NO_FAILURE)
        return fail_call(failure, SIM_SYNC_DIRECTORY, path, err);
    size_t kept = 0;
    for (size_t i = 0; i < disk->operation_count; i++) {
        if (touches(&disk->operations[i], place.inode))
            make_durable(disk, &disk->operations[i]);
        else
            disk->operations[kept++] = disk->operations[i];
    }
    disk->operation_count = kept;
    return STATUS_OK;
}

static enum status sim_list(struct filesystem *fs, const char *path, filesystem_visit *visit,
                            void *context, struct error *err)
{
    struct sim_disk *disk = disk_of(fs);
    struct place place;
    enum status status = find_existing(disk, path, &place, err);
    if (status != STATUS_OK)
        return status;
    if (!disk->inodes[place.inode]->is_directory)
        return fail_errno(err, ENOTDIR, "simulated: cannot list %s", path);
    enum sim_failure failure = begin_call(disk, SIM_LIST, path, 0, 0);
    if (failure != SIM_NO_FAILURE)
        return fail_call(failure, SIM_LIST, path, err);
    /* A copy, because the visitor may remove what it is shown. */
    struct sim_names names;
    sim_names_copy(&names, &disk->inodes[place.inode]->names);
    for (size_t i = 0; i < names.count && status == STATUS_OK; i++)
        status = visit(context, names.names[i].name,
                       disk->inodes[names.names[i].inode]->is_directory, err);
    sim_names_release(&names);
    return status;
}

static enum status sim_space(struct filesystem *fs, const char *path,
                             struct filesystem_space *space, struct error *err)
{
    struct sim_disk *disk = disk_of(fs);
    struct place place;
    enum status status = find_existing(disk, path, &place, err);
    if (status != STATUS_OK)
        return status;
    const uint64_t unlimited = UINT64_C(1) << 50;
    uint64_t used = sim_disk_used(disk);
    space->total_bytes = disk->space_limit != 0 ? disk->space_limit : unlimited;
    space->free_bytes = used < space->total_bytes ? space->total_bytes - used : 0;
    return STATUS_OK;
}

static enum status sim_lock(struct filesystem *fs, const char *path, struct file **lock,
                            struct error *err)
{
    struct sim_disk *disk = disk_of(fs);
    enum status status = sim_open(fs, path, FILE_CREATE, lock, err);
    if (status != STATUS_OK)
        return status;
    struct sim_file *self = file_of(*lock);
    struct sim_inode *inode = sim_inode_own(disk, self->inode);
    if (inode->locked) {
        sim_close(*lock);
        *lock = NULL;
        return fail(err, STATUS_CONFLICT, "%s is locked by process 1", path);
    }
    inode->locked = true;
    self->is_lock = true;
    return STATUS_OK;
}

static const struct filesystem_ops sim_filesystem_ops = {
    .open = sim_open,
    .rename = sim_rename,
    .link = sim_link,
    .remove = sim_remove,
    .make_directory = sim_make_directory,
    .remove_directory = sim_remove_directory,
    .sync_directory = sim_sync_directory,
    .list = sim_list,
    .space = sim_space,
    .lock = sim_lock,
};

/* ---- the disk ---- */

struct sim_disk *sim_disk_new(uint64_t seed)
{
    struct sim_disk *disk = calloc(1, sizeof *disk);
    invariant(disk != NULL);
    disk->fs.ops = &sim_filesystem_ops;
    disk->random = seed;
    (void)sim_inode_new(disk, true);
    return disk;
}

struct sim_disk *sim_disk_clone(const struct sim_disk *disk)
{
    struct sim_disk *clone = malloc(sizeof *clone);
    invariant(clone != NULL);
    *clone = *disk;
    clone->hook = NULL;
    clone->log = NULL;
    clone->fault_count = 0;
    clone->faults_paused = false;
    clone->open_files = 0;
    clone->inodes = malloc(disk->inode_count * sizeof(struct sim_inode *));
    invariant(clone->inodes != NULL);
    for (size_t i = 0; i < disk->inode_count; i++) {
        clone->inodes[i] = disk->inodes[i];
        if (clone->inodes[i] != NULL)
            clone->inodes[i]->references++;
    }
    clone->operations = NULL;
    if (disk->operation_count > 0) {
        clone->operations = malloc(disk->operation_count * sizeof *clone->operations);
        invariant(clone->operations != NULL);
        memcpy(clone->operations, disk->operations,
               disk->operation_count * sizeof *clone->operations);
    }
    return clone;
}

void sim_disk_free(struct sim_disk *disk)
{
    if (disk == NULL)
        return;
    invariant(disk->open_files == 0);
    for (size_t i = 0; i < disk->inode_count; i++)
        sim_inode_release(disk->inodes[i]);
    free(disk->inodes);
    free(disk->operations);
    free(disk);
}

struct filesystem *sim_disk_filesystem(struct sim_disk *disk)
{
    return &disk->fs;
}

static bool any_stopped(const uint8_t *stopped, const struct sim_name_operation *operation)
{
    for (size_t i = 0; i < operation->count; i++)
        if (stopped[operation->changes[i].directory] != 0)
            return true;
    return false;
}

static void crash_names(struct sim_disk *disk, bool in_any_order, uint64_t *random)
{
    uint8_t *stopped = calloc(1, disk->inode_count);
    invariant(stopped != NULL);
    /* Of few changes most crashes should keep some; of many, one missing is rare enough. */
    static const unsigned keeps[] = {0, 4, 6, 7, 8};
    uint64_t keep_of_8 = keeps[sim_below(random, sizeof keeps / sizeof keeps[0])];
    for (size_t i = 0; i < disk->operation_count; i++) {
        const struct sim_name_operation *operation = &disk->operations[i];
        if (sim_below(random, 8) < keep_of_8 && !any_stopped(stopped, operation)) {
            make_durable(disk, operation);
        } else if (!in_any_order) {
            for (size_t c = 0; c < operation->count; c++)
                stopped[operation->changes[c].directory] = 1;
        }
    }
    disk->operation_count = 0;
    free(stopped);
}

/* Frees what no durable name leads to. */
static void mark_reachable(const struct sim_disk *disk, uint8_t *reached, int number)
{
    reached[number] = 1;
    const struct sim_names *names = &disk->inodes[number]->durable_names;
    for (size_t i = 0; i < names->count; i++)
        if (reached[names->names[i].inode] == 0)
            mark_reachable(disk, reached, names->names[i].inode);
}

void sim_disk_crash(struct sim_disk *disk, const struct sim_crash *crash)
{
    uint64_t random = crash->seed;
    crash_names(disk, crash->names_in_any_order, &random);
    uint8_t *reached = calloc(1, disk->inode_count);
    invariant(reached != NULL);
    mark_reachable(disk, reached, 0);
    for (size_t i = 0; i < disk->inode_count; i++) {
        if (reached[i] == 0) {
            sim_inode_release(disk->inodes[i]);
            disk->inodes[i] = NULL;
            continue;
        }
        struct sim_inode *shared = disk->inodes[i];
        if (shared->write_count == 0 && !shared->lost && !shared->locked && !shared->is_directory)
            continue;
        struct sim_inode *inode = sim_inode_own(disk, (int)i);
        sim_inode_crash(inode, &random);
        sim_names_release(&inode->names);
        sim_names_copy(&inode->names, &inode->durable_names);
    }
    free(reached);
    disk->generation++;
}

void sim_disk_kill(struct sim_disk *disk)
{
    for (size_t i = 0; i < disk->inode_count; i++)
        if (disk->inodes[i] != NULL && disk->inodes[i]->locked)
            sim_inode_own(disk, (int)i)->locked = false;
    disk->generation++;
}

void sim_disk_set_hook(struct sim_disk *disk, sim_hook *hook, void *context)
{
    disk->hook = hook;
    disk->hook_context = context;
}

void sim_disk_set_sites(struct sim_disk *disk, struct sim_sites *sites)
{
    disk->sites = sites;
}

void sim_disk_set_log(struct sim_disk *disk, FILE *log)
{
    disk->log = log;
}

void sim_disk_set_space(struct sim_disk *disk, uint64_t bytes)
{
    disk->space_limit = bytes;
}

void sim_disk_add_fault(struct sim_disk *disk, const struct sim_fault *fault)
{
    invariant(disk->fault_count < SIM_FAULTS_MAX && fault->failure != SIM_NO_FAILURE);
    disk->faults[disk->fault_count++] = *fault;
}

void sim_disk_clear_faults(struct sim_disk *disk)
{
    disk->fault_count = 0;
}

void sim_disk_pause_faults(struct sim_disk *disk, bool pause)
{
    disk->faults_paused = pause;
}

uint64_t sim_disk_calls(const struct sim_disk *disk)
{
    return disk->calls;
}

static uint64_t used_below(const struct sim_disk *disk, int number)
{
    const struct sim_inode *inode = disk->inodes[number];
    uint64_t used = sim_content_allocated(&inode->current);
    for (size_t i = 0; i < inode->names.count; i++)
        used += used_below(disk, inode->names.names[i].inode);
    return used;
}

uint64_t sim_disk_used(const struct sim_disk *disk)
{
    return used_below(disk, 0);
}

bool sim_disk_is_clean(const struct sim_disk *disk)
{
    for (size_t i = 0; i < disk->inode_count; i++)
        if (disk->inodes[i] != NULL && (disk->inodes[i]->write_count > 0 || disk->inodes[i]->lost))
            return false;
    return disk->operation_count == 0;
}

static void flip(struct sim_content *content, uint64_t bit)
{
    uint8_t byte = 0;
    if (sim_content_read(content, &byte, 1, bit / 8) == 0)
        return;
    byte = (uint8_t)(byte ^ 1u << bit % 8);
    sim_content_write(content, &byte, 1, bit / 8);
}

void sim_disk_flip(struct sim_disk *disk, const char *path, uint64_t bit)
{
    struct place place;
    enum status status = find_existing(disk, path, &place, NULL);
    invariant(status == STATUS_OK);
    struct sim_inode *inode = sim_inode_own(disk, place.inode);
    flip(&inode->current, bit);
    flip(&inode->durable, bit);
}

void sim_disk_make_unreadable(struct sim_disk *disk, const char *path, uint64_t offset,
                              uint64_t size)
{
    struct place place;
    enum status status = find_existing(disk, path, &place, NULL);
    invariant(status == STATUS_OK);
    struct sim_inode *inode = sim_inode_own(disk, place.inode);
    inode->unreadable_from = offset;
    inode->unreadable_to = offset + size;
}
