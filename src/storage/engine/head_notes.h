/*
 * head_notes - what entries of a head were before the appender changed them, while somebody copies
 * them (head_moment, head.h).
 *
 *   a moment begins   a new block of notes is linked behind the one in use, and is the one in use
 *   samples come      the entries as they were go there, and on into further blocks
 *   a moment ends     what it needs lies between its first block and where notes go now
 *
 * A block is counted by the moment that it is the first of, by the block before it and, while it is
 * in use, by the head: so what no moment needs any more goes.
 *
 * Threads: head_note, begin and end shut each other out; counts are atomic, and what was noted
 * never changes.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_HEAD_NOTES_H
#define METRIC_STORE_STORAGE_ENGINE_HEAD_NOTES_H

#include <stdatomic.h>

#include "storage/engine/head.h"

/* A head's. */
struct head_noting {
    unsigned moments;           /* that have begun and not ended */
    struct head_notes *current; /* NULL without moments */
    atomic_uint blocks;         /* made by head_note that are still there */
};

/* Takes a reference of its own on `first`. */
void head_noting_begin(struct head_noting *noting, struct head_notes *first);
void head_noting_end(struct head_noting *noting, struct head_moment *moment);
/* There are moments. Where no block can be made the moments are told that notes are missing. */
void head_note(struct head_noting *noting, uint32_t id, struct head_entry before);

#endif
