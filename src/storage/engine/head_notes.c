#include "storage/engine/head_notes.h"

#include <stdlib.h>

enum { NOTES_A_BLOCK = 1024, MOST_BLOCKS = 1024 };

struct note {
    uint32_t id;
    struct head_entry before;
};

struct head_notes {
    atomic_uint references;
    atomic_uint *counted; /* head_noting.blocks, where it was counted; the head lives longer */
    struct head_notes *next;
    bool lost; /* notes are missing behind these */
    uint32_t count;
    struct note notes[NOTES_A_BLOCK];
};

static struct head_notes *block_new(unsigned references)
{
    struct head_notes *block = malloc(sizeof *block);
    if (block == NULL)
        return NULL;
    atomic_init(&block->references, references);
    block->counted = NULL;
    block->next = NULL;
    block->lost = false;
    block->count = 0;
    return block;
}

static void block_release(struct head_notes *block)
{
    while (block != NULL && atomic_fetch_sub(&block->references, 1) == 1) {
        struct head_notes *next = block->next;
        if (block->counted != NULL)
            atomic_fetch_sub(block->counted, 1);
        free(block);
        block = next;
    }
}

/* Takes over a reference on `block`, for the head, and takes one for the block before it. */
static void use(struct head_noting *noting, struct head_notes *block)
{
    struct head_notes *before = noting->current;
    noting->current = block;
    if (before == NULL)
        return;
    atomic_fetch_add(&block->references, 1);
    before->next = block;
    block_release(before);
}

void head_noting_begin(struct head_noting *noting, struct head_notes *first)
{
    atomic_fetch_add(&first->references, 1);
    use(noting, first);
    noting->moments++;
}

void head_noting_end(struct head_noting *noting, struct head_moment *moment)
{
    moment->last = noting->current;
    moment->last_count = noting->current->count;
    moment->lost = noting->current->lost;
    if (--noting->moments > 0)
        return;
    /* The moment holds it by its first block. */
    block_release(noting->current);
    noting->current = NULL;
}

void head_note(struct head_noting *noting, uint32_t id, struct head_entry before)
{
    struct head_notes *block = noting->current;
    if (block->lost || (block->count > 0 && block->notes[block->count - 1].id == id))
        return;
    if (block->count == NOTES_A_BLOCK) {
        struct head_notes *more = atomic_load(&noting->blocks) < MOST_BLOCKS ? block_new(1) : NULL;
        if (more == NULL) {
            block->lost = true;
            return;
        }
        more->counted = &noting->blocks;
        atomic_fetch_add(&noting->blocks, 1);
        use(noting, more);
        block = more;
    }
    block->notes[block->count++] = (struct note){id, before};
}

enum status head_moment_init(struct head_moment *moment)
{
    *moment = (struct head_moment){.first = block_new(1)};
    return moment->first == NULL ? STATUS_MEMORY : STATUS_OK;
}

void head_moment_release(struct head_moment *moment)
{
    block_release(moment->first);
    *moment = (struct head_moment){0};
}

/* Of several notes about a series the oldest counts: that with the fewest samples. */
static void put_back(const struct note *note, const uint32_t *ids, struct head_entry *entries,
                     size_t count)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ids[middle] < note->id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < count && ids[low] == note->id && note->before.count < entries[low].count)
        entries[low] = note->before;
}

bool head_moment_restore(const struct head_moment *moment, const uint32_t *ids,
                         struct head_entry *entries, size_t count)
{
    if (moment->lost)
        return false;
    for (const struct head_notes *block = moment->first;; block = block->next) {
        bool is_last = block == moment->last;
        uint32_t notes = is_last ? moment->last_count : block->count;
        for (uint32_t i = 0; i < notes; i++)
            put_back(&block->notes[i], ids, entries, count);
        if (is_last)
            return true;
        if (block->lost)
            return false;
    }
}
