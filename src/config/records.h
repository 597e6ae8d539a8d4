/*
 * records - the values of settings that are lists of records: what value.h does, for CONFIG_RECORDS
 * alone. A record's fields are settings of their own, whose values value.h handles.
 */
#ifndef METRIC_STORE_CONFIG_RECORDS_H
#define METRIC_STORE_CONFIG_RECORDS_H

#include "config/value.h"

/* Out of a text in YAML; of no bytes: no records. */
MUST_CHECK enum status records_parse_text(const struct config_key *key, struct slice text,
                                          struct config_records *to, struct arena *arena,
                                          struct error *err);
/* `named_lines`: lines are of a file whose name stands before the message. */
MUST_CHECK enum status records_parse(const struct config_key *key,
                                     const struct yaml_records *records, bool named_lines,
                                     struct config_records *to, struct arena *arena,
                                     struct error *err);
MUST_CHECK enum status records_print(const struct config_key *key,
                                     const struct config_records *records, bool json,
                                     struct bytes *out);
void records_expected(const struct config_key *key, char text[VALUE_EXPECTED_SIZE]);
bool records_equal(const struct config_key *key, const struct config_records *a,
                   const struct config_records *b);
MUST_CHECK enum status records_copy(const struct config_key *key, const struct config_records *from,
                                    struct config_records *to, struct arena *arena);

#endif
