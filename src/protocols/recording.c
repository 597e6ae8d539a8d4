/*
 * recording - exposition text cut into scrapes by `#SCRAPE <ms> <url>` lines.
 *
 * The raw bytes of a series must tell targets apart, since two of them answer the same text:
 *   varint size, instance, varint size, job, then the series as text
 * Both are empty before the first #SCRAPE line.
 *
 * The input passes through one buffer. A batch borrows from it, so bytes move to its front only
 * between batches, and then only when half of the buffer is used up: each byte moves at most once
 * on average.
 */
#include <stdlib.h>

#include "base/bits.h"
#include "base/invariant.h"
#include "base/times.h"
#include "base/utf8.h"
#include "protocols/exposition.h"
#include "protocols/protocols.h"
#include "protocols/text.h"

#define SCRAPE_MARK "#SCRAPE"

enum {
    INSTANCE_MAX_SIZE = 1024,
    JOB_MAX_SIZE = 1024,
    PREFIX_MAX_SIZE = INSTANCE_MAX_SIZE + JOB_MAX_SIZE + 2 * VARINT_MAX_SIZE,
    RECORDING_LEAST_BUFFER = 64,
};

struct recording {
    recording_read *read;
    void *context;
    int64_t now_ms;
    int64_t scrape_ms;
    uint8_t job[JOB_MAX_SIZE];
    size_t job_size;
    uint8_t prefix[PREFIX_MAX_SIZE];
    size_t prefix_size;
    uint32_t line;                      /* lines taken so far */
    uint32_t broken_line;               /* the #SCRAPE line in force, when it could not be read */
    uint64_t scrape_start, scrape_size; /* of the #SCRAPE line in force; 0: there is none */
    bool ended;                         /* read has said so */
    bool skipping;                      /* inside a line longer than the buffer */
    uint64_t bytes;
    size_t start; /* of what was not yet taken */
    size_t end;
    size_t capacity;
    uint8_t buffer[];
};

static size_t put_text(uint8_t *to, struct slice text)
{
    uint8_t *at = varint_put(to, text.size);
    if (text.size > 0)
        memcpy(at, text.data, text.size);
    return (size_t)(at - to) + text.size;
}

static void recording_set_target(struct recording *recording, struct slice instance,
                                 struct slice job)
{
    size_t size = put_text(recording->prefix, instance);
    recording->prefix_size = size + put_text(recording->prefix + size, job);
}

enum status recording_new(struct recording **recording, recording_read *read, void *context,
                          struct slice job, int64_t now_ms, size_t buffer_size, struct error *err)
{
    *recording = NULL;
    if (job.size > JOB_MAX_SIZE || !utf8_valid(job))
        return fail(err, STATUS_INVALID,
                    "the job's name is not UTF-8 of at most %d bytes; give another", JOB_MAX_SIZE);
    if (buffer_size < RECORDING_LEAST_BUFFER)
        buffer_size = RECORDING_LEAST_BUFFER;
    struct recording *made = calloc(1, sizeof *made + buffer_size);
    if (made == NULL)
        return fail(err, STATUS_MEMORY, "no memory for reading a recording (%zu bytes)",
                    buffer_size);
    made->read = read;
    made->context = context;
    made->now_ms = now_ms;
    made->scrape_ms = now_ms;
    made->capacity = buffer_size;
    made->job_size = job.size;
    if (job.size > 0)
        memcpy(made->job, job.data, job.size);
    recording_set_target(made, slice_of(NULL, 0), slice_of(NULL, 0));
    *recording = made;
    return STATUS_OK;
}

void recording_free(struct recording *recording)
{
    free(recording);
}

uint64_t recording_bytes(const struct recording *recording)
{
    return recording->bytes;
}

static uint64_t recording_taken(const struct recording *recording)
{
    return recording->bytes - (recording->end - recording->start);
}

void recording_position(const struct recording *recording, struct protocol_position *position)
{
    *position = (struct protocol_position){
        .settled = !recording->skipping && recording->broken_line == 0,
        .offset = recording_taken(recording),
        .line = (uint64_t)recording->line + 1,
        .context_start = recording->scrape_start,
        .context_size = recording->scrape_size,
        .context_lines = recording->scrape_size > 0,
    };
}

void recording_set_line(struct recording *recording, uint64_t line)
{
    recording->line = (uint32_t)(line - 1);
}

/* ---- labels of the target -------------------------------------------------------------------- */

static bool labels_have(const struct labels *labels, struct slice name)
{
    for (size_t i = 0; i < labels->count; i++)
        if (slice_equal(labels->items[i].name, name))
            return true;
    return false;
}

/* Puts "exported_" before the name as often as it takes to be alone. */
static enum status label_move_away(struct labels *labels, struct label *label, struct arena *arena,
                                   struct error *err)
{
    static const char exported[] = "exported_";
    enum { EXPORTED_SIZE = sizeof exported - 1 };
    struct slice name = label->name;
    do {
        uint8_t *longer = arena_alloc(arena, name.size + EXPORTED_SIZE);
        if (longer == NULL)
            return fail(err, arena_status(arena), "no memory left for the labels of a series");
        memcpy(longer, exported, EXPORTED_SIZE);
        memcpy(longer + EXPORTED_SIZE, name.data, name.size);
        name = slice_of(longer, name.size + EXPORTED_SIZE);
    } while (labels_have(labels, name));
    label->name = name;
    return STATUS_OK;
}

/* `labels` has room for one more. A label of this name without a value is an absent one. */
static enum status labels_add_target(struct labels *labels, const char *name, struct slice value,
                                     struct arena *arena, struct error *err)
{
    if (value.size == 0)
        return STATUS_OK;
    struct slice target = slice_from_text(name);
    for (size_t i = 0; i < labels->count; i++) {
        struct label *label = &labels->items[i];
        if (!slice_equal(label->name, target))
            continue;
        if (label->value.size == 0) {
            label->value = value;
            return STATUS_OK;
        }
        enum status status = label_move_away(labels, label, arena, err);
        if (status != STATUS_OK)
            return status;
        break;
    }
    labels->items[labels->count++] = (struct label){target, value};
    return STATUS_OK;
}

static bool take_text(struct slice *from, struct slice *text)
{
    uint64_t size;
    const uint8_t *end = from->data + from->size;
    const uint8_t *at = varint_get(from->data, end, &size);
    if (at == NULL || size > (uint64_t)(end - at))
        return false;
    *text = slice_of(at, (size_t)size);
    *from = slice_of(at + size, (size_t)(end - at) - (size_t)size);
    return true;
}

static enum status recording_decode_labels(struct slice raw, struct arena *arena,
                                           struct labels *labels, struct error *err)
{
    struct slice instance, job;
    if (!take_text(&raw, &instance) || !take_text(&raw, &job))
        return fail(err, STATUS_INVALID, "the target before a recorded series is cut off");
    enum status status = exposition_read_labels(raw, 2, arena, labels, err);
    if (status == STATUS_OK)
        status = labels_add_target(labels, "instance", instance, arena, err);
    if (status == STATUS_OK)
        status = labels_add_target(labels, "job", job, arena, err);
    return status;
}

/* ---- #SCRAPE lines --------------------------------------------------------------------------- */

static bool is_scrape_line(struct slice line)
{
    size_t size = sizeof SCRAPE_MARK - 1;
    return line.size >= size && memcmp(line.data, SCRAPE_MARK, size) == 0 &&
           (line.size == size || exposition_is_blank(line.data[size]) || line.data[size] == '\r');
}

/* The next word of `rest`, empty at the end. */
static struct slice take_word(struct slice *rest)
{
    const uint8_t *end = rest->data + rest->size;
    const uint8_t *start = exposition_skip_blanks(rest->data, end);
    const uint8_t *at = start;
    while (at < end && !exposition_is_blank(*at) && *at != '\r')
        at++;
    *rest = slice_of(at, (size_t)(end - at));
    return slice_of(start, (size_t)(at - start));
}

/* Host and port between "scheme://[user@]" and the path. */
static bool url_instance(struct slice url, struct slice *instance)
{
    const uint8_t *scheme = url.size == 0 ? NULL : memmem(url.data, url.size, "://", 3);
    if (scheme == NULL || scheme == url.data)
        return false;
    const uint8_t *start = scheme + 3;
    const uint8_t *end = start;
    const uint8_t *last = url.data + url.size;
    for (; end < last && *end != '/' && *end != '?' && *end != '#'; end++)
        if (*end == '@')
            start = end + 1;
    *instance = slice_of(start, (size_t)(end - start));
    return instance->size > 0 && instance->size <= INSTANCE_MAX_SIZE && utf8_valid(*instance);
}

/* The milliseconds of a #SCRAPE line: digits, perhaps with a sign. */
static bool scrape_time(struct slice word, int64_t *time_ms)
{
    bool negative = word.size > 0 && word.data[0] == '-';
    size_t i = negative;
    if (i == word.size)
        return false;
    int64_t value = 0;
    for (; i < word.size; i++) {
        int digit = word.data[i] - '0';
        if (digit < 0 || digit > 9 || value > TIME_MAX_MS)
            return false;
        value = value * 10 + digit;
    }
    *time_ms = negative ? -value : value;
    return *time_ms >= TIME_MIN_MS && *time_ms < TIME_MAX_MS;
}

static void recording_scrape(struct recording *recording, struct text_parser *parser,
                             struct slice line)
{
    struct slice rest = slice_from(line, sizeof SCRAPE_MARK - 1);
    struct slice time = take_word(&rest);
    struct slice url = take_word(&rest);
    struct slice instance;
    int64_t time_ms;
    const char *fault = NULL;
    if (!scrape_time(time, &time_ms))
        fault = "a time in whole milliseconds since 1970 is expected after #SCRAPE";
    else if (!url_instance(url, &instance))
        fault = "the target's URL is expected after the time, as http://host:port/metrics";
    else if (rest.size > 0 && take_word(&rest).size > 0)
        fault = "the end of the line is expected after the URL";
    recording->broken_line = fault == NULL ? 0 : recording->line;
    if (fault != NULL) {
        batch_reject(parser->batch, 1, parser->index, recording->line, "scrape_header_invalid",
                     slice_of(NULL, 0), "%s; the samples below are refused up to the next #SCRAPE",
                     fault);
    } else {
        recording->scrape_ms = time_ms;
        recording_set_target(recording, instance, slice_of(recording->job, recording->job_size));
    }
}

/* ---- the buffer ------------------------------------------------------------------------------ */

static enum status recording_fill(struct recording *recording, struct error *err)
{
    size_t size = 0;
    enum status status = recording->read(recording->context, recording->buffer + recording->end,
                                         recording->capacity - recording->end, &size, err);
    if (status != STATUS_OK)
        return status;
    invariant(size <= recording->capacity - recording->end);
    recording->ended = size == 0;
    recording->end += size;
    recording->bytes += size;
    return STATUS_OK;
}

static void recording_compact(struct recording *recording)
{
    memmove(recording->buffer, recording->buffer + recording->start,
            recording->end - recording->start);
    recording->end -= recording->start;
    recording->start = 0;
}

enum line_outcome { LINE_TAKEN, LINE_NONE, LINE_NO_ROOM, LINE_TOO_LONG };

/* The next whole line; it is taken by moving `start` to *next. NO_ROOM: the buffer must be
 * compacted for it, which a batch that holds something forbids. */
static enum status recording_line(struct recording *recording, struct slice *line, size_t *next,
                                  enum line_outcome *outcome, struct error *err)
{
    size_t searched = recording->start;
    for (;;) {
        const uint8_t *from = recording->buffer + searched;
        const uint8_t *feed = memchr(from, '\n', recording->end - searched);
        if (feed != NULL || recording->ended) {
            size_t stop = feed == NULL ? recording->end : (size_t)(feed - recording->buffer);
            *line = slice_of(recording->buffer + recording->start, stop - recording->start);
            *next = feed == NULL ? stop : stop + 1;
            *outcome = *next == recording->start ? LINE_NONE : LINE_TAKEN;
            return STATUS_OK;
        }
        searched = recording->end;
        if (recording->end == recording->capacity) {
            *outcome = recording->start == 0 ? LINE_TOO_LONG : LINE_NO_ROOM;
            return STATUS_OK;
        }
        enum status status = recording_fill(recording, err);
        if (status != STATUS_OK)
            return status;
    }
}

/* The buffer holds nothing but the inside of a line that is too long. */
static void recording_skip(struct recording *recording, struct text_parser *parser)
{
    if (!recording->skipping)
        batch_reject(parser->batch, 1, parser->index++, recording->line + 1, "line_too_long",
                     slice_of(NULL, 0), "the line is longer than %zu bytes", recording->capacity);
    recording->skipping = true;
    recording->start = recording->end = 0;
}

static bool batch_is_empty(const struct batch *batch)
{
    return batch->sample_count == 0 && batch->rejected == 0 && batch->metric_count == 0;
}

static void parser_follow(struct text_parser *parser, const struct recording *recording)
{
    parser->default_time_ms = recording->scrape_ms;
    parser->prefix = slice_of(recording->prefix, recording->prefix_size);
    parser->refused_by_line = recording->broken_line;
}

/* `start` is where the line begins in the document. */
static enum status recording_take(struct recording *recording, struct text_parser *parser,
                                  struct slice line, uint64_t start, struct error *err)
{
    recording->line++;
    parser->line = recording->line;
    if (recording->skipping) {
        recording->skipping = false;
        return STATUS_OK;
    }
    if (is_scrape_line(line)) {
        recording_scrape(recording, parser, line);
        recording->scrape_start = start;
        recording->scrape_size = recording_taken(recording) - start;
        parser_follow(parser, recording);
        return STATUS_OK;
    }
    enum status status = text_parser_line(parser, line);
    if (status != STATUS_OK)
        return fail(err, status, "line %u: no memory left for the scrape it belongs to",
                    recording->line);
    return STATUS_OK;
}

/* One scrape, or what of it goes into one batch; an empty batch where there is nothing to tell. */
static enum status recording_block(struct recording *recording, struct text_parser *parser,
                                   bool *finished, struct error *err)
{
    for (;;) {
        struct slice line;
        size_t next = 0;
        enum line_outcome outcome;
        enum status status = recording_line(recording, &line, &next, &outcome, err);
        if (status != STATUS_OK)
            return status;
        *finished = outcome == LINE_NONE;
        bool empty = batch_is_empty(parser->batch) && parser->metric.name.size == 0;
        bool next_scrape = outcome == LINE_TAKEN && !recording->skipping && is_scrape_line(line);
        if (*finished || (!empty && (outcome != LINE_TAKEN || next_scrape)))
            break;
        if (outcome == LINE_NO_ROOM) {
            recording_compact(recording);
        } else if (outcome == LINE_TOO_LONG) {
            recording_skip(recording, parser);
        } else {
            uint64_t start = recording_taken(recording);
            recording->start = next;
            status = recording_take(recording, parser, line, start, err);
            if (status != STATUS_OK)
                return status;
        }
    }
    enum status status = text_parser_finish(parser);
    if (status != STATUS_OK)
        return fail(err, status, "line %u: no memory left for the scrape it belongs to",
                    recording->line);
    return STATUS_OK;
}

enum status recording_next(struct recording *recording, struct batch *batch, struct arena *arena,
                           struct error *err)
{
    bool finished = false;
    do {
        batch_init(batch, arena, recording_decode_labels, PROTOCOL_TAG_RECORDING);
        struct text_parser parser;
        text_parser_init(&parser, batch, recording->now_ms);
        parser.prefixed = true;
        parser_follow(&parser, recording);
        if (recording->start > recording->capacity / 2)
            recording_compact(recording);
        enum status status = recording_block(recording, &parser, &finished, err);
        if (status != STATUS_OK)
            return status;
    } while (batch_is_empty(batch) && !finished);
    return batch_is_empty(batch) ? STATUS_END : STATUS_OK;
}
