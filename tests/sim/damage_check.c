#include "damage_check.h"

#include "../unit/test.h"

#include <inttypes.h>

#include "base/bits.h"

/* ---- answers ---------------------------------------------------------------------------- */

static void answer_say(struct answer *answer, const char *format, ...) PRINTF_LIKE(2, 3);
static void answer_say(struct answer *answer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(answer->why, sizeof answer->why, format, args);
    va_end(args);
    answer->wrong = true;
}

static bool number_of(const struct labels *labels, uint32_t *number)
{
    char metric[32];
    struct slice text = labels_get(labels, slice_from_text("n"));
    if (text.size == 0 || text.size > 4)
        return false;
    char digits[8] = {0};
    memcpy(digits, text.data, text.size);
    *number = (uint32_t)strtoul(digits, NULL, 10);
    fixture_metric_name(*number, metric);
    return *number < SMALL_SERIES && slice_equal_text(labels_metric_name(labels), metric);
}

/* Every sample that is told is one that was written. */
static void check_samples(struct answer *answer, const struct ledger_series *written,
                          const struct storage_block *block)
{
    for (uint32_t i = 0; i < block->count; i++) {
        size_t place = 0;
        while (place < written->count && written->times[place] != block->times[i])
            place++;
        if (place == written->count || written->bits[place] != bits_of_double(block->values[i])) {
            answer_say(answer, "a sample at %" PRId64 " that nobody wrote", block->times[i]);
            return;
        }
        answer->samples++;
    }
}

static void read_series(struct answer *answer, struct tier *tier, struct selection *selection,
                        size_t index, const struct ledger *ledger, struct storage_cursor **cursor)
{
    struct selected_series series;
    uint32_t number = 0;
    answer->status = selection_series(tier, selection, index, &series, NULL);
    /* It is left out, and the answer is partial. */
    if (answer->status == STATUS_CORRUPT) {
        answer->status = STATUS_OK;
        return;
    }
    if (answer->status != STATUS_OK)
        return;
    if (!number_of(&series.labels, &number)) {
        answer_say(answer, "series %zu has labels that nobody wrote", index);
        return;
    }
    answer->status = selection_read(tier, selection, index, fixture_always(), cursor, NULL);
    struct storage_block block;
    while (answer->status == STATUS_OK && !answer->wrong &&
           (answer->status = storage_cursor_next(tier, *cursor, &block, NULL)) == STATUS_OK) {
        answer->status = storage_cursor_load(tier, *cursor, &block, NULL);
        if (answer->status == STATUS_OK)
            check_samples(answer, &ledger->series[number], &block);
    }
    if (answer->status == STATUS_END)
        answer->status = STATUS_OK;
}

void answer_read(struct answer *answer, struct tier *tier, const struct ledger *ledger)
{
    struct matchers everything = {0};
    struct select_options options = {.range = fixture_always()};
    struct selection *selection;
    struct storage_cursor *cursor = NULL;
    answer->status = storage_select(tier, &everything, 1, &options, &selection, NULL);
    if (answer->status != STATUS_OK)
        return;
    for (size_t i = 0;
         i < selection_count(tier, selection) && answer->status == STATUS_OK && !answer->wrong; i++)
        read_series(answer, tier, selection, i, ledger, &cursor);
    struct read_stats stats;
    selection_stats(tier, selection, &stats);
    answer->partial = stats.partial;
    selection_close(tier, selection);
}

struct answer world_ask(const struct world *world, struct sim_disk *disk, bool read_only)
{
    struct answer answer = {0};
    struct sim_machine machine;
    struct tier *tier;
    world_machine_init(&machine, disk);
    machine.options.read_only = read_only;
    answer.status = engine_open(&machine.options, &tier, NULL);
    if (answer.status != STATUS_OK)
        return answer;
    answer_read(&answer, tier, &world->ledger);
    uint64_t all = world->alive;
    if (!answer.wrong && answer.status == STATUS_OK && !answer.partial && answer.samples != all)
        answer_say(&answer, "%" PRIu64 " of %" PRIu64 " samples, in silence", answer.samples, all);
    struct storage_condition condition;
    storage_condition(tier, &condition);
    if (!answer.wrong && answer.partial && condition.health == STORAGE_HEALTHY)
        answer_say(&answer, "the answer is partial, and health says nothing");
    engine_abandon(tier);
    return answer;
}

void expect_honest(const struct world *world, const struct sim_disk *damaged, const char *what,
                   uint64_t where)
{
    for (int read_only = 0; read_only < 2; read_only++) {
        struct sim_disk *disk = sim_disk_clone(damaged);
        struct answer answer = world_ask(world, disk, read_only == 1);
        sim_disk_free(disk);
        if (answer.wrong)
            test_fail("%s, byte %" PRIu64 ": %s", what, where, answer.why);
        if (answer.status != STATUS_OK && answer.status != STATUS_CORRUPT &&
            answer.status != STATUS_UNSUPPORTED)
            test_fail("%s, byte %" PRIu64 ": %s", what, where, status_name(answer.status));
    }
}

/* ---- repairs ---------------------------------------------------------------------------- */

static void take_finding(void *context, enum engine_finding finding, const char *path,
                         const char *description)
{
    struct told *told = context;
    if (getenv("DAMAGE_TRACE") != NULL)
        print_message("%d %s: %s\n", (int)finding, path, description);
    if (finding == ENGINE_DAMAGE || finding == ENGINE_LOST)
        snprintf(told->last, sizeof told->last, "%s: %s", path, description);
}

enum status world_repair(struct sim_disk *disk, struct told *told, struct error *err)
{
    struct sim_machine machine;
    world_machine_init(&machine, disk);
    return engine_repair(&machine.options, take_finding, NULL, told, &told->result, err);
}

/* After a repair: sound, complete but for what was told to be lost, and it stays so. */
static void expect_sound(const struct world *world, struct sim_disk *disk, struct told *told,
                         const char *what, uint64_t where)
{
    if (told->result.left.damaged > 0)
        test_fail("%s, byte %" PRIu64 ": damage is left: %s", what, where, told->last);
    struct sim_machine machine;
    struct tier *tier;
    struct error err = {0};
    world_machine_init(&machine, disk);
    if (engine_open(&machine.options, &tier, &err) != STATUS_OK)
        test_fail("%s, byte %" PRIu64 ": %s", what, where, err.message);
    struct answer answer = {0};
    answer_read(&answer, tier, &world->ledger);
    told->samples = answer.samples;
    struct engine_stats stats;
    engine_stats(tier, &stats);
    uint64_t all = world->alive;
    if (answer.wrong || answer.status != STATUS_OK || answer.partial || stats.recovery.damaged > 0)
        test_fail("%s, byte %" PRIu64 ": after the repair: %s%s", what, where, answer.why,
                  answer.partial ? "partial" : "");
    if (answer.samples != all && told->result.losses == 0)
        test_fail("%s, byte %" PRIu64 ": %" PRIu64 " samples instead of %" PRIu64 ", in silence",
                  what, where, answer.samples, all);
    engine_close(tier);
}

void expect_repair(const struct world *world, const struct sim_disk *damaged, const char *what,
                   uint64_t where, struct told *told)
{
    struct sim_disk *disk = sim_disk_clone(damaged);
    struct error err = {0};
    *told = (struct told){0};
    enum status status = world_repair(disk, told, &err);
    /* Nothing helps where nobody knows what the store is. */
    if (status == STATUS_OK)
        expect_sound(world, disk, told, what, where);
    else if (status != STATUS_CORRUPT && status != STATUS_UNSUPPORTED && status != STATUS_NOT_FOUND)
        test_fail("%s, byte %" PRIu64 ": %s: %s", what, where, status_name(status), err.message);
    struct told again = {0};
    if (status == STATUS_OK) {
        assert_int_equal(world_repair(disk, &again, &err), STATUS_OK);
        assert_int_equal(again.result.found.damaged, 0);
        assert_int_equal(again.result.kept, 0);
    }
    sim_disk_free(disk);
}
