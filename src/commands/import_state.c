#include "commands/import_state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bits.h"
#include "commands/input.h"

#define STATE_TITLE "metric-store import state 1"

static enum status put_hex(struct bytes *to, struct slice bytes)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < bytes.size && status == STATUS_OK; i++)
        status = bytes_format(to, "%02x", bytes.data[i]);
    return status;
}

enum status import_state_write(const struct import_state *state, struct bytes *to)
{
    const struct protocol_position *at = &state->position;
    enum status status = bytes_format(
        to,
        STATE_TITLE "\nkey %016" PRIx64 " %016" PRIx64 "\nsize %" PRIu64 "\nchanged %" PRId64
                    "\nhead %016" PRIx64 "\nnow %" PRId64 "\nrefused %" PRIu64
                    "\nwhole %d\noffset %" PRIu64 "\nline %" PRIu64 "\ncontext %" PRIu64 " %" PRIu64
                    " %" PRIu64 "\nwitness %" PRId64 " ",
        state->key.high, state->key.low, state->size, state->changed_ns, state->head_hash,
        state->now_ms, state->refused, state->whole, at->offset, at->line, at->context_start,
        at->context_size, at->context_lines, state->witness_ms);
    if (status == STATUS_OK)
        status = put_hex(to, bytes_slice(&state->witness));
    if (status == STATUS_OK)
        status = bytes_append(to, "\n", 1);
    return status == STATUS_OK
               ? bytes_format(to, "checksum %08" PRIx32 "\n", crc32c(0, to->data, to->size))
               : status;
}

/* `word` and a blank or line end behind it. */
static bool take_word(const char **at, const char *word)
{
    size_t size = strlen(word);
    if (strncmp(*at, word, size) != 0 || ((*at)[size] != ' ' && (*at)[size] != '\n'))
        return false;
    *at += size + 1;
    return true;
}

static bool take_number(const char **at, int base, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(*at, &end, base);
    if (errno != 0 || end == *at || (*end != ' ' && *end != '\n'))
        return false;
    *at = end + 1;
    return true;
}

static bool take_time(const char **at, int64_t *time)
{
    char *end;
    errno = 0;
    *time = strtoll(*at, &end, 10);
    if (errno != 0 || end == *at || (*end != ' ' && *end != '\n'))
        return false;
    *at = end + 1;
    return true;
}

static bool hex_digit(char digit, uint8_t *value)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = digit == 0 ? NULL : strchr(digits, digit);
    *value = found == NULL ? 0 : (uint8_t)(found - digits);
    return found != NULL;
}

/* Up to the end of the line. */
static bool take_bytes(const char *text, struct bytes *to)
{
    bytes_clear(to);
    for (; text[0] != '\n'; text += 2) {
        uint8_t high, low;
        if (!hex_digit(text[0], &high) || !hex_digit(text[1], &low))
            return false;
        uint8_t byte = (uint8_t)(high << 4 | low);
        if (bytes_append(to, &byte, 1) != STATUS_OK)
            return false;
    }
    return true;
}

static bool read_position(const char **at, struct protocol_position *position)
{
    return take_word(at, "offset") && take_number(at, 10, &position->offset) &&
           take_word(at, "line") && take_number(at, 10, &position->line) &&
           take_word(at, "context") && take_number(at, 10, &position->context_start) &&
           take_number(at, 10, &position->context_size) &&
           take_number(at, 10, &position->context_lines) &&
           position->context_size <= INPUT_CONTEXT_MAX &&
           position->context_start <= position->offset &&
           position->context_size <= position->offset - position->context_start &&
           position->line > position->context_lines;
}

bool import_state_read(const char *text, size_t size, struct import_state *found)
{
    enum { CHECKSUM_SIZE = sizeof "checksum 01234567\n" - 1 };
    if (size <= CHECKSUM_SIZE)
        return false;
    const char *at = text;
    const char *last = text + size - CHECKSUM_SIZE;
    uint64_t checksum, whole;
    bool good = take_word(&last, "checksum") && take_number(&last, 16, &checksum) &&
                crc32c(0, text, size - CHECKSUM_SIZE) == checksum && take_word(&at, STATE_TITLE) &&
                take_word(&at, "key") && take_number(&at, 16, &found->key.high) &&
                take_number(&at, 16, &found->key.low) && take_word(&at, "size") &&
                take_number(&at, 10, &found->size) && take_word(&at, "changed") &&
                take_time(&at, &found->changed_ns) && take_word(&at, "head") &&
                take_number(&at, 16, &found->head_hash) && take_word(&at, "now") &&
                take_time(&at, &found->now_ms) && take_word(&at, "refused") &&
                take_number(&at, 10, &found->refused) && take_word(&at, "whole") &&
                take_number(&at, 10, &whole) && read_position(&at, &found->position) &&
                take_word(&at, "witness") && take_time(&at, &found->witness_ms) &&
                take_bytes(at, &found->witness);
    found->whole = good && whole != 0;
    return good;
}
