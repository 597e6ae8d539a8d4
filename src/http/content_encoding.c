#include "http/content_encoding.h"

#include <stdlib.h>
#include <strings.h>

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/bits.h"
#include "base/invariant.h"

/* Deflate cannot shrink bytes further than this. */
enum { DEFLATE_MAX_RATIO = 1032 };
enum { INFLATE_STEP = 1 << 30 };
/* A body that grows this much over its first MiB is taken at its word when it declares too much. */
enum { BOMB_PROBE = 1 << 20, BOMB_RATIO = 100 };
enum { GZIP_WINDOW = 15 + 16, ZLIB_WINDOW = 15, RAW_WINDOW = -15 };

static const struct {
    const char *token;
    enum http_coding coding;
} codings[] = {
    {"identity", HTTP_CODING_IDENTITY}, {"gzip", HTTP_CODING_GZIP},
    {"x-gzip", HTTP_CODING_GZIP},       {"zstd", HTTP_CODING_ZSTD},
    {"deflate", HTTP_CODING_DEFLATE},   {"snappy", HTTP_CODING_SNAPPY},
};

const char *http_coding_name(enum http_coding coding)
{
    switch (coding) {
    case HTTP_CODING_GZIP:
        return "gzip";
    case HTTP_CODING_ZSTD:
        return "zstd";
    case HTTP_CODING_DEFLATE:
        return "deflate";
    case HTTP_CODING_SNAPPY:
        return "snappy";
    case HTTP_CODING_IDENTITY:
        break;
    }
    return "";
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

static struct slice trimmed(struct slice text)
{
    while (text.size > 0 && is_blank(text.data[0]))
        text = slice_from(text, 1);
    while (text.size > 0 && is_blank(text.data[text.size - 1]))
        text.size--;
    return text;
}

/* Takes the text before the next `separator` off *rest, without blanks around it. */
static struct slice next_item(struct slice *rest, char separator)
{
    const uint8_t *at = rest->size == 0 ? NULL : memchr(rest->data, separator, rest->size);
    size_t size = at == NULL ? rest->size : (size_t)(at - rest->data);
    struct slice item = slice_of(rest->data, size);
    *rest = at == NULL ? slice_of(NULL, 0) : slice_from(*rest, size + 1);
    return trimmed(item);
}

static bool token_is(struct slice text, const char *token)
{
    return text.size == strlen(token) &&
           strncasecmp((const char *)text.data, token, text.size) == 0;
}

static bool coding_find(struct slice token, enum http_coding *coding)
{
    for (size_t i = 0; i < sizeof codings / sizeof codings[0]; i++)
        if (token_is(token, codings[i].token)) {
            *coding = codings[i].coding;
            return true;
        }
    return false;
}

enum status http_coding_parse(struct slice header, enum http_coding *coding, struct error *err)
{
    *coding = HTTP_CODING_IDENTITY;
    while (header.size > 0) {
        struct slice token = next_item(&header, ',');
        enum http_coding found = HTTP_CODING_IDENTITY;
        if (token.size == 0)
            continue;
        if (!coding_find(token, &found))
            return fail_code(err, STATUS_UNSUPPORTED, "unsupported_content_encoding",
                             "unknown Content-Encoding \"%.*s\"", SLICE_FORMAT(token));
        if (found == HTTP_CODING_IDENTITY)
            continue;
        if (*coding != HTTP_CODING_IDENTITY)
            return fail_code(err, STATUS_UNSUPPORTED, "unsupported_content_encoding",
                             "more than one Content-Encoding: encode the body once");
        *coding = found;
    }
    return STATUS_OK;
}

/* "0.8" -> 800; what is no weight counts as 0, so that it is not chosen. */
static int weight_parse(struct slice text)
{
    if (text.size == 0 || text.size > 5 || (text.data[0] != '0' && text.data[0] != '1'))
        return 0;
    int weight = (text.data[0] - '0') * 1000;
    if (text.size > 1 && text.data[1] != '.')
        return 0;
    int unit = 100;
    for (size_t i = 2; i < text.size; i++, unit /= 10) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return 0;
        weight += (text.data[i] - '0') * unit;
    }
    return weight > 1000 ? 0 : weight;
}

static int item_weight(struct slice parameters)
{
    while (parameters.size > 0) {
        struct slice parameter = next_item(&parameters, ';');
        if (parameter.size >= 2 && (parameter.data[0] | 0x20) == 'q' && parameter.data[1] == '=')
            return weight_parse(slice_from(parameter, 2));
    }
    return 1000;
}

enum http_coding http_coding_choose(struct slice accept_encoding)
{
    int gzip = -1, zstd = -1, identity = -1, any = -1;
    while (accept_encoding.size > 0) {
        struct slice parameters = next_item(&accept_encoding, ',');
        struct slice token = next_item(&parameters, ';');
        int weight = item_weight(parameters);
        if (token_is(token, "gzip") || token_is(token, "x-gzip"))
            gzip = weight;
        else if (token_is(token, "zstd"))
            zstd = weight;
        else if (token_is(token, "identity"))
            identity = weight;
        else if (token_is(token, "*"))
            any = weight;
    }
    if (gzip < 0)
        gzip = any;
    if (zstd < 0)
        zstd = any;
    if (zstd > 0 && zstd >= gzip && zstd >= identity)
        return HTTP_CODING_ZSTD;
    return gzip > 0 && gzip >= identity ? HTTP_CODING_GZIP : HTTP_CODING_IDENTITY;
}

static enum status buffer_failed(enum status status, const struct body_buffer *buffer,
                                 struct error *err)
{
    if (status == STATUS_LIMIT)
        return fail_code(err, STATUS_LIMIT, "body_too_large",
                         "the decoded body is larger than the limit of %zu bytes: send less at "
                         "once",
                         buffer->max);
    if (status == STATUS_BUSY)
        return fail_code(err, STATUS_BUSY, "bodies_memory",
                         "the memory for request bodies is used up: try again later");
    return fail_code(err, status, "out_of_memory", "no memory for the decoded body");
}

/* ------------------------------------------------------------------------------ deflate */

static enum status inflate_failed(enum http_coding coding, int code, const z_stream *stream,
                                  struct error *err)
{
    if (code == Z_MEM_ERROR)
        return fail_code(err, STATUS_MEMORY, "out_of_memory", "no memory to decode the body");
    const char *name = http_coding_name(coding);
    if (code == Z_BUF_ERROR || code == Z_OK)
        return fail_code(err, STATUS_INVALID, "body_encoding_invalid",
                         "the %s body is cut off after %lu bytes", name, stream->total_in);
    return fail_code(err, STATUS_INVALID, "body_encoding_invalid",
                     "the %s body is damaged near byte %lu (%s)", name, stream->total_in,
                     stream->msg == NULL ? "needs a dictionary" : stream->msg);
}

/* zlib counts what it is given in 32 bits. */
static void feed(z_stream *stream, struct slice *rest)
{
    if (stream->avail_in > 0)
        return;
    size_t size = rest->size < INFLATE_STEP ? rest->size : INFLATE_STEP;
    stream->next_in = (Bytef *)(uintptr_t)rest->data;
    stream->avail_in = (uInt)size;
    *rest = slice_from(*rest, size);
}

/*
 * The end of a gzip body declares its size (modulo 4 GiB), but in a body that was cut off those
 * bytes are anything. Together with a growth that only repetition has they are believed, so that
 * a bomb costs a millisecond instead of the whole limit.
 */
static bool is_declared_bomb(enum http_coding coding, struct slice encoded,
                             const struct body_buffer *decoded, uint64_t consumed)
{
    return coding == HTTP_CODING_GZIP && decoded->size >= BOMB_PROBE &&
           decoded->size / BOMB_RATIO > consumed && encoded.size >= sizeof(uint32_t) &&
           load_u32(encoded.data + encoded.size - sizeof(uint32_t)) > decoded->max;
}

/* One member, from stream->next_in on. */
static enum status inflate_member(enum http_coding coding, z_stream *stream, struct slice *rest,
                                  struct slice encoded, struct body_buffer *decoded,
                                  struct error *err)
{
    for (;;) {
        enum status status = body_buffer_grow(decoded);
        /* Full to the maximum: only the end may follow, which needs no room. */
        bool full = status == STATUS_LIMIT;
        if (status != STATUS_OK && !full)
            return buffer_failed(status, decoded, err);
        uint8_t probe = 0;
        size_t room = full ? 1 : decoded->capacity - decoded->size;
        stream->next_out = full ? &probe : decoded->data + decoded->size;
        size_t step = decoded->size < BOMB_PROBE ? BOMB_PROBE : INFLATE_STEP;
        stream->avail_out = (uInt)(room < step ? room : step);
        feed(stream, rest);
        uInt before = stream->avail_out;
        int code = inflate(stream, Z_NO_FLUSH);
        size_t made = before - stream->avail_out;
        if (full && made > 0)
            return buffer_failed(STATUS_LIMIT, decoded, err);
        decoded->size += made;
        if (code == Z_STREAM_END)
            return STATUS_OK;
        if (code != Z_OK && code != Z_BUF_ERROR)
            return inflate_failed(coding, code, stream, err);
        if (is_declared_bomb(coding, encoded, decoded, stream->total_in))
            return buffer_failed(STATUS_LIMIT, decoded, err);
        if (stream->avail_in == 0 && rest->size == 0 && stream->avail_out > 0)
            return inflate_failed(coding, Z_BUF_ERROR, stream, err);
    }
}

static bool looks_like_zlib(struct slice encoded)
{
    return encoded.size >= 2 && (encoded.data[0] & 0x0f) == 8 && (encoded.data[0] >> 4) <= 7 &&
           ((unsigned)encoded.data[0] << 8 | encoded.data[1]) % 31 == 0;
}

/* The size that the last four bytes of a gzip member declare: a hint for the first allocation. */
static size_t gzip_size_hint(enum http_coding coding, struct slice encoded, size_t max)
{
    size_t possible =
        encoded.size > max / DEFLATE_MAX_RATIO ? max : encoded.size * DEFLATE_MAX_RATIO;
    size_t hint = encoded.size < max / 4 ? encoded.size * 4 : max;
    if (coding == HTTP_CODING_GZIP && encoded.size >= 18)
        hint = load_u32(encoded.data + encoded.size - 4);
    return hint < possible ? hint : possible;
}

static enum status inflate_all(enum http_coding coding, struct slice encoded,
                               struct body_buffer *decoded, struct error *err)
{
    int window = coding == HTTP_CODING_GZIP ? GZIP_WINDOW
                 : looks_like_zlib(encoded) ? ZLIB_WINDOW
                                            : RAW_WINDOW;
    struct slice rest = encoded;
    z_stream stream = {.next_in = NULL};
    enum status status = body_buffer_expect(decoded, gzip_size_hint(coding, encoded, decoded->max));
    if (status != STATUS_OK)
        return buffer_failed(status, decoded, err);
    if (inflateInit2(&stream, window) != Z_OK)
        return inflate_failed(coding, Z_MEM_ERROR, &stream, err);
    do {
        status = inflate_member(coding, &stream, &rest, encoded, decoded, err);
        feed(&stream, &rest);
        if (status != STATUS_OK || stream.avail_in == 0)
            break;
        bool gzip_again = coding == HTTP_CODING_GZIP && stream.next_in[0] == 0x1f;
        if (!gzip_again)
            status = fail_code(err, STATUS_INVALID, "body_encoding_invalid",
                               "%zu further bytes follow the %s body", stream.avail_in + rest.size,
                               http_coding_name(coding));
        else if (inflateReset(&stream) != Z_OK)
            status = inflate_failed(coding, Z_MEM_ERROR, &stream, err);
    } while (status == STATUS_OK);
    inflateEnd(&stream);
    return status;
}

/* ------------------------------------------------------------------------------ zstd */

enum { ZSTD_BLOCK_HEADER = 3, ZSTD_BLOCK_MAX = 128 << 10 };
enum { ZSTD_BLOCK_RAW, ZSTD_BLOCK_RLE, ZSTD_BLOCK_COMPRESSED };

/* RFC 8878, 3.1.1.1: the bytes of magic and frame header. */
static size_t zstd_header_size(uint8_t descriptor)
{
    static const uint8_t dictionary_sizes[] = {0, 1, 2, 4};
    static const uint8_t content_sizes[] = {0, 2, 4, 8};
    bool single_segment = (descriptor & 0x20) != 0;
    size_t content = content_sizes[descriptor >> 6];
    if (content == 0 && single_segment)
        content = 1;
    return 4 + 1 + (size_t)!single_segment + dictionary_sizes[descriptor & 3] + content;
}

/* The most that the blocks of a whole `frame` can decode to, by their headers alone. */
static uint64_t zstd_frame_bound(struct slice frame)
{
    uint64_t bound = 0;
    size_t at = frame.size < 5 ? frame.size : zstd_header_size(frame.data[4]);
    while (at + ZSTD_BLOCK_HEADER <= frame.size) {
        uint32_t header =
            frame.data[at] | (uint32_t)frame.data[at + 1] << 8 | (uint32_t)frame.data[at + 2] << 16;
        uint32_t type = header >> 1 & 3;
        uint32_t size = header >> 3;
        bound += type == ZSTD_BLOCK_COMPRESSED ? (uint32_t)ZSTD_BLOCK_MAX : size;
        at += ZSTD_BLOCK_HEADER + (size_t)(type == ZSTD_BLOCK_RLE ? 1 : size);
        if ((header & 1) != 0)
            break;
    }
    return bound;
}

/* The size of all frames: as declared, else what the blocks allow. Checks that they are whole. */
static enum status zstd_measure(struct slice encoded, size_t max, size_t *capacity,
                                struct error *err)
{
    uint64_t sure = 0, bound = 0;
    struct slice rest = encoded;
    while (rest.size > 0) {
        size_t at = encoded.size - rest.size;
        size_t frame = ZSTD_findFrameCompressedSize(rest.data, rest.size);
        bool magic = rest.size >= 4 && (load_u32(rest.data) == ZSTD_MAGICNUMBER ||
                                        (load_u32(rest.data) & ZSTD_MAGIC_SKIPPABLE_MASK) ==
                                            ZSTD_MAGIC_SKIPPABLE_START);
        if (ZSTD_isError(frame) || frame == 0 || frame > rest.size) {
            if (at > 0 && !magic)
                return fail_code(err, STATUS_INVALID, "body_encoding_invalid",
                                 "%zu further bytes follow the zstd body", rest.size);
            return fail_code(err, STATUS_INVALID, "body_encoding_invalid",
                             magic ? "the zstd frame at byte %zu is cut off or damaged"
                                   : "there is no zstd frame at byte %zu",
                             at);
        }
        unsigned long long size = ZSTD_getFrameContentSize(rest.data, rest.size);
        if (size == ZSTD_CONTENTSIZE_ERROR)
            return fail_code(err, STATUS_INVALID, "body_encoding_invalid",
                             "the zstd frame at byte %zu has a damaged header", at);
        bool declared = size != ZSTD_CONTENTSIZE_UNKNOWN;
        uint64_t most = declared ? size : zstd_frame_bound(slice_of(rest.data, frame));
        if (declared && size > max - sure)
            return fail_code(err, STATUS_LIMIT, "body_too_large",
                             "the zstd body declares more than the limit of %zu bytes: send less "
                             "at once",
                             max);
        sure += declared ? size : 0;
        bound = most > max - bound ? max : bound + most;
        rest = slice_from(rest, frame);
    }
    *capacity = (size_t)bound;
    return STATUS_OK;
}

static enum status zstd_all(struct slice encoded, struct body_buffer *decoded, struct error *err)
{
    size_t capacity = 0;
    if (encoded.size == 0)
        return fail_code(err, STATUS_INVALID, "body_encoding_invalid", "the zstd body is empty");
    enum status status = zstd_measure(encoded, decoded->max, &capacity, err);
    if (status != STATUS_OK)
        return status;
    status = body_buffer_expect(decoded, capacity);
    if (status == STATUS_OK)
        status = body_buffer_charge(decoded);
    if (status != STATUS_OK)
        return buffer_failed(status, decoded, err);
    ZSTD_DCtx *context = ZSTD_createDCtx();
    if (context == NULL)
        return fail_code(err, STATUS_MEMORY, "out_of_memory", "no memory to decode the body");
    /* One call over the whole buffer: no window of its own, whatever the frame asks for. */
    size_t made =
        ZSTD_decompressDCtx(context, decoded->data, decoded->capacity, encoded.data, encoded.size);
    ZSTD_freeDCtx(context);
    if (!ZSTD_isError(made)) {
        decoded->size = made;
        return STATUS_OK;
    }
    if (ZSTD_getErrorCode(made) == ZSTD_error_dstSize_tooSmall && capacity == decoded->max)
        return buffer_failed(STATUS_LIMIT, decoded, err);
    if (ZSTD_getErrorCode(made) == ZSTD_error_memory_allocation)
        return fail_code(err, STATUS_MEMORY, "out_of_memory", "no memory to decode the body");
    return fail_code(err, STATUS_INVALID, "body_encoding_invalid", "the zstd body is damaged (%s)",
                     ZSTD_getErrorName(made));
}

enum status http_decode(enum http_coding coding, struct slice encoded, struct body_buffer *decoded,
                        struct error *err)
{
    invariant(decoded->size == 0 && decoded->capacity == 0);
    enum status status;
    if (coding == HTTP_CODING_ZSTD)
        status = zstd_all(encoded, decoded, err);
    else
        status = inflate_all(coding, encoded, decoded, err);
    if (status == STATUS_OK)
        body_buffer_trim(decoded);
    return status;
}

/* ------------------------------------------------------------------------------ encoding */

struct http_encoder {
    enum http_coding coding;
    z_stream gzip;
    ZSTD_CCtx *zstd;
};

/* Answers are compressed on the way: quick levels, and a window that many streams can afford. */
enum { GZIP_LEVEL = 4, GZIP_MEMORY_LEVEL = 8, ZSTD_LEVEL = 3, ZSTD_WINDOW_LOG = 18 };

struct http_encoder *http_encoder_new(enum http_coding coding)
{
    invariant(coding == HTTP_CODING_GZIP || coding == HTTP_CODING_ZSTD);
    struct http_encoder *encoder = calloc(1, sizeof *encoder);
    if (encoder == NULL)
        return NULL;
    encoder->coding = coding;
    bool ready;
    if (coding == HTTP_CODING_GZIP) {
        ready = deflateInit2(&encoder->gzip, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY_LEVEL,
                             Z_DEFAULT_STRATEGY) == Z_OK;
    } else {
        encoder->zstd = ZSTD_createCCtx();
        ready = encoder->zstd != NULL &&
                !ZSTD_isError(
                    ZSTD_CCtx_setParameter(encoder->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL)) &&
                !ZSTD_isError(
                    ZSTD_CCtx_setParameter(encoder->zstd, ZSTD_c_windowLog, ZSTD_WINDOW_LOG)) &&
                !ZSTD_isError(ZSTD_CCtx_setParameter(encoder->zstd, ZSTD_c_checksumFlag, 1));
    }
    if (ready)
        return encoder;
    http_encoder_free(encoder);
    return NULL;
}

void http_encoder_free(struct http_encoder *encoder)
{
    if (encoder == NULL)
        return;
    if (encoder->coding == HTTP_CODING_GZIP)
        deflateEnd(&encoder->gzip);
    ZSTD_freeCCtx(encoder->zstd);
    free(encoder);
}

enum { ENCODE_ROOM = 16 << 10 };

static enum status encode_gzip(struct http_encoder *encoder, struct slice piece,
                               enum http_encode_end end, struct bytes *to)
{
    int flush = end == HTTP_ENCODE_LAST    ? Z_FINISH
                : end == HTTP_ENCODE_FLUSH ? Z_SYNC_FLUSH
                                           : Z_NO_FLUSH;
    z_stream *stream = &encoder->gzip;
    invariant(piece.size <= UINT32_MAX);
    stream->next_in = (Bytef *)(uintptr_t)piece.data;
    stream->avail_in = (uInt)piece.size;
    int code;
    do {
        enum status status = bytes_reserve(to, ENCODE_ROOM);
        if (status != STATUS_OK)
            return status;
        size_t room = to->capacity - to->size;
        stream->next_out = to->data + to->size;
        stream->avail_out = room > UINT32_MAX ? UINT32_MAX : (uInt)room;
        uInt before = stream->avail_out;
        code = deflate(stream, flush);
        invariant(code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR);
        to->size += before - stream->avail_out;
    } while (code != Z_STREAM_END && stream->avail_out == 0);
    return STATUS_OK;
}

static enum status encode_zstd(struct http_encoder *encoder, struct slice piece,
                               enum http_encode_end end, struct bytes *to)
{
    ZSTD_EndDirective directive = end == HTTP_ENCODE_LAST    ? ZSTD_e_end
                                  : end == HTTP_ENCODE_FLUSH ? ZSTD_e_flush
                                                             : ZSTD_e_continue;
    ZSTD_inBuffer in = {piece.data, piece.size, 0};
    size_t left;
    do {
        enum status status = bytes_reserve(to, ENCODE_ROOM);
        if (status != STATUS_OK)
            return status;
        ZSTD_outBuffer out = {to->data, to->capacity, to->size};
        left = ZSTD_compressStream2(encoder->zstd, &out, &in, directive);
        if (ZSTD_isError(left))
            return STATUS_MEMORY;
        to->size = out.pos;
    } while (in.pos < in.size || (directive != ZSTD_e_continue && left > 0));
    return STATUS_OK;
}

enum status http_encode(struct http_encoder *encoder, struct slice piece, enum http_encode_end end,
                        struct bytes *to)
{
    return encoder->coding == HTTP_CODING_GZIP ? encode_gzip(encoder, piece, end, to)
                                               : encode_zstd(encoder, piece, end, to);
}
