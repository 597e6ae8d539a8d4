#include "storage/engine/file_pool.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/invariant.h"
#include "os/thread.h"

#define OPEN (UINT32_C(1) << 31)

enum { OPENING_LOCKS = 16 };

struct pooled_file {
    struct file file;
    struct file_pool *pool;
    struct file *real; /* while OPEN; changes with the lock, and while nobody reads */
    atomic_uint state; /* OPEN, and how many read it; without OPEN nobody does */
    atomic_bool used;  /* since the hand passed */
    size_t lock_number;
    struct pooled_file *next, *before; /* while OPEN; with the lock */
    char path[];
};

struct file_pool {
    struct filesystem view; /* what file_pool_filesystem gives */
    struct filesystem *fs;
    size_t max_open;
    /* Over opening a file again, by its path, so that it is opened once; before `lock`. */
    struct mutex opening[OPENING_LOCKS];
    struct mutex lock;        /* over the ring, and over closing */
    struct pooled_file *hand; /* of a ring of all that are OPEN; NULL: none is */
    size_t open;
    uint64_t reopened;
};

static enum status pooled_open(struct filesystem *view, const char *path, enum file_mode mode,
                               struct file **result, struct error *err);

static const struct filesystem_ops view_ops = {.open = pooled_open};

struct file_pool *file_pool_new(struct filesystem *fs, size_t max_open)
{
    struct file_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return NULL;
    pool->view.ops = &view_ops;
    pool->fs = fs;
    pool->max_open = max_open == 0 ? SIZE_MAX : max_open;
    mutex_init(&pool->lock);
    for (size_t i = 0; i < OPENING_LOCKS; i++)
        mutex_init(&pool->opening[i]);
    return pool;
}

void file_pool_free(struct file_pool *pool)
{
    if (pool == NULL)
        return;
    invariant(pool->open == 0);
    mutex_release(&pool->lock);
    for (size_t i = 0; i < OPENING_LOCKS; i++)
        mutex_release(&pool->opening[i]);
    free(pool);
}

struct filesystem *file_pool_filesystem(struct file_pool *pool)
{
    return &pool->view;
}

void file_pool_stats(struct file_pool *pool, struct file_pool_stats *stats)
{
    mutex_lock(&pool->lock);
    *stats = (struct file_pool_stats){.open = pool->open, .reopened = pool->reopened};
    mutex_unlock(&pool->lock);
}

/* ---- with the lock ---------------------------------------------------------------------- */

static void ring_put(struct file_pool *pool, struct pooled_file *file)
{
    if (pool->hand == NULL) {
        file->next = file->before = pool->hand = file;
    } else {
        /* Right behind the hand: it comes there last. */
        file->next = pool->hand;
        file->before = pool->hand->before;
        file->before->next = file;
        file->next->before = file;
    }
    pool->open++;
}

static void close_real(struct file_pool *pool, struct pooled_file *file)
{
    if (pool->hand == file)
        pool->hand = file->next == file ? NULL : file->next;
    file->before->next = file->next;
    file->next->before = file->before;
    pool->open--;
    file_close(file->real);
    file->real = NULL;
}

/* Closes files until there is room for one more, or all that are open are being read. */
static void make_room(struct file_pool *pool)
{
    for (size_t looks = 2 * pool->open; looks > 0 && pool->open >= pool->max_open; looks--) {
        struct pooled_file *file = pool->hand;
        unsigned idle = OPEN;
        pool->hand = file->next;
        if (!atomic_exchange_explicit(&file->used, false, memory_order_relaxed) &&
            atomic_compare_exchange_strong(&file->state, &idle, 0))
            close_real(pool, file);
    }
}

/* ---- reading ---------------------------------------------------------------------------- */

/* For a file that is not OPEN, and that nobody else opens: it is then read by `readers`. No lock is
 * held while the system looks for it. */
static enum status open_real(struct pooled_file *file, unsigned readers, struct error *err)
{
    struct file_pool *pool = file->pool;
    mutex_lock(&pool->lock);
    make_room(pool);
    mutex_unlock(&pool->lock);
    enum status status = filesystem_open(pool->fs, file->path, FILE_READ, &file->real, err);
    if (status != STATUS_OK)
        return status;
    mutex_lock(&pool->lock);
    ring_put(pool, file);
    atomic_store(&file->state, OPEN + readers);
    pool->reopened += readers;
    mutex_unlock(&pool->lock);
    return STATUS_OK;
}

/* False where it is not open. */
static bool hold_open(struct pooled_file *file)
{
    unsigned state = atomic_load(&file->state);
    while ((state & OPEN) != 0)
        if (atomic_compare_exchange_weak(&file->state, &state, state + 1))
            return true;
    return false;
}

static enum status hold(struct pooled_file *file, struct error *err)
{
    if (!atomic_load_explicit(&file->used, memory_order_relaxed))
        atomic_store_explicit(&file->used, true, memory_order_relaxed);
    if (hold_open(file))
        return STATUS_OK;
    struct mutex *opening = &file->pool->opening[file->lock_number];
    enum status status = STATUS_OK;
    mutex_lock(opening);
    if (!hold_open(file))
        status = open_real(file, 1, err);
    mutex_unlock(opening);
    if (status == STATUS_NOT_FOUND)
        return fail(err, STATUS_CORRUPT, "%s was removed while it was needed", file->path);
    return status;
}

static void let_go(struct pooled_file *file)
{
    atomic_fetch_sub(&file->state, 1);
}

static enum status pooled_read(struct file *base, void *to, size_t size, uint64_t offset,
                               size_t *got, struct error *err)
{
    struct pooled_file *file = container_of(base, struct pooled_file, file);
    enum status status = hold(file, err);
    if (status != STATUS_OK)
        return status;
    status = file_read(file->real, to, size, offset, got, err);
    let_go(file);
    return status;
}

static enum status pooled_size(struct file *base, uint64_t *size, struct error *err)
{
    struct pooled_file *file = container_of(base, struct pooled_file, file);
    enum status status = hold(file, err);
    if (status != STATUS_OK)
        return status;
    status = file_size(file->real, size, err);
    let_go(file);
    return status;
}

static void pooled_close(struct file *base)
{
    struct pooled_file *file = container_of(base, struct pooled_file, file);
    mutex_lock(&file->pool->lock);
    unsigned state = atomic_exchange(&file->state, 0);
    invariant((state & ~OPEN) == 0);
    if (state == OPEN)
        close_real(file->pool, file);
    mutex_unlock(&file->pool->lock);
    free(file);
}

/* Nothing is written to them. */
static const struct file_ops pooled_ops = {
    .read = pooled_read,
    .size = pooled_size,
    .close = pooled_close,
};

static enum status pooled_open(struct filesystem *view, const char *path, enum file_mode mode,
                               struct file **result, struct error *err)
{
    struct file_pool *pool = container_of(view, struct file_pool, view);
    invariant(mode == FILE_READ);
    size_t size = strlen(path) + 1;
    struct pooled_file *file = calloc(1, sizeof *file + size);
    *result = NULL;
    if (file == NULL)
        return fail(err, STATUS_MEMORY, "no memory to open %s", path);
    file->file.ops = &pooled_ops;
    file->pool = pool;
    file->lock_number = hash64(slice_from_text(path), 0) % OPENING_LOCKS;
    memcpy(file->path, path, size);
    atomic_init(&file->used, false);
    atomic_init(&file->state, 0);
    enum status status = open_real(file, 0, err);
    if (status == STATUS_OK)
        *result = &file->file;
    else
        free(file);
    return status;
}
