/*
 * Damage to a large store, at places drawn from a seed in every kind of region of every kind of
 * file: bits, zeroed regions, regions that changed places, files cut off, exchanged, and of another
 * store. Answers are honest, and one place costs no more than docs/ENGINE.md says.
 */
#include "../unit/test.h"

#include <inttypes.h>
#include <time.h>

#include "damage_check.h"
#include "damage_large.h"
#include "damage_regions.h"

/* Places in each kind of region; of them, so many are written to and repaired. */
enum { BITS = SANITIZED ? 2 : 6, ZEROED = SANITIZED ? 1 : 3, SWAPS = SANITIZED ? 1 : 3, CUTS = 1 };

static uint64_t seed_of(void)
{
    const char *text = getenv("METRIC_STORE_SIM_SEED");
    return text == NULL ? (uint64_t)time(NULL) : strtoull(text, NULL, 10);
}

struct scene {
    struct world world;
    struct regions regions;
    uint64_t seed; /* of what is drawn */
    uint64_t state;
    uint64_t looked, hit[REGION_KINDS];
};

static struct scene *scene_of(void **state)
{
    struct scene *scene = *state;
    scene->state = scene->seed;
    return scene;
}

static int make_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    scene->seed = seed_of();
    printf("METRIC_STORE_SIM_SEED=%" PRIu64 "\n", scene->seed);
    world_make_large(&scene->world, scene->seed);
    regions_make(&scene->regions, &scene->world);
    *state = scene;
    return 0;
}

static int release_scene(void **state)
{
    struct scene *scene = *state;
    regions_release(&scene->regions);
    world_release(&scene->world);
    free(scene);
    return 0;
}

/* A place, for whoever looks into a failure. */
static void name_place(const struct scene *scene, const char *damage, const struct region *region,
                       char to[256])
{
    snprintf(to, 256, "METRIC_STORE_SIM_SEED=%" PRIu64 ", %s: %s, %s", scene->seed, damage,
             region_name(region->kind), scene->world.files[region->file].path);
}

/* All questions, of one opening; *told takes the samples. */
static void ask(const struct scene *scene, const struct sim_disk *damaged, bool read_only,
                const char *what, uint64_t where, struct answer answers[QUESTIONS],
                struct ledger *told)
{
    struct sim_disk *disk = sim_disk_clone(damaged);
    struct sim_machine machine;
    struct tier *tier;
    struct error err = {0};
    world_machine_init(&scene->world, &machine, disk);
    machine.options.read_only = read_only;
    if (engine_open(&machine.options, &tier, &err) != STATUS_OK)
        test_fail("%s, byte %" PRIu64 ": %s", what, where, err.message);
    for (int i = 0; i < QUESTIONS; i++) {
        answers[i] = (struct answer){.told = i == ASK_SAMPLES ? told : NULL};
        world_question(&scene->world, tier, (enum question)i, &answers[i]);
        if (answers[i].wrong || answers[i].status != STATUS_OK)
            test_fail("%s, byte %" PRIu64 "%s: %s %s", what, where, read_only ? ", read only" : "",
                      answers[i].why, status_name(answers[i].status));
    }
    engine_abandon(tier);
    sim_disk_free(disk);
}

/* Damage to these regions costs what it may, and no more. */
static void expect_bounds(struct scene *scene, const struct sim_disk *damaged,
                          const struct region *const *regions, size_t count, const char *what,
                          uint64_t where)
{
    struct answer answers[QUESTIONS];
    struct ledger told;
    char why[FIXTURE_WHY_SIZE];
    bool read_only = sim_below(&scene->state, 4) == 0;
    bool partial = false;
    bool matchers = false;
    ledger_init(&told, scene->world.living.series_count);
    ask(scene, damaged, read_only, what, where, answers, &told);
    for (size_t i = 0; i < count; i++) {
        struct bound bound = region_bound(regions[i]->kind, read_only);
        partial = partial || bound.may_be_partial;
        matchers = matchers || bound.matchers_may_be_partial;
        scene->hit[regions[i]->kind]++;
    }
    if (!regions_allow(&scene->regions, regions, count, read_only, &told, why))
        test_fail("%s, byte %" PRIu64 "%s: %s", what, where, read_only ? ", read only" : "", why);
    if ((!partial && answers[ASK_SAMPLES].partial) || (!matchers && answers[ASK_MATCHERS].partial))
        test_fail("%s, byte %" PRIu64 "%s: partial, and nothing that is asked for is damaged", what,
                  where, read_only ? ", read only" : "");
    ledger_release(&told);
    scene->looked++;
}

/* One of a kind, drawn; NULL: there is none. */
static const struct region *draw(struct scene *scene, enum region_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < scene->regions.count; i++)
        count += scene->regions.items[i].kind == kind;
    size_t nth = count == 0 ? 0 : sim_below(&scene->state, count);
    for (size_t i = 0; i < scene->regions.count; i++)
        if (scene->regions.items[i].kind == kind && nth-- == 0)
            return &scene->regions.items[i];
    return NULL;
}

static void look_at_bit(struct scene *scene, enum region_kind kind, bool thoroughly)
{
    const struct region *region = draw(scene, kind);
    if (region == NULL)
        test_fail("the store has nothing of this: %s", region_name(kind));
    uint64_t byte = region->from + sim_below(&scene->state, region->size);
    struct sim_disk *disk = sim_disk_clone(scene->world.disk);
    const char *path = scene->world.files[region->file].path;
    char what[256];
    name_place(scene, "one bit", region, what);
    sim_disk_flip(disk, path, byte * 8 + sim_below(&scene->state, 8));
    expect_bounds(scene, disk, &region, 1, what, byte);
    if (thoroughly) {
        struct told told;
        expect_repair(&scene->world, disk, what, byte, &told);
        expect_ingest(&scene->world, disk, what, byte);
    }
    sim_disk_free(disk);
}

static void one_bit_costs_what_its_region_may_cost(void **state)
{
    struct scene *scene = scene_of(state);
    for (int kind = 0; kind < REGION_KINDS; kind++)
        for (int i = 0; i < BITS; i++)
            look_at_bit(scene, (enum region_kind)kind, i == 0);
}

static void zero(struct scene *scene, const struct region *region, uint64_t from, uint64_t size,
                 bool bounded)
{
    struct sim_disk *disk = sim_disk_clone(scene->world.disk);
    uint8_t *zeros = calloc(1, size);
    char what[256];
    assert_non_null(zeros);
    name_place(scene, "zeroed", region, what);
    disk_write(disk, scene->world.files[region->file].path, from, zeros, size);
    free(zeros);
    if (bounded)
        expect_bounds(scene, disk, &region, 1, what, from);
    else
        expect_honest(&scene->world, disk, what, from);
    sim_disk_free(disk);
}

static void zeroed_regions_cost_what_they_may_cost(void **state)
{
    struct scene *scene = scene_of(state);
    for (int kind = 0; kind < REGION_KINDS; kind++)
        for (int i = 0; i < ZEROED; i++) {
            const struct region *region = draw(scene, (enum region_kind)kind);
            if (kind != REGION_LOG_FRAMES)
                zero(scene, region, region->from, region->size, kind != REGION_MANIFEST);
        }
}

/* Of the last segment of the log nobody could tell that its end was there. */
static void zeroed_pages_of_the_log_are_answered_honestly(void **state)
{
    enum { PAGE = 4096 };
    struct scene *scene = scene_of(state);
    const struct region *last = NULL;
    for (size_t i = 0; i < scene->regions.count; i++)
        if (scene->regions.items[i].kind == REGION_LOG_FRAMES)
            last = &scene->regions.items[i];
    for (int i = 0; i < ZEROED; i++) {
        const struct region *region = draw(scene, REGION_LOG_FRAMES);
        if (region != last)
            zero(scene, region, region->from + sim_below(&scene->state, region->size / PAGE) * PAGE,
                 PAGE, false);
    }
}

/* ---- swapped ---------------------------------------------------------------------------- */

/* Another region of the kind and size, of the same file or of another one; NULL: there is none. */
static const struct region *draw_partner(struct scene *scene, const struct region *of,
                                         bool same_file)
{
    const struct region *found = NULL;
    uint64_t seen = 0;
    for (size_t i = 0; i < scene->regions.count; i++) {
        const struct region *region = &scene->regions.items[i];
        if (region != of && region->kind == of->kind && region->size == of->size &&
            (region->file == of->file) == same_file && sim_below(&scene->state, ++seen) == 0)
            found = region;
    }
    return found;
}

static void swap_regions(struct scene *scene, const struct region *a, const struct region *b)
{
    struct sim_disk *disk = sim_disk_clone(scene->world.disk);
    const char *path_a = scene->world.files[a->file].path;
    const char *path_b = scene->world.files[b->file].path;
    uint64_t size;
    uint8_t *from_a = disk_read(disk, path_a, &size);
    uint8_t *from_b = disk_read(disk, path_b, &size);
    char what[256];
    name_place(scene, a->file == b->file ? "swapped" : "swapped between files", a, what);
    disk_write(disk, path_a, a->from, from_b + b->from, a->size);
    disk_write(disk, path_b, b->from, from_a + a->from, b->size);
    free(from_a);
    free(from_b);
    /* A header of another number is worse than a damaged copy: nobody knows whose frames follow. */
    if (a->kind == REGION_LOG_HEADER)
        expect_honest(&scene->world, disk, what, a->from);
    else
        expect_bounds(scene, disk, (const struct region *const[]){a, b}, 2, what, a->from);
    sim_disk_free(disk);
}

static void swapped_regions_cost_what_they_may_cost(void **state)
{
    struct scene *scene = scene_of(state);
    unsigned within = 0;
    unsigned between = 0;
    for (int kind = 0; kind < REGION_KINDS; kind++)
        for (int i = 0; i < 2 * SWAPS; i++) {
            if (kind == REGION_MANIFEST || kind == REGION_LOG_FRAMES)
                continue;
            const struct region *region = draw(scene, (enum region_kind)kind);
            const struct region *partner = draw_partner(scene, region, i % 2 == 0);
            if (partner == NULL)
                continue;
            swap_regions(scene, region, partner);
            within += i % 2 == 0;
            between += i % 2 == 1;
        }
    assert_true(within >= SWAPS && between >= SWAPS);
}

/* ---- whole files ------------------------------------------------------------------------ */

static void look_at_file(struct scene *scene, struct sim_disk *disk, const char *damage,
                         const struct stored_file *file, uint64_t where, bool thoroughly)
{
    char what[256];
    snprintf(what, sizeof what, "METRIC_STORE_SIM_SEED=%" PRIu64 ", %s: %s", scene->seed, damage,
             file->path);
    expect_honest(&scene->world, disk, what, where);
    if (thoroughly) {
        struct told told;
        expect_repair(&scene->world, disk, what, where, &told);
        expect_ingest(&scene->world, disk, what, where);
    }
    sim_disk_free(disk);
    scene->looked++;
}

static void files_that_are_cut_off_are_answered_honestly(void **state)
{
    struct scene *scene = scene_of(state);
    for (size_t i = 0; i < scene->world.count; i++) {
        const struct stored_file *file = &scene->world.files[i];
        if (file_is_spare(file) || (SANITIZED && i % 3 != scene->seed % 3))
            continue;
        for (int j = 0; j < CUTS; j++) {
            struct sim_disk *disk = sim_disk_clone(scene->world.disk);
            uint64_t size = sim_below(&scene->state, file->size);
            disk_cut(disk, file->path, size);
            look_at_file(scene, disk, "cut off", file, size, sim_below(&scene->state, 4) == 0);
        }
    }
}

/* Some of its definitions are lost, whatever is done; the others come back with a repair, beside
 * what was written meanwhile. */
static void a_series_segment_that_is_cut_off_comes_back_beside_new_series(void **state)
{
    struct scene *scene = scene_of(state);
    for (size_t i = 0; i < scene->regions.count; i++) {
        const struct region *region = &scene->regions.items[i];
        const struct stored_file *file = &scene->world.files[region->file];
        if (region->kind != REGION_SEGMENT_DEFINITIONS || region[-1].kind != region->kind)
            continue;
        struct sim_disk *disk = sim_disk_clone(scene->world.disk);
        disk_cut(disk, file->path, region->from + region->size / 2);
        expect_delete(&scene->world, disk, file->path, region->from);
        look_at_file(scene, disk, "cut off in its definitions", file, region->from, true);
        while (i + 1 < scene->regions.count && scene->regions.items[i + 1].file == region->file)
            i++;
    }
}

static bool same_folder(const char *a, const char *b)
{
    size_t folder = (size_t)(strrchr(a, '/') - a);
    return strncmp(a, b, folder + 1) == 0 && strchr(b + folder + 1, '/') == NULL;
}

static void exchanged_files_are_answered_honestly(void **state)
{
    struct scene *scene = scene_of(state);
    struct world other;
    world_make_large(&other, scene->seed + 1);
    unsigned swapped = 0;
    for (size_t i = 0; i < scene->world.count; i++) {
        const struct stored_file *file = &scene->world.files[i];
        size_t partner = sim_below(&scene->state, scene->world.count);
        if (file_is_spare(file) || (SANITIZED && i % 4 != scene->seed % 4))
            continue;
        if (i != partner && same_folder(file->path, scene->world.files[partner].path) &&
            !file_is_spare(&scene->world.files[partner])) {
            struct sim_disk *disk = sim_disk_clone(scene->world.disk);
            disk_swap(disk, file->path, scene->world.files[partner].path);
            look_at_file(scene, disk, "exchanged", file, partner, swapped++ == 0);
        }
        for (size_t j = 0; j < other.count; j++) {
            if (strcmp(other.files[j].path, file->path) != 0)
                continue;
            struct sim_disk *disk = sim_disk_clone(scene->world.disk);
            disk_bring(disk, file->path, other.disk, file->path);
            look_at_file(scene, disk, "of another store", file, 0, false);
        }
    }
    world_release(&other);
}

/* Without it the others would show little. */
static void the_store_has_all_that_is_to_be_damaged(void **state)
{
    struct scene *scene = scene_of(state);
    struct sim_disk *disk = sim_disk_clone(scene->world.disk);
    struct sim_machine machine;
    struct tier *tier;
    struct engine_stats stats;
    size_t kinds[REGION_KINDS] = {0};
    world_machine_init(&scene->world, &machine, disk);
    assert_int_equal(engine_open(&machine.options, &tier, NULL), STATUS_OK);
    engine_stats(tier, &stats);
    engine_abandon(tier);
    sim_disk_free(disk);
    for (size_t i = 0; i < scene->regions.count; i++)
        kinds[scene->regions.items[i].kind]++;
    printf("%zu files, %zu regions, %" PRIu64 " samples, parts %" PRIu64 " (warm %" PRIu64
           "), index segments %" PRIu64 ", tombstones %" PRIu64 ", log segments %" PRIu64 "\n",
           scene->world.count, scene->regions.count, ledger_count(&scene->world.living),
           stats.parts, stats.warm_parts, stats.index_segments, stats.tombstones,
           stats.log_segments);
    assert_true(stats.warm_parts >= 1 && stats.index_segments >= 2 && stats.tombstones >= 2);
    assert_true(stats.log_segments >= 3);
    assert_true(kinds[REGION_SEGMENT_DEFINITIONS] >= 8 && kinds[REGION_SEGMENT_VALUES] >= 8 &&
                kinds[REGION_SEGMENT_KEYS] >= 6 && kinds[REGION_PART_PAGE] >= 20);
    bool levels[3] = {false};
    for (size_t i = 0; i < scene->world.count; i++) {
        uint64_t size;
        if (!file_is_part(&scene->world.files[i]))
            continue;
        uint8_t *bytes = disk_read(scene->world.disk, scene->world.files[i].path, &size);
        uint32_t level = bytes[12];
        levels[level < 3 ? level : 2] = true;
        free(bytes);
    }
    assert_true(levels[0] && levels[1] && levels[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_store_has_all_that_is_to_be_damaged),
        cmocka_unit_test(one_bit_costs_what_its_region_may_cost),
        cmocka_unit_test(zeroed_regions_cost_what_they_may_cost),
        cmocka_unit_test(zeroed_pages_of_the_log_are_answered_honestly),
        cmocka_unit_test(swapped_regions_cost_what_they_may_cost),
        cmocka_unit_test(files_that_are_cut_off_are_answered_honestly),
        cmocka_unit_test(a_series_segment_that_is_cut_off_comes_back_beside_new_series),
        cmocka_unit_test(exchanged_files_are_answered_honestly),
    };
    cmocka_set_test_filter(getenv("METRIC_STORE_TEST_FILTER"));
    return cmocka_run_group_tests(tests, make_scene, release_scene);
}
