/*
 * input - a file or standard input, plain or compressed (gzip, zstd; told by content), read as a
 * stream in bounded memory.
 *
 * Threads: one. Errors: CORRUPT for compressed data that is damaged or cut off; CANCELLED when the
 * command was asked to end; NOT_FOUND, IO, MEMORY. Messages name the file.
 */
#ifndef METRIC_STORE_COMMANDS_INPUT_H
#define METRIC_STORE_COMMANDS_INPUT_H

#include "base/slice.h"
#include "base/status.h"
#include "commands/interrupt.h"

enum { INPUT_PEEK_SIZE = 64 * 1024, INPUT_TAIL_SIZE = 64 };

struct input; /* opaque */

/* `path` "-" is standard input; borrowed, as is `interrupt`. Gives *input, ended by input_close. */
MUST_CHECK enum status input_open(struct input **input, const char *path,
                                  struct interrupt *interrupt, struct error *err);
void input_close(struct input *input); /* accepts NULL */

/* As messages name it. */
const char *input_name(const struct input *input);
/* Whether it is a file that can be read again. */
bool input_is_regular(const struct input *input);
/* Bytes of the file; 0 where nobody knows. */
uint64_t input_size(const struct input *input);
/* Bytes of the file read so far, compressed as they are. */
uint64_t input_consumed(const struct input *input);

/* The first bytes of the content, up to INPUT_PEEK_SIZE; *whole: there is no more. They will be
 * read as if nobody had looked. */
MUST_CHECK enum status input_peek(struct input *input, struct slice *start, bool *whole,
                                  struct error *err);
/* The last bytes of the content, where they can be seen without reading all: else *size is 0. */
MUST_CHECK enum status input_tail(struct input *input, uint8_t tail[INPUT_TAIL_SIZE], size_t *size,
                                  struct error *err);
/* Up to `capacity` bytes; *size is 0 at the end only. Fits recording_read. */
MUST_CHECK enum status input_read(void *input, uint8_t *to, size_t capacity, size_t *size,
                                  struct error *err);

/*
 * Goes on at byte `offset` of the content, behind which input_read gives what follows; before that
 * it gives again the `context_size` bytes (CONTEXT_MAX at most) from `context_start`, which lie
 * before `offset`. To be called once, after peeking. Compressed content is decoded and dropped up
 * to there. CORRUPT: the content ends before.
 */
enum { INPUT_CONTEXT_MAX = 8 << 20 };
MUST_CHECK enum status input_resume(struct input *input, uint64_t context_start,
                                    size_t context_size, uint64_t offset, struct error *err);

#endif
