/*
 * retention - the policy, the time it goes by, and days that are so old that nobody keeps them:
 * they are dropped whole, without a look at what they hold.
 */
#include "storage/engine/retention.h"

#include <stdlib.h>

#include "base/invariant.h"
#include "base/times.h"
#include "storage/engine/engine_internal.h"

/* Selectors and their regular expressions' texts. */
enum { POLICY_TEXT_MAX = 4 << 20 };

/* How often a leap's time is noted. */
enum { NOTES = 4 };

/* ---- the policy ------------------------------------------------------------------------- */

void retention_policy_release(struct retention_policy *policy)
{
    if (policy == NULL || atomic_fetch_sub(&policy->references, 1) != 1)
        return;
    for (size_t i = 0; i < policy->count; i++)
        matchers_release(&policy->groups[i].matchers);
    arena_release(&policy->arena);
    free(policy);
}

struct retention_policy *retention_policy_acquire(struct retention *retention)
{
    mutex_lock(&retention->lock);
    struct retention_policy *policy = retention->policy;
    atomic_fetch_add(&policy->references, 1);
    mutex_unlock(&retention->lock);
    return policy;
}

int64_t retention_policy_longest(const struct retention_policy *policy)
{
    int64_t longest = 0;
    for (size_t i = 0; i < policy->count; i++) {
        if (policy->groups[i].keep_ms <= 0)
            return 0;
        if (policy->groups[i].keep_ms > longest)
            longest = policy->groups[i].keep_ms;
    }
    return longest;
}

int64_t retention_policy_shortest(const struct retention_policy *policy)
{
    int64_t shortest = 0;
    for (size_t i = 0; i < policy->count; i++) {
        int64_t keep_ms = policy->groups[i].keep_ms;
        if (keep_ms > 0 && (shortest == 0 || keep_ms < shortest))
            shortest = keep_ms;
    }
    return shortest;
}

static enum status add_rule(struct retention_policy *policy, const struct retention_rule *rule,
                            struct error *err)
{
    struct retention_group *group = &policy->groups[policy->count];
    struct slice text = slice_of(rule->match, strlen(rule->match) + 1);
    struct slice copy = arena_copy(&policy->arena, text);
    if (copy.data == NULL)
        return fail(err, arena_status(&policy->arena), "no memory for retention rules");
    enum status status =
        matchers_parse(slice_of(copy.data, text.size - 1), &policy->arena, &group->matchers, err);
    if (status != STATUS_OK)
        return status;
    group->match = (const char *)copy.data;
    group->keep_ms = rule->keep_ms;
    policy->count++;
    return STATUS_OK;
}

static enum status policy_new(struct retention_policy **result, int64_t default_ms,
                              const struct retention_rule *rules, size_t count, struct error *err)
{
    if (count > RETENTION_RULES_MAX)
        return fail(err, STATUS_LIMIT, "%zu retention rules; at most %d may be given", count,
                    RETENTION_RULES_MAX);
    struct retention_policy *policy = calloc(1, sizeof *policy);
    if (policy == NULL)
        return fail(err, STATUS_MEMORY, "no memory for retention rules");
    atomic_init(&policy->references, 1);
    arena_init(&policy->arena, POLICY_TEXT_MAX);
    for (size_t i = 0; i < count; i++) {
        enum status status = add_rule(policy, &rules[i], err);
        if (status != STATUS_OK) {
            retention_policy_release(policy);
            return status;
        }
    }
    policy->groups[policy->count++].keep_ms = default_ms;
    *result = policy;
    return STATUS_OK;
}

static void put_in_force(struct retention *retention, struct retention_policy *policy)
{
    mutex_lock(&retention->lock);
    struct retention_policy *old = retention->policy;
    policy->number = ++retention->policies;
    retention->policy = policy;
    mutex_unlock(&retention->lock);
    retention_policy_release(old);
}

enum status retention_init(struct retention *retention, const struct engine_options *options,
                           struct error *err)
{
    struct retention_policy *policy;
    mutex_init(&retention->lock);
    atomic_init(&retention->stale_ms, INT64_MIN);
    enum status status = policy_new(&policy, options->retention_ms, options->retention_rules,
                                    options->retention_rule_count, err);
    if (status == STATUS_OK)
        put_in_force(retention, policy);
    return status;
}

void retention_release(struct retention *retention)
{
    retention_policy_release(retention->policy);
    mutex_release(&retention->lock);
}

enum status engine_set_retention_rules(struct tier *tier, int64_t default_ms,
                                       const struct retention_rule *rules, size_t count,
                                       struct error *err)
{
    struct retention_policy *policy;
    enum status status = policy_new(&policy, default_ms, rules, count, err);
    if (status == STATUS_OK)
        put_in_force(&engine_of(tier)->retention, policy);
    return status;
}

void engine_set_retention(struct tier *tier, int64_t default_ms)
{
    struct retention_policy *old = retention_policy_acquire(&engine_of(tier)->retention);
    struct retention_rule rules[RETENTION_RULES_MAX];
    for (size_t i = 0; i + 1 < old->count; i++)
        rules[i] = (struct retention_rule){old->groups[i].match, old->groups[i].keep_ms};
    /* They were parsed before, and a policy is small. */
    invariant(engine_set_retention_rules(tier, default_ms, rules, old->count - 1, NULL) ==
              STATUS_OK);
    retention_policy_release(old);
}

/* ---- the time --------------------------------------------------------------------------- */

static void believe(struct retention_clock *clock, int64_t wall_ms)
{
    clock->believed_ms = wall_ms;
    clock->leapt = false;
}

static void start_clock(struct engine *engine, struct retention_clock *clock, int64_t wall_ms,
                        int64_t now_ns)
{
    mutex_lock(&engine->manifest_lock);
    const struct manifest_state *state = manifest_state(engine->manifest);
    /* Before its first edit a store knows when it was made. */
    int64_t written_ms = state->time_ms != 0 ? state->time_ms : state->created_ms;
    mutex_unlock(&engine->manifest_lock);
    bool known = written_ms > TIME_MIN_MS && written_ms < TIME_MAX_MS && written_ms != 0;
    *clock = (struct retention_clock){
        .started = true, .believed_ms = known ? written_ms : wall_ms, .looked_ns = now_ns};
    engine->retention.noted_ms = known ? written_ms : wall_ms;
}

static void note_leap(struct engine *engine, struct retention_clock *clock, int64_t by_ms,
                      int64_t now_ns)
{
    clock->leapt = true;
    clock->leap_ms = by_ms;
    clock->leapt_ns = now_ns;
    char wall[INSTANT_TEXT_SIZE], believed[INSTANT_TEXT_SIZE], wait[INSTANT_TEXT_SIZE];
    instant_format(wall, clock->believed_ms + by_ms);
    instant_format(believed, clock->believed_ms);
    duration_format(wait, engine->options.clock_leap_ms);
    log_event(engine->log, LOG_WARN, "engine",
              "the clock is far from where it was: retention does not go by it before it has stood "
              "like this for a while",
              log_text("clock", wall), log_text("believed", believed), log_text("wait", wait));
}

/* With retention.lock. */
static int64_t look_at_clock(struct engine *engine)
{
    struct retention_clock *clock = &engine->retention.clock;
    int64_t most_ms = engine->options.clock_leap_ms;
    int64_t wall_ms = clock_wall_ms(engine->os.clock);
    int64_t now_ns = clock_monotonic_ns(engine->os.clock);
    if (!clock->started)
        start_clock(engine, clock, wall_ms, now_ns);
    int64_t passed_ms = (now_ns - clock->looked_ns) / 1000000;
    clock->believed_ms += passed_ms;
    clock->looked_ns += passed_ms * 1000000;
    int64_t by_ms = wall_ms - clock->believed_ms;
    if (most_ms <= 0 || llabs(by_ms) <= most_ms)
        believe(clock, wall_ms);
    else if (!clock->leapt || llabs(by_ms - clock->leap_ms) > most_ms)
        note_leap(engine, clock, by_ms, now_ns);
    else if (now_ns - clock->leapt_ns >= most_ms * 1000000)
        believe(clock, wall_ms);
    atomic_store(&engine->retention.believed_ms, clock->believed_ms);
    return wall_ms < clock->believed_ms ? wall_ms : clock->believed_ms;
}

int64_t engine_retention_time(struct engine *engine)
{
    mutex_lock(&engine->retention.lock);
    int64_t now_ms = look_at_clock(engine);
    mutex_unlock(&engine->retention.lock);
    return now_ms;
}

/* Whether the manifest says a time that is too long ago; the believed one is *believed_ms. */
static bool is_note_due(struct engine *engine, int64_t *believed_ms)
{
    struct retention *retention = &engine->retention;
    int64_t most_ms = engine->options.clock_leap_ms / NOTES;
    mutex_lock(&retention->lock);
    *believed_ms = retention->clock.believed_ms;
    bool due = llabs(*believed_ms - retention->noted_ms) > most_ms;
    if (due) {
        mutex_lock(&engine->manifest_lock);
        retention->noted_ms = manifest_state(engine->manifest)->time_ms;
        mutex_unlock(&engine->manifest_lock);
        due = llabs(*believed_ms - retention->noted_ms) > most_ms;
    }
    mutex_unlock(&retention->lock);
    return due;
}

/* A store that nobody writes to would have the next start wait as after a leap. */
static enum status note_time(struct engine *engine, struct error *err)
{
    int64_t believed_ms;
    if (engine->options.clock_leap_ms <= 0 || !is_note_due(engine, &believed_ms))
        return STATUS_OK;
    struct manifest_edit edit;
    manifest_edit_init(&edit);
    enum status status = engine_publish(engine, &edit, &(struct parts_change){0}, err);
    manifest_edit_release(&edit);
    if (status != STATUS_OK)
        return status;
    mutex_lock(&engine->retention.lock);
    engine->retention.noted_ms = believed_ms;
    mutex_unlock(&engine->retention.lock);
    return STATUS_OK;
}

/* ---- whole days ------------------------------------------------------------------------- */

/* A day goes once its last moment is older than the retention. */
static bool expired(int64_t day, int64_t keep_from_ms)
{
    return (day + 1) * MS_PER_DAY <= keep_from_ms;
}

static bool head_spans(const struct head_ref *ref, int64_t day)
{
    return ref != NULL && head_sample_count(ref->head) > 0 &&
           day >= day_of_time(head_min_ms(ref->head)) && day <= day_of_time(head_max_ms(ref->head));
}

static bool has_day(const struct version *version, int64_t day)
{
    size_t first = version_first_part(version, day);
    return (first < version->part_count && version->parts[first]->info.day == day) ||
           head_spans(version->active, day) || head_spans(version->sealed, day);
}

void engine_forget_days(struct engine *engine)
{
    /* Between the two locks a commit could bring a day that nobody has seen. */
    rwlock_read(&engine->head_lock);
    struct version *version = engine_version(engine);
    rwlock_write(&engine->series_lock);
    struct day_set kept = {0};
    bool complete = true;
    for (size_t i = 0; i < engine->days.count; i++)
        if (has_day(version, engine->days.days[i]))
            complete = complete && day_set_add(&kept, engine->days.days[i]) == STATUS_OK;
    /* Without memory they count on, towards storage.max_chunks alone. */
    struct day_set gone = complete ? engine->days : kept;
    if (complete)
        engine->days = kept;
    rwlock_unlock(&engine->series_lock);
    rwlock_unlock(&engine->head_lock);
    day_set_release(&gone);
    version_release(version);
}

static enum status drop(struct engine *engine, struct part_ref *const *parts, size_t count,
                        struct error *err)
{
    struct manifest_edit edit;
    manifest_edit_init(&edit);
    struct parts_change change = {.removed = parts, .removed_count = count};
    enum status status = engine_publish(engine, &edit, &change, err);
    manifest_edit_release(&edit);
    if (status != STATUS_OK)
        return status;
    engine_forget_days(engine);
    atomic_store(&engine->reclaim.due, true);
    int64_t days = 0;
    for (size_t i = 0; i < count; i++)
        days += i == 0 || parts[i]->info.day != parts[i - 1]->info.day;
    atomic_fetch_add(&engine->counters.chunks_dropped, (uint64_t)days);
    log_event(engine->log, LOG_INFO, "engine", "days beyond retention dropped",
              log_int("days", days), log_int("parts", (int64_t)count));
    return STATUS_OK;
}

/* By day: the expired ones come first. */
static enum status drop_expired(struct engine *engine, int64_t keep_from_ms, bool *did,
                                struct error *err)
{
    struct version *version = engine_version(engine);
    size_t count = 0;
    while (count < version->part_count && expired(version->parts[count]->info.day, keep_from_ms))
        count++;
    *did = count > 0;
    enum status status = count > 0 ? drop(engine, version->parts, count, err) : STATUS_OK;
    version_release(version);
    /* A merge has replaced some of them since: what it made goes in the next step. */
    return status == STATUS_CONFLICT ? STATUS_OK : status;
}

enum status engine_retention_step(struct engine *engine, bool *did, struct error *err)
{
    *did = false;
    int64_t now_ms = engine_retention_time(engine);
    /* Looked at once: it may change meanwhile, and what goes must be one and the same set. */
    struct retention_policy *policy = retention_policy_acquire(&engine->retention);
    int64_t keep_ms = retention_policy_longest(policy);
    int64_t shortest_ms = retention_policy_shortest(policy);
    retention_policy_release(policy);
    atomic_store(&engine->retention.stale_ms,
                 shortest_ms == 0 ? INT64_MIN : day_of_time(now_ms - shortest_ms) * MS_PER_DAY);
    enum status status = keep_ms > 0 ? drop_expired(engine, now_ms - keep_ms, did, err) : STATUS_OK;
    return status == STATUS_OK && !*did && shortest_ms > 0 ? note_time(engine, err) : status;
}
