/*
 * Each rule of OpenMetrics 1.0 that is enforced: a document that breaks it and nothing else, the
 * reason that is told, and the nearest document that keeps it.
 */
#include "exposition_helper.h"

struct rule {
    const char *name;
    const char *good;
    const char *bad;
    const char *reason; /* of the bad one, with its line */
};

#define NUMBER_EXPECTED  "a decimal number, NaN, +Inf or -Inf is expected"
#define SECONDS_EXPECTED "a timestamp is expected here: seconds since 1970 as a decimal number"
#define TAKEN(name)                                                                                \
    "the name \"" name "\" already belongs to a family above; keep each family in one piece and "  \
    "its names to itself"
#define METADATA_EXPECTED                                                                          \
    "a line that begins with # is \"# TYPE NAME TYPE\", \"# HELP NAME TEXT\", \"# UNIT NAME "      \
    "UNIT\" or \"# EOF\"; remarks are not allowed"
#define TYPE_EXPECTED                                                                              \
    "a type is expected here: counter, gauge, histogram, gaugehistogram, summary, info, stateset " \
    "or unknown"
#define INF "a_bucket{le=\"+Inf\"} "

static const struct rule document_rules[] = {
    {"eof_missing", "a 1\n# EOF\n", "a 1\n",
     "line 2: the document does not end with # EOF; it may have been cut off"},
    {"eof_cut_off", "a 1\n# EOF", "a 1\n# EO", "line 2: column 1: " METADATA_EXPECTED},
    {"eof_with_blank", "a 1\n# EOF\n", "a 1\n# EOF \n", "line 2: column 1: " METADATA_EXPECTED},
    {"text_behind_eof", "a 1\nb 1\n# EOF\n", "a 1\n# EOF\nb 1\n",
     "line 3: nothing may follow # EOF"},
    {"blank_line_behind_eof", "a 1\n# EOF\n", "a 1\n# EOF\n\n", "line 3: nothing may follow # EOF"},
    {"eof_twice", "# EOF\n", "# EOF\n# EOF\n", "line 2: nothing may follow # EOF"},
    {"blank_line", "a 1\nb 1\n# EOF\n", "a 1\n\nb 1\n# EOF\n", "line 2: the line is empty"},
    {"remark", "# HELP a remark\n# EOF\n", "# remark\n# EOF\n",
     "line 1: column 1: " METADATA_EXPECTED},
    {"utf8_in_value", "a{b=\"\xc3\xa9\"} 1\n# EOF\n", "a{b=\"\xe9\"} 1\n# EOF\n",
     "line 1: the line is not valid UTF-8"},
    {"utf8_in_help", "# HELP a \xe2\x98\x83\n# EOF\n", "# HELP a \xe2\x98\n# EOF\n",
     "line 1: the line is not valid UTF-8"},
    {"utf8_surrogate", "a{b=\"\xed\x9f\xbf\"} 1\n# EOF\n", "a{b=\"\xed\xa0\x80\"} 1\n# EOF\n",
     "line 1: the line is not valid UTF-8"},
    {"carriage_return", "a 1\n# EOF\n", "a 1\r\n# EOF\n", "line 1: column 3: " NUMBER_EXPECTED},
};

static const struct rule metadata_rules[] = {
    {"type_twice", "# TYPE a gauge\n# HELP a x\n# EOF\n", "# TYPE a gauge\n# TYPE a gauge\n# EOF\n",
     "line 2: this is the second # TYPE of \"a\""},
    {"help_twice", "# HELP a x\n# HELP b x\n# EOF\n", "# HELP a x\n# HELP a x\n# EOF\n",
     "line 2: this is the second # HELP of \"a\""},
    {"unit_twice", "# UNIT a_s s\n# EOF\n", "# UNIT a_s s\n# UNIT a_s s\n# EOF\n",
     "line 2: this is the second # UNIT of \"a_s\""},
    {"metadata_behind_samples", "# HELP a x\na 1\n# EOF\n", "a 1\n# HELP a x\n# EOF\n",
     "line 2: the metadata of \"a\" stands behind its samples; it belongs before them"},
    {"metadata_of_a_family_above", "# TYPE a gauge\n# HELP a x\n# TYPE b gauge\n# EOF\n",
     "# TYPE a gauge\n# TYPE b gauge\n# HELP a x\n# EOF\n", "line 3: " TAKEN("a")},
    {"type_unknown_to_us", "# TYPE a unknown\n# EOF\n", "# TYPE a untyped\n# EOF\n",
     "line 1: column 10: " TYPE_EXPECTED},
    {"type_in_capitals", "# TYPE a gauge\n# EOF\n", "# TYPE a Gauge\n# EOF\n",
     "line 1: column 10: " TYPE_EXPECTED},
    {"type_missing", "# TYPE a gauge\n# EOF\n", "# TYPE a\n# EOF\n",
     "line 1: column 9: one space and a text are expected after the name"},
    {"name_missing", "# TYPE a gauge\n# EOF\n", "# TYPE  gauge\n# EOF\n",
     "line 1: column 8: a metric name is expected here"},
    {"name_begins_with_a_digit", "# TYPE a1 gauge\n# EOF\n", "# TYPE 1a gauge\n# EOF\n",
     "line 1: column 8: a metric name is expected here"},
    {"two_spaces", "# TYPE a gauge\n# EOF\n", "# TYPE a  gauge\n# EOF\n",
     "line 1: column 10: " TYPE_EXPECTED},
    {"keyword_in_small_letters", "# TYPE a gauge\n# EOF\n", "# type a gauge\n# EOF\n",
     "line 1: column 1: " METADATA_EXPECTED},
    {"unit_not_in_the_name", "# UNIT a_seconds seconds\n# EOF\n", "# UNIT a seconds\n# EOF\n",
     "line 1: the name \"a\" does not end in its unit: \"_seconds\""},
    {"unit_without_underscore", "# UNIT a_seconds seconds\n# EOF\n",
     "# UNIT aseconds seconds\n# EOF\n",
     "line 1: the name \"aseconds\" does not end in its unit: \"_seconds\""},
    {"unit_behind_the_suffix", "# TYPE a_s counter\n# UNIT a_s s\na_s_total 1\n# EOF\n",
     "# TYPE a counter\n# UNIT a s\na_total 1\n# EOF\n",
     "line 2: the name \"a\" does not end in its unit: \"_s\""},
    {"unit_of_an_info", "# TYPE a_s gauge\n# UNIT a_s s\n# EOF\n",
     "# TYPE a_s info\n# UNIT a_s s\n# EOF\n",
     "line 2: \"a_s\" is of type info, which has no unit"},
    {"unit_of_a_stateset", "# TYPE a_s unknown\n# UNIT a_s s\n# EOF\n",
     "# TYPE a_s stateset\n# UNIT a_s s\n# EOF\n",
     "line 2: \"a_s\" is of type stateset, which has no unit"},
};

static const struct rule family_rules[] = {
    {"families_interleaved", "a 1\na 2\nb 1\n# EOF\n", "a 1\nb 1\na 2\n# EOF\n",
     "line 3: " TAKEN("a")},
    {"suffix_taken", "# TYPE a counter\n# TYPE a_b gauge\n# EOF\n",
     "# TYPE a counter\n# TYPE a_total gauge\n# EOF\n", "line 2: " TAKEN("a_total")},
    {"suffix_taken_before", "# TYPE a_b gauge\n# TYPE a counter\n# EOF\n",
     "# TYPE a_created gauge\n# TYPE a counter\n# EOF\n", "line 2: " TAKEN("a_created")},
    {"suffix_of_a_counter", "# TYPE a counter\na_total 1\n# EOF\n",
     "# TYPE a counter\na 1\n# EOF\n",
     "line 2: \"a\" is of type counter: the names of its samples end in _total, _created"},
    {"suffix_of_an_info", "# TYPE a info\na_info 1\n# EOF\n", "# TYPE a info\na 1\n# EOF\n",
     "line 2: \"a\" is of type info: the names of its samples end in _info"},
    {"suffix_of_a_histogram", "# TYPE a histogram\n" INF "1\n# EOF\n",
     "# TYPE a histogram\na 1\n# EOF\n",
     "line 2: \"a\" is of type histogram: the names of its samples end in _bucket, _count, _sum, "
     "_created"},
    {"suffix_of_a_gaugehistogram", "# TYPE a gaugehistogram\n" INF "1\n# EOF\n",
     "# TYPE a gaugehistogram\na 1\n# EOF\n",
     "line 2: \"a\" is of type gaugehistogram: the names of its samples end in _bucket, _gcount, "
     "_gsum"},
    {"groups_interleaved", "a{b=\"1\"} 1 1\na{b=\"1\"} 1 2\na{b=\"2\"} 1 1\n# EOF\n",
     "a{b=\"1\"} 1 1\na{b=\"2\"} 1 1\na{b=\"1\"} 1 2\n# EOF\n",
     "line 3: samples with these labels stand further up with others between them; keep them "
     "together"},
    {"buckets_interleaved",
     "# TYPE a histogram\na_bucket{b=\"1\",le=\"+Inf\"} 1\na_bucket{b=\"2\",le=\"+Inf\"} 1\n# "
     "EOF\n",
     "# TYPE a histogram\na_bucket{b=\"1\",le=\"1\"} 1\na_bucket{b=\"2\",le=\"+Inf\"} 1\n"
     "a_bucket{b=\"1\",le=\"+Inf\"} 1\n# EOF\n",
     "line 2: the histogram \"a\" that begins here has no bucket with le=\"+Inf\""},
    {"time_goes_back", "a 1 1\na 1 2\n# EOF\n", "a 1 2\na 1 1\n# EOF\n",
     "line 2: the timestamp lies before the one above it, of the same labels"},
    {"time_goes_back_by_a_nanosecond", "a 1 1.000000001\na 1 1.000000002\n# EOF\n",
     "a 1 1.000000002\na 1 1.000000001\n# EOF\n",
     "line 2: the timestamp lies before the one above it, of the same labels"},
    {"time_on_some", "a 1 1\na 1 2\n# EOF\n", "a 1 1\na 1\n# EOF\n",
     "line 2: of samples with the same labels, some have a timestamp and some have none"},
    {"time_on_later_ones", "a 1\na{b=\"1\"} 1 1\n# EOF\n", "a 1\na 1 1\n# EOF\n",
     "line 2: of samples with the same labels, some have a timestamp and some have none"},
};

static const struct rule line_rules[] = {
    {"value_missing", "a 1\n# EOF\n", "a\n# EOF\n",
     "line 1: column 2: the line ends without a value"},
    {"name_missing", "{\"a\"} 1\n# EOF\n", "{b=\"c\"} 1\n# EOF\n",
     "line 1: column 7: the series has no metric name"},
    {"name_empty", "{\"a\"} 1\n# EOF\n", "{\"\"} 1\n# EOF\n",
     "line 1: column 1: the metric name is empty"},
    {"name_twice", "{\"a\",b=\"c\"} 1\n# EOF\n", "a{\"a\",b=\"c\"} 1\n# EOF\n",
     "line 1: column 3: the metric name is given twice"},
    {"name_with_dot", "{\"a.b\"} 1\n# EOF\n", "a.b 1\n# EOF\n",
     "line 1: column 2: this character cannot be in a plain name, which has letters, digits, _ "
     "and :; after the series, one space and a value are expected"},
    {"line_begins_with_blank", "a 1\n# EOF\n", " a 1\n# EOF\n",
     "line 1: column 1: a metric name is expected here"},
    {"label_twice", "a{b=\"1\",c=\"2\"} 1\n# EOF\n", "a{b=\"1\",b=\"2\"} 1\n# EOF\n",
     "line 1: the label \"b\" is given twice"},
    {"label_with_colon", "a{b_c=\"1\"} 1\n# EOF\n", "a{b:c=\"1\"} 1\n# EOF\n",
     "line 1: column 4: '=' is expected after the label name"},
    {"label_begins_with_a_digit", "a{b1=\"1\"} 1\n# EOF\n", "a{1b=\"1\"} 1\n# EOF\n",
     "line 1: column 3: a label name is expected here"},
    {"label_without_value", "a{b=\"\"} 1\n# EOF\n", "a{b} 1\n# EOF\n",
     "line 1: column 4: '=' is expected after the label name"},
    {"label_without_quotes", "a{b=\"c\"} 1\n# EOF\n", "a{b=c} 1\n# EOF\n",
     "line 1: column 5: a label value in double quotes is expected here"},
    {"label_in_single_quotes", "a{b=\"c\"} 1\n# EOF\n", "a{b='c'} 1\n# EOF\n",
     "line 1: column 5: a label value in double quotes is expected here"},
    {"label_not_closed", "a{b=\"c\"} 1\n# EOF\n", "a{b=\"c 1\n# EOF\n",
     "line 1: column 9: the line ends inside a label value"},
    {"escape_hides_the_quote", "a{b=\"c\\\\\"} 1\n# EOF\n", "a{b=\"c\\\"} 1\n# EOF\n",
     "line 1: column 12: the line ends inside a label value"},
    {"labels_not_closed", "a{b=\"c\"} 1\n# EOF\n", "a{b=\"c\" 1\n# EOF\n",
     "line 1: column 8: a comma or a closing brace is expected here"},
    {"comma_at_the_end", "a{b=\"c\"} 1\n# EOF\n", "a{b=\"c\",} 1\n# EOF\n",
     "line 1: column 9: a label is expected after the comma"},
    {"comma_at_the_begin", "a{b=\"c\"} 1\n# EOF\n", "a{,b=\"c\"} 1\n# EOF\n",
     "line 1: column 3: a label name is expected here"},
    {"blank_before_labels", "a{b=\"c\"} 1\n# EOF\n", "a {b=\"c\"} 1\n# EOF\n",
     "line 1: column 3: " NUMBER_EXPECTED},
    {"no_blank_before_value", "a{b=\"c\"} 1\n# EOF\n", "a{b=\"c\"}1\n# EOF\n",
     "line 1: column 9: one space and a value are expected after the series"},
    {"tab_before_value", "a 1\n# EOF\n", "a\t1\n# EOF\n",
     "line 1: column 2: this character cannot be in a plain name, which has letters, digits, _ "
     "and :; after the series, one space and a value are expected"},
    {"two_blanks_before_value", "a 1\n# EOF\n", "a  1\n# EOF\n",
     "line 1: column 2: one space and a value are expected after the series"},
    {"blank_at_the_end", "a 1\n# EOF\n", "a 1 \n# EOF\n",
     "line 1: column 4: one space and a timestamp, or the end of the line, are expected after the "
     "value"},
    {"value_hexadecimal", "a 16\n# EOF\n", "a 0x10\n# EOF\n", "line 1: column 3: " NUMBER_EXPECTED},
    {"value_with_underscores", "a 1000\n# EOF\n", "a 1_000\n# EOF\n",
     "line 1: column 3: " NUMBER_EXPECTED},
    {"value_nan_with_sign", "a NaN\n# EOF\n", "a -NaN\n# EOF\n",
     "line 1: column 3: " NUMBER_EXPECTED},
    {"timestamp_not_finite", "a 1 0\n# EOF\n", "a 1 NaN\n# EOF\n",
     "line 1: column 5: " SECONDS_EXPECTED},
    {"timestamp_infinite", "a 1 1e9\n# EOF\n", "a 1 +Inf\n# EOF\n",
     "line 1: column 5: " SECONDS_EXPECTED},
    {"line_ends_in_labels", "a{b=\"c\"} 1\n# EOF\n", "a{b=\"c\",\n# EOF\n",
     "line 1: column 9: the line ends inside the labels"},
    {"line_ends_in_a_name", "{\"a\"} 1\n# EOF\n", "{\"a} 1\n# EOF\n",
     "line 1: column 7: the line ends inside a name"},
    {"blank_behind_timestamp", "a 1 2\n# EOF\n", "a 1 2 \n# EOF\n",
     "line 1: column 6: an exemplar or the end of the line is expected after the timestamp"},
    {"text_behind_timestamp", "a 1 2\n# EOF\n", "a 1 2 3\n# EOF\n",
     "line 1: column 7: an exemplar is expected here: # {labels} value"},
};

static const struct rule value_rules[] = {
    {"counter_negative", "# TYPE a counter\na_total 0\n# EOF\n",
     "# TYPE a counter\na_total -1\n# EOF\n",
     "line 2: the value is below zero, which a total, count, sum or bucket cannot be"},
    {"counter_nan", "# TYPE a gauge\na NaN\n# EOF\n", "# TYPE a counter\na_total NaN\n# EOF\n",
     "line 2: the value is NaN, which a total, count, sum or bucket cannot be"},
    {"info_not_1", "# TYPE a info\na_info 1\n# EOF\n", "# TYPE a info\na_info 2\n# EOF\n",
     "line 2: the value of an info must be 1"},
    {"stateset_not_0_or_1", "# TYPE a stateset\na{a=\"x\"} 1\n# EOF\n",
     "# TYPE a stateset\na{a=\"x\"} 0.5\n# EOF\n",
     "line 2: the value of a stateset must be 0 or 1"},
    {"stateset_without_its_label", "# TYPE a stateset\na{a=\"x\"} 1\n# EOF\n",
     "# TYPE a stateset\na{b=\"x\"} 1\n# EOF\n",
     "line 2: a stateset's sample needs the label that bears the family's name"},
    {"quantile_missing", "# TYPE a summary\na{quantile=\"0.5\"} 1\n# EOF\n",
     "# TYPE a summary\na{q=\"0.5\"} 1\n# EOF\n",
     "line 2: a summary's sample needs the label quantile, a number from 0 to 1"},
    {"quantile_above_1", "# TYPE a summary\na{quantile=\"1\"} 1\n# EOF\n",
     "# TYPE a summary\na{quantile=\"1.01\"} 1\n# EOF\n",
     "line 2: a summary's sample needs the label quantile, a number from 0 to 1"},
    {"quantile_no_number", "# TYPE a summary\na{quantile=\"0.99\"} 1\n# EOF\n",
     "# TYPE a summary\na{quantile=\"p99\"} 1\n# EOF\n",
     "line 2: a summary's sample needs the label quantile, a number from 0 to 1"},
    {"quantile_negative", "# TYPE a summary\na{quantile=\"0.5\"} NaN\n# EOF\n",
     "# TYPE a summary\na{quantile=\"0.5\"} -1\n# EOF\n",
     "line 2: the value of a quantile is below zero, which it cannot be"},
    {"summary_count_not_whole", "# TYPE a summary\na_count 2\na_sum 1.5\n# EOF\n",
     "# TYPE a summary\na_count 1.5\na_sum 2\n# EOF\n",
     "line 2: the value of a bucket or a count must be a whole number"},
    {"summary_sum_negative", "# TYPE a summary\na_count 2\na_sum 0\n# EOF\n",
     "# TYPE a summary\na_count 2\na_sum -1\n# EOF\n",
     "line 3: the value is below zero, which a total, count, sum or bucket cannot be"},
    {"summary_count_nan", "# TYPE a summary\na_count 0\n# EOF\n",
     "# TYPE a summary\na_count NaN\n# EOF\n",
     "line 2: the value is NaN, which a total, count, sum or bucket cannot be"},
};

static const struct rule histogram_rules[] = {
    {"bound_missing", "# TYPE a histogram\n" INF "1\n# EOF\n",
     "# TYPE a histogram\na_bucket 1\n# EOF\n",
     "line 2: a bucket needs its bound as a number in the label le, infinity as \"+Inf\""},
    {"bound_no_number", "# TYPE a histogram\na_bucket{le=\"1\"} 1\n" INF "1\n# EOF\n",
     "# TYPE a histogram\na_bucket{le=\"one\"} 1\n" INF "1\n# EOF\n",
     "line 2: a bucket needs its bound as a number in the label le, infinity as \"+Inf\""},
    {"infinity_without_sign", "# TYPE a histogram\n" INF "1\n# EOF\n",
     "# TYPE a histogram\na_bucket{le=\"Inf\"} 1\n# EOF\n",
     "line 2: a bucket needs its bound as a number in the label le, infinity as \"+Inf\""},
    {"infinity_missing", "# TYPE a histogram\na_bucket{le=\"1\"} 1\n" INF "1\n# EOF\n",
     "# TYPE a histogram\na_bucket{le=\"1\"} 1\n# EOF\n",
     "line 2: the histogram \"a\" that begins here has no bucket with le=\"+Inf\""},
    {"bounds_not_rising",
     "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"2\"} 1\n" INF "1\n# EOF\n",
     "# TYPE a histogram\na_bucket{le=\"2\"} 1\na_bucket{le=\"1\"} 1\n" INF "1\n# EOF\n",
     "line 3: the bound le is not above that of the bucket before it"},
    {"bound_twice", "# TYPE a histogram\na_bucket{le=\"1\"} 1\n" INF "1\n# EOF\n",
     "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"1.0\"} 1\n" INF "1\n# EOF\n",
     "line 3: the bound le is not above that of the bucket before it"},
    {"buckets_go_down", "# TYPE a histogram\na_bucket{le=\"1\"} 2\n" INF "2\n# EOF\n",
     "# TYPE a histogram\na_bucket{le=\"1\"} 2\n" INF "1\n# EOF\n",
     "line 3: the bucket counts less than the one before it"},
    {"bucket_not_whole", "# TYPE a histogram\n" INF "1\n# EOF\n",
     "# TYPE a histogram\n" INF "1.5\n# EOF\n",
     "line 2: the value of a bucket or a count must be a whole number"},
    {"bucket_negative", "# TYPE a histogram\n" INF "0\n# EOF\n",
     "# TYPE a histogram\n" INF "-1\n# EOF\n",
     "line 2: the value is below zero, which a total, count, sum or bucket cannot be"},
    {"count_differs", "# TYPE a histogram\n" INF "2\na_count 2\na_sum 1\n# EOF\n",
     "# TYPE a histogram\n" INF "2\na_count 1\na_sum 1\n# EOF\n",
     "line 2: the histogram \"a\" that begins here has a count that differs from its bucket with "
     "le=\"+Inf\""},
    {"sum_without_count", "# TYPE a histogram\n" INF "2\na_count 2\na_sum 1\n# EOF\n",
     "# TYPE a histogram\n" INF "2\na_sum 1\n# EOF\n",
     "line 2: the histogram \"a\" that begins here has a sum and no count"},
    {"count_without_sum", "# TYPE a histogram\n" INF "2\n# EOF\n",
     "# TYPE a histogram\n" INF "2\na_count 2\n# EOF\n",
     "line 2: the histogram \"a\" that begins here has a count and no sum"},
    {"sum_with_negative_bound", "# TYPE a histogram\na_bucket{le=\"-1\"} 0\n" INF "1\n# EOF\n",
     "# TYPE a histogram\na_bucket{le=\"-1\"} 0\n" INF "1\na_count 1\na_sum 1\n# EOF\n",
     "line 2: the histogram \"a\" that begins here has a bound below zero and a sum, which could "
     "then go down"},
    {"gsum_negative",
     "# TYPE a gaugehistogram\na_bucket{le=\"-1\"} 1\n" INF "1\na_gcount 1\na_gsum -1\n# EOF\n",
     "# TYPE a gaugehistogram\na_bucket{le=\"1\"} 1\n" INF "1\na_gcount 1\na_gsum -1\n# EOF\n",
     "line 2: the gaugehistogram \"a\" that begins here has a sum below zero and no bound below "
     "zero"},
    {"second_point_without_infinity",
     "# TYPE a histogram\n" INF "1 1\na_bucket{le=\"1\"} 1 2\n" INF "1 2\n# EOF\n",
     "# TYPE a histogram\n" INF "1 1\na_bucket{le=\"1\"} 1 2\n# EOF\n",
     "line 3: the histogram \"a\" that begins here has no bucket with le=\"+Inf\""},
};

#define EXEMPLAR_OF(labels) "# TYPE a counter\na_total 1 # {" labels "} 1\n# EOF\n"
#define X60                 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct rule exemplar_rules[] = {
    {"on_a_gauge", "# TYPE a counter\na_total 1 # {b=\"c\"} 1\n# EOF\n",
     "# TYPE a gauge\na 1 # {b=\"c\"} 1\n# EOF\n",
     "line 2: this sample cannot have an exemplar: only totals of counters and buckets can"},
    {"on_a_created", "# TYPE a counter\na_created 1\n# EOF\n",
     "# TYPE a counter\na_created 1 # {b=\"c\"} 1\n# EOF\n",
     "line 2: this sample cannot have an exemplar: only totals of counters and buckets can"},
    {"on_a_sum", "# TYPE a histogram\n" INF "1 # {b=\"c\"} 1\na_count 1\na_sum 1\n# EOF\n",
     "# TYPE a histogram\n" INF "1\na_count 1\na_sum 1 # {b=\"c\"} 1\n# EOF\n",
     "line 4: this sample cannot have an exemplar: only totals of counters and buckets can"},
    {"too_long", EXEMPLAR_OF("ab=\"" X60 X60 "123456\""), EXEMPLAR_OF("ab=\"" X60 X60 "1234567\""),
     "line 2: column 11: the labels of an exemplar have 128 characters at most"},
    {"too_long_in_two", EXEMPLAR_OF("ab=\"" X60 "\",c=\"" X60 "12345\""),
     EXEMPLAR_OF("ab=\"" X60 "\",c=\"" X60 "123456\""),
     "line 2: column 11: the labels of an exemplar have 128 characters at most"},
    {"label_twice", EXEMPLAR_OF("b=\"c\",d=\"c\""), EXEMPLAR_OF("b=\"c\",d=\"c\",b=\"d\""),
     "line 2: column 26: an exemplar cannot have the same label twice"},
    {"without_value", EXEMPLAR_OF(""), "# TYPE a counter\na_total 1 # {}\n# EOF\n",
     "line 2: column 15: one space and a value are expected after the labels of an exemplar"},
    {"without_labels", EXEMPLAR_OF("b=\"c\""), "# TYPE a counter\na_total 1 # 1\n# EOF\n",
     "line 2: column 11: an exemplar is expected here: # {labels} value"},
    {"without_blank", EXEMPLAR_OF("b=\"c\""), "# TYPE a counter\na_total 1 #{b=\"c\"} 1\n# EOF\n",
     "line 2: column 11: an exemplar is expected here: # {labels} value"},
    {"value_no_number", EXEMPLAR_OF("b=\"c\""),
     "# TYPE a counter\na_total 1 # {b=\"c\"} x\n# EOF\n", "line 2: column 21: " NUMBER_EXPECTED},
    {"timestamp_no_number", "# TYPE a counter\na_total 1 # {b=\"c\"} 1 2\n# EOF\n",
     "# TYPE a counter\na_total 1 # {b=\"c\"} 1 x\n# EOF\n",
     "line 2: column 23: " SECONDS_EXPECTED},
    {"blank_behind_value", EXEMPLAR_OF("b=\"c\""),
     "# TYPE a counter\na_total 1 # {b=\"c\"} 1 \n# EOF\n",
     "line 2: column 22: one space and a timestamp, or the end of the line, are expected after the "
     "value of an exemplar"},
    {"two_timestamps", "# TYPE a counter\na_total 1 # {b=\"c\"} 1 2\n# EOF\n",
     "# TYPE a counter\na_total 1 # {b=\"c\"} 1 2 3\n# EOF\n",
     "line 2: column 24: nothing may follow the timestamp of an exemplar"},
    {"label_not_closed", EXEMPLAR_OF("b=\"c\""), "# TYPE a counter\na_total 1 # {b=\"c} 1\n# EOF\n",
     "line 2: column 21: the line ends inside a label value"},
};

static void check(const char *group, const struct rule *rules, size_t count)
{
    unsigned failed = 0;
    for (size_t i = 0; i < count; i++) {
        const struct rule *rule = &rules[i];
        struct parsed good, bad;
        parse_openmetrics(&good, rule->good);
        bool kept = good.status == STATUS_OK && good.batch.rejected == 0 &&
                    invalid_series(&good.batch) == 0;
        if (!kept)
            print_error("%s, %s: what keeps the rule is refused: %s\n", group, rule->name,
                        good.err.message);
        parse_openmetrics(&bad, rule->bad);
        bool broken = bad.status == STATUS_INVALID && bad.err.code != NULL &&
                      strcmp(bad.err.code, "openmetrics_invalid") == 0 &&
                      strcmp(bad.err.message, rule->reason) == 0;
        if (!broken)
            print_error("%s, %s: %s\n  the reason is\n  %s\n", group, rule->name,
                        status_name(bad.status),
                        bad.status == STATUS_OK ? "not there: it is accepted" : bad.err.message);
        failed += !kept || !broken;
        parsed_release(&good);
        parsed_release(&bad);
    }
    assert_int_equal(failed, 0);
}

#define RULES_TEST(group, about)                                                                   \
    static void about(void **state)                                                                \
    {                                                                                              \
        (void)state;                                                                               \
        check(#group, group, sizeof group / sizeof group[0]);                                      \
    }

RULES_TEST(document_rules, a_document_that_breaks_a_rule_of_documents_is_refused_with_the_reason)
RULES_TEST(metadata_rules, a_document_that_breaks_a_rule_of_metadata_is_refused_with_the_reason)
RULES_TEST(family_rules, a_document_that_breaks_a_rule_of_families_is_refused_with_the_reason)
RULES_TEST(line_rules, a_document_that_breaks_a_rule_of_lines_is_refused_with_the_reason)
RULES_TEST(value_rules, a_document_that_breaks_a_rule_of_values_is_refused_with_the_reason)
RULES_TEST(histogram_rules, a_document_that_breaks_a_rule_of_histograms_is_refused_with_the_reason)
RULES_TEST(exemplar_rules, a_document_that_breaks_a_rule_of_exemplars_is_refused_with_the_reason)

/* Of what looks like a fault and is none by OpenMetrics 1.0. */
static void what_no_rule_forbids_is_accepted(void **state)
{
    (void)state;
    static const char *const documents[] = {
        "a{b=\"\\x\"} 1\n# EOF\n",            /* a backslash before any other character */
        "a 1 1\na 1 1\n# EOF\n",              /* the same sample twice */
        "a{} 1\n# EOF\n",                     /* no labels in the braces */
        "# HELP a \n# TYPE a gauge\n# EOF\n", /* an empty help text, and no samples */
        "# UNIT a \n# EOF\n",                 /* an empty unit */
        "a{b=\"c\", d=\"e\"} 1\n# EOF\n",     /* one blank after a comma */
        "# TYPE a counter\na_total 1 # {} 1\n# EOF\n",
        "a nan\na -inf\na +Infinity\n# EOF\n",
        "# TYPE a summary\na_sum 1\n# EOF\n",
        "# TYPE a histogram\n# EOF\n",
    };
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        struct parsed parsed;
        parse_openmetrics(&parsed, documents[i]);
        if (parsed.status != STATUS_OK)
            print_error("%s%s\n", documents[i], parsed.err.message);
        assert_int_equal(parsed.status, STATUS_OK);
        parsed_release(&parsed);
    }
}

/* One sample with `count` labels. */
static void parse_many_labels(struct parsed *parsed, unsigned count)
{
    struct bytes body;
    bytes_init(&body, 1 << 20);
    assert_int_equal(bytes_append_text(&body, "b 1\na{"), STATUS_OK);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(bytes_format(&body, "%sl%u=\"\"", i == 0 ? "" : ",", i), STATUS_OK);
    assert_int_equal(bytes_append_text(&body, "} 1\n# EOF\n"), STATUS_OK);
    parse_with(parsed, bytes_slice(&body), true, TEST_ARENA_MAX);
    bytes_release(&body);
}

static void a_series_with_too_many_labels_is_refused_with_the_reason(void **state)
{
    (void)state;
    struct parsed parsed;
    parse_many_labels(&parsed, LABELS_MAX_COUNT);
    assert_int_equal(parsed.status, STATUS_OK);
    parsed_release(&parsed);
    parse_many_labels(&parsed, LABELS_MAX_COUNT + 1);
    assert_int_equal(parsed.status, STATUS_INVALID);
    assert_string_equal(parsed.err.code, "openmetrics_invalid");
    assert_string_equal(parsed.err.message, "line 2: more than 4096 labels in one series");
    parsed_release(&parsed);
}

/* Not the document: OpenMetrics has no bounds for values and times, we have. */
static void a_sample_that_cannot_be_stored_is_refused_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        const char *line, *code, *reason;
    } cases[] = {
        {"a 1e400", "value_out_of_range",
         "the value is beyond what a 64-bit floating-point number can hold"},
        {"a 1 9223372036.855", "timestamp_out_of_range",
         "the timestamp is outside of the years 1678 to 2262; it counts seconds since 1970"},
        {"a 1 -9223372036.855", "timestamp_out_of_range",
         "the timestamp is outside of the years 1678 to 2262; it counts seconds since 1970"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct parsed parsed;
        char body[64];
        snprintf(body, sizeof body, "b 1\n%s\n# EOF\n", cases[i].line);
        parse_openmetrics(&parsed, body);
        assert_int_equal(parsed.status, STATUS_OK);
        assert_int_equal(parsed.batch.sample_count, 1);
        assert_int_equal(parsed.batch.rejection_count, 1);
        const struct batch_rejection *rejection = &parsed.batch.rejections[0];
        assert_int_equal(rejection->line, 2);
        assert_string_equal(rejection->code, cases[i].code);
        assert_true(slice_equal_text(rejection->message, cases[i].reason));
        parsed_release(&parsed);
    }
}

static void memory_that_ends_is_told_with_its_line(void **state)
{
    (void)state;
    enum { LINES = 3000, ARENA = 100000 };
    struct bytes body;
    struct parsed parsed;
    bytes_init(&body, 1 << 20);
    for (unsigned i = 0; i < LINES; i++)
        assert_int_equal(bytes_format(&body, "a{b=\"%u\"} 1\n", i), STATUS_OK);
    parse_with(&parsed, bytes_slice(&body), true, ARENA);
    assert_int_equal(parsed.status, STATUS_LIMIT);
    unsigned line = 0;
    char reason[96];
    assert_int_equal(sscanf(parsed.err.message, "line %u:", &line), 1);
    assert_in_range(line, 2, LINES - 1);
    snprintf(reason, sizeof reason, "line %u: no memory left for the document; send smaller ones",
             line);
    assert_string_equal(parsed.err.message, reason);
    parsed_release(&parsed);
    bytes_release(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_that_breaks_a_rule_of_documents_is_refused_with_the_reason),
        cmocka_unit_test(a_document_that_breaks_a_rule_of_metadata_is_refused_with_the_reason),
        cmocka_unit_test(a_document_that_breaks_a_rule_of_families_is_refused_with_the_reason),
        cmocka_unit_test(a_document_that_breaks_a_rule_of_lines_is_refused_with_the_reason),
        cmocka_unit_test(a_document_that_breaks_a_rule_of_values_is_refused_with_the_reason),
        cmocka_unit_test(a_document_that_breaks_a_rule_of_histograms_is_refused_with_the_reason),
        cmocka_unit_test(a_document_that_breaks_a_rule_of_exemplars_is_refused_with_the_reason),
        cmocka_unit_test(a_series_with_too_many_labels_is_refused_with_the_reason),
        cmocka_unit_test(a_sample_that_cannot_be_stored_is_refused_with_the_reason),
        cmocka_unit_test(memory_that_ends_is_told_with_its_line),
        cmocka_unit_test(what_no_rule_forbids_is_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
