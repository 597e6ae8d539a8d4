/*
 * import_format - which format a file has, and its content in pieces of bounded size, so that a
 * file of any size takes the same memory.
 *
 *   ndjson           some MiB of whole lines at a time
 *   text, recording  a scrape, or a part of one, at a time (protocols' recording)
 *   openmetrics      whole families, each piece closed by an "# EOF" of its own; a family of its
 *                    own that is larger than a piece is cut between samples where its type allows
 *   csv              some MiB of whole records at a time
 *   json             the whole document, up to a limit
 */
#include <stdlib.h>

#include "commands/file_name.h"
#include "commands/import.h"

enum {
    LINE_MAX_SIZE = 8 << 20, /* more than any line that the parser takes */
    OPENMETRICS_PIECE = 16 << 20,
    METADATA_MAX = 64 * 1024, /* of the family that is cut */
};

bool import_format_parse(const char *name, enum import_format *format)
{
    static const struct {
        const char *name;
        enum import_format format;
    } formats[] = {
        {"ndjson", IMPORT_NDJSON},           {"json", IMPORT_JSON},           {"text", IMPORT_TEXT},
        {"openmetrics", IMPORT_OPENMETRICS}, {"recording", IMPORT_RECORDING}, {"csv", IMPORT_CSV},
    };
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (strcmp(formats[i].name, name) == 0) {
            *format = formats[i].format;
            return true;
        }
    return false;
}

static void show_progress(struct import *import)
{
    progress_update(&import->progress, import->before_bytes + input_consumed(import->input),
                    import->total_bytes);
}

/* ---- telling formats apart -------------------------------------------------------------- */

static bool ends_with_eof(const uint8_t *data, size_t size)
{
    while (size > 0 && (data[size - 1] == '\n' || data[size - 1] == '\r'))
        size--;
    return size >= 5 && memcmp(data + size - 5, "# EOF", 5) == 0;
}

/* The next line of `*text` without its end, and *text behind it. */
static struct slice take_line(struct slice *text)
{
    const uint8_t *end = memchr(text->data, '\n', text->size);
    size_t size = end == NULL ? text->size : (size_t)(end - text->data);
    struct slice line = slice_of(text->data, size);
    *text = slice_from(*text, end == NULL ? size : size + 1);
    if (line.size > 0 && line.data[line.size - 1] == '\r')
        line.size--;
    return line;
}

static bool starts_with(struct slice text, const char *prefix)
{
    size_t size = strlen(prefix);
    return text.size >= size && memcmp(text.data, prefix, size) == 0;
}

static bool is_blank(struct slice line, size_t at)
{
    return line.data[at] == ' ' || line.data[at] == '\t';
}

static size_t skip_blanks(struct slice line, size_t at)
{
    while (at < line.size && is_blank(line, at))
        at++;
    return at;
}

static size_t skip_word(struct slice line, size_t at)
{
    while (at < line.size && !is_blank(line, at))
        at++;
    return at;
}

/* Of a sample line of either text format: what follows the value. Empty where there is nothing. */
static struct slice timestamp_of(struct slice line)
{
    bool quoted = false;
    bool braces = false;
    size_t at = 0;
    for (; at < line.size; at++) {
        uint8_t byte = line.data[at];
        if (quoted && byte == '\\' && at + 1 < line.size)
            at++;
        else if (byte == '"')
            quoted = !quoted;
        else if (!quoted && (byte == '{' || byte == '}'))
            braces = byte == '{';
        else if (!quoted && !braces && is_blank(line, at))
            break;
    }
    at = skip_blanks(line, at); /* before the value, */
    at = skip_word(line, at);   /* the value, */
    at = skip_blanks(line, at); /* and what is behind it */
    return slice_of(line.data + at, skip_word(line, at) - at);
}

/*
 * Text counts milliseconds, OpenMetrics seconds. *unclear: timestamps of ten digits and fewer,
 * which the one reads as 1970 and the other as today.
 */
static enum import_format exposition_format(struct slice start, bool *unclear)
{
    *unclear = false;
    while (start.size > 0) {
        struct slice line = take_line(&start);
        if (starts_with(line, "#SCRAPE "))
            return IMPORT_RECORDING;
        if (starts_with(line, "# UNIT "))
            return IMPORT_OPENMETRICS;
        if (start.size == 0 || line.size == 0 || line.data[0] == '#')
            continue; /* the last line may be cut */
        struct slice time = timestamp_of(line);
        if (time.size == 0 || time.data[0] == '#')
            continue;
        if (memchr(time.data, '.', time.size) != NULL)
            return IMPORT_OPENMETRICS;
        *unclear |= time.size <= 11;
    }
    return IMPORT_TEXT;
}

/* Begins with '{': one sample a line, or a document over many lines? */
static enum import_format object_format(struct slice start)
{
    struct slice rest = start;
    struct slice line = take_line(&rest);
    while (line.size > 0 && line.data[line.size - 1] <= ' ')
        line.size--;
    struct slice after = slice_from(line, 1);
    while (after.size > 0 && after.data[0] <= ' ')
        after = slice_from(after, 1);
    if (after.size == 0 || starts_with(after, "\"metrics\"") || line.data[line.size - 1] != '}')
        return IMPORT_JSON;
    return IMPORT_NDJSON;
}

/* A header that names a metric and its value, as export writes one. No line of another format has
 * these between commas. */
static bool is_csv_header(struct slice start)
{
    static const char mark[] = "\xef\xbb\xbf";
    if (starts_with(start, mark))
        start = slice_from(start, sizeof mark - 1);
    struct slice line = take_line(&start);
    bool name = false;
    bool value = false;
    while (line.data != NULL) {
        const uint8_t *comma = line.size == 0 ? NULL : memchr(line.data, ',', line.size);
        size_t size = comma == NULL ? line.size : (size_t)(comma - line.data);
        struct slice cell = slice_of(line.data, size);
        name = name || slice_equal_text(cell, "name") || slice_equal_text(cell, "metric") ||
               slice_equal_text(cell, METRIC_NAME_LABEL);
        value = value || slice_equal_text(cell, "value");
        line = comma == NULL ? slice_of(NULL, 0) : slice_from(line, size + 1);
    }
    return name && value;
}

static enum status detect_text(struct import *import, struct slice start, bool whole,
                               enum import_format *format, struct error *err)
{
    const char *name = input_name(import->input);
    uint8_t tail[INPUT_TAIL_SIZE];
    size_t tail_size = 0;
    enum status status = input_tail(import->input, tail, &tail_size, err);
    if (status != STATUS_OK)
        return status;
    bool unclear = false;
    *format = exposition_format(start, &unclear);
    if (*format == IMPORT_RECORDING)
        return STATUS_OK;
    if (ends_with_eof(tail, tail_size) || (whole && ends_with_eof(start.data, start.size)) ||
        file_name_ends_with(name, ".om") || file_name_ends_with(name, ".openmetrics"))
        *format = IMPORT_OPENMETRICS;
    else if (tail_size > 0 || whole || file_name_ends_with(name, ".prom"))
        *format = IMPORT_TEXT; /* its end was seen, and is no "# EOF" */
    else if (unclear)
        return fail(err, STATUS_INVALID,
                    "%s: its times may be seconds (OpenMetrics) or milliseconds (text); say which "
                    "with --format openmetrics or --format text",
                    name);
    return STATUS_OK;
}

static enum status detect(struct import *import, enum import_format *format, struct error *err)
{
    struct slice start;
    bool whole;
    enum status status = input_peek(import->input, &start, &whole, err);
    *format = import->format;
    if (status != STATUS_OK || *format != IMPORT_AUTO)
        return status;
    const char *name = input_name(import->input);
    struct slice rest = start;
    while (rest.size > 0 && (rest.data[0] == ' ' || rest.data[0] == '\n' || rest.data[0] == '\r' ||
                             rest.data[0] == '\t'))
        rest = slice_from(rest, 1);
    if (import->columns != NULL || file_name_ends_with(name, ".csv") || is_csv_header(rest))
        *format = IMPORT_CSV;
    else if (rest.size == 0 || file_name_ends_with(name, ".ndjson") ||
             file_name_ends_with(name, ".jsonl"))
        *format = IMPORT_NDJSON;
    else if (rest.data[0] == '[')
        *format = IMPORT_JSON;
    else if (rest.data[0] == '{' && rest.size > 1 && memchr(rest.data, ':', rest.size) != NULL)
        *format = object_format(rest);
    else if (memchr(rest.data, 0, rest.size) != NULL)
        return fail(err, STATUS_INVALID,
                    "%s is not text of any format that import reads (ndjson, json, csv, "
                    "text, openmetrics, recording), nor gzip or zstd of it",
                    name);
    else
        return detect_text(import, start, whole, format, err);
    return STATUS_OK;
}

/* ---- lines ------------------------------------------------------------------------------ */

struct piece {
    struct import *import;
    uint8_t *data;
    size_t used, capacity;
    bool ended;
    enum status failed; /* reading: what came before is handed on first */
    uint64_t line;      /* of the first byte, from 1 */
    uint64_t offset;    /* of the first byte, in what this run reads */
};

static enum status piece_init(struct piece *piece, struct import *import, size_t capacity,
                              struct error *err)
{
    *piece = (struct piece){
        .import = import, .capacity = capacity, .line = import_resume_first_line(import)};
    piece->data = malloc(capacity);
    if (piece->data != NULL)
        return STATUS_OK;
    fail(err, STATUS_MEMORY, "no memory to read %s", input_name(import->input));
    return STATUS_MEMORY;
}

/* Until there are `wanted` bytes, or no more. */
static void piece_fill(struct piece *piece, size_t wanted, struct error *err)
{
    while (piece->used < wanted && !piece->ended) {
        size_t got = 0;
        piece->failed = input_read(piece->import->input, piece->data + piece->used,
                                   piece->capacity - piece->used, &got, err);
        piece->used += got;
        piece->ended = got == 0 || piece->failed != STATUS_OK;
    }
    show_progress(piece->import);
}

static uint64_t count_lines(const uint8_t *data, size_t size)
{
    uint64_t lines = 0;
    const uint8_t *end = data + size;
    while (data < end && (data = memchr(data, '\n', (size_t)(end - data))) != NULL) {
        lines++;
        data++;
    }
    return lines;
}

static void piece_drop(struct piece *piece, size_t size)
{
    piece->line += count_lines(piece->data, size);
    piece->offset += size;
    memmove(piece->data, piece->data + size, piece->used - size);
    piece->used -= size;
}

/* Behind the last line end before `end`; 0 where there is none. */
static size_t last_line_end(const struct piece *piece, size_t end)
{
    const uint8_t *found = end == 0 ? NULL : memrchr(piece->data, '\n', end);
    return found == NULL ? 0 : (size_t)(found - piece->data) + 1;
}

/* What could be read was handed on; `why` the rest could not. */
static enum status piece_outcome(const struct piece *piece, enum status status,
                                 const struct error *why, struct error *err)
{
    if (status != STATUS_OK || piece->failed == STATUS_OK)
        return status;
    *err = *why;
    return piece->failed;
}

/* A line that fills the whole buffer. */
static void skip_line(struct piece *piece, struct error *err)
{
    uint64_t line = piece->line;
    do {
        piece->offset += piece->used;
        piece->used = 0;
        piece_fill(piece, 1, err);
    } while (piece->used > 0 && memchr(piece->data, '\n', piece->used) == NULL);
    piece->import->summary.rejected++;
    import_refuse(piece->import, 1, slice_from_text("sample_too_large"), line,
                  slice_from_text("the line is longer than 8 MiB"));
    if (piece->used > 0) {
        const uint8_t *end = memchr(piece->data, '\n', piece->used);
        piece_drop(piece, (size_t)(end - piece->data) + 1);
        piece->line = line + 1;
    }
}

/* The last line in `text`, with its end if it has one. */
static struct slice last_line(struct slice text)
{
    const uint8_t *feed = text.size < 2 ? NULL : memrchr(text.data, '\n', text.size - 1);
    return feed == NULL ? text : slice_from(text, (size_t)(feed - text.data) + 1);
}

/* A sample of these lines to find them again by: the last one, if it has a time of its own. */
static void lines_candidate(struct import *import, struct json_parser *parser, struct slice lines)
{
    struct json_options options = {.now_ms = clock_wall_ms(import->os.clock),
                                   .precision = import->precision};
    struct arena arena;
    struct batch batch;
    arena_init(&arena, IMPORT_ARENA_SIZE);
    if (protocols_ndjson_parse(parser, last_line(lines), &options, &arena, &batch, NULL) !=
        STATUS_OK)
        batch_init(&batch, &arena, protocols_json_decode_labels, 0);
    if (batch.sample_count > 0 && batch.sample_times[0] == options.now_ms)
        batch.sample_count = 0;
    batch.rejected = 0; /* the target counts it */
    import_resume_candidate(import, &batch);
    arena_release(&arena);
}

/* What stood before the piece is safe. */
static void piece_mark(const struct piece *piece)
{
    struct protocol_position here = {.settled = true, .offset = piece->offset, .line = piece->line};
    struct protocol_position place = import_resume_place(piece->import, &here);
    import_resume_mark(piece->import, &place);
}

static enum status import_lines(struct import *import, struct error *err)
{
    struct piece piece = {0};
    struct error why = {0};
    struct protocol_limits limits = {.decoded_max_bytes = LINE_MAX_SIZE,
                                     .json_max_depth = JSON_DEPTH_CEILING};
    struct json_parser *parser = NULL;
    enum status status = json_parser_new(&parser, &limits, err);
    if (status == STATUS_OK)
        status = piece_init(&piece, import, LINE_MAX_SIZE, err);
    while (status == STATUS_OK) {
        piece_fill(&piece, IMPORT_CHUNK_SIZE, &why);
        size_t size = piece.ended && piece.failed == STATUS_OK ? piece.used
                                                               : last_line_end(&piece, piece.used);
        if (piece.failed == STATUS_CANCELLED || (piece.ended && size == 0))
            break;
        if (size == 0) {
            piece_fill(&piece, piece.capacity, &why);
            if (last_line_end(&piece, piece.used) == 0 && piece.used == piece.capacity)
                skip_line(&piece, &why);
            continue;
        }
        lines_candidate(import, parser, slice_of(piece.data, size));
        status =
            import->target->ops->lines(import->target, slice_of(piece.data, size), piece.line, err);
        piece_drop(&piece, size);
        if (status == STATUS_OK)
            piece_mark(&piece);
    }
    json_parser_free(parser);
    free(piece.data);
    return piece_outcome(&piece, status, &why, err);
}

/* ---- one document ----------------------------------------------------------------------- */

static enum status import_document(struct import *import, struct error *err)
{
    struct piece piece;
    size_t max = import->target->ops->document_max(import->target);
    enum status status = piece_init(&piece, import, max + 1, err);
    if (status == STATUS_OK) {
        piece_fill(&piece, piece.capacity, err);
        status = piece.failed;
    }
    if (status == STATUS_OK && piece.used > max)
        status = fail(err, STATUS_LIMIT,
                      "%s: a JSON document of more than %zu bytes is not read at once; write one "
                      "sample a line (NDJSON), or raise server.max_decoded_size",
                      input_name(import->input), max);
    if (status == STATUS_OK)
        status = import->target->ops->json(import->target, slice_of(piece.data, piece.used), err);
    free(piece.data);
    return status;
}

/* ---- OpenMetrics ------------------------------------------------------------------------ */

/* The family that a metadata line is about; empty for another line. */
static struct slice family_of(struct slice line)
{
    if (!starts_with(line, "# TYPE ") && !starts_with(line, "# HELP ") &&
        !starts_with(line, "# UNIT "))
        return slice_of(NULL, 0);
    struct slice name = slice_from(line, 7);
    const uint8_t *space = memchr(name.data, ' ', name.size);
    return slice_of(name.data, space == NULL ? name.size : (size_t)(space - name.data));
}

/* Where the metadata of the last family in the piece begins; 0 where that is its start. */
static size_t last_family(const struct piece *piece)
{
    size_t end = last_line_end(piece, piece->used);
    size_t found = 0;
    struct slice family = slice_of(NULL, 0);
    while (end > 0) {
        size_t start = last_line_end(piece, end - 1);
        struct slice about = family_of(slice_of(piece->data + start, end - start - 1));
        if (family.size > 0 && !slice_equal(about, family))
            return found;
        if (about.size > 0) {
            family = about;
            found = start;
        }
        end = start;
    }
    return 0;
}

/* The metadata lines that the piece begins with. False where they are too long, or the family's
 * samples belong together in groups that a cut would break. */
static bool can_be_cut(const struct piece *piece, size_t *metadata)
{
    static const char *const loose[] = {" counter", " gauge", " unknown", " info"};
    struct slice rest = slice_of(piece->data, piece->used);
    bool good = true;
    *metadata = 0;
    while (rest.size > 0) {
        struct slice line = take_line(&rest);
        if (family_of(line).size == 0)
            break;
        *metadata = (size_t)(rest.data - piece->data);
        if (!starts_with(line, "# TYPE "))
            continue;
        good = false;
        for (size_t i = 0; i < sizeof loose / sizeof loose[0]; i++) {
            size_t size = strlen(loose[i]);
            good |= line.size > size && memcmp(line.data + line.size - size, loose[i], size) == 0;
        }
    }
    return good && *metadata <= METADATA_MAX;
}

/* A sample of the document's part to find it again by: one of the last, with a time of its own. */
static void families_candidate(struct import *import, struct slice text)
{
    static const char end[] = "\n# EOF\n";
    enum { LINES_TRIED = 32 };
    struct arena arena;
    struct batch batch;
    arena_init(&arena, IMPORT_ARENA_SIZE);
    batch_init(&batch, &arena, protocols_exposition_decode_labels, PROTOCOL_TAG_EXPOSITION);
    for (size_t i = 0; i < LINES_TRIED && text.size > 0; i++) {
        struct slice line = last_line(text);
        text.size -= line.size;
        size_t size = line.size - (line.data[line.size - 1] == '\n');
        uint8_t *document = arena_alloc(&arena, size + sizeof end - 1);
        if (document == NULL || line.data[0] == '#')
            continue;
        memcpy(document, line.data, size);
        memcpy(document + size, end, sizeof end - 1);
        batch_init(&batch, &arena, protocols_exposition_decode_labels, PROTOCOL_TAG_EXPOSITION);
        if (protocols_openmetrics_parse(slice_of(document, size + sizeof end - 1), INT64_MIN, 0,
                                        &batch, NULL) == STATUS_OK &&
            batch.sample_count == 1 && batch.sample_times[0] != INT64_MIN)
            break;
        batch.sample_count = 0;
    }
    batch.rejected = 0; /* the target counts it */
    import_resume_candidate(import, &batch);
    arena_release(&arena);
}

static enum status send_families(struct piece *piece, size_t size, bool add_end, struct error *err)
{
    static const char end[] = "# EOF\n";
    enum { END_SIZE = sizeof end - 1 };
    struct import *import = piece->import;
    uint8_t saved[END_SIZE];
    /* The end goes over what follows for the moment; there is room for it behind the buffer. */
    memcpy(saved, piece->data + size, END_SIZE);
    families_candidate(import, slice_of(piece->data, size));
    if (add_end)
        memcpy(piece->data + size, end, END_SIZE);
    enum status status = import->target->ops->openmetrics(
        import->target, slice_of(piece->data, add_end ? size + END_SIZE : size), piece->line, err);
    if (add_end)
        memcpy(piece->data + size, saved, END_SIZE);
    return status;
}

/* The metadata that a piece begins with. */
struct families {
    uint64_t metadata_offset; /* in what this run reads */
    bool repeated;            /* it stands further up in the file than what follows it */
};

/* Behind `cut` reading may go on, with the metadata before it. */
static void mark_families(const struct piece *piece, const struct families *families, size_t cut,
                          size_t metadata)
{
    struct protocol_position here = {
        .settled = true,
        .offset = piece->offset + cut,
        .line = piece->line + count_lines(piece->data, cut),
        .context_start = families->metadata_offset,
        .context_size = metadata,
        .context_lines = count_lines(piece->data, metadata),
    };
    struct protocol_position place = import_resume_place(piece->import, &here);
    import_resume_mark(piece->import, &place);
}

/* A full piece without an end. */
static enum status send_part(struct piece *piece, struct families *families, struct error *err)
{
    size_t metadata = 0;
    size_t cut = last_family(piece);
    if (cut == 0) {
        cut = last_line_end(piece, piece->used);
        if (!can_be_cut(piece, &metadata) || cut <= metadata)
            return fail(err, STATUS_LIMIT,
                        "%s, line %llu: a family of more than %d MiB is not read at once",
                        input_name(piece->import->input), (unsigned long long)piece->line,
                        OPENMETRICS_PIECE >> 20);
    }
    enum status status = send_families(piece, cut, true, err);
    if (status != STATUS_OK)
        return status;
    if (!families->repeated)
        families->metadata_offset = piece->offset;
    mark_families(piece, families, cut, metadata);
    families->repeated = metadata > 0;
    /* The rest of a family that was cut needs its metadata again. Its offset is then as if it stood
     * right before that rest. */
    piece->offset += cut - metadata;
    uint64_t line = piece->line + count_lines(piece->data, cut);
    memmove(piece->data + metadata, piece->data + cut, piece->used - cut);
    piece->used -= cut - metadata;
    piece->line = line - count_lines(piece->data, metadata);
    return STATUS_OK;
}

static enum status import_openmetrics(struct import *import, struct error *err)
{
    struct piece piece;
    struct families families = {.repeated = import->resume.begun.context_size > 0};
    enum { SLACK = 16 };
    enum status status = piece_init(&piece, import, OPENMETRICS_PIECE + SLACK, err);
    if (status == STATUS_OK) {
        memset(piece.data + OPENMETRICS_PIECE, 0, SLACK);
        piece.capacity = OPENMETRICS_PIECE;
    }
    while (status == STATUS_OK) {
        piece_fill(&piece, OPENMETRICS_PIECE, err);
        if (piece.failed != STATUS_OK)
            status = piece.failed;
        else if (piece.ended)
            break;
        else
            status = send_part(&piece, &families, err);
    }
    if (status == STATUS_OK)
        status = send_families(&piece, piece.used, false, err);
    if (status == STATUS_OK)
        mark_families(&piece, &families, piece.used, 0);
    free(piece.data);
    return status;
}

/* ---- CSV -------------------------------------------------------------------------------- */

/* Hands on the whole records that the piece begins with; what is behind them stays in it. */
static enum status send_records(struct piece *piece, struct csv_parser *parser, struct arena *arena,
                                struct error *err)
{
    struct import *import = piece->import;
    struct batch batch;
    size_t taken = 0;
    bool ended = piece->ended && piece->failed == STATUS_OK;
    batch_init(&batch, arena, protocols_csv_decode_labels, PROTOCOL_TAG_CSV);
    enum status status =
        csv_parser_take(parser, slice_of(piece->data, piece->used), ended, &batch, &taken, err);
    if (status != STATUS_OK)
        error_prefix(err, "%s", input_name(import->input));
    else if (taken == 0)
        return STATUS_END;
    if (status == STATUS_OK) {
        import_resume_candidate(import, &batch);
        status = import->target->ops->batch(import->target, &batch, err);
    }
    arena_reset(arena, IMPORT_CHUNK_SIZE);
    if (status != STATUS_OK)
        return status;
    piece_drop(piece, taken);
    struct protocol_position position;
    csv_parser_position(parser, &position);
    position = import_resume_place(import, &position);
    import_resume_mark(import, &position);
    return STATUS_OK;
}

static enum status import_csv(struct import *import, struct error *err)
{
    struct csv_options options = {
        .now_ms = import->resume.now_ms,
        .precision = import->precision,
        .format = slice_from_text(import->columns == NULL ? "" : import->columns),
        .header = import->csv_header,
    };
    struct csv_parser *parser = NULL;
    struct arena arena;
    struct piece piece = {0};
    struct error why = {0};
    arena_init(&arena, IMPORT_ARENA_SIZE);
    enum status status = csv_parser_new(&parser, &options, err);
    if (status == STATUS_OK) {
        csv_parser_set_line(parser, import_resume_first_line(import));
        status = piece_init(&piece, import, LINE_MAX_SIZE, err);
    }
    while (status == STATUS_OK) {
        piece_fill(&piece, IMPORT_CHUNK_SIZE, &why);
        if (piece.failed == STATUS_CANCELLED)
            break;
        status = send_records(&piece, parser, &arena, err);
        if (status == STATUS_END && !piece.ended && piece.used < piece.capacity) {
            piece_fill(&piece, piece.capacity, &why);
            status = STATUS_OK;
        }
    }
    free(piece.data);
    csv_parser_free(parser);
    arena_release(&arena);
    return piece_outcome(&piece, status == STATUS_END ? STATUS_OK : status, &why, err);
}

/* ---- text and recordings ---------------------------------------------------------------- */

static enum status import_scrapes(struct import *import, struct error *err)
{
    struct recording *recording = NULL;
    struct arena arena;
    arena_init(&arena, IMPORT_ARENA_SIZE);
    enum status status =
        recording_new(&recording, input_read, import->input, slice_from_text(import->job),
                      import->resume.now_ms, RECORDING_BUFFER_SIZE, err);
    if (status == STATUS_OK)
        recording_set_line(recording, import_resume_first_line(import));
    while (status == STATUS_OK) {
        struct batch batch;
        status = recording_next(recording, &batch, &arena, err);
        if (status != STATUS_OK)
            break;
        import_resume_candidate(import, &batch);
        status = import->target->ops->batch(import->target, &batch, err);
        arena_reset(&arena, IMPORT_CHUNK_SIZE);
        show_progress(import);
        if (status == STATUS_OK) {
            struct protocol_position position;
            recording_position(recording, &position);
            position = import_resume_place(import, &position);
            import_resume_mark(import, &position);
        }
        if (status == STATUS_OK && interrupt_pending(&import->interrupt))
            status = interrupt_fail(err);
    }
    recording_free(recording);
    arena_release(&arena);
    return status == STATUS_END ? STATUS_OK : status;
}

enum status import_content(struct import *import, struct error *err)
{
    enum import_format format = IMPORT_AUTO;
    enum status status = detect(import, &format, err);
    if (status != STATUS_OK)
        return status;
    switch (format) {
    case IMPORT_NDJSON:
        return import_lines(import, err);
    case IMPORT_JSON:
        return import_document(import, err);
    case IMPORT_OPENMETRICS:
        return import_openmetrics(import, err);
    case IMPORT_CSV:
        return import_csv(import, err);
    case IMPORT_TEXT:
    case IMPORT_RECORDING:
    case IMPORT_AUTO:
        break;
    }
    return import_scrapes(import, err);
}
