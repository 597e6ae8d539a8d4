/* The set of series of a part. */
#include <stdlib.h>

#include "storage/engine/bitmap_codec.h"
#include "storage/engine/part_state.h"
#include "storage/engine/stored_read.h"

enum status part_read_set(const struct part *part, roaring_bitmap_t **ids, struct error *err)
{
    uint8_t *bytes = malloc(part->set_size);
    if (bytes == NULL)
        return fail(err, STATUS_MEMORY, "part %s: no memory for its set of series", part->path);
    enum status status =
        stored_read_exactly(part->file, bytes, part->set_size, part->set_offset, err);
    if (status != STATUS_OK)
        error_prefix(err, "part %s: its set of series", part->path);
    else if (part_checksum(part->identity.id, part->set_offset, bytes, part->set_size) !=
             part->set_crc)
        status = fail(err, STATUS_CORRUPT, "part %s: the checksum of its set of series differs",
                      part->path);
    if (status == STATUS_OK)
        status = bitmap_decode(slice_of(bytes, part->set_size), ids, err);
    free(bytes);
    return status;
}

enum status part_collect_series(struct part *part, roaring_bitmap_t **ids, struct error *err)
{
    struct part_cursor *cursor = NULL;
    *ids = roaring_bitmap_create();
    enum status status =
        *ids == NULL ? fail(err, STATUS_MEMORY, "part %s: no memory for its series", part->path)
                     : part_cursor_new(&cursor, part, err);
    if (status == STATUS_OK)
        part_cursor_seek(cursor, 0, 0);
    while (status == STATUS_OK) {
        const struct part_block *block;
        struct part_loss lost;
        status = part_cursor_next(cursor, &block, &lost, err);
        if (status == STATUS_OK)
            roaring_bitmap_add(*ids, block->series);
    }
    part_cursor_free(cursor);
    if (status == STATUS_END)
        return STATUS_OK;
    if (*ids != NULL)
        roaring_bitmap_free(*ids);
    *ids = NULL;
    return status;
}

enum status part_series(struct part *part, roaring_bitmap_t **ids, struct error *err)
{
    *ids = NULL;
    enum status status = STATUS_CORRUPT;
    if (part->set_size > 0)
        status = part_read_set(part, ids, err);
    return status == STATUS_CORRUPT ? part_collect_series(part, ids, err) : status;
}
