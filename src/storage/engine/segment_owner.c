#include "storage/engine/segment_owner.h"

enum { ATTEMPTS = 16 };

enum status segment_expect_own(const struct series_segment *segment, uint64_t seed,
                               struct error *err)
{
    struct series_segment_cursor *cursor = NULL;
    enum status status = series_segment_cursor_new(&cursor, segment, err);
    for (int i = 0; i < ATTEMPTS && status == STATUS_OK; i++) {
        struct series_definition definition;
        uint32_t id = UINT32_MAX;
        enum status read = series_segment_next(cursor, &definition, NULL);
        if (read == STATUS_OK)
            read = series_segment_find(segment, series_key_of(&definition.labels, seed), &id, NULL);
        if (read == STATUS_OK && id == definition.id)
            break;
        if (read == STATUS_OK || read == STATUS_NOT_FOUND)
            status = fail(err, STATUS_CORRUPT,
                          "a series segment does not find its own series by this store's keys: it "
                          "is one of another store");
        else if (read != STATUS_CORRUPT)
            break; /* whoever reads it later is told */
    }
    series_segment_cursor_free(cursor);
    return status;
}
