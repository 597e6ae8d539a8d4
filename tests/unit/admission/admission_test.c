#include "../test.h"

#include "admission/admission.h"
#include "base/times.h"

enum { ARENA_MAX = 1 << 20, LABELS_MAX = 8 };
#define NOW_MS INT64_C(1795305600000) /* 2026-11-22T00:00:00Z */

static int64_t monotonic_ns;

static int64_t read_monotonic(struct clock *clock)
{
    (void)clock;
    return monotonic_ns;
}

static int64_t read_wall(struct clock *clock)
{
    (void)clock;
    return NOW_MS;
}

static struct os gate_os(void)
{
    static const struct clock_ops ops = {.wall_ms = read_wall, .monotonic_ns = read_monotonic};
    static struct clock clock = {.ops = &ops};
    struct os os = os_system();
    os.clock = &clock;
    return os;
}

struct gate {
    struct admission *admission;
    struct label items[LABELS_MAX];
    struct labels labels;
    struct admission_question question;
    struct error err;
};

/* A new series of a metric that has none, with no label but its name: nothing stands against it. */
static void gate_init(struct gate *gate, const struct admission_limits *limits)
{
    memset(gate, 0, sizeof *gate);
    assert_int_equal(admission_new(&gate->admission, gate_os(), limits, NULL), STATUS_OK);
    gate->items[0] = (struct label){slice_from_text(METRIC_NAME_LABEL), slice_from_text("up")};
    gate->labels = (struct labels){gate->items, 1};
    gate->question.labels = &gate->labels;
    gate->question.metric = slice_from_text("up");
}

static void set_limits(struct gate *gate, const struct admission_limits *limits)
{
    assert_int_equal(admission_set_limits(gate->admission, limits, NULL), STATUS_OK);
}

static void gate_add_label(struct gate *gate, const char *name, struct slice value)
{
    assert_true(gate->labels.count < LABELS_MAX);
    gate->items[gate->labels.count++] = (struct label){slice_from_text(name), value};
}

static enum status ask(struct gate *gate)
{
    struct admitter *admitter = admission_admitter(gate->admission);
    gate->err = (struct error){0};
    return admitter->ops->admit(admitter, &gate->question, &gate->err);
}

static void assert_says(const char *message, const char *words)
{
    if (strstr(message, words) == NULL)
        test_fail("\"%s\" does not say \"%s\"", message, words);
}

static void assert_refused(struct gate *gate, const char *code, const char *words)
{
    assert_int_equal(ask(gate), STATUS_LIMIT);
    assert_string_equal(gate->err.code, code);
    assert_says(gate->err.message, words);
}

/* ---- new series ---- */

static void without_limits_every_series_comes_in(void **state)
{
    (void)state;
    static const uint8_t large[LABEL_VALUE_MAX_SIZE] = {'v'};
    struct gate gate;
    gate_init(&gate, &(struct admission_limits){0});
    for (int i = 1; i < LABELS_MAX; i++)
        gate_add_label(&gate, "l", slice_of(large, sizeof large));
    gate.question.metric_series = UINT32_MAX;
    gate.question.total_series = UINT64_MAX;
    assert_int_equal(ask(&gate), STATUS_OK);
    admission_free(gate.admission);
}

static void the_last_series_under_the_limit_comes_in_and_the_next_does_not(void **state)
{
    (void)state;
    struct gate gate;
    gate_init(&gate, &(struct admission_limits){.max_series_per_metric = 1000});
    gate.question.metric_series = 999;
    assert_int_equal(ask(&gate), STATUS_OK);
    gate.question.metric_series = 1000;
    assert_refused(&gate, "cardinality_limit",
                   "metric \"up\" has 1000 series, and cardinality.max_series_per_metric allows "
                   "1000");
    assert_says(gate.err.message, "its existing series go on");
    gate.question.metric_series = 1001;
    assert_refused(&gate, "cardinality_limit", "has 1001 series");
    admission_free(gate.admission);
}

static void a_metric_with_a_limit_of_its_own_has_no_other(void **state)
{
    (void)state;
    struct gate gate;
    gate_init(&gate, &(struct admission_limits){.max_series_per_metric = 10});
    gate.question.has_max_series = true;
    gate.question.max_series = 20;
    gate.question.metric_series = 19;
    assert_int_equal(ask(&gate), STATUS_OK);
    gate.question.metric_series = 20;
    assert_refused(&gate, "cardinality_limit", "its registered limits.max_series allows 20");
    gate.question.max_series = 5;
    gate.question.metric_series = 5;
    assert_refused(&gate, "cardinality_limit", "limits.max_series allows 5");
    gate.question.max_series = 0;
    gate.question.metric_series = UINT32_MAX;
    assert_int_equal(ask(&gate), STATUS_OK);
    /* A number that counts only with has_max_series. */
    gate.question.has_max_series = false;
    gate.question.max_series = UINT32_MAX;
    gate.question.metric_series = 10;
    assert_refused(&gate, "cardinality_limit", "cardinality.max_series_per_metric allows 10");
    admission_free(gate.admission);
}

static void labels_are_counted_without_the_metric_name(void **state)
{
    (void)state;
    struct gate gate;
    gate_init(&gate, &(struct admission_limits){.max_labels = 2});
    gate_add_label(&gate, "a", slice_from_text("1"));
    gate_add_label(&gate, "b", slice_from_text("2"));
    assert_int_equal(ask(&gate), STATUS_OK);
    gate_add_label(&gate, "c", slice_from_text("3"));
    assert_refused(&gate, "label_limit",
                   "a new series of metric \"up\" has 3 labels; "
                   "cardinality.max_labels_per_metric allows 2");
    admission_free(gate.admission);
}

static void a_label_value_is_measured_in_bytes_and_the_metric_name_is_none(void **state)
{
    (void)state;
    struct gate gate;
    gate_init(&gate, &(struct admission_limits){.max_label_value_length = 4});
    gate.items[0].value = slice_from_text("a_long_metric_name");
    gate_add_label(&gate, "short", slice_from_text("1234"));
    gate_add_label(&gate, "city", slice_from_text("\xc3\xa9\xc3\xa9"));
    assert_int_equal(ask(&gate), STATUS_OK);
    gate.items[2].value = slice_from_text("\xc3\xa9\xc3\xa9x");
    assert_refused(&gate, "label_value_limit",
                   "label \"city\" of a new series of metric \"up\" has a value of 5 bytes; "
                   "cardinality.max_label_value_length allows 4");
    admission_free(gate.admission);
}

static void changed_limits_hold_from_the_next_question_on(void **state)
{
    (void)state;
    struct gate gate;
    gate_init(&gate, &(struct admission_limits){0});
    gate.question.metric_series = 7;
    assert_int_equal(ask(&gate), STATUS_OK);
    set_limits(&gate, &(struct admission_limits){.max_series_per_metric = 7});
    assert_refused(&gate, "cardinality_limit", "allows 7");
    set_limits(&gate, &(struct admission_limits){.max_series_per_metric = 8});
    assert_int_equal(ask(&gate), STATUS_OK);
    admission_free(gate.admission);
}

static enum status ask_again(struct gate *gate, const struct admission_counts *counts, bool tells)
{
    struct admitter *admitter = admission_admitter(gate->admission);
    struct admission_recollection recollection = {.tells = tells};
    gate->err = (struct error){0};
    enum status status =
        admitter->ops->recall(admitter, gate->question.raw, counts, &recollection, &gate->err);
    gate->err.code = recollection.code;
    if (status == STATUS_LIMIT && tells)
        assert_memory_equal(recollection.metric, "up", recollection.metric_size);
    return status;
}

static void a_refused_series_is_refused_again_while_its_metric_is_full(void **state)
{
    (void)state;
    struct gate gate;
    gate_init(&gate, &(struct admission_limits){.max_series_per_metric = 1000});
    uint32_t series[] = {0, 1000};
    struct admission_counts counts = {.metric_series = series, .metric_count = 2};
    gate.question.raw = (struct hash128){1, 2};
    gate.question.metric_number = 1;
    gate.question.metric_series = 1000;
    assert_int_equal(ask_again(&gate, &counts, true), STATUS_OK);
    assert_refused(&gate, "cardinality_limit", "has 1000 series");
    series[1] = 1001;
    assert_int_equal(ask_again(&gate, &counts, true), STATUS_LIMIT);
    assert_string_equal(gate.err.code, "cardinality_limit");
    assert_says(gate.err.message,
                "metric \"up\" has 1001 series, and cardinality.max_series_per_metric allows 1000");
    assert_int_equal(ask_again(&gate, &counts, false), STATUS_LIMIT);
    assert_string_equal(gate.err.message, "");
    series[1] = 999;
    assert_int_equal(ask_again(&gate, &counts, true), STATUS_OK);
    series[1] = 1000;
    assert_int_equal(ask_again(&gate, &counts, true), STATUS_LIMIT);
    /* The metric may have a limit of its own now. */
    counts.descriptor_changes = 1;
    assert_int_equal(ask_again(&gate, &counts, true), STATUS_OK);
    counts.descriptor_changes = 0;
    counts.metric_count = 0;
    assert_int_equal(ask_again(&gate, &counts, true), STATUS_OK);
    struct admission_stats stats;
    admission_stats(gate.admission, &stats);
    assert_int_equal(stats.series_refused, 4);
    admission_free(gate.admission);
}

/* It may be the same series, with its labels in another order. */
static void once_a_series_of_the_metric_comes_in_each_is_looked_at_again(void **state)
{
    (void)state;
    struct gate gate;
    gate_init(&gate, &(struct admission_limits){.max_series_per_metric = 1000});
    uint32_t series[] = {1000};
    struct admission_counts counts = {.metric_series = series, .metric_count = 1};
    gate.question.raw = (struct hash128){1, 2};
    gate.question.metric_series = 1000;
    assert_refused(&gate, "cardinality_limit", "has 1000 series");
    assert_int_equal(ask_again(&gate, &counts, true), STATUS_LIMIT);
    gate.question.raw = (struct hash128){3, 4};
    gate.question.metric_series = 999;
    assert_int_equal(ask(&gate), STATUS_OK);
    gate.question.raw = (struct hash128){1, 2};
    assert_int_equal(ask_again(&gate, &counts, true), STATUS_OK);
    admission_free(gate.admission);
}

static void every_refusal_but_by_rate_is_told_again_until_limits_change(void **state)
{
    (void)state;
    static const struct {
        struct admission_limits limits;
        const char *code, *words;
    } cases[] = {
        {{.max_labels = 1}, "label_limit", "cardinality.max_labels_per_metric allows (1)"},
        {{.max_label_name_length = 1}, "label_name_limit", "cardinality.max_label_name_length"},
        {{.max_label_value_length = 1}, "label_value_limit", "cardinality.max_label_value_length"},
        {{.max_metric_name_length = 1}, "metric_name_limit", "cardinality.max_metric_name_length"},
        {{.max_index_bytes = 1}, "memory_limit", "memory.limit"},
        {{.max_series = 5}, "total_series_limit", "cardinality.max_series allows 5"},
        {{.max_series = 5, .max_series_by_memory = true}, "memory_limit", "has room for 5"},
        {{.max_indexed_series = 5}, "indexed_series_limit", "cardinality.max_indexed_series"},
    };
    struct admission_counts counts = {.total_series = 5, .indexed_series = 5, .index_bytes = 1};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gate gate;
        gate_init(&gate, &cases[i].limits);
        gate_add_label(&gate, "label", slice_from_text("value"));
        gate_add_label(&gate, "second", slice_from_text("2nd"));
        gate.question.total_series = gate.question.indexed_series = 5;
        gate.question.index_bytes = 1;
        assert_refused(&gate, cases[i].code, "");
        assert_int_equal(ask_again(&gate, &counts, true), STATUS_LIMIT);
        assert_string_equal(gate.err.code, cases[i].code);
        assert_says(gate.err.message, cases[i].words);
        set_limits(&gate, &cases[i].limits);
        assert_int_equal(ask_again(&gate, &counts, true), STATUS_OK);
        admission_free(gate.admission);
    }
}

static void long_names_are_refused_by_their_beginning(void **state)
{
    (void)state;
    struct gate gate;
    char name[300];
    memset(name, 'n', sizeof name);
    gate_init(&gate, &(struct admission_limits){.max_label_name_length = 20,
                                                .max_metric_name_length = 30});
    gate_add_label(&gate, "exactly_20_bytes_lng", slice_from_text("v"));
    assert_int_equal(ask(&gate), STATUS_OK);
    gate.items[1].name = slice_from_text("this_label_has_21_byt");
    assert_refused(&gate, "label_name_limit",
                   "has a name of 21 bytes; cardinality.max_label_name_length allows 20");
    gate.items[1].name = slice_from_text("l");
    gate.question.metric = slice_of(name, 30);
    assert_int_equal(ask(&gate), STATUS_OK);
    gate.question.metric = slice_of(name, sizeof name);
    assert_refused(&gate, "metric_name_limit",
                   "has 300 bytes; cardinality.max_metric_name_length allows 30");
    assert_true(strlen(gate.err.message) < 250);
    admission_free(gate.admission);
}

static void series_in_all_have_a_limit_which_memory_makes_or_a_setting(void **state)
{
    (void)state;
    struct gate gate;
    gate_init(&gate, &(struct admission_limits){.max_series = 1000});
    gate.question.total_series = 999;
    assert_int_equal(ask(&gate), STATUS_OK);
    gate.question.total_series = 1000;
    assert_refused(
        &gate, "total_series_limit",
        "1000 series are active, of all metrics, and cardinality.max_series allows 1000");
    gate.question.returns = true;
    assert_refused(&gate, "total_series_limit", "metric \"up\"");
    set_limits(&gate, &(struct admission_limits){.max_series = 1000, .max_series_by_memory = true});
    assert_refused(&gate, "memory_limit", "memory.limit has room for 1000");
    admission_free(gate.admission);
}

static void series_in_all_are_warned_of_where_their_metric_is_not(void **state)
{
    (void)state;
    struct gate gate;
    gate_init(&gate, &(struct admission_limits){
                         .max_series = 100, .max_series_per_metric = 10, .warning_threshold = 0.8});
    gate.question.total_series = 78;
    assert_int_equal(ask(&gate), STATUS_OK);
    assert_null(gate.err.code);
    gate.question.total_series = 79;
    assert_int_equal(ask(&gate), STATUS_OK);
    assert_string_equal(gate.err.code, "cardinality_warning");
    assert_says(gate.err.message, "of all metrics have reached 80% of the 100 that "
                                  "cardinality.max_series allows");
    gate.question.metric_series = 8;
    assert_int_equal(ask(&gate), STATUS_OK);
    assert_says(gate.err.message, "metric \"up\" has reached 80%");
    admission_free(gate.admission);
}

static const struct admission_override unset = {.max_series = ADMISSION_UNSET,
                                                .max_new_series = ADMISSION_UNSET,
                                                .max_labels = ADMISSION_UNSET,
                                                .max_label_value_length = ADMISSION_UNSET,
                                                .warning_threshold = -1};

static void an_override_holds_for_its_metrics_and_the_message_names_it(void **state)
{
    (void)state;
    struct admission_override overrides[] = {unset, unset};
    overrides[0].match = "http_*";
    overrides[0].max_series = 7;
    overrides[0].max_labels = 1;
    overrides[0].max_label_value_length = 3;
    overrides[0].warning_threshold = 0.5;
    overrides[1].match = "~.+";
    overrides[1].max_series = 0;
    struct gate gate;
    gate_init(&gate, &(struct admission_limits){.max_series_per_metric = 5,
                                                .max_labels = 9,
                                                .max_label_value_length = 9,
                                                .overrides = overrides,
                                                .override_count = 2});
    gate.question.metric_series = 1000; /* "up": no limit */
    assert_int_equal(ask(&gate), STATUS_OK);
    gate.question.metric = slice_from_text("http_requests_total");
    gate.question.metric_series = 6;
    assert_int_equal(ask(&gate), STATUS_OK);
    assert_says(gate.err.message,
                "has reached 50% of the 7 series that max_series of the override");
    gate.question.metric_series = 7;
    assert_refused(&gate, "cardinality_limit",
                   "max_series of the override \"http_*\" in cardinality.overrides allows 7");
    /* It goes before what the metric was registered with. */
    gate.question.has_max_series = true;
    gate.question.max_series = 100;
    assert_refused(&gate, "cardinality_limit", "override \"http_*\"");
    gate.question.metric_series = 0;
    gate_add_label(&gate, "a", slice_from_text("four"));
    assert_refused(&gate, "label_value_limit", "max_label_value_length of the override");
    gate.items[1].value = slice_from_text("x");
    assert_int_equal(ask(&gate), STATUS_OK);
    gate_add_label(&gate, "b", slice_from_text("x"));
    assert_refused(&gate, "label_limit", "max_labels of the override \"http_*\"");
    set_limits(&gate, &(struct admission_limits){.max_series_per_metric = 5});
    assert_int_equal(ask(&gate), STATUS_OK);
    struct admission_metric_limit limit;
    admission_metric_limit(gate.admission, slice_from_text("http_x"), true, 3, &limit);
    assert_true(limit.max_series == 3);
    admission_free(gate.admission);
}

static void an_override_stands_when_a_refused_series_comes_again(void **state)
{
    (void)state;
    struct admission_override override = unset;
    override.match = "up";
    override.max_series = 2;
    struct gate gate;
    gate_init(&gate, &(struct admission_limits){
                         .max_series_per_metric = 5, .overrides = &override, .override_count = 1});
    uint32_t series[] = {2};
    struct admission_counts counts = {.metric_series = series, .metric_count = 1};
    gate.question.raw = (struct hash128){1, 2};
    gate.question.metric_series = 2;
    assert_refused(&gate, "cardinality_limit", "the override \"up\"");
    assert_int_equal(ask_again(&gate, &counts, true), STATUS_LIMIT);
    assert_says(gate.err.message, "max_series of the override \"up\" in cardinality.overrides "
                                  "allows 2");
    override.max_series = 3;
    set_limits(&gate, &(struct admission_limits){.overrides = &override, .override_count = 1});
    assert_int_equal(ask_again(&gate, &counts, true), STATUS_OK);
    admission_free(gate.admission);
}

static void limits_with_a_pattern_that_is_none_change_nothing(void **state)
{
    (void)state;
    struct admission_override override = unset;
    override.match = "~(";
    override.max_series = 2;
    struct gate gate;
    gate_init(&gate, &(struct admission_limits){.max_series_per_metric = 5});
    assert_int_equal(admission_set_limits(
                         gate.admission,
                         &(struct admission_limits){.overrides = &override, .override_count = 1},
                         &gate.err),
                     STATUS_INVALID);
    assert_says(gate.err.message, "override 1");
    gate.question.metric_series = 5;
    assert_refused(&gate, "cardinality_limit", "cardinality.max_series_per_metric allows 5");
    admission_free(gate.admission);
}

/* Asks for `count` series with another user_id each, from `first` on; the last status. `warning`
 * becomes the message of the first warning. */
static enum status ask_for_users(struct gate *gate, int first, int count, char *warning)
{
    enum status status = STATUS_OK;
    gate->labels.count = 1;
    gate_add_label(gate, "user_id", slice_of(NULL, 0));
    for (int i = first; i < first + count; i++) {
        char value[64];
        snprintf(value, sizeof value, "3f2a11c0-77aa-4b1e-9a55-%012x", i * 7919);
        gate->items[1].value = slice_from_text(value);
        gate->question.raw = (struct hash128){(uint64_t)i * 0x9E3779B97F4A7C15U, (uint64_t)i};
        status = ask(gate);
        if (status == STATUS_OK && gate->err.code != NULL && warning[0] == 0)
            snprintf(warning, ERROR_MESSAGE_SIZE, "%s", gate->err.message);
    }
    return status;
}

static void a_label_that_fills_up_is_warned_of_and_named_when_the_limit_is_reached(void **state)
{
    (void)state;
    struct gate gate;
    char warning[ERROR_MESSAGE_SIZE] = "";
    gate_init(&gate, &(struct admission_limits){.max_series_per_metric = 1000,
                                                .shape_action = LABEL_ACTION_WARN,
                                                .refusal_bytes = 1 << 20,
                                                .evidence_bytes = 1 << 20});
    assert_int_equal(ask_for_users(&gate, 0, 10, warning), STATUS_OK);
    assert_string_equal(warning, "");
    assert_int_equal(ask_for_users(&gate, 10, 190, warning), STATUS_OK);
    assert_says(warning, "label \"user_id\" of metric \"up\" fills it with series");
    assert_says(warning, "UUIDs");
    /* Some 20 values in the first minute are about 1,200 an hour: some 50 minutes. */
    int growth, minutes;
    const char *outlook = strstr(warning, "at ");
    assert_non_null(outlook);
    assert_int_equal(sscanf(outlook,
                            "at %d more an hour the 1000 series that it may have are there "
                            "in %dm",
                            &growth, &minutes),
                     2);
    assert_in_range(growth, 900, 1500);
    assert_in_range(minutes, 35, 70);
    gate.question.metric_series = 1000;
    assert_int_equal(ask_for_users(&gate, 200, 1, warning), STATUS_LIMIT);
    assert_says(gate.err.message, "its label \"user_id\" has the most values, about ");
    assert_says(gate.err.message, "most of them UUIDs, such as \"3f2a11c0-");
    admission_free(gate.admission);
}

static void a_label_that_the_operator_rejects_keeps_new_series_out_once_it_fills_up(void **state)
{
    (void)state;
    struct label_pattern pattern = {.match = "user_id", .action = LABEL_ACTION_REJECT};
    struct gate gate;
    char warning[ERROR_MESSAGE_SIZE] = "";
    gate_init(&gate, &(struct admission_limits){.evidence_bytes = 1 << 20,
                                                .label_patterns = &pattern,
                                                .label_pattern_count = 1});
    assert_int_equal(ask_for_users(&gate, 0, 10, warning), STATUS_OK);
    assert_int_equal(ask_for_users(&gate, 10, 90, warning), STATUS_LIMIT);
    assert_string_equal(gate.err.code, "cardinality_finding");
    assert_says(gate.err.message, "cardinality.label_patterns refuses new series with it");
    /* What has been there before is not new. */
    gate.question.returns = true;
    assert_int_equal(ask(&gate), STATUS_OK);
    gate.question.returns = false;
    pattern.action = LABEL_ACTION_OFF;
    set_limits(&gate,
               &(struct admission_limits){.label_patterns = &pattern, .label_pattern_count = 1});
    assert_int_equal(ask_for_users(&gate, 100, 90, warning), STATUS_OK);
    pattern.match = "~(";
    assert_int_equal(admission_set_limits(gate.admission,
                                          &(struct admission_limits){.label_patterns = &pattern,
                                                                     .label_pattern_count = 1},
                                          NULL),
                     STATUS_INVALID);
    admission_free(gate.admission);
}

static const char *unknown_name;

static struct slice new_name(const struct admission_question *question)
{
    (void)question;
    return unknown_name == NULL ? slice_of(NULL, 0) : slice_from_text(unknown_name);
}

static void a_flood_of_names_costs_new_names_alone(void **state)
{
    (void)state;
    struct gate gate;
    gate_init(&gate, &(struct admission_limits){.max_name_bytes = 3 << 20});
    gate.question.new_name = new_name;
    gate.question.name_bytes = (3 << 20) - 1;
    unknown_name = "label_1";
    assert_int_equal(ask(&gate), STATUS_OK);
    gate.question.name_bytes = 3 << 20;
    assert_refused(&gate, "names_limit", "take 3 MiB");
    assert_says(gate.err.message, "the label name \"label_1\" of this new series of metric \"up\"");
    unknown_name = "up";
    assert_refused(&gate, "names_limit", "the name \"up\" of this new series");
    gate.question.returns = true;
    assert_int_equal(ask(&gate), STATUS_OK);
    gate.question.returns = false;
    unknown_name = NULL;
    assert_int_equal(ask(&gate), STATUS_OK);
    /* Once another series has brought the name, nothing keeps it out. */
    struct admission_counts counts = {0};
    assert_int_equal(ask_again(&gate, &counts, true), STATUS_OK);
    admission_free(gate.admission);
}

static void series_that_return_are_indexed_and_in_memory_already(void **state)
{
    (void)state;
    struct gate gate;
    gate_init(&gate, &(struct admission_limits){.max_indexed_series = 10, .max_index_bytes = 1});
    gate.question.returns = true;
    gate.question.indexed_series = 10;
    gate.question.index_bytes = 1;
    assert_int_equal(ask(&gate), STATUS_OK);
    gate.question.returns = false;
    assert_refused(&gate, "memory_limit", "memory.limit");
    gate.question.index_bytes = 0;
    assert_refused(&gate, "indexed_series_limit",
                   "10 series are stored, and cardinality.max_indexed_series allows 10");
    gate.question.indexed_series = 9;
    assert_int_equal(ask(&gate), STATUS_OK);
    admission_free(gate.admission);
}

static unsigned admitted_of(struct gate *gate, unsigned count)
{
    unsigned admitted = 0;
    for (unsigned i = 0; i < count; i++)
        admitted += ask(gate) == STATUS_OK;
    return admitted;
}

static void new_series_of_a_second_are_bounded_in_all_and_by_metric(void **state)
{
    (void)state;
    struct gate gate;
    monotonic_ns = 5000000000;
    gate_init(&gate, &(struct admission_limits){.max_new_series = 30, .max_new_metric_series = 10});
    assert_int_equal(admitted_of(&gate, 50), 10);
    assert_refused(&gate, "series_rate_limit",
                   "more than 10 new series of metric \"up\" came within a second, and "
                   "cardinality.max_new_series_per_metric_per_second");
    gate.question.metric = slice_from_text("down");
    assert_int_equal(admitted_of(&gate, 50), 10);
    monotonic_ns += 100000000; /* a tenth of a second: a metric has one more, all have three */
    assert_int_equal(admitted_of(&gate, 50), 1);
    gate.question.metric = slice_from_text("side");
    assert_int_equal(admitted_of(&gate, 50), 10);
    gate.question.metric = slice_from_text("top");
    assert_int_equal(admitted_of(&gate, 50), 2);
    assert_refused(&gate, "series_rate_limit", "cardinality.max_new_series_per_second");
    monotonic_ns += 1000000000;
    assert_int_equal(admitted_of(&gate, 50), 10);
    /* A clock that stands still gives nothing. */
    assert_int_equal(admitted_of(&gate, 50), 0);
    admission_free(gate.admission);
}

static void what_another_rule_refuses_takes_nothing_from_the_rate(void **state)
{
    (void)state;
    struct gate gate;
    gate_init(&gate, &(struct admission_limits){.max_new_series = 1, .max_series_per_metric = 1});
    gate.question.metric_series = 1;
    assert_int_equal(admitted_of(&gate, 50), 0);
    assert_string_equal(gate.err.code, "cardinality_limit");
    gate.question.metric_series = 0;
    assert_int_equal(admitted_of(&gate, 50), 1);
    admission_free(gate.admission);
}

/* A metric keeps its bucket while 100,000 others come and go. */
static void many_metrics_do_not_give_one_of_them_more(void **state)
{
    (void)state;
    struct gate gate;
    monotonic_ns = 5000000000;
    gate_init(&gate, &(struct admission_limits){.max_new_metric_series = 10});
    unsigned admitted = 0;
    for (unsigned i = 0; i < 100000; i++) {
        char name[32];
        snprintf(name, sizeof name, "metric_%u", i);
        gate.question.metric = slice_from_text(name);
        assert_int_equal(ask(&gate), STATUS_OK);
        gate.question.metric = slice_from_text("up");
        admitted += ask(&gate) == STATUS_OK;
        monotonic_ns += 10000; /* a second in all */
    }
    assert_in_range(admitted, 10, 20);
    admission_free(gate.admission);
}

static void answers_are_counted(void **state)
{
    (void)state;
    struct gate gate;
    struct admission_stats stats;
    gate_init(&gate, &(struct admission_limits){.max_series_per_metric = 2});
    for (gate.question.metric_series = 0; gate.question.metric_series < 5;
         gate.question.metric_series++)
        assert_int_equal(ask(&gate), gate.question.metric_series < 2 ? STATUS_OK : STATUS_LIMIT);
    admission_stats(gate.admission, &stats);
    assert_int_equal(stats.series_admitted, 2);
    assert_int_equal(stats.series_refused, 3);
    admission_free(gate.admission);
}

/* ---- times ---- */

struct timed {
    struct admission *admission;
    struct arena arena;
    struct batch batch;
};

static void timed_init(struct timed *timed, int64_t max_age_ms, int64_t max_future_ms)
{
    struct admission_limits limits = {.max_age_ms = max_age_ms, .max_future_ms = max_future_ms};
    assert_int_equal(admission_new(&timed->admission, gate_os(), &limits, NULL), STATUS_OK);
    arena_init(&timed->arena, ARENA_MAX);
    batch_init(&timed->batch, &timed->arena, NULL, 0);
}

static void timed_release(struct timed *timed)
{
    arena_release(&timed->arena);
    admission_free(timed->admission);
}

/* One sample of a series of its own; index and line tell which, the value is the index. */
static void timed_add(struct timed *timed, int64_t time_ms)
{
    struct batch *batch = &timed->batch;
    uint32_t index = (uint32_t)batch->sample_count;
    uint32_t series;
    assert_int_equal(batch_add_series(batch, slice_from_text("x"), index, index + 1, &series),
                     STATUS_OK);
    assert_int_equal(batch_add_sample(batch, series, time_ms, index), STATUS_OK);
}

static void assert_kept(const struct timed *timed, const uint32_t *kept, size_t count)
{
    const struct batch *batch = &timed->batch;
    assert_int_equal(batch->sample_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(batch->sample_series[i], kept[i]);
        assert_true(batch->sample_values[i] == kept[i]);
    }
}

static void assert_rejected(const struct timed *timed, size_t at, uint32_t index, const char *code,
                            const char *words)
{
    char message[ERROR_MESSAGE_SIZE];
    assert_true(at < timed->batch.rejection_count);
    const struct batch_rejection *rejection = &timed->batch.rejections[at];
    snprintf(message, sizeof message, "%.*s", (int)rejection->message.size,
             (const char *)rejection->message.data);
    assert_string_equal(rejection->code, code);
    assert_int_equal(rejection->index, index);
    assert_int_equal(rejection->line, index + 1);
    assert_says(message, words);
}

static void without_limits_any_time_comes_in(void **state)
{
    (void)state;
    struct timed timed;
    timed_init(&timed, 0, 0);
    timed_add(&timed, TIME_MIN_MS);
    timed_add(&timed, TIME_MAX_MS - 1);
    admission_check_times(timed.admission, &timed.batch, NOW_MS);
    assert_kept(&timed, (const uint32_t[]){0, 1}, 2);
    assert_int_equal(timed.batch.rejected, 0);
    timed_release(&timed);
}

static void the_age_and_the_future_are_exact_to_the_millisecond(void **state)
{
    (void)state;
    struct timed timed;
    timed_init(&timed, MS_PER_DAY, MS_PER_HOUR);
    timed_add(&timed, NOW_MS - MS_PER_DAY - 1);
    timed_add(&timed, NOW_MS - MS_PER_DAY);
    timed_add(&timed, NOW_MS + MS_PER_HOUR + 1);
    timed_add(&timed, NOW_MS);
    timed_add(&timed, NOW_MS + MS_PER_HOUR);
    timed_add(&timed, TIME_MIN_MS);
    timed_add(&timed, TIME_MAX_MS - 1);
    admission_check_times(timed.admission, &timed.batch, NOW_MS);
    assert_kept(&timed, (const uint32_t[]){1, 3, 4}, 3);
    assert_int_equal(timed.batch.sample_times[0], NOW_MS - MS_PER_DAY);
    assert_int_equal(timed.batch.sample_times[2], NOW_MS + MS_PER_HOUR);
    assert_int_equal(timed.batch.rejected, 4);
    assert_rejected(&timed, 0, 0, "sample_too_old",
                    "2026-11-20T23:59:59.999Z is older than admission.max_age allows (1d)");
    assert_rejected(&timed, 1, 2, "sample_too_far_ahead",
                    "2026-11-22T01:00:00.001Z is further ahead than admission.max_future allows "
                    "(1h)");
    assert_rejected(&timed, 2, 5, "sample_too_old", "1678-01-01");
    assert_rejected(&timed, 3, 6, "sample_too_far_ahead", "2262-04-11");
    timed_release(&timed);
}

static void each_of_the_two_limits_stands_alone(void **state)
{
    (void)state;
    struct timed timed;
    timed_init(&timed, 1, 0);
    timed_add(&timed, NOW_MS - 2);
    timed_add(&timed, TIME_MAX_MS - 1);
    admission_check_times(timed.admission, &timed.batch, NOW_MS);
    assert_kept(&timed, (const uint32_t[]){1}, 1);
    timed_release(&timed);
    timed_init(&timed, 0, 1);
    timed_add(&timed, NOW_MS + 2);
    timed_add(&timed, TIME_MIN_MS);
    admission_check_times(timed.admission, &timed.batch, NOW_MS);
    assert_kept(&timed, (const uint32_t[]){1}, 1);
    timed_release(&timed);
}

static void a_batch_may_be_empty_or_become_so(void **state)
{
    (void)state;
    struct timed timed;
    timed_init(&timed, 1, 1);
    admission_check_times(timed.admission, &timed.batch, NOW_MS);
    assert_int_equal(timed.batch.rejected, 0);
    for (int i = 0; i < 3 * BATCH_MAX_REJECTIONS; i++)
        timed_add(&timed, 0);
    admission_check_times(timed.admission, &timed.batch, NOW_MS);
    assert_int_equal(timed.batch.sample_count, 0);
    assert_int_equal(timed.batch.rejected, 3 * BATCH_MAX_REJECTIONS);
    timed_release(&timed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_limits_every_series_comes_in),
        cmocka_unit_test(the_last_series_under_the_limit_comes_in_and_the_next_does_not),
        cmocka_unit_test(a_metric_with_a_limit_of_its_own_has_no_other),
        cmocka_unit_test(labels_are_counted_without_the_metric_name),
        cmocka_unit_test(a_label_value_is_measured_in_bytes_and_the_metric_name_is_none),
        cmocka_unit_test(changed_limits_hold_from_the_next_question_on),
        cmocka_unit_test(a_refused_series_is_refused_again_while_its_metric_is_full),
        cmocka_unit_test(once_a_series_of_the_metric_comes_in_each_is_looked_at_again),
        cmocka_unit_test(every_refusal_but_by_rate_is_told_again_until_limits_change),
        cmocka_unit_test(long_names_are_refused_by_their_beginning),
        cmocka_unit_test(series_in_all_have_a_limit_which_memory_makes_or_a_setting),
        cmocka_unit_test(series_in_all_are_warned_of_where_their_metric_is_not),
        cmocka_unit_test(an_override_holds_for_its_metrics_and_the_message_names_it),
        cmocka_unit_test(an_override_stands_when_a_refused_series_comes_again),
        cmocka_unit_test(limits_with_a_pattern_that_is_none_change_nothing),
        cmocka_unit_test(a_label_that_fills_up_is_warned_of_and_named_when_the_limit_is_reached),
        cmocka_unit_test(a_label_that_the_operator_rejects_keeps_new_series_out_once_it_fills_up),
        cmocka_unit_test(a_flood_of_names_costs_new_names_alone),
        cmocka_unit_test(series_that_return_are_indexed_and_in_memory_already),
        cmocka_unit_test(new_series_of_a_second_are_bounded_in_all_and_by_metric),
        cmocka_unit_test(what_another_rule_refuses_takes_nothing_from_the_rate),
        cmocka_unit_test(many_metrics_do_not_give_one_of_them_more),
        cmocka_unit_test(answers_are_counted),
        cmocka_unit_test(without_limits_any_time_comes_in),
        cmocka_unit_test(the_age_and_the_future_are_exact_to_the_millisecond),
        cmocka_unit_test(each_of_the_two_limits_stands_alone),
        cmocka_unit_test(a_batch_may_be_empty_or_become_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
