/*
 * What an import remembered: any bytes are a whole state or are refused, as they are and with a
 * checksum that holds. What is read can be gone on from, and comes back the same after writing.
 */
#include "fuzz.h"

#include <inttypes.h>

#include "base/bits.h"
#include "base/invariant.h"
#include "commands/import_state.h"
#include "commands/input.h"

static bool read(const struct bytes *text, struct import_state *state)
{
    *state = (struct import_state){0};
    bytes_init(&state->witness, IMPORT_WITNESS_MAX_SIZE);
    return import_state_read((const char *)text->data, text->size - 1, state);
}

static void end_text(struct bytes *text)
{
    invariant(bytes_append(text, "", 1) == STATUS_OK);
}

static void check_same(const struct import_state *a, const struct import_state *b)
{
    const struct protocol_position *x = &a->position;
    const struct protocol_position *y = &b->position;
    invariant(hash128_equal(a->key, b->key) && a->size == b->size);
    invariant(a->changed_ns == b->changed_ns && a->head_hash == b->head_hash);
    invariant(a->now_ms == b->now_ms && a->refused == b->refused && a->whole == b->whole);
    invariant(x->offset == y->offset && x->line == y->line);
    invariant(x->context_start == y->context_start && x->context_size == y->context_size);
    invariant(x->context_lines == y->context_lines && a->witness_ms == b->witness_ms);
    invariant(slice_equal(bytes_slice(&a->witness), bytes_slice(&b->witness)));
}

static void check(struct bytes *text)
{
    struct import_state state, again;
    end_text(text);
    if (read(text, &state)) {
        struct bytes written;
        invariant(state.position.context_size <= INPUT_CONTEXT_MAX);
        invariant(state.position.context_start <= state.position.offset);
        invariant(state.position.line > 0);
        invariant(state.witness.size <= IMPORT_WITNESS_MAX_SIZE);
        bytes_init(&written, IMPORT_STATE_MAX_SIZE);
        invariant(import_state_write(&state, &written) == STATUS_OK);
        end_text(&written);
        invariant(read(&written, &again));
        check_same(&state, &again);
        bytes_release(&again.witness);
        bytes_release(&written);
    }
    bytes_release(&state.witness);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text;
    if (size > IMPORT_STATE_MAX_SIZE)
        return 0;
    bytes_init(&text, IMPORT_STATE_MAX_SIZE + 64);
    invariant(bytes_append(&text, data, size) == STATUS_OK);
    check(&text);
    bytes_clear(&text);
    invariant(bytes_append(&text, data, size) == STATUS_OK);
    invariant(bytes_format(&text, "checksum %08" PRIx32 "\n", crc32c(0, data, size)) == STATUS_OK);
    check(&text);
    bytes_release(&text);
    return 0;
}
