/* Decoders take any bytes: they end in a status, within the limit, and the budget comes out even.
 * The first byte chooses coding and limit; the rest is the body. Headers take the whole input. */
#include "fuzz.h"

#include "base/invariant.h"
#include "http/content_encoding.h"

static void check_round(struct slice input, enum http_coding coding)
{
    struct bytes encoded;
    struct body_buffer decoded;
    bytes_init(&encoded, 1 << 20);
    body_buffer_init(&decoded, input.size, NULL);
    struct http_encoder *encoder = http_encoder_new(coding);
    invariant(encoder != NULL);
    invariant(http_encode(encoder, input, HTTP_ENCODE_LAST, &encoded) == STATUS_OK);
    invariant(http_decode(coding, bytes_slice(&encoded), &decoded, NULL) == STATUS_OK);
    invariant(slice_equal(slice_of(decoded.data, decoded.size), input));
    http_encoder_free(encoder);
    body_buffer_release(&decoded);
    bytes_release(&encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum http_coding codings[] = {HTTP_CODING_GZIP, HTTP_CODING_ZSTD,
                                               HTTP_CODING_DEFLATE, HTTP_CODING_ZSTD};
    struct slice input = slice_of(data, size);
    enum http_coding coding;
    struct error err = {.status = STATUS_OK};
    enum status status = http_coding_parse(input, &coding, &err);
    invariant(status == STATUS_OK || (status == STATUS_UNSUPPORTED && err.code != NULL));
    coding = http_coding_choose(input);
    invariant(coding != HTTP_CODING_SNAPPY && coding != HTTP_CODING_DEFLATE);
    if (size == 0)
        return 0;
    struct memory_share budget = {.max = 1 << 20};
    struct body_buffer decoded;
    size_t max = (data[0] & 0x80) != 0 ? 1000 : 1 << 20;
    body_buffer_init(&decoded, max, &budget);
    status = http_decode(codings[data[0] & 3], slice_from(input, 1), &decoded, &err);
    invariant(decoded.size <= decoded.capacity && decoded.capacity <= max);
    invariant(status == STATUS_OK || err.code != NULL);
    invariant(budget.used == decoded.charged);
    body_buffer_release(&decoded);
    invariant(budget.used == 0);
    if ((data[0] & 0x40) != 0)
        check_round(input, codings[data[0] & 1]);
    return 0;
}
