#include "admission/evidence.h"

#include <math.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/times.h"
#include "base/utf8.h"

enum {
    WAYS = 8, /* places where a label's key may stand: one cache line of keys */
    FEW = 10,
    INDEX_BITS = 10,
    REGISTERS = 1 << INDEX_BITS,
    RANK_MAX = 32 - INDEX_BITS + 1, /* of a hash whose other bits are all zero */
    SETTLE_MS = 10 * MS_PER_MINUTE,
    YOUNGEST_MS = MS_PER_MINUTE, /* growth is told of a minute at least */
};

/* A label of few values. */
struct few {
    uint32_t first_s;
    uint32_t last_s; /* when it last grew */
    uint32_t many;   /* 1 + which of `many`; 0: none */
    uint8_t count;
    uint8_t shapes[FEW];
    uint32_t values[FEW]; /* hashes */
};
_Static_assert(sizeof(struct few) == 64, "one cache line");

/* A label of more. */
struct many {
    uint32_t place; /* of its key */
    uint32_t older; /* in the order of growth; UINT32_MAX: none */
    uint32_t newer;
    bool found;      /* at its last new value */
    bool rejects;    /* found, and its action is that */
    uint64_t turn;   /* of its place in that order */
    uint64_t chance; /* that a new value raises a register, in 2^-RANK_MAX, over all registers */
    double distinct;
    double settled; /* of these, the ones of the first minutes */
    int64_t first_ms, last_ms;
    int64_t hour; /* of the newest of `hours` */
    struct label_verdict verdict;
    float hours[EVIDENCE_HOURS]; /* different values by the hour they came in, modulo */
    float shapes[SHAPE_COUNT];
    uint8_t metric_size, label_size, example_count;
    uint8_t example_sizes[EVIDENCE_EXAMPLES];
    uint8_t examples[EVIDENCE_EXAMPLES][EVIDENCE_EXAMPLE_SIZE];
    uint8_t metric[EVIDENCE_METRIC_SIZE];
    uint8_t label[EVIDENCE_LABEL_SIZE];
    uint8_t registers[REGISTERS];
};

enum { NONE = UINT32_MAX };

struct evidence {
    uint64_t seed;
    uint64_t set_mask;
    uint64_t *keys;  /* WAYS to a set; 0: free */
    struct few *few; /* one a key */
    struct many *many;
    uint32_t many_count, many_max;
    uint32_t oldest, newest; /* by growth */
    uint64_t turns;          /* how often one became the newest */
    uint64_t evicted;
    size_t memory_bytes;
    struct evidence_rules rules;
    const struct label_patterns *patterns;
};

/* ---- life ------------------------------------------------------------------------------------ */

static size_t round_up(size_t size)
{
    return (size + 63) / 64 * 64;
}

enum status evidence_new(struct evidence **result, size_t budget, uint64_t seed)
{
    *result = NULL;
    if (budget < EVIDENCE_MIN_BYTES)
        budget = EVIDENCE_MIN_BYTES;
    /* One allocation, of which the kernel gives what is touched. A third for labels of few values,
     * of which there are many more. */
    const size_t set_size = WAYS * (sizeof(uint64_t) + sizeof(struct few));
    size_t sets = 1;
    while (sets * 2 * set_size <= budget / 3)
        sets *= 2;
    size_t head = round_up(sizeof(struct evidence)) + 64;
    size_t many_max = (budget - head - sets * set_size) / sizeof(struct many);
    if (many_max >= NONE)
        many_max = NONE - 1;
    struct evidence *evidence = calloc(1, budget);
    if (evidence == NULL)
        return STATUS_MEMORY;
    uint8_t *at = (uint8_t *)round_up((uintptr_t)(evidence + 1));
    *evidence = (struct evidence){.seed = seed,
                                  .set_mask = sets - 1,
                                  .keys = (uint64_t *)(void *)at,
                                  .many_max = (uint32_t)many_max,
                                  .oldest = NONE,
                                  .newest = NONE,
                                  .memory_bytes = budget,
                                  .rules = EVIDENCE_RULES_DEFAULT};
    at += sets * WAYS * sizeof *evidence->keys;
    evidence->few = (struct few *)(void *)at;
    at += sets * WAYS * sizeof *evidence->few;
    evidence->many = (struct many *)(void *)at;
    *result = evidence;
    return STATUS_OK;
}

void evidence_free(struct evidence *evidence)
{
    free(evidence);
}

/* ---- the order of growth --------------------------------------------------------------------- */

static void take_out(struct evidence *evidence, struct many *many)
{
    if (many->newer == NONE)
        evidence->newest = many->older;
    else
        evidence->many[many->newer].older = many->older;
    if (many->older == NONE)
        evidence->oldest = many->newer;
    else
        evidence->many[many->older].newer = many->newer;
}

static void put_newest(struct evidence *evidence, struct many *many)
{
    uint32_t index = (uint32_t)(many - evidence->many);
    many->older = evidence->newest;
    many->newer = NONE;
    if (evidence->newest == NONE)
        evidence->oldest = index;
    else
        evidence->many[evidence->newest].newer = index;
    evidence->newest = index;
    many->turn = evidence->turns++;
}

/* One that is among the newer half stays where it is: to move it would touch its neighbours, which
 * lie far apart. */
static void make_newest(struct evidence *evidence, struct many *many)
{
    if (evidence->turns - many->turn <= evidence->many_max / 2)
        return;
    take_out(evidence, many);
    put_newest(evidence, many);
}

/* ---- judgement ------------------------------------------------------------------------------- */

/* Shapes of what goes by and does not come back. The others are also those of things that stand
 * in an inventory. */
static bool shape_flows(enum value_shape shape)
{
    return shape == SHAPE_LONG_DIGITS || shape == SHAPE_EMAIL || shape == SHAPE_UNIX_TIME ||
           shape == SHAPE_ISO_TIME || shape == SHAPE_JWT;
}

static int64_t hour_of(int64_t time_ms)
{
    return time_ms > 0 ? time_ms / MS_PER_HOUR : 0;
}

/* Of the `hours` hours up to the one of `now_ms`. */
static double came_within(const struct many *many, int64_t now_ms, int64_t hours)
{
    int64_t hour = hour_of(now_ms);
    double sum = 0;
    for (int64_t i = 0; i < EVIDENCE_HOURS && many->hour - i >= 0; i++)
        if (many->hour - i > hour - hours)
            sum += (double)many->hours[(many->hour - i) % EVIDENCE_HOURS];
    return sum;
}

static bool is_growing(const struct evidence *evidence, const struct many *many, int64_t now_ms)
{
    double came = came_within(many, now_ms, EVIDENCE_HOURS);
    if (hour_of(many->first_ms) > hour_of(now_ms) - EVIDENCE_HOURS)
        came -= many->settled;
    return came >= evidence->rules.min_values;
}

static double growth_per_hour(const struct many *many, int64_t now_ms)
{
    /* An hour that slides: of the one before this, the part that it still covers. */
    double passed = (double)(now_ms > 0 ? now_ms % MS_PER_HOUR : 0) / MS_PER_HOUR;
    double now = came_within(many, now_ms, 1);
    double came = now + (came_within(many, now_ms, 2) - now) * (1 - passed);
    int64_t age = now_ms - many->first_ms;
    if (age >= MS_PER_HOUR)
        return came;
    return came * MS_PER_HOUR / (double)(age > YOUNGEST_MS ? age : YOUNGEST_MS);
}

/* The most frequent one; *telling: how many values are of any, *flowing: of those that flow. */
static enum value_shape main_shape(const struct many *many, double *telling, double *flowing)
{
    enum value_shape most = SHAPE_NONE;
    *telling = *flowing = 0;
    for (enum value_shape shape = SHAPE_NONE + 1; shape < SHAPE_COUNT; shape++) {
        *telling += (double)many->shapes[shape];
        if (shape_flows(shape))
            *flowing += (double)many->shapes[shape];
        if (many->shapes[shape] > (most == SHAPE_NONE ? 0 : many->shapes[most]))
            most = shape;
    }
    return most;
}

static bool name_tells(const struct evidence *evidence, const struct many *many, double count,
                       double flowing, int64_t now_ms)
{
    const struct evidence_rules *rules = &evidence->rules;
    if (many->verdict.telling != LABEL_TELLS_OPEN)
        return many->verdict.telling == LABEL_TELLS_IDENTITY;
    return flowing + (double)many->shapes[SHAPE_PATH_ID] >= rules->named_share * many->distinct ||
           count >= rules->most_values ||
           (count >= rules->many_values && is_growing(evidence, many, now_ms));
}

static bool shape_tells(const struct evidence *evidence, const struct many *many, double count,
                        double telling, enum value_shape most, int64_t now_ms)
{
    const struct evidence_rules *rules = &evidence->rules;
    if (most == SHAPE_NONE || telling < rules->shape_share * many->distinct)
        return false;
    return shape_flows(most) || count >= rules->many_values || is_growing(evidence, many, now_ms);
}

static enum label_action action_of(const struct evidence *evidence, const struct many *many)
{
    return many->verdict.pattern == NULL ? evidence->rules.shape_action : many->verdict.action;
}

static enum evidence_reason judge(const struct evidence *evidence, const struct many *many,
                                  int64_t now_ms)
{
    double count = round(many->distinct);
    if (count < evidence->rules.min_values || action_of(evidence, many) == LABEL_ACTION_OFF)
        return EVIDENCE_NONE;
    double telling, flowing;
    enum value_shape most = main_shape(many, &telling, &flowing);
    if (name_tells(evidence, many, count, flowing, now_ms))
        return EVIDENCE_BY_NAME;
    return shape_tells(evidence, many, count, telling, most, now_ms) ? EVIDENCE_BY_SHAPE
                                                                     : EVIDENCE_NONE;
}

static void judge_again(const struct evidence *evidence, struct many *many, int64_t now_ms)
{
    many->found = judge(evidence, many, now_ms) != EVIDENCE_NONE;
    many->rejects = many->found && action_of(evidence, many) == LABEL_ACTION_REJECT;
}

void evidence_set_rules(struct evidence *evidence, const struct evidence_rules *rules,
                        const struct label_patterns *patterns)
{
    evidence->rules = *rules;
    evidence->patterns = patterns;
    for (uint32_t i = 0; i < evidence->many_count; i++) {
        struct many *many = &evidence->many[i];
        many->verdict = label_patterns_find(patterns, slice_of(many->label, many->label_size));
        judge_again(evidence, many, many->last_ms);
    }
}

/* ---- counting -------------------------------------------------------------------------------- */

/* The part of the values that would raise a register at `rank`. */
static uint64_t chance_of(unsigned rank)
{
    return rank == RANK_MAX ? 0 : UINT64_C(1) << (RANK_MAX - rank);
}

/* For how many different values this one stands, and 0 for one that says nothing new. */
static double count_value(struct many *many, uint32_t hash)
{
    uint8_t *held = &many->registers[hash & (REGISTERS - 1)];
    unsigned rank = (unsigned)__builtin_ctz(hash >> INDEX_BITS | 1u << (RANK_MAX - 1)) + 1;
    if (rank <= *held)
        return 0;
    double stands_for = (double)(UINT64_C(1) << (RANK_MAX + INDEX_BITS)) / (double)many->chance;
    many->chance -= chance_of(*held) - chance_of(rank);
    *held = (uint8_t)rank;
    many->distinct += stands_for;
    return stands_for;
}

/* So that `hours` has the one of `now_ms`, unless the clock went back. */
static void turn_hours(struct many *many, int64_t now_ms)
{
    int64_t hour = hour_of(now_ms);
    if (hour - many->hour >= EVIDENCE_HOURS) {
        memset(many->hours, 0, sizeof many->hours);
        many->hour = hour;
    }
    while (many->hour < hour)
        many->hours[++many->hour % EVIDENCE_HOURS] = 0;
}

static void keep_example(struct many *many, struct slice value)
{
    size_t size = utf8_prefix(value, EVIDENCE_EXAMPLE_SIZE);
    memcpy(many->examples[many->example_count], value.data, size);
    many->example_sizes[many->example_count++] = (uint8_t)size;
}

/* Whether it has become a finding. */
static bool add_to_many(struct evidence *evidence, struct many *many, struct slice value,
                        uint32_t hash, int64_t now_ms)
{
    double stands_for = count_value(many, hash);
    if (stands_for == 0)
        return false;
    many->shapes[shape_of(value)] += (float)stands_for;
    turn_hours(many, now_ms);
    many->hours[many->hour % EVIDENCE_HOURS] += (float)stands_for;
    if (now_ms - many->first_ms <= SETTLE_MS)
        many->settled += stands_for;
    many->last_ms = now_ms;
    if (many->example_count < EVIDENCE_EXAMPLES && value.size > 0)
        keep_example(many, value);
    make_newest(evidence, many);
    bool was_found = many->found;
    judge_again(evidence, many, now_ms);
    return many->found && !was_found;
}

/* ---- from few to many ------------------------------------------------------------------------ */

static struct many *free_many(struct evidence *evidence)
{
    if (evidence->many_count < evidence->many_max)
        return &evidence->many[evidence->many_count++];
    struct many *many = &evidence->many[evidence->oldest];
    take_out(evidence, many);
    evidence->keys[many->place] = 0;
    evidence->evicted++;
    return many;
}

static uint8_t copy_text(uint8_t *to, struct slice text, size_t max)
{
    size_t size = utf8_prefix(text, max);
    memcpy(to, text.data, size);
    return (uint8_t)size;
}

static struct many *make_many(struct evidence *evidence, size_t place, struct slice metric,
                              struct slice label)
{
    struct few *few = &evidence->few[place];
    struct many *many = free_many(evidence);
    *many = (struct many){.place = (uint32_t)place,
                          .chance = UINT64_C(1) << (RANK_MAX + INDEX_BITS),
                          .first_ms = (int64_t)few->first_s * MS_PER_SECOND,
                          .last_ms = (int64_t)few->last_s * MS_PER_SECOND,
                          .verdict = label_patterns_find(evidence->patterns, label)};
    many->hour = hour_of(many->first_ms);
    many->metric_size = copy_text(many->metric, metric, EVIDENCE_METRIC_SIZE);
    many->label_size = copy_text(many->label, label, EVIDENCE_LABEL_SIZE);
    put_newest(evidence, many);
    few->many = (uint32_t)(many - evidence->many) + 1;
    for (uint8_t i = 0; i < few->count; i++) {
        double stands_for = count_value(many, few->values[i]);
        many->shapes[few->shapes[i]] += (float)stands_for;
        many->hours[many->hour % EVIDENCE_HOURS] += (float)stands_for;
        many->settled += stands_for;
    }
    return many;
}

static bool has_few(const struct few *few, uint32_t hash)
{
    for (uint8_t i = 0; i < few->count; i++)
        if (few->values[i] == hash)
            return true;
    return false;
}

/* ---- the table ------------------------------------------------------------------------------- */

static uint64_t key_of(const struct evidence *evidence, struct slice metric, struct slice label)
{
    uint64_t key = hash64(label, hash64(metric, evidence->seed));
    return key != 0 ? key : 1;
}

static size_t set_of(const struct evidence *evidence, uint64_t key)
{
    return (size_t)(key >> 32 & evidence->set_mask) * WAYS;
}

/* Where the key stands; SIZE_MAX: nowhere. */
static size_t find(const struct evidence *evidence, uint64_t key)
{
    size_t set = set_of(evidence, key);
    for (size_t place = set; place < set + WAYS; place++)
        if (evidence->keys[place] == key)
            return place;
    return SIZE_MAX;
}

/* A place for a new label: a free one, else the one of few values that has not grown for longest.
 * SIZE_MAX: all have many values, and these stay. */
static size_t make_place(struct evidence *evidence, uint64_t key, uint32_t now_s)
{
    size_t set = set_of(evidence, key);
    size_t victim = SIZE_MAX;
    for (size_t place = set; place < set + WAYS; place++) {
        if (evidence->keys[place] == 0) {
            victim = place;
            break;
        }
        if (evidence->few[place].many == 0 &&
            (victim == SIZE_MAX || evidence->few[place].last_s < evidence->few[victim].last_s))
            victim = place;
    }
    if (victim == SIZE_MAX)
        return SIZE_MAX;
    evidence->keys[victim] = key;
    evidence->few[victim] = (struct few){.first_s = now_s, .last_s = now_s};
    return victim;
}

static uint32_t seconds_of(int64_t time_ms)
{
    int64_t seconds = time_ms / MS_PER_SECOND;
    return seconds < 0 ? 0 : seconds > UINT32_MAX ? UINT32_MAX : (uint32_t)seconds;
}

/* The label's, where it has many values; *becomes: it is a finding by this one. */
static const struct many *note_label(struct evidence *evidence, uint64_t key, struct slice metric,
                                     const struct label *label, int64_t now_ms, bool *becomes)
{
    *becomes = false;
    size_t place = find(evidence, key);
    if (place == SIZE_MAX)
        place = make_place(evidence, key, seconds_of(now_ms));
    if (place == SIZE_MAX)
        return NULL;
    struct few *few = &evidence->few[place];
    uint32_t hash = (uint32_t)hash64(label->value, evidence->seed);
    struct many *many = NULL;
    if (few->many != 0) {
        many = &evidence->many[few->many - 1];
    } else if (has_few(few, hash)) {
        return NULL;
    } else if (few->count < FEW) {
        few->shapes[few->count] = (uint8_t)shape_of(label->value);
        few->values[few->count++] = hash;
        few->last_s = seconds_of(now_ms);
        return NULL;
    } else {
        many = make_many(evidence, place, metric, label->name);
    }
    *becomes = add_to_many(evidence, many, label->value, hash, now_ms);
    return many;
}

struct evidence_notice evidence_note(struct evidence *evidence, struct slice metric,
                                     const struct labels *labels, int64_t now_ms)
{
    struct evidence_notice notice = {.rejected_label = SIZE_MAX, .new_label = SIZE_MAX};
    uint64_t metric_hash = hash64(metric, evidence->seed);
    for (size_t i = 0; i < labels->count; i++) {
        const struct label *label = &labels->items[i];
        if (slice_equal_text(label->name, METRIC_NAME_LABEL))
            continue;
        uint64_t key = hash64(label->name, metric_hash);
        bool becomes;
        const struct many *many =
            note_label(evidence, key != 0 ? key : 1, metric, label, now_ms, &becomes);
        if (many != NULL && many->rejects && notice.rejected_label == SIZE_MAX)
            notice.rejected_label = i;
        if (becomes && notice.new_label == SIZE_MAX)
            notice.new_label = i;
    }
    return notice;
}

/* ---- telling --------------------------------------------------------------------------------- */

static void terminate(char *to, const uint8_t *from, size_t size)
{
    memcpy(to, from, size);
    to[size] = 0;
}

static void tell(const struct evidence *evidence, const struct many *many, int64_t now_ms,
                 struct evidence_finding *finding)
{
    double telling, flowing;
    *finding = (struct evidence_finding){.reason = judge(evidence, many, now_ms),
                                         .action = action_of(evidence, many),
                                         .shape = main_shape(many, &telling, &flowing),
                                         .distinct = many->distinct,
                                         .growth_per_hour = growth_per_hour(many, now_ms),
                                         .first_ms = many->first_ms,
                                         .last_ms = many->last_ms,
                                         .example_count = many->example_count};
    finding->shape_share = (double)many->shapes[finding->shape] / many->distinct;
    terminate(finding->metric, many->metric, many->metric_size);
    terminate(finding->label, many->label, many->label_size);
    if (many->verdict.pattern != NULL) {
        struct slice pattern = slice_from_text(many->verdict.pattern);
        terminate(finding->pattern, pattern.data, utf8_prefix(pattern, EVIDENCE_PATTERN_SIZE));
    }
    for (uint8_t i = 0; i < many->example_count; i++) {
        uint8_t shown[EVIDENCE_EXAMPLE_SIZE];
        struct slice example = slice_of(many->examples[i], many->example_sizes[i]);
        if (evidence->rules.masks_examples) {
            shape_mask(example, shown);
            example.data = shown;
        }
        terminate(finding->examples[i], example.data, example.size);
    }
}

static const struct many *find_many(const struct evidence *evidence, struct slice metric,
                                    struct slice label)
{
    size_t place = find(evidence, key_of(evidence, metric, label));
    if (place == SIZE_MAX || evidence->few[place].many == 0)
        return NULL;
    return &evidence->many[evidence->few[place].many - 1];
}

bool evidence_get(const struct evidence *evidence, struct slice metric, struct slice label,
                  int64_t now_ms, struct evidence_finding *known)
{
    const struct many *many = find_many(evidence, metric, label);
    if (many == NULL)
        return false;
    tell(evidence, many, now_ms, known);
    return true;
}

bool evidence_judge(const struct evidence *evidence, struct slice metric, struct slice label,
                    int64_t now_ms, struct evidence_finding *finding)
{
    return evidence_get(evidence, metric, label, now_ms, finding) &&
           finding->reason != EVIDENCE_NONE;
}

size_t evidence_findings(const struct evidence *evidence, int64_t now_ms,
                         struct evidence_finding *findings, size_t capacity)
{
    size_t count = 0;
    for (uint32_t i = 0; i < evidence->many_count; i++) {
        const struct many *many = &evidence->many[i];
        if (judge(evidence, many, now_ms) == EVIDENCE_NONE)
            continue;
        /* Those with more move back by one, the last one out. */
        size_t at = count;
        while (at > 0 && findings[at - 1].distinct < many->distinct)
            at--;
        if (at == capacity)
            continue;
        count += count < capacity;
        memmove(&findings[at + 1], &findings[at], (count - 1 - at) * sizeof *findings);
        tell(evidence, many, now_ms, &findings[at]);
    }
    return count;
}

int64_t evidence_ms_until(double count, double limit, double growth_per_hour)
{
    const double longest_ms = 100.0 * 365 * MS_PER_DAY;
    if (count >= limit)
        return 0;
    if (!(growth_per_hour > 0))
        return INT64_MAX;
    double ms = (limit - count) / growth_per_hour * MS_PER_HOUR;
    return ms > longest_ms ? INT64_MAX : (int64_t)ms;
}

void evidence_stats(const struct evidence *evidence, struct evidence_stats *stats)
{
    *stats = (struct evidence_stats){.labels = evidence->many_count,
                                     .labels_max = evidence->many_max,
                                     .evicted = evidence->evicted,
                                     .memory_bytes = evidence->memory_bytes};
}
