#include "base/arena.h"

#include <stdlib.h>

enum { ARENA_ALIGNMENT = 16, ARENA_FIRST_BLOCK = 4096, ARENA_LARGEST_BLOCK = 1 << 20 };

struct arena_block {
    struct arena_block *next;
    size_t size; /* of the whole block, this header included */
};
#define BLOCK_HEADER                                                                               \
    ((sizeof(struct arena_block) + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1))

void arena_init(struct arena *arena, size_t max)
{
    arena_init_shared(arena, max, NULL);
}

void arena_init_shared(struct arena *arena, size_t max, struct memory_share *share)
{
    *arena = (struct arena){.max = max, .share = share};
}

void arena_release(struct arena *arena)
{
    struct arena_block *block = arena->blocks;
    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    if (arena->share != NULL)
        memory_share_give(arena->share, arena->taken);
    arena_init_shared(arena, arena->max, arena->share);
}

/* A block from the heap, counted; NULL with the reason noted. */
static struct arena_block *block_new(struct arena *arena, size_t size)
{
    arena->exhausted = false;
    arena->share_exhausted = arena->share != NULL && !memory_share_take(arena->share, size);
    if (arena->share_exhausted)
        return NULL;
    struct arena_block *block = malloc(size);
    if (block == NULL && arena->share != NULL)
        memory_share_give(arena->share, size);
    return block;
}

enum status arena_join(struct arena *arena, struct memory_share *share)
{
    if (!memory_share_take(share, arena->taken))
        return STATUS_BUSY;
    arena->share = share;
    return STATUS_OK;
}

static uint8_t *block_data(struct arena_block *block)
{
    return (uint8_t *)block + BLOCK_HEADER;
}

static void arena_use(struct arena *arena, struct arena_block *block, size_t size)
{
    block->next = NULL;
    block->size = size;
    arena->blocks = block;
    arena->taken = size;
    arena->next = block_data(block);
    arena->end = (uint8_t *)block + size;
}

void arena_reset(struct arena *arena, size_t keep)
{
    size_t taken = arena->taken;
    struct arena_block *block = arena->blocks;
    if (block != NULL && block->next == NULL && block->size <= keep) {
        arena_use(arena, block, block->size);
        return;
    }
    arena_release(arena);
    size_t size = taken < keep ? taken : keep;
    if (size <= BLOCK_HEADER || size > arena->max)
        return;
    block = block_new(arena, size);
    if (block != NULL)
        arena_use(arena, block, size);
}

static size_t arena_block_size(const struct arena *arena)
{
    size_t size = arena->taken < ARENA_FIRST_BLOCK ? ARENA_FIRST_BLOCK : arena->taken;
    return size < ARENA_LARGEST_BLOCK ? size : ARENA_LARGEST_BLOCK;
}

static void *arena_alloc_slow(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX - BLOCK_HEADER) {
        arena->exhausted = true;
        return NULL;
    }
    size_t need = BLOCK_HEADER + size;
    size_t left = arena->max - arena->taken;
    if (need > left) {
        arena->exhausted = true;
        return NULL;
    }
    size_t block_size = arena_block_size(arena);
    if (block_size > left)
        block_size = left;
    if (block_size < need)
        block_size = need;
    struct arena_block *block = block_new(arena, block_size);
    if (block == NULL)
        return NULL;
    block->next = arena->blocks;
    block->size = block_size;
    arena->blocks = block;
    arena->taken += block_size;
    uint8_t *data = block_data(block);
    uint8_t *end = (uint8_t *)block + block_size;
    /* Keep filling the older block if more room is left there than here. */
    if ((size_t)(end - (data + size)) >= (size_t)(arena->end - arena->next)) {
        arena->next = data + size;
        arena->end = end;
    }
    return data;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX - ARENA_ALIGNMENT) {
        arena->exhausted = true;
        return NULL;
    }
    /* Nothing also gets an address: NULL means that there is no room. */
    size_t rounded =
        size == 0 ? ARENA_ALIGNMENT : (size + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
    if (rounded > (size_t)(arena->end - arena->next))
        return arena_alloc_slow(arena, rounded);
    void *data = arena->next;
    arena->next += rounded;
    return data;
}

void *arena_calloc(struct arena *arena, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) {
        arena->exhausted = true;
        return NULL;
    }
    void *data = arena_alloc(arena, total);
    if (data != NULL)
        memset(data, 0, total);
    return data;
}

void *arena_grow(struct arena *arena, const void *old, size_t old_size, size_t new_size)
{
    void *data = arena_alloc(arena, new_size);
    if (data != NULL && old_size > 0)
        memcpy(data, old, old_size);
    return data;
}

struct slice arena_copy(struct arena *arena, struct slice text)
{
    if (text.size == 0)
        return slice_of("", 0);
    uint8_t *data = arena_alloc(arena, text.size);
    if (data == NULL)
        return slice_of(NULL, 0);
    memcpy(data, text.data, text.size);
    return slice_of(data, text.size);
}

enum status arena_status(const struct arena *arena)
{
    if (arena->exhausted)
        return STATUS_LIMIT;
    return arena->share_exhausted ? STATUS_BUSY : STATUS_MEMORY;
}
