/*
 * cursor - one series' samples in rising time, out of parts and heads.
 *
 * Day by day: the block headers that the day's parts hold of the series are collected and sorted by
 * time. Blocks that overlap nothing are handed on as they are, with their summary; the head's
 * samples between them as slices. Where blocks, or a block and the head, overlap, that stretch is
 * decoded and merged: at equal times the one with the higher sequence wins, and the heads over all.
 * A long stretch is cut into slices of time, so that memory follows blocks and not the day; a block
 * that reaches from one slice into the next is decoded for each of them as far as it lies there.
 *
 * Memory follows neither the number of parts nor that of their blocks, but what the selection may
 * take (`struct shares`): a slice that turns out to hold more samples ends earlier than it was
 * meant to, and a day of more blocks is read in windows of time, each of which walks the headers
 * again.
 */
#include <stdlib.h>

#include "base/invariant.h"
#include "base/times.h"
#include "storage/engine/head_first.h"
#include "storage/engine/part_cursors.h"
#include "storage/engine/pieces.h"
#include "storage/engine/sample_array.h"
#include "storage/engine/selection.h"

enum { HEAD_SLICE = 1024 };

/* Whoever waits is asked after this much work: a part costs a search in its index, and perhaps
 * reads. */
enum { PART_WORK = PATIENCE_EVERY / 16 };

/* Samples that are merged at once. In memory there are at most seven times as many: a lane; what is
 * merged, before and after, with a lane each; what is read of the heads, half of a slice of each at
 * a time; and for a moment what sorts them. */
enum { SLICE_MIN = 1024, SLICE_MAX = 128 << 10, SLICE_ARRAYS = 7 };

enum { PIECES_MIN = 64, PIECES_MAX = 1 << 20 };

enum { BUCKETS_MAX = 64 << 20 };

/* Of samples of a head, once more: they cost as much as to sort one of them in. */
enum { LOOKS_FOR_SAMPLE = 32 };

/* What the cursor's memory is for: half of it is for part cursors. */
struct shares {
    size_t slice;   /* samples; a quarter */
    size_t pieces;  /* of a window, unless more parts than that overlap; an eighth */
    size_t buckets; /* bytes, of heads; a sixteenth, and what slices leave of theirs */
};

enum given {
    GIVEN_NONE,
    GIVEN_BLOCK,
    GIVEN_HEAD,   /* samples, not counted as read yet */
    GIVEN_SAMPLES /* samples, counted */
};

struct storage_cursor {
    struct selection *selection;
    struct storage_cursor *next_cursor;
    struct shares shares;
    struct time_range range;
    uint32_t metric, series;

    struct cuts cuts; /* what deletes hide of the series in hand */

    /* Of both heads, merged: what they have before head_end_ms and is not given yet. */
    struct head_first active, sealed;
    struct sample_array head;
    size_t head_at;
    int64_t head_end_ms;

    size_t part_at, part_end; /* parts of version that may be in the range and are not yet read */
    struct time_range window; /* of the day in hand, of which the pieces are */
    struct pieces pieces;     /* by first time */
    size_t piece_at;
    /* Of the stretch that is being merged, if there is one: its end among the pieces, its last
     * time, and before when all of it was given. */
    size_t stretch_end;
    int64_t stretch_last_ms, given_until_ms;

    enum given given;
    const struct piece *block; /* GIVEN_BLOCK: not loaded yet */
    const int64_t *times;      /* GIVEN_SAMPLES */
    const double *values;
    size_t sample_count;

    struct sample_array loaded; /* of the block in hand */
    struct sample_array lane;   /* of one part, where several overlap */
    struct sample_array merged, spare;

    struct part_cursors parts;
    size_t unasked; /* work since patience was asked */
};

/* Long work gives nothing for a while: where deletes hide all of it, where parts do not have the
 * series. */
static enum status go_on(struct storage_cursor *cursor, size_t work, struct error *err)
{
    cursor->unasked += work;
    if (cursor->unasked < PATIENCE_EVERY)
        return STATUS_OK;
    cursor->unasked = 0;
    return patience_check(&cursor->selection->options.patience, err);
}

static enum status array_reach(struct storage_cursor *cursor, struct sample_array *array,
                               size_t count, struct error *err)
{
    enum status status =
        selection_take_memory(cursor->selection, sample_array_growth(array, count), err);
    if (status != STATUS_OK)
        return status;
    status = sample_array_reach(array, count);
    return status == STATUS_OK ? status : fail(err, status, "no memory for a query");
}

/* ---- heads ------------------------------------------------------------------------------ */

/* `later` wins at equal times. The result is in `to`, which is neither. */
static enum status merge_arrays(struct storage_cursor *cursor, const struct sample_array *earlier,
                                const struct sample_array *later, struct sample_array *to,
                                struct error *err)
{
    enum status status = array_reach(cursor, to, earlier->count + later->count, err);
    if (status == STATUS_OK)
        sample_array_merge(earlier, later, to);
    return status;
}

/* Now that not all fits at once. Without memory for it every slice looks at all samples again. */
static enum status sort_out(struct storage_cursor *cursor, struct head_first *first,
                            struct error *err)
{
    struct selection *selection = cursor->selection;
    size_t max = selection->options.max_memory_bytes;
    size_t bytes = cursor->shares.buckets / (cursor->sealed.series.entry.count > 0 ? 2 : 1);
    if (max != 0 && bytes > max - selection->memory_bytes)
        bytes = max - selection->memory_bytes;
    bytes = head_first_bytes(first, bytes);
    if (bytes == 0)
        return STATUS_OK;
    enum status status = selection_take_memory(selection, bytes, err);
    if (status != STATUS_OK)
        return status;
    struct time_range left = {cursor->head_end_ms, cursor->range.end_ms};
    status = head_first_sort_out(first, left, bytes);
    return status == STATUS_OK ? status : fail(err, status, "no memory for a query");
}

static enum status prepare_head(struct storage_cursor *cursor, struct head_first *first,
                                struct error *err)
{
    enum status status = go_on(cursor, first->series.entry.count, err);
    bool goes_on = cursor->head_end_ms > cursor->range.start_ms;
    if (status == STATUS_OK && goes_on && !first->has_buckets)
        status = sort_out(cursor, first, err);
    return status;
}

/* `range` ends where there is no more room. */
static enum status copy_head(struct storage_cursor *cursor, struct head_first *first,
                             struct time_range *range, struct sample_array *to, struct error *err)
{
    to->count = 0;
    if (first->series.entry.count == 0)
        return STATUS_OK;
    uint64_t again = head_first_again(first);
    enum status status = prepare_head(cursor, first, err);
    if (status == STATUS_OK)
        status = array_reach(cursor, to, head_first_room(first), err);
    size_t bytes = head_first_scratch(first) * sizeof(struct head_sample);
    if (status == STATUS_OK)
        status = selection_take_memory(cursor->selection, bytes, err);
    if (status != STATUS_OK)
        return status;
    struct head_sample *scratch = bytes == 0 ? NULL : malloc(bytes);
    if (bytes > 0 && scratch == NULL)
        return fail(err, STATUS_MEMORY, "no memory for a query");
    to->count = head_first_copy(first, range, scratch, to->times, to->values);
    free(scratch);
    selection_give_memory(cursor->selection, bytes);
    cursor->selection->stats.samples_again += (head_first_again(first) - again) / LOOKS_FOR_SAMPLE;
    return STATUS_OK;
}

static void cut_off(struct sample_array *array, int64_t end_ms)
{
    while (array->count > 0 && array->times[array->count - 1] >= end_ms)
        array->count--;
}

/* What comes after head_end_ms. */
static enum status read_heads(struct storage_cursor *cursor, struct error *err)
{
    struct time_range range = {cursor->head_end_ms, cursor->range.end_ms};
    struct sample_array *head = &cursor->head;
    cursor->head_at = 0;
    enum status status = copy_head(cursor, &cursor->active, &range, head, err);
    if (status == STATUS_OK && cursor->sealed.series.entry.count > 0) {
        status = copy_head(cursor, &cursor->sealed, &range, &cursor->spare, err);
        if (status == STATUS_OK)
            status = merge_arrays(cursor, &cursor->spare, head, &cursor->merged, err);
        sample_array_swap(head, &cursor->merged);
        cut_off(head, range.end_ms);
    }
    cursor->head_end_ms = range.end_ms;
    return status;
}

/* Whether all that was read of the heads is given, and there may be more. */
static bool wants_heads(const struct storage_cursor *cursor)
{
    return cursor->head_at == cursor->head.count && cursor->head_end_ms < cursor->range.end_ms;
}

static void release_head(struct storage_cursor *cursor, struct head_first *first)
{
    selection_give_memory(cursor->selection, first->bytes);
    head_first_release(first);
}

static void begin_head(struct storage_cursor *cursor, struct head_first *first,
                       const struct head_ref *head, struct head_entry entry)
{
    const struct head_series series = {
        .head = head->head, .number = head->number, .entry = entry, .cuts = &cursor->cuts};
    release_head(cursor, first);
    head_first_init(first, &series, cursor->shares.slice / 2);
}

static enum status begin_heads(struct storage_cursor *cursor, size_t index, struct error *err)
{
    const struct selection *selection = cursor->selection;
    const struct version *version = selection->version;
    begin_head(cursor, &cursor->active, version->active, selection->entries[index]);
    if (version->sealed != NULL)
        begin_head(cursor, &cursor->sealed, version->sealed,
                   head_entry(version->sealed->head, selection->ids[index]));
    cursor->head_end_ms = cursor->range.start_ms;
    return read_heads(cursor, err);
}

/* ---- parts ------------------------------------------------------------------------------ */

static enum status open_part(struct storage_cursor *cursor, size_t place,
                             struct part_cursor **result, struct error *err)
{
    return part_cursors_get(&cursor->parts, cursor->selection, place, result, err);
}

static void note_damage(struct storage_cursor *cursor, const struct error *why)
{
    cursor->selection->stats.partial = true;
    engine_note_damage(cursor->selection->engine, "damaged data was left out of an answer", why);
}

/* Something of the piece's part is given. */
static void note_tier(struct storage_cursor *cursor, const struct piece *piece)
{
    const struct manifest_part *info = &cursor->selection->version->parts[piece->part]->info;
    cursor->selection->stats.tiers[info->tier == PART_WARM ? CHUNK_WARM : CHUNK_HOT] = true;
}

static uint64_t cut_sequence_of(const struct storage_cursor *cursor, size_t part)
{
    return manifest_part_cut_sequence(&cursor->selection->version->parts[part]->info);
}

/* Ends the window before some of its pieces, unless all begin with it or before. */
static void narrow_window(struct storage_cursor *cursor)
{
    struct pieces *pieces = &cursor->pieces;
    const struct piece *items = pieces->items;
    pieces_sort_by_time(pieces, 0, pieces->count);
    int64_t least_ms = items[0].block.first_ms;
    if (least_ms < cursor->window.start_ms)
        least_ms = cursor->window.start_ms;
    size_t end = pieces->count / 2;
    while (end < pieces->count && items[end].block.first_ms <= least_ms)
        end++;
    if (end == pieces->count)
        return;
    cursor->window.end_ms = items[end].block.first_ms;
    while (items[end - 1].block.first_ms == cursor->window.end_ms)
        end--;
    pieces->count = end;
}

static enum status add_piece(struct storage_cursor *cursor, const struct part_block *block,
                             size_t part, struct error *err)
{
    enum cut cut = cuts_of_block(&cursor->cuts, cut_sequence_of(cursor, part), block->first_ms,
                                 block->last_ms);
    if (cut == CUT_ALL) {
        cursor->selection->stats.blocks_skipped++;
        return STATUS_OK;
    }
    struct pieces *pieces = &cursor->pieces;
    if (pieces->count >= cursor->shares.pieces && pieces_growth(pieces) > 0)
        narrow_window(cursor);
    if (block->first_ms >= cursor->window.end_ms)
        return STATUS_OK;
    enum status status = selection_take_memory(cursor->selection, pieces_growth(pieces), err);
    if (status != STATUS_OK)
        return status;
    if (pieces_add(pieces, block, part) != STATUS_OK)
        return fail(err, STATUS_MEMORY, "no memory for a query");
    pieces->items[pieces->count - 1].cut = cut == CUT_SOME;
    return STATUS_OK;
}

/* Whether the block touches the window. One outside the range is counted, in one window of all. */
static bool is_in_window(struct storage_cursor *cursor, const struct part_block *block)
{
    const struct time_range *range = &cursor->range;
    const struct time_range *window = &cursor->window;
    if (block->first_ms >= range->end_ms ||
        (block->last_ms < range->start_ms && window->start_ms == range->start_ms))
        cursor->selection->stats.blocks_skipped++;
    return block->last_ms >= window->start_ms && block->first_ms < window->end_ms;
}

/* The headers of the series' blocks in one part that touch the window. */
static enum status collect_from(struct storage_cursor *cursor, size_t part, struct error *err)
{
    struct part_cursor *blocks;
    enum status status = go_on(cursor, PART_WORK, err);
    if (status == STATUS_OK)
        status = open_part(cursor, part, &blocks, err);
    if (status != STATUS_OK)
        return status;
    part_cursor_find(blocks, cursor->metric, cursor->series);
    for (;;) {
        const struct part_block *block;
        struct part_loss lost;
        struct error why = {0};
        status = part_cursor_next(blocks, &block, &lost, &why);
        if (status == STATUS_END)
            return STATUS_OK;
        if (status == STATUS_CORRUPT) {
            note_damage(cursor, &why);
            continue;
        }
        if (status != STATUS_OK)
            return fail(err, status, "%s", why.message);
        if (block->first_ms >= cursor->window.end_ms &&
            cursor->window.end_ms < cursor->range.end_ms)
            return STATUS_OK;
        status = go_on(cursor, 1, err);
        if (status == STATUS_OK && is_in_window(cursor, block))
            status = add_piece(cursor, block, part, err);
        if (status != STATUS_OK)
            return status;
    }
}

/* Collects what follows the window in the day of the next part. */
static enum status collect_day(struct storage_cursor *cursor, struct error *err)
{
    const struct version *version = cursor->selection->version;
    int64_t day = version->parts[cursor->part_at]->info.day;
    size_t at = cursor->part_at;
    cursor->window.end_ms = cursor->range.end_ms;
    for (; at < cursor->part_end && version->parts[at]->info.day == day; at++) {
        const struct manifest_part *info = &version->parts[at]->info;
        if (info->max_ms < cursor->window.start_ms || info->min_ms >= cursor->window.end_ms)
            continue;
        enum status status = collect_from(cursor, at, err);
        if (status != STATUS_OK)
            return status;
    }
    if (at - cursor->part_at > 1)
        pieces_sort_by_time(&cursor->pieces, 0, cursor->pieces.count);
    if (cursor->window.end_ms == cursor->range.end_ms)
        cursor->part_at = at;
    return STATUS_OK;
}

/* Collects the next window of a day that has blocks of the series. END after the last. */
static enum status next_window(struct storage_cursor *cursor, struct error *err)
{
    cursor->pieces.count = 0;
    cursor->piece_at = cursor->stretch_end = 0;
    while (cursor->part_at < cursor->part_end && cursor->pieces.count == 0) {
        bool within_day = cursor->window.end_ms < cursor->range.end_ms;
        cursor->window.start_ms = within_day ? cursor->window.end_ms : cursor->range.start_ms;
        enum status status = collect_day(cursor, err);
        if (status != STATUS_OK)
            return status;
    }
    return cursor->pieces.count > 0 ? STATUS_OK : STATUS_END;
}

/* Whether the block was decoded already, for what it has before `range`. */
static bool was_loaded(const struct storage_cursor *cursor, const struct part_block *block,
                       struct time_range range)
{
    return block->first_ms < range.start_ms && cursor->range.start_ms < range.start_ms;
}

/* Decodes a block's samples within `range` into `to`. A damaged block has none. */
static enum status load_piece(struct storage_cursor *cursor, const struct piece *piece,
                              struct time_range range, struct sample_array *to, struct error *err)
{
    struct part_cursor *blocks;
    to->count = 0;
    enum status status = go_on(cursor, piece->block.count, err);
    if (status == STATUS_OK)
        status = open_part(cursor, piece->part, &blocks, err);
    if (status == STATUS_OK)
        status = array_reach(cursor, to, piece->block.count, err);
    if (status != STATUS_OK)
        return status;
    struct error why = {0};
    status = part_block_read_range(blocks, &piece->block, range.start_ms, range.end_ms, to->times,
                                   to->values, &to->count, &why);
    if (status == STATUS_CORRUPT) {
        note_damage(cursor, &why);
        to->count = 0;
        return STATUS_OK;
    }
    if (status != STATUS_OK)
        return fail(err, status, "%s", why.message);
    cursor->selection->stats.blocks_loaded++;
    cursor->selection->stats.samples_decoded += to->count;
    /* It is read and unpacked whole. */
    if (to->count > 0 && was_loaded(cursor, &piece->block, range))
        cursor->selection->stats.samples_again += piece->block.count - to->count;
    if (piece->cut)
        to->count = cuts_apply(&cursor->cuts, cut_sequence_of(cursor, piece->part), to->times,
                               to->values, to->count);
    if (to->count > 0)
        note_tier(cursor, piece);
    return STATUS_OK;
}

/* ---- positioning ------------------------------------------------------------------------ */

/* Of what the selection has left. */
static struct shares shares_of(const struct selection *selection)
{
    struct shares shares = {.slice = SLICE_MAX, .pieces = PIECES_MAX, .buckets = BUCKETS_MAX};
    size_t max = selection->options.max_memory_bytes;
    if (max == 0)
        return shares;
    size_t quarter = selection->memory_bytes < max ? (max - selection->memory_bytes) / 4 : 0;
    size_t sample = sizeof(int64_t) + sizeof(double);
    while (shares.slice > SLICE_MIN && shares.slice * SLICE_ARRAYS * sample > quarter)
        shares.slice /= 2;
    while (shares.pieces > PIECES_MIN && shares.pieces * sizeof(struct piece) > quarter / 2)
        shares.pieces /= 2;
    size_t slices = shares.slice * SLICE_ARRAYS * sample;
    size_t buckets = quarter / 4 + (slices < quarter ? quarter - slices : 0);
    if (buckets < shares.buckets)
        shares.buckets = buckets;
    return shares;
}

static struct storage_cursor *cursor_new(struct selection *selection)
{
    struct storage_cursor *cursor = calloc(1, sizeof *cursor);
    if (cursor == NULL)
        return NULL;
    if (cuts_init(&cursor->cuts, selection->version->tombstones, selection->options.range,
                  UINT64_MAX) != STATUS_OK) {
        cuts_release(&cursor->cuts);
        free(cursor);
        return NULL;
    }
    cursor->selection = selection;
    cursor->shares = shares_of(selection);
    cursor->next_cursor = selection->cursors;
    selection->cursors = cursor;
    return cursor;
}

void storage_cursor_free(struct storage_cursor *cursor)
{
    while (cursor != NULL) {
        struct storage_cursor *next = cursor->next_cursor;
        part_cursors_release(&cursor->parts, cursor->selection);
        head_first_release(&cursor->active);
        head_first_release(&cursor->sealed);
        sample_array_release(&cursor->head);
        sample_array_release(&cursor->loaded);
        sample_array_release(&cursor->lane);
        sample_array_release(&cursor->merged);
        sample_array_release(&cursor->spare);
        pieces_release(&cursor->pieces);
        cuts_release(&cursor->cuts);
        free(cursor);
        cursor = next;
    }
}

enum status engine_selection_read(struct selection *selection, size_t index,
                                  struct time_range range, struct storage_cursor **result,
                                  struct error *err)
{
    struct storage_cursor *cursor = *result == NULL ? cursor_new(selection) : *result;
    if (cursor == NULL)
        return fail(err, STATUS_MEMORY, "no memory for a query");
    *result = cursor;
    cursor->range = cursor->window = range;
    cursor->series = selection->ids[index];
    cursor->metric = selection->metrics[index];
    cuts_take(&cursor->cuts, cursor->series);
    cursor->given = GIVEN_NONE;
    cursor->pieces.count = 0;
    cursor->piece_at = cursor->stretch_end = 0;
    cursor->part_at = cursor->part_end = 0;
    cursor->head.count = cursor->head_at = 0;
    cursor->head_end_ms = range.end_ms;
    if (time_range_empty(range))
        return STATUS_OK;
    cursor->part_at = version_first_part(selection->version, day_of_time(range.start_ms));
    cursor->part_end = version_first_part(selection->version, day_of_time(range.end_ms - 1) + 1);
    return begin_heads(cursor, index, err);
}

/* ---- walking ---------------------------------------------------------------------------- */

static void give_samples(struct storage_cursor *cursor, const struct sample_array *array,
                         size_t from, size_t to, struct storage_block *block)
{
    cursor->given = GIVEN_SAMPLES;
    cursor->times = array->times + from;
    cursor->values = array->values + from;
    cursor->sample_count = to - from;
    *block = (struct storage_block){
        .count = (uint32_t)(to - from),
        .first_ms = array->times[from],
        .last_ms = array->times[to - 1],
    };
}

static enum status give_block(struct storage_cursor *cursor, const struct piece *piece,
                              struct storage_block *block)
{
    const struct part_block *header = &piece->block;
    const struct time_range *window = &cursor->window;
    bool whole = header->first_ms >= window->start_ms && header->last_ms < window->end_ms;
    cursor->given = GIVEN_BLOCK;
    cursor->block = piece;
    *block = (struct storage_block){
        .count = header->count,
        .first_ms = header->first_ms < window->start_ms ? window->start_ms : header->first_ms,
        .last_ms = header->last_ms < window->end_ms ? header->last_ms : window->end_ms - 1,
        .summary = whole ? &header->summary : NULL,
    };
    if (whole)
        note_tier(cursor, piece);
    return STATUS_OK;
}

/* How many head samples from head_at on are before `time_ms`. */
static size_t head_before(const struct storage_cursor *cursor, int64_t time_ms)
{
    size_t low = cursor->head_at;
    size_t high = cursor->head.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cursor->head.times[middle] < time_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low - cursor->head_at;
}

static enum status give_head(struct storage_cursor *cursor, size_t count,
                             struct storage_block *block)
{
    if (count > HEAD_SLICE)
        count = HEAD_SLICE;
    size_t from = cursor->head_at;
    cursor->head_at += count;
    give_samples(cursor, &cursor->head, from, from + count, block);
    cursor->given = GIVEN_HEAD;
    cursor->selection->stats.tiers[CHUNK_HOT] = true;
    return STATUS_OK;
}

/* What pieces [*at, end) of the first one's part, which come in rising time, have within `range`,
 * which ends where the lane is full. */
static enum status load_lane(struct storage_cursor *cursor, size_t *at, size_t end,
                             struct time_range *range, struct error *err)
{
    const struct piece *pieces = cursor->pieces.items;
    size_t part = pieces[*at].part;
    const struct sample_array *loaded = &cursor->loaded;
    struct sample_array *lane = &cursor->lane;
    lane->count = 0;
    for (; *at < end && pieces[*at].part == part; (*at)++) {
        if (pieces[*at].block.first_ms >= range->end_ms)
            continue;
        enum status status = load_piece(cursor, &pieces[*at], *range, &cursor->loaded, err);
        if (status != STATUS_OK)
            return status;
        size_t count = cursor->shares.slice - lane->count;
        if (loaded->count > count)
            range->end_ms = loaded->times[count];
        else
            count = loaded->count;
        status = array_reach(cursor, lane, lane->count + count, err);
        if (status != STATUS_OK)
            return status;
        sample_array_append(lane, loaded->times, loaded->values, count);
    }
    return STATUS_OK;
}

/* Pieces [piece_at, end) into `merged`, oldest part first. `range` ends where that is full. */
static enum status merge_pieces(struct storage_cursor *cursor, size_t end, struct time_range *range,
                                struct error *err)
{
    struct sample_array *merged = &cursor->merged;
    merged->count = 0;
    pieces_sort_by_part(&cursor->pieces, cursor->piece_at, end);
    for (size_t at = cursor->piece_at; at < end;) {
        enum status status = load_lane(cursor, &at, end, range, err);
        if (status == STATUS_OK)
            status = merge_arrays(cursor, merged, &cursor->lane, &cursor->spare, err);
        if (status != STATUS_OK)
            return status;
        sample_array_swap(merged, &cursor->spare);
        if (merged->count > cursor->shares.slice) {
            merged->count = cursor->shares.slice;
            if (merged->times[merged->count] < range->end_ms)
                range->end_ms = merged->times[merged->count];
        }
    }
    cut_off(merged, range->end_ms);
    return STATUS_OK;
}

/* `count` samples of the head over what is merged. */
static enum status merge_head(struct storage_cursor *cursor, size_t count, struct error *err)
{
    if (count == 0)
        return STATUS_OK;
    struct sample_array head = {
        .times = cursor->head.times + cursor->head_at,
        .values = cursor->head.values + cursor->head_at,
        .count = count,
    };
    cursor->head_at += count;
    cursor->selection->stats.samples_decoded += count;
    cursor->selection->stats.tiers[CHUNK_HOT] = true;
    enum status status = merge_arrays(cursor, &cursor->merged, &head, &cursor->spare, err);
    sample_array_swap(&cursor->merged, &cursor->spare);
    return status;
}

/* The end of the pieces of the next slice; *until_ms is where it ends: at the first piece that is
 * not of it, or with the stretch. */
static size_t slice_end(const struct storage_cursor *cursor, int64_t *until_ms)
{
    const struct piece *pieces = cursor->pieces.items;
    size_t samples = 0;
    size_t end = cursor->piece_at;
    for (; end < cursor->stretch_end; end++) {
        *until_ms = pieces[end].block.first_ms;
        if (samples >= cursor->shares.slice / 2 && *until_ms > cursor->given_until_ms)
            return end;
        samples += pieces[end].block.count;
    }
    *until_ms = INT64_MAX;
    return end;
}

/* Pieces before `end` that go on after the slice stay, right before it. */
static void keep_pieces(struct storage_cursor *cursor, size_t end, int64_t until_ms)
{
    struct piece *pieces = cursor->pieces.items;
    size_t kept = end;
    for (size_t i = end; i-- > cursor->piece_at;)
        if (pieces[i].block.last_ms >= until_ms)
            pieces[--kept] = pieces[i];
    pieces_sort_by_time(&cursor->pieces, kept, end);
    cursor->piece_at = kept;
    cursor->given_until_ms = until_ms;
}

/* Decodes the next slice of the stretch, with what the head has of it. */
static enum status merge_slice(struct storage_cursor *cursor, struct error *err)
{
    int64_t until_ms;
    size_t end = slice_end(cursor, &until_ms);
    struct time_range range = cursor->window;
    if (cursor->given_until_ms > range.start_ms)
        range.start_ms = cursor->given_until_ms;
    if (until_ms < range.end_ms)
        range.end_ms = until_ms;
    const int64_t meant_ms = range.end_ms;
    /* What comes then is not read of the heads yet. */
    if (cursor->head_end_ms < range.end_ms && cursor->head_end_ms <= cursor->stretch_last_ms)
        range.end_ms = cursor->head_end_ms;
    cursor->merged.count = 0;
    enum status status =
        time_range_empty(range) ? STATUS_OK : merge_pieces(cursor, end, &range, err);
    if (status != STATUS_OK)
        return status;
    if (range.end_ms < meant_ms)
        until_ms = range.end_ms;
    int64_t last_ms = until_ms == INT64_MAX ? cursor->stretch_last_ms : until_ms - 1;
    keep_pieces(cursor, end, until_ms);
    if (until_ms == INT64_MAX)
        cursor->stretch_end = 0;
    return merge_head(cursor,
                      last_ms == INT64_MAX ? cursor->head.count - cursor->head_at
                                           : head_before(cursor, last_ms + 1),
                      err);
}

/* Whether what comes next is given as it is; a stretch that has to be merged is noted. */
static bool begin_stretch(struct storage_cursor *cursor, const struct piece *piece)
{
    int64_t last_ms;
    size_t end = pieces_stretch(&cursor->pieces, cursor->piece_at, &last_ms);
    if (last_ms >= cursor->window.end_ms)
        last_ms = cursor->window.end_ms - 1;
    bool head_within =
        cursor->head_at < cursor->head.count && cursor->head.times[cursor->head_at] <= last_ms;
    if (end == cursor->piece_at + 1 && !head_within && !piece->cut)
        return true;
    cursor->stretch_end = end;
    cursor->stretch_last_ms = last_ms;
    cursor->given_until_ms = INT64_MIN;
    return false;
}

enum status engine_cursor_next(struct storage_cursor *cursor, struct storage_block *block,
                               struct error *err)
{
    if (cursor->given == GIVEN_BLOCK)
        cursor->selection->stats.blocks_skipped++;
    cursor->given = GIVEN_NONE;
    for (;;) {
        enum status heads = wants_heads(cursor) ? read_heads(cursor, err) : STATUS_OK;
        if (heads != STATUS_OK)
            return heads;
        if (cursor->stretch_end == 0 && cursor->piece_at == cursor->pieces.count) {
            enum status status = next_window(cursor, err);
            if (status == STATUS_END && cursor->head_at < cursor->head.count)
                return give_head(cursor, cursor->head.count - cursor->head_at, block);
            if (status != STATUS_OK)
                return status;
        }
        if (cursor->stretch_end == 0) {
            const struct piece *piece = &cursor->pieces.items[cursor->piece_at];
            size_t before = head_before(cursor, piece->block.first_ms);
            if (before > 0)
                return give_head(cursor, before, block);
            if (begin_stretch(cursor, piece)) {
                cursor->piece_at++;
                return give_block(cursor, piece, block);
            }
        }
        enum status status = merge_slice(cursor, err);
        if (status != STATUS_OK)
            return status;
        /* Empty when all of it was outside the range, or damaged. */
        if (cursor->merged.count > 0) {
            give_samples(cursor, &cursor->merged, 0, cursor->merged.count, block);
            return STATUS_OK;
        }
    }
}

enum status engine_cursor_load(struct storage_cursor *cursor, struct storage_block *block,
                               struct error *err)
{
    invariant(cursor->given != GIVEN_NONE);
    if (cursor->given == GIVEN_BLOCK) {
        enum status status =
            load_piece(cursor, cursor->block, cursor->window, &cursor->loaded, err);
        if (status != STATUS_OK)
            return status;
        cursor->given = GIVEN_SAMPLES;
        cursor->times = cursor->loaded.times;
        cursor->values = cursor->loaded.values;
        cursor->sample_count = cursor->loaded.count;
    } else if (cursor->given == GIVEN_HEAD) {
        cursor->selection->stats.samples_decoded += cursor->sample_count;
        cursor->given = GIVEN_SAMPLES;
    }
    block->times = cursor->times;
    block->values = cursor->values;
    block->count = (uint32_t)cursor->sample_count;
    if (block->count > 0) {
        block->first_ms = cursor->times[0];
        block->last_ms = cursor->times[cursor->sample_count - 1];
    }
    return STATUS_OK;
}
