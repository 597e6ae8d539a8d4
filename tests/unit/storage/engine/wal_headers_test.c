/*
 * Damaged headers of log segments: what a start says and gives back, that writing goes on, and that
 * later starts lose nothing more and say no more.
 */
#include "../../test.h"

#include <sys/mman.h>
#include <unistd.h>

#include "scene.h"
#include "storage/engine/wal_format.h"

enum {
    SERIES = 20,
    HEAD = 8 << 20,
    RUN = 6000,        /* samples of a commit: a quarter of a segment */
    SEGMENT = 1 << 18, /* bytes; of a scene */
    FLUSHED = 1,       /* commits */
};

#define NOW INT64_C(1750000000000)

enum damage {
    FIRST_COPY,
    SECOND_COPY,
    BOTH_COPIES,
    ZEROED,
    FOREIGN,
    CUT,
    CUT_IN_HEADER,
    EXCHANGED
};
enum place { FIRST, MIDDLE, LAST };

struct headers_test {
    struct scene scene;
    struct log log;
    int log_fd;
    uint64_t segments; /* numbers go from 1 to here */
};

/* Of a start. */
struct said {
    uint64_t damaged, samples;
    bool partial;
    char text[8192];
};

/* ---- a log, and damage to it ------------------------------------------------------------ */

static int64_t no_time(void *context)
{
    (void)context;
    return 0;
}

static void segment_path(const struct headers_test *test, uint64_t number, char path[128])
{
    char name[WAL_NAME_SIZE];
    wal_segment_name(name, number);
    snprintf(path, 128, "%s/wal/%s", test->scene.store.dir, name);
}

static void put_run(struct headers_test *test, uint32_t number)
{
    scene_put_run(&test->scene, number % SERIES, NOW + (int64_t)number * RUN * 1000, 1000, RUN,
                  number);
}

/* Of `commits` commits, behind some that have been flushed, or none; killed. */
static void begin(struct headers_test *test, bool flushed, uint32_t commits)
{
    *test = (struct headers_test){.log_fd = memfd_create("log", MFD_CLOEXEC)};
    assert_true(test->log_fd >= 0);
    test->log = (struct log){.fd = test->log_fd, .level = LOG_ERROR, .now_ms = no_time};
    scene_begin(&test->scene, HEAD, SERIES);
    assert_int_equal(test->scene.store.options.log_segment_bytes, SEGMENT);
    struct engine_options options = test->scene.store.options;
    options.log = &test->log;
    scene_reopen_with(&test->scene, &options);
    for (uint32_t i = 0; flushed && i < FLUSHED; i++)
        put_run(test, i);
    if (flushed)
        store_flush(&test->scene.store);
    for (uint32_t i = 0; i < commits; i++)
        put_run(test, FLUSHED + i);
    test->segments = scene_stats(&test->scene).log_segments;
    engine_abandon(test->scene.store.tier);
    test->scene.store.tier = NULL;
}

static void end(struct headers_test *test)
{
    scene_end(&test->scene);
    close(test->log_fd);
}

static void write_bytes(const char *path, const uint8_t *bytes, size_t size, long offset)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static size_t read_bytes(const char *path, uint8_t *bytes, size_t size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t got = fread(bytes, 1, size, file);
    fclose(file);
    return got;
}

static void do_foreign(uint8_t block[WAL_DATA_START])
{
    struct wal_segment_header header;
    bool damaged;
    assert_int_equal(wal_segment_header_decode(block, &header, &damaged, NULL), STATUS_OK);
    header.owner ^= 77;
    header.key ^= 77;
    wal_segment_header_encode(&header, block);
}

static void do_damage(const struct headers_test *test, enum damage damage, uint64_t number)
{
    char path[128];
    uint8_t block[WAL_DATA_START];
    segment_path(test, number, path);
    assert_int_equal(read_bytes(path, block, sizeof block), sizeof block);
    if (damage == CUT || damage == CUT_IN_HEADER) {
        assert_int_equal(truncate(path, damage == CUT ? WAL_DATA_START : 30), 0);
        return;
    }
    if (damage == EXCHANGED) {
        static uint8_t other[SEGMENT];
        char other_path[128];
        segment_path(test, number == test->segments ? number - 1 : number + 1, other_path);
        assert_int_equal(read_bytes(other_path, other, sizeof other), sizeof other);
        write_bytes(path, other, sizeof other, 0);
        return;
    }
    if (damage == FIRST_COPY || damage == BOTH_COPIES)
        block[20] ^= 1;
    if (damage == SECOND_COPY || damage == BOTH_COPIES)
        block[WAL_HEADER_COPY + 20] ^= 1;
    if (damage == FOREIGN)
        do_foreign(block);
    if (damage == ZEROED)
        memset(block, 0, sizeof block);
    write_bytes(path, block, sizeof block, 0);
}

static uint64_t number_at(const struct headers_test *test, enum place place)
{
    return place == FIRST ? 1 : place == MIDDLE ? (1 + test->segments) / 2 : test->segments;
}

/* ---- what starts say -------------------------------------------------------------------- */

/* What is there was written, and only that is in the ledger afterwards. */
static void keep_what_is_there(struct headers_test *test, bool *partial)
{
    struct ledger found, *written = &test->scene.ledger;
    char why[FIXTURE_WHY_SIZE];
    ledger_init(&found, SERIES);
    if (!fixture_read_partial(test->scene.store.tier, &found, partial, why))
        test_fail("%s", why);
    for (size_t i = 0; i < SERIES; i++)
        for (size_t at = 0, other = 0; at < found.series[i].count; at++, other++) {
            while (other < written->series[i].count &&
                   written->series[i].times[other] != found.series[i].times[at])
                other++;
            assert_true(other < written->series[i].count);
            assert_true(written->series[i].bits[other] == found.series[i].bits[at]);
        }
    ledger_release(written);
    *written = found;
}

static void start(struct headers_test *test, struct said *said)
{
    assert_int_equal(ftruncate(test->log_fd, 0), 0);
    assert_int_equal(lseek(test->log_fd, 0, SEEK_SET), 0);
    struct error err = {0};
    struct store *store = &test->scene.store;
    if (engine_open(&store->options, &store->tier, &err) != STATUS_OK)
        test_fail("%s", err.message);
    said->damaged = scene_stats(&test->scene).recovery.damaged;
    uint64_t written = ledger_count(&test->scene.ledger);
    keep_what_is_there(test, &said->partial);
    said->samples = ledger_count(&test->scene.ledger);
    ssize_t size = pread(test->log_fd, said->text, sizeof said->text - 1, 0);
    assert_true(size >= 0);
    said->text[size] = '\0';
    /* Honest, and each place is told. */
    assert_true(said->samples == written || said->partial);
    assert_true(said->damaged > 0 || !said->partial);
    assert_int_equal(said->damaged > 0, strstr(said->text, "damage found at start") != NULL);
}

static void ignore_finding(void *context, enum engine_finding finding, const char *path,
                           const char *description)
{
    (void)context, (void)finding, (void)path, (void)description;
}

/* It tells of a loss where starts did, and ends that. */
static void repair(struct headers_test *test, const struct said *first)
{
    struct engine_repair_result result;
    struct error err = {0};
    struct said last;
    if (engine_repair(&test->scene.store.options, ignore_finding, NULL, NULL, &result, &err) !=
        STATUS_OK)
        test_fail("%s", err.message);
    assert_int_equal(result.left.damaged, 0);
    assert_int_equal(result.losses > 0, first->partial);
    uint64_t samples = ledger_count(&test->scene.ledger);
    start(test, &last);
    assert_int_equal(last.samples, samples);
    assert_int_equal(last.damaged, 0);
    assert_false(last.partial);
}

/* Writing goes on; a start after a kill and those after a stop have all of it. Whether frames are
 * lost each of them tells, though the log has long gone on, until a repair. */
static void go_on(struct headers_test *test, const struct said *first)
{
    struct said second, third, fourth;
    put_run(test, 100);
    put_run(test, 101);
    uint64_t samples = ledger_count(&test->scene.ledger);
    engine_abandon(test->scene.store.tier);
    start(test, &second);
    assert_int_equal(second.samples, samples);
    /* What the first one noted is told beside the damage itself. */
    assert_true(second.damaged <= first->damaged + first->partial);
    assert_int_equal(second.partial, first->partial);
    engine_close(test->scene.store.tier);
    start(test, &third);
    assert_int_equal(third.samples, samples);
    assert_true(third.damaged <= second.damaged || third.damaged <= 1);
    assert_int_equal(third.partial, first->partial);
    engine_close(test->scene.store.tier);
    start(test, &fourth);
    assert_int_equal(fourth.samples, samples);
    assert_true(fourth.damaged <= third.damaged);
    assert_int_equal(fourth.partial, first->partial);
    engine_close(test->scene.store.tier);
    test->scene.store.tier = NULL;
    repair(test, first);
}

struct expected {
    uint64_t damaged;
    bool partial;
    bool whole; /* every sample comes back */
    const char *text;
};

static void expect(enum damage damage, enum place place, bool flushed, uint32_t commits,
                   const struct expected *expected)
{
    struct headers_test test;
    struct said first;
    begin(&test, flushed, commits);
    uint64_t written = ledger_count(&test.scene.ledger);
    do_damage(&test, damage, number_at(&test, place));
    start(&test, &first);
    if (strstr(first.text, expected->text) == NULL)
        test_fail("damage %d at %d: no \"%s\" in %s", (int)damage, (int)place, expected->text,
                  first.text);
    if (first.damaged != expected->damaged || first.partial != expected->partial)
        test_fail("damage %d at %d: %d places, partial %d: %s", (int)damage, (int)place,
                  (int)first.damaged, first.partial, first.text);
    assert_int_equal(first.samples == written, expected->whole);
    go_on(&test, &first);
    end(&test);
}

enum { FEW = 2, MANY = 18 }; /* commits: of one segment, and of five */

static void one_copy_costs_nothing_and_is_told_once(void **state)
{
    (void)state;
    const struct expected expected = {
        .damaged = 1, .whole = true, .text = "damaged, at no cost: one copy of the segment's"};
    for (int flushed = 0; flushed < 2; flushed++) {
        for (enum damage damage = FIRST_COPY; damage <= SECOND_COPY; damage++) {
            for (enum place place = FIRST; place <= LAST; place++)
                expect(damage, place, flushed, MANY, &expected);
            expect(damage, FIRST, flushed, FEW, &expected);
        }
    }
}

/* Nothing of it is lost; but nobody can know that no frame at its end was. */
static void without_a_header_records_come_back_while_another_segment_has_the_key(void **state)
{
    (void)state;
    static const struct expected header = {
        .damaged = 1, .partial = true, .whole = true, .text = "bytes 0 to 4096 are damaged"};
    static const struct expected flushed = {
        .damaged = 1, .whole = true, .text = "bytes 0 to 4096 are damaged"};
    static const struct expected foreign = {.damaged = 1,
                                            .partial = true,
                                            .whole = true,
                                            .text = "bytes 4096 to 262144 are damaged: it is of "
                                                    "the log of another store"};
    for (enum place place = FIRST; place <= LAST; place++) {
        expect(BOTH_COPIES, place, false, MANY, &header);
        expect(ZEROED, place, false, MANY, &header);
        expect(FOREIGN, place, false, MANY, &foreign);
        expect(FOREIGN, place, true, MANY, &foreign);
        /* What is flushed is not needed from the log. */
        expect(BOTH_COPIES, place, true, MANY, place == FIRST ? &flushed : &header);
        expect(ZEROED, place, true, MANY, place == FIRST ? &flushed : &header);
    }
}

static void without_any_header_the_log_is_lost_and_a_new_one_goes_on(void **state)
{
    (void)state;
    static const enum damage damages[] = {BOTH_COPIES, ZEROED, FOREIGN};
    struct expected expected = {.partial = true, .text = "no segment's header can be read"};
    for (size_t i = 0; i < 3; i++) {
        expected.damaged = 2;
        expected.whole = false;
        expect(damages[i], FIRST, false, FEW, &expected);
        /* Frames that the manifest knows of are gone too. */
        expected.damaged = 3;
        expect(damages[i], FIRST, true, FEW, &expected);
        expected.whole = true;
        expect(damages[i], FIRST, true, 0, &expected);
    }
}

static void a_segment_cut_to_its_header_or_less_costs_what_it_held(void **state)
{
    (void)state;
    struct expected expected = {.partial = true};
    for (int flushed = 0; flushed < 2; flushed++)
        for (enum place place = FIRST; place <= LAST; place++) {
            expected.text = "bytes 4096 to 262144 are damaged: the file is cut short";
            expected.damaged = place == LAST ? 1 : 2;
            expect(CUT, place, flushed, MANY, &expected);
            expected.damaged++;
            expect(CUT_IN_HEADER, place, flushed, MANY, &expected);
        }
}

/* Or so short that the position that the manifest names lies behind its end: what is written from
 * there on has to be read again. */
static void an_only_segment_that_is_cut_takes_new_frames_that_stay(void **state)
{
    (void)state;
    struct expected expected = {.partial = true,
                                .text = "bytes 4096 to 262144 are damaged: the file is cut short"};
    for (int flushed = 0; flushed < 2; flushed++)
        for (uint32_t commits = 0; commits <= FEW; commits += FEW) {
            expected.whole = commits == 0;
            expected.damaged = 3;
            expect(CUT_IN_HEADER, FIRST, flushed, commits, &expected);
            expected.damaged = 1;
            expect(CUT, FIRST, flushed, commits, &expected);
        }
}

static void a_segment_in_place_of_another_costs_what_that_held(void **state)
{
    (void)state;
    struct expected expected = {.partial = true, .text = "bytes 0 to 4096 are damaged"};
    for (int flushed = 0; flushed < 2; flushed++)
        for (enum place place = FIRST; place <= LAST; place++) {
            expected.damaged = place == LAST ? 1 : 2;
            expect(EXCHANGED, place, flushed, MANY, &expected);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_copy_costs_nothing_and_is_told_once),
        cmocka_unit_test(without_a_header_records_come_back_while_another_segment_has_the_key),
        cmocka_unit_test(without_any_header_the_log_is_lost_and_a_new_one_goes_on),
        cmocka_unit_test(a_segment_cut_to_its_header_or_less_costs_what_it_held),
        cmocka_unit_test(an_only_segment_that_is_cut_takes_new_frames_that_stay),
        cmocka_unit_test(a_segment_in_place_of_another_costs_what_that_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
