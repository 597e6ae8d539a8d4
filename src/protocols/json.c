/*
 * json - the three forms of a JSON body: one sample, a batch, lines.
 *
 * Lines are indexed many at a time. That works because a string cannot hold a bare line end: if a
 * run of lines indexes well, each line begins and ends outside of strings. Where one line is
 * broken, each line of that run is indexed alone, so that it spoils no other.
 */
#include "protocols/json_document.h"
#include "protocols/json_sample.h"
#include "protocols/protocols.h"

/* Tells these label bytes from other formats' (batch.h): "json". */
#define JSON_HASH_TAG UINT64_C(0x6e6f736a)

/* ---- documents ---- */

static void reader_init(struct json_reader *reader, struct arena *arena, struct batch *batch,
                        const struct json_options *options)
{
    batch_init(batch, arena, protocols_json_decode_labels, JSON_HASH_TAG);
    reader->options = options;
    reader->batch = batch;
    reader->refused = NULL;
}

enum status protocols_json_parse_sample(struct json_parser *parser, struct slice body,
                                        const struct json_options *options, struct arena *arena,
                                        struct batch *batch, struct error *err)
{
    struct json_reader reader;
    struct json_sample sample;
    reader_init(&reader, arena, batch, options);
    json_tokens_document(&reader.tokens, parser->index, body, parser->max_depth);
    bool read = json_next(&reader.tokens) != NULL ||
                json_refuse(&reader.tokens, NULL, "the body is empty; send one JSON object");
    read = read && json_sample_parse(&reader, &sample, 0) && json_document_end(&reader.tokens);
    json_index_trim(parser->index, JSON_WINDOW_SIZE);
    if (!read)
        return json_document_failed(&reader.tokens, err);
    enum status status = json_sample_store(&reader, &sample, (struct json_place){0});
    return status == STATUS_OK ? STATUS_OK : json_arena_failed(status, err);
}

/* The elements of the array whose opening bracket is the last token; `depth` is theirs. */
static bool samples_parse(struct json_reader *reader, uint32_t depth, enum status *status)
{
    struct json_tokens *tokens = &reader->tokens;
    struct json_place place = {0};
    const uint8_t *at = json_next(tokens);
    if (at != NULL && *at == ']')
        return true;
    while (at != NULL) {
        struct json_sample sample;
        if (!json_sample_parse(reader, &sample, depth))
            return false;
        *status = json_sample_store(reader, &sample, place);
        if (*status != STATUS_OK)
            return false;
        place.index++;
        at = json_next(tokens);
        if (at != NULL && *at == ']')
            return true;
        if (at == NULL || *at != ',')
            break;
        at = json_next(tokens);
    }
    return json_refuse(tokens, at, "expected ',' or ']' after a sample");
}

/* {"metrics":[...]}, after its brace. */
static bool metrics_parse(struct json_reader *reader, enum status *status)
{
    static const char wanted[] = "expected {\"metrics\":[...]} with no other member";
    struct json_tokens *tokens = &reader->tokens;
    const uint8_t *at = json_next(tokens);
    if (at == NULL || *at != '"' || !slice_equal_text(json_token(tokens), "\"metrics\""))
        return json_refuse(tokens, at,
                           "expected an array of samples or {\"metrics\":[...]}; a single sample "
                           "goes to /api/v1/metrics/ingest");
    return json_expect(tokens, ':', wanted) && json_expect(tokens, '[', wanted) &&
           samples_parse(reader, 2, status) && json_expect(tokens, '}', wanted);
}

static bool batch_parse(struct json_reader *reader, enum status *status)
{
    struct json_tokens *tokens = &reader->tokens;
    const uint8_t *at = json_next(tokens);
    if (at == NULL)
        return json_refuse(tokens, at,
                           "the body is empty; send an array of samples, [] if there are none");
    if (*at == '[')
        return samples_parse(reader, 1, status);
    if (*at == '{')
        return metrics_parse(reader, status);
    return json_refuse(tokens, at, "expected an array of samples or {\"metrics\":[...]}");
}

enum status protocols_json_parse_batch(struct json_parser *parser, struct slice body,
                                       const struct json_options *options, struct arena *arena,
                                       struct batch *batch, struct error *err)
{
    struct json_reader reader;
    reader_init(&reader, arena, batch, options);
    json_tokens_document(&reader.tokens, parser->index, body, parser->max_depth);
    enum status status = STATUS_OK;
    bool read = batch_parse(&reader, &status) && json_document_end(&reader.tokens);
    json_index_trim(parser->index, JSON_WINDOW_SIZE);
    if (status != STATUS_OK)
        return json_arena_failed(status, err);
    return read ? STATUS_OK : json_document_failed(&reader.tokens, err);
}

/* ---- lines ---- */

static const uint8_t *line_end(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *found = memchr(at, '\n', (size_t)(end - at));
    return found != NULL ? found : end;
}

/* Refuses the line from `start` to `end` for the fault of the tokens, and clears that. MEMORY and
 * LIMIT are no fault of the line. */
static enum status line_refuse(struct json_reader *reader, const uint8_t *start, const uint8_t *end,
                               struct json_place place)
{
    struct json_fault fault = reader->tokens.fault;
    reader->tokens.fault = (struct json_fault){.status = STATUS_OK};
    if (fault.status != STATUS_INVALID && fault.code == NULL)
        return fault.status;
    if (fault.at >= end)
        batch_reject(reader->batch, 1, place.index, place.line, fault.code, slice_of("", 0),
                     "column %zu: the line ends inside the sample", (size_t)(end - start) + 1);
    else
        batch_reject(reader->batch, 1, place.index, place.line, fault.code, slice_of("", 0),
                     "column %zu: %s", (size_t)(fault.at - start) + 1, fault.what);
    return STATUS_OK;
}

/* Whether tokens of the line that ends at `end` are left. */
static inline bool line_has_token(const struct json_tokens *tokens, const uint8_t *end)
{
    return tokens->next < tokens->count && tokens->window + tokens->offsets[tokens->next] < end;
}

/* Reads the line from `start` to `end`, whose tokens come next and are all taken. */
static enum status line_parse(struct json_reader *reader, const uint8_t *start, const uint8_t *end,
                              struct json_place *place)
{
    struct json_tokens *tokens = &reader->tokens;
    struct json_sample sample;
    if (!line_has_token(tokens, end))
        return STATUS_OK;
    size_t first = tokens->next;
    bool read = json_next(tokens) != NULL && json_sample_parse(reader, &sample, 0);
    if (read && tokens->last >= end)
        read = json_refuse(tokens, end, "the line ends inside the sample");
    if (read && line_has_token(tokens, end))
        read = json_refuse(tokens, tokens->window + tokens->offsets[tokens->next],
                           "text after the end of the sample");
    enum status status;
    if (read) {
        status = json_sample_store(reader, &sample, *place);
    } else {
        status = line_refuse(reader, start, end, *place);
        tokens->next = first; /* a broken line may have taken tokens of the next */
        while (line_has_token(tokens, end))
            tokens->next++;
    }
    place->index++;
    return status;
}

/* The lines of `text`, each indexed alone. */
static enum status lines_alone(struct json_reader *reader, struct slice text,
                               struct json_place *place)
{
    const uint8_t *text_end = text.data + text.size;
    const uint8_t *end;
    for (const uint8_t *at = text.data; at < text_end; at = end + 1) {
        end = line_end(at, text_end);
        struct slice line = slice_of(at, (size_t)(end - at));
        place->line++;
        enum status status = json_tokens_window(&reader->tokens, line);
        if (status == STATUS_OK) {
            status = line_parse(reader, at, end, place);
        } else if (status == STATUS_INVALID) {
            json_diagnose(line, &reader->tokens.fault);
            status = line_refuse(reader, at, end, *place);
            place->index++;
        }
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* The lines of `text`, indexed together where none is broken. */
static enum status lines_together(struct json_reader *reader, struct slice text,
                                  struct json_place *place)
{
    const uint8_t *text_end = text.data + text.size;
    enum status status = json_tokens_window(&reader->tokens, text);
    if (status == STATUS_INVALID)
        return lines_alone(reader, text, place);
    const uint8_t *end;
    for (const uint8_t *at = text.data; at < text_end && status == STATUS_OK; at = end + 1) {
        end = line_end(at, text_end);
        place->line++;
        status = line_parse(reader, at, end, place);
    }
    return status;
}

/* How many bytes of `rest` make the next window: whole lines, one at least. */
static size_t window_size(struct slice rest)
{
    if (rest.size <= JSON_WINDOW_SIZE)
        return rest.size;
    const uint8_t *last = memrchr(rest.data, '\n', JSON_WINDOW_SIZE);
    if (last != NULL)
        return (size_t)(last - rest.data) + 1;
    const uint8_t *end = rest.data + rest.size;
    const uint8_t *first = line_end(rest.data + JSON_WINDOW_SIZE, end);
    return (size_t)(first - rest.data) + (first < end);
}

/* Room for as many samples as there are lines, were all as long as the first. */
static void lines_reserve(struct batch *batch, struct slice body)
{
    enum { SMALLEST = 64 }; /* so that the room is in proportion to the body */
    if (body.size == 0)
        return;
    size_t first = (size_t)(line_end(body.data, body.data + body.size) - body.data) + 1;
    size_t expected = body.size / (first > SMALLEST ? first : SMALLEST) + 1;
    batch_reserve(batch, expected, expected);
}

enum status protocols_ndjson_parse(struct json_parser *parser, struct slice body,
                                   const struct json_options *options, struct arena *arena,
                                   struct batch *batch, struct error *err)
{
    struct json_reader reader;
    struct json_place place = {0};
    reader_init(&reader, arena, batch, options);
    lines_reserve(batch, body);
    json_tokens_lines(&reader.tokens, parser->index, body, parser->max_depth);
    enum status status = STATUS_OK;
    for (size_t offset = 0; offset < body.size && status == STATUS_OK;) {
        struct slice text = slice_of(body.data + offset, body.size - offset);
        text.size = window_size(text);
        offset += text.size;
        if (text.size <= JSON_WINDOW_MAX_SIZE) {
            status = lines_together(&reader, text, &place);
            continue;
        }
        place.line++;
        batch_reject(batch, 1, place.index++, place.line, "sample_too_large", slice_of("", 0),
                     "a line of %zu bytes; at most %d are accepted", text.size,
                     JSON_WINDOW_MAX_SIZE);
    }
    json_index_trim(parser->index, JSON_WINDOW_SIZE);
    return status == STATUS_OK ? STATUS_OK : json_arena_failed(status, err);
}
