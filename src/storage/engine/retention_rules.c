/*
 * retention_rules - what a rule, or the default beside rules, no longer keeps of days that others
 * keep longer is deleted by tombstones (deletes.c): a group's of series, up to the end of the last
 * day that is beyond its keep.
 *
 * A run asks the index once for each rule, and then every part of such days for its series; what no
 * tombstone hides yet needs one. There is a run when a day turns beyond the keep of some group,
 * when the policy has changed or the store was opened, and, after a rest, when late samples for
 * such days have reached parts. Samples in heads wait for their flush, as with whole days.
 *
 * A new tombstone names every series of its group that these parts still hold, so that those before
 * it are not needed any more: there are few, however long the store runs.
 *
 * A series whose labels cannot be read, by postings or by its definition, may go by any rule: it
 * is kept until a repair. So is one of which nothing in the index knows.
 */
#include <inttypes.h>

#include "base/times.h"
#include "storage/engine/engine_internal.h"
#include "storage/engine/lookup.h"

/* Between runs for late samples, and after one that failed: of options.delete_rest_ms. */
enum { RUN_RESTS = 10 };

struct group {
    int64_t before_ms; /* its samples go; INT64_MIN: none */
    bool concerned;    /* a run has something to look at */
    /* What a run finds. All of the group that parts hold of such days, and those that need a new
     * tombstone; NULL: not concerned. */
    roaring_bitmap_t *ids, *fresh;
    roaring_bitmap_t *matched; /* its series, without those of rules before it */
};

struct run {
    struct engine *engine;
    struct retention_policy *policy;
    struct version *version;
    struct group groups[RETENTION_GROUPS_MAX];
    roaring_bitmap_t *ruled;     /* series that some rule matches */
    roaring_bitmap_t *undecided; /* that some rule may match, and none before it does */
    roaring_bitmap_t *decided;   /* all others that the index knows; NULL where it is whole */
    roaring_bitmap_t *kept;      /* what parts hold of none of these */
    struct error *err;
};

static enum status no_memory(struct run *run)
{
    return fail(run->err, STATUS_MEMORY, "no memory for retention rules");
}

/* ---- whether there is something to do --------------------------------------------------- */

/* Whole days, as days go whole; those that do are nothing to us. */
static void set_limits(struct run *run, int64_t now_ms)
{
    int64_t longest_ms = retention_policy_longest(run->policy);
    for (size_t i = 0; i < run->policy->count; i++) {
        int64_t keep_ms = run->policy->groups[i].keep_ms;
        bool none = keep_ms <= 0 || keep_ms == longest_ms;
        run->groups[i].before_ms = none ? INT64_MIN : day_of_time(now_ms - keep_ms) * MS_PER_DAY;
    }
}

static bool is_beyond(const struct part_ref *part, int64_t before_ms)
{
    return before_ms != INT64_MIN && (part->info.day + 1) * MS_PER_DAY <= before_ms;
}

/* Nothing has changed that a run would go by. */
static bool all_done(const struct run *run, bool *turned)
{
    const struct retention_done *done = &run->engine->retention.done;
    *turned = done->policy != run->policy->number;
    for (size_t i = 0; i < run->policy->count && !*turned; i++)
        *turned = run->groups[i].before_ms > done->before_ms[i];
    return !*turned && !done->failed && done->edits == atomic_load(&run->engine->edits);
}

static bool is_new(const struct run *run, const struct part_ref *part, size_t group)
{
    const struct retention_done *done = &run->engine->retention.done;
    return done->policy != run->policy->number || !is_beyond(part, done->before_ms[group]) ||
           part->info.max_sequence > done->sequence;
}

/* Finds the groups with parts that no run has seen as they are. */
static bool find_concerned(struct run *run)
{
    bool any = false;
    for (size_t i = 0; i < run->version->part_count; i++)
        for (size_t j = 0; j < run->policy->count; j++) {
            struct group *group = &run->groups[j];
            group->concerned =
                group->concerned || (is_beyond(run->version->parts[i], group->before_ms) &&
                                     is_new(run, run->version->parts[i], j));
            any = any || group->concerned;
        }
    return any;
}

static void note_done(struct run *run, uint64_t edits, bool failed)
{
    struct retention_done *done = &run->engine->retention.done;
    done->failed = failed;
    done->edits = edits;
    if (failed)
        return;
    done->policy = run->policy->number;
    done->sequence = run->version->flushed_sequence;
    for (size_t i = 0; i < run->policy->count; i++)
        done->before_ms[i] = run->groups[i].before_ms;
}

static bool may_rest(const struct engine *engine)
{
    return clock_monotonic_ns(engine->os.clock) - engine->retention.done.time_ns <
           RUN_RESTS * engine->options.delete_rest_ms * 1000000;
}

/* ---- which series ----------------------------------------------------------------------- */

/* Takes over *ids. */
static void give_group(struct run *run, size_t place, roaring_bitmap_t **ids)
{
    roaring_bitmap_andnot_inplace(*ids, run->ruled);
    roaring_bitmap_andnot_inplace(*ids, run->undecided);
    if (run->groups[place].concerned) {
        run->groups[place].matched = *ids;
        *ids = NULL;
    }
}

static enum status match_rule(struct run *run, size_t place)
{
    struct matched matched;
    roaring_bitmap_t *open = roaring_bitmap_create();
    if (open == NULL)
        return no_memory(run);
    enum status status = engine_match_each(run->engine, &run->policy->groups[place].matchers,
                                           &matched, open, run->err);
    if (status == STATUS_OK) {
        roaring_bitmap_t *ruled = roaring_bitmap_or(run->ruled, matched.ids);
        roaring_bitmap_andnot_inplace(open, run->ruled);
        give_group(run, place, &matched.ids);
        roaring_bitmap_or_inplace(run->undecided, open);
        roaring_bitmap_free(run->ruled);
        run->ruled = ruled;
        status = ruled == NULL ? no_memory(run) : STATUS_OK;
    }
    roaring_bitmap_free(open);
    matched_release(&matched);
    return status;
}

/* What the rules leave of all that the index knows, if that group is concerned. */
static enum status match_rest(struct run *run)
{
    struct matchers all = {0};
    struct matched matched;
    enum status status = engine_match(run->engine, &all, 1, NULL, &matched, run->err);
    if (status == STATUS_OK &&
        (run->engine->definitions_lost || !roaring_bitmap_is_empty(run->undecided))) {
        run->decided = roaring_bitmap_andnot(matched.ids, run->undecided);
        run->kept = roaring_bitmap_create();
        if (run->decided == NULL || run->kept == NULL)
            status = no_memory(run);
    }
    if (status == STATUS_OK)
        give_group(run, run->policy->count - 1, &matched.ids);
    matched_release(&matched);
    return status;
}

/* Of each group up to the last one concerned. */
static enum status match_groups(struct run *run)
{
    size_t last = 0;
    for (size_t i = 0; i < run->policy->count; i++)
        if (run->groups[i].concerned)
            last = i;
    run->ruled = roaring_bitmap_create();
    run->undecided = roaring_bitmap_create();
    if (run->ruled == NULL || run->undecided == NULL)
        return no_memory(run);
    enum status status = STATUS_OK;
    for (size_t i = 0; i <= last && i + 1 < run->policy->count && status == STATUS_OK; i++)
        status = match_rule(run, i);
    return status == STATUS_OK ? match_rest(run) : status;
}

/* Notes those that may go by any rule. */
static enum status note_kept(struct run *run, const roaring_bitmap_t *series)
{
    if (run->decided == NULL)
        return STATUS_OK;
    roaring_bitmap_t *kept = roaring_bitmap_andnot(series, run->decided);
    if (kept == NULL)
        return no_memory(run);
    roaring_bitmap_or_inplace(run->kept, kept);
    roaring_bitmap_free(kept);
    return STATUS_OK;
}

/* Takes out those that have nothing left in the part. */
static void take_hidden(const struct run *run, const struct part_ref *part, roaring_bitmap_t *ids)
{
    const struct tombstone_set *set = run->version->tombstones;
    for (size_t i = 0; set != NULL && i < set->count; i++) {
        const struct tombstone *tombstone = set->items[i];
        if (tombstone->sequence > manifest_part_cut_sequence(&part->info) &&
            tombstone->range.start_ms <= part->info.min_ms &&
            tombstone->range.end_ms > part->info.max_ms)
            roaring_bitmap_andnot_inplace(ids, tombstone->ids);
    }
}

static enum status gather_group(struct run *run, size_t place, const struct part_ref *part,
                                const roaring_bitmap_t *series)
{
    struct group *group = &run->groups[place];
    roaring_bitmap_t *own = roaring_bitmap_and(series, group->matched);
    if (own == NULL)
        return no_memory(run);
    roaring_bitmap_or_inplace(group->ids, own);
    take_hidden(run, part, own);
    roaring_bitmap_or_inplace(group->fresh, own);
    roaring_bitmap_free(own);
    return STATUS_OK;
}

static enum status gather_part(struct run *run, struct part_ref *part)
{
    roaring_bitmap_t *series = NULL;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < run->policy->count && status == STATUS_OK; i++) {
        bool concerned = run->groups[i].concerned;
        if (!is_beyond(part, run->groups[i].before_ms) || (!concerned && run->decided == NULL))
            continue;
        struct error why = {0};
        bool first = series == NULL;
        if (first)
            status = part_series(part->part, &series, &why);
        /* Its samples wait for a repair; the damage shows wherever it is read. */
        if (status == STATUS_CORRUPT)
            return STATUS_OK;
        if (status != STATUS_OK)
            return fail(run->err, status, "%s", why.message);
        if (first)
            status = note_kept(run, series);
        if (status == STATUS_OK && concerned)
            status = gather_group(run, i, part, series);
    }
    if (series != NULL)
        roaring_bitmap_free(series);
    return status;
}

/* A part that could not be opened may come back: tombstones that are about its day are forgotten
 * only for others that name all of their series. */
static void keep_for_lost_days(struct run *run, size_t place)
{
    const struct tombstone_set *set = run->version->tombstones;
    struct group *group = &run->groups[place];
    if (run->engine->lost_days.count == 0)
        return;
    for (size_t i = 0; set != NULL && i < set->count; i++) {
        const struct tombstone *tombstone = set->items[i];
        if (tombstone->range.end_ms > group->before_ms)
            continue;
        if (roaring_bitmap_is_subset(tombstone->ids, group->matched))
            roaring_bitmap_or_inplace(group->ids, tombstone->ids);
    }
}

static enum status gather(struct run *run)
{
    for (size_t i = 0; i < run->policy->count; i++) {
        struct group *group = &run->groups[i];
        if (!group->concerned)
            continue;
        group->ids = roaring_bitmap_create();
        group->fresh = roaring_bitmap_create();
        if (group->ids == NULL || group->fresh == NULL)
            return no_memory(run);
    }
    enum status status = STATUS_OK;
    for (size_t i = 0; i < run->version->part_count && status == STATUS_OK; i++)
        status = gather_part(run, run->version->parts[i]);
    return status;
}

/* ---- deleting --------------------------------------------------------------------------- */

static void report(struct run *run, size_t place)
{
    const struct group *group = &run->groups[place];
    const struct retention_group *rule = &run->policy->groups[place];
    uint64_t series = roaring_bitmap_get_cardinality(group->fresh);
    char before[INSTANT_TEXT_SIZE], keep[INSTANT_TEXT_SIZE];
    instant_format(before, group->before_ms);
    duration_format(keep, rule->keep_ms);
    atomic_fetch_add(&run->engine->counters.rule_series, series);
    log_event(run->engine->log, LOG_INFO, "engine",
              rule->match != NULL ? "samples beyond a retention rule go"
                                  : "samples beyond retention.default go, of series without a rule",
              log_text("match", rule->match != NULL ? rule->match : ""), log_text("keep", keep),
              log_text("before", before), log_int("series", (int64_t)series));
}

static enum status delete_all(struct run *run, bool *did)
{
    struct engine *engine = run->engine;
    struct doomed_samples doomed[RETENTION_GROUPS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < run->policy->count; i++) {
        struct group *group = &run->groups[i];
        if (!group->concerned || roaring_bitmap_is_empty(group->fresh))
            continue;
        keep_for_lost_days(run, i);
        doomed[count++] = (struct doomed_samples){group->ids, {TIME_MIN_MS, group->before_ms}};
    }
    if (count == 0)
        return STATUS_OK;
    size_t tombstones = 0;
    mutex_lock(&engine->append_lock);
    enum status status = engine_commit_deletes(engine, doomed, count, &tombstones, run->err);
    mutex_unlock(&engine->append_lock);
    if (status != STATUS_OK)
        return status;
    *did = true;
    atomic_fetch_add(&engine->counters.rule_deletes, tombstones);
    for (size_t i = 0; i < run->policy->count; i++)
        if (run->groups[i].concerned && !roaring_bitmap_is_empty(run->groups[i].fresh))
            report(run, i);
    return STATUS_OK;
}

static enum status run_rules(struct run *run, bool *did)
{
    struct engine *engine = run->engine;
    engine->retention.done.time_ns = clock_monotonic_ns(engine->os.clock);
    atomic_fetch_add(&engine->counters.rule_runs, 1);
    enum status status = match_groups(run);
    if (status == STATUS_OK)
        status = gather(run);
    return status == STATUS_OK ? delete_all(run, did) : status;
}

static void release(struct run *run)
{
    for (size_t i = 0; i < run->policy->count; i++) {
        roaring_bitmap_t *bitmaps[] = {run->groups[i].ids, run->groups[i].fresh,
                                       run->groups[i].matched};
        for (size_t j = 0; j < sizeof bitmaps / sizeof bitmaps[0]; j++)
            if (bitmaps[j] != NULL)
                roaring_bitmap_free(bitmaps[j]);
    }
    roaring_bitmap_t *bitmaps[] = {run->ruled, run->undecided, run->decided, run->kept};
    for (size_t i = 0; i < sizeof bitmaps / sizeof bitmaps[0]; i++)
        if (bitmaps[i] != NULL)
            roaring_bitmap_free(bitmaps[i]);
    version_release(run->version);
    retention_policy_release(run->policy);
}

/* What is known of a run's series beyond their keep: `kept` of them stay for want of labels. */
static void tell_kept(struct engine *engine, uint64_t kept)
{
    struct retention_done *done = &engine->retention.done;
    if (kept == 0 && (done->failed || done->kept > 0))
        engine_trouble(engine, TROUBLE_RULES, STORAGE_HEALTHY, "%s", "");
    if (kept > 0)
        engine_trouble(engine, TROUBLE_RULES, STORAGE_DEGRADED,
                       "retention rules keep %" PRIu64 " series longer: which rule they go by is "
                       "not known, because the index is damaged where their labels stand: run "
                       "metric-store verify --repair",
                       kept);
    if (kept > 0 && kept != done->kept)
        log_event(engine->log, LOG_ERROR, "engine",
                  "retention rules keep series whose labels cannot be read",
                  log_int("series", (int64_t)kept));
    done->kept = kept;
}

/* A limit is for a person to mend; other work must not stop for it. */
static enum status judge(struct run *run, enum status status, uint64_t edits,
                         const struct error *why, struct error *err)
{
    struct engine *engine = run->engine;
    bool waits = status == STATUS_CORRUPT || status == STATUS_LIMIT;
    if (waits)
        engine_trouble(engine, TROUBLE_RULES, STORAGE_DEGRADED, "retention rules wait: %s",
                       why->message);
    if (waits && !engine->retention.done.failed)
        log_event(engine->log, LOG_ERROR, "engine", "retention rules wait",
                  log_text("error", why->message));
    if (status == STATUS_OK && run->kept != NULL)
        tell_kept(engine, roaring_bitmap_get_cardinality(run->kept));
    else if (status == STATUS_OK && (run->ruled != NULL || engine->retention.done.failed))
        tell_kept(engine, 0);
    note_done(run, edits, status != STATUS_OK);
    return status == STATUS_OK || waits ? STATUS_OK : fail(err, status, "%s", why->message);
}

enum status engine_rules_step(struct engine *engine, bool *did, struct error *err)
{
    *did = false;
    struct error why = {0};
    struct run run = {.engine = engine, .err = &why};
    uint64_t edits = atomic_load(&engine->edits);
    bool turned;
    run.policy = retention_policy_acquire(&engine->retention);
    set_limits(&run, engine_retention_time(engine));
    enum status status = STATUS_OK;
    if (!all_done(&run, &turned) &&
        !((!turned || engine->retention.done.failed) && may_rest(engine))) {
        run.version = engine_version(engine);
        if (find_concerned(&run))
            status = run_rules(&run, did);
        status = judge(&run, status, edits, &why, err);
    }
    release(&run);
    return status;
}
