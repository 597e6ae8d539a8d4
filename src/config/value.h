/*
 * value - one setting's value: text to typed bytes in the struct, and back.
 */
#ifndef METRIC_STORE_CONFIG_VALUE_H
#define METRIC_STORE_CONFIG_VALUE_H

#include "config/config.h"
#include "config/yaml.h"

/*
 * Reads `text` as a value of `key`, checks its range, and stores it into the struct at `values`.
 * A list's items are separated by commas; records are YAML. INVALID, with "section.name ..." as the
 * message, where it is not one; a secret's value never gets into the message.
 */
MUST_CHECK enum status value_parse(const struct config_key *key, struct slice text, void *values,
                                   struct arena *arena, struct error *err);

/* What a value of `key` must be, for messages and the documentation: "a whole number from 1 to
 * 1024, or 0 (one a core)". Zero-terminated, cut at the buffer's end. */
enum { VALUE_EXPECTED_SIZE = 1024 };
void value_expected(const struct config_key *key, char text[VALUE_EXPECTED_SIZE]);

/* The same for a list whose items are apart already. */
MUST_CHECK enum status value_parse_list(const struct config_key *key, const struct slice *items,
                                        size_t count, void *values, struct arena *arena,
                                        struct error *err);

/* The same for records. Where the place of a fault is a line of its own, it comes with the message.
 */
MUST_CHECK enum status value_parse_records(const struct config_key *key,
                                           const struct yaml_records *records, void *values,
                                           struct arena *arena, struct error *err);

/* INVALID: items of a list that are not of the kind that it takes. */
MUST_CHECK enum status value_refuse_items(const struct config_key *key, struct error *err);

/* As a file would have it: "64MiB", "1h30m", "[\"a\", \"b\"]", "[{n: 1d}]". Texts are quoted where
 * YAML needs it; with `json` set always, and so are sizes, durations and enumerations. */
MUST_CHECK enum status value_print(const struct config_key *key, const void *values, bool json,
                                   struct bytes *out);

/* `text` as a JSON string, which YAML reads too. */
MUST_CHECK enum status value_print_quoted(struct slice text, struct bytes *out);

/* False only for a text of no bytes and a list of no items. */
bool value_is_set(const struct config_key *key, const void *values);

bool value_equal(const struct config_key *key, const void *a, const void *b);

/* MEMORY or LIMIT when a text has no room in the arena. */
MUST_CHECK enum status value_copy(const struct config_key *key, const void *from, void *to,
                                  struct arena *arena);

#endif
