#include "sim_explore.h"

#include "sim_os.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { WAY_KILL = 1000, SELDOM = 4 };

static void crash_once(struct sim_explore *explore, const struct sim_disk *disk, uint64_t number,
                       unsigned way)
{
    uint64_t mix = explore->seed ^ number * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)way << 56;
    struct sim_crash crash = {.seed = sim_next(&mix), .names_in_any_order = way % 2 == 1};
    struct sim_disk *clone = sim_disk_clone(disk);
    if (way == WAY_KILL)
        sim_disk_kill(clone);
    else
        sim_disk_crash(clone, &crash);

    size_t trail_size = strlen(explore->trail);
    snprintf(explore->trail + trail_size, sizeof explore->trail - trail_size,
             " call=%" PRIu64 " crash=%u", number, way);
    explore->states++;
    explore->level++;
    if (explore->level <= explore->depth)
        sim_explore_attach(explore, clone);
    bool passed = explore->check(explore->context, clone);
    explore->level--;
    if (!passed && explore->violations++ == 0)
        printf("violation: seed=%" PRIu64 "%s\n", explore->seed, explore->trail);
    explore->trail[trail_size] = '\0';
    sim_disk_free(clone);
}

static bool goes_on(const struct sim_explore *explore)
{
    return explore->violations == 0 && (explore->most == 0 || explore->states < explore->most);
}

static void explore_call(struct sim_explore *explore, const struct sim_disk *disk, uint64_t number)
{
    if (!goes_on(explore))
        return;
    /* A crash in recovery is tried one way a call: the ways are spread over the outer crashes. */
    unsigned ways = explore->level == 0 ? explore->crashes : 1;
    for (unsigned i = 0; i < ways && explore->violations == 0; i++) {
        unsigned way = explore->level == 0 ? i : (unsigned)((explore->states + number) % 16);
        crash_once(explore, disk, number, way);
    }
    if (explore->kills && explore->violations == 0)
        crash_once(explore, disk, number, WAY_KILL);
}

/* The 1st, 4th, 16th, ... call from there. */
static bool is_seldom(struct sim_explore *explore, uintptr_t site)
{
    if (!explore->each_site || site == 0)
        return false;
    struct sim_sites *met = explore->level > 0 ? &explore->met_in_recovery : &explore->met;
    uint64_t calls = sim_sites_count(met, site);
    while (calls % SELDOM == 0)
        calls /= SELDOM;
    return calls == 1;
}

static void explore_hook(void *context, struct sim_disk *disk, const struct sim_call *call)
{
    struct sim_explore *explore = context;
    uint64_t every = explore->level > 0 && explore->every_in_recovery != 0
                         ? explore->every_in_recovery
                         : explore->every;
    if ((call->kind & SIM_CHANGING_CALL) == 0)
        return;
    bool seldom = is_seldom(explore, call->site);
    if (!seldom && every > 1 && (call->number + explore->phase) % every != 0)
        return;
    if (explore->sites != NULL && goes_on(explore))
        (void)sim_sites_count(explore->sites, call->site);
    explore_call(explore, disk, call->number);
}

void sim_explore_attach(struct sim_explore *explore, struct sim_disk *disk)
{
    sim_disk_set_hook(disk, explore_hook, explore);
}

void sim_explore_detach(struct sim_disk *disk)
{
    sim_disk_set_hook(disk, NULL, NULL);
}

void sim_explore_now(struct sim_explore *explore, struct sim_disk *disk)
{
    explore_call(explore, disk, sim_disk_calls(disk) + 1);
}

uint64_t sim_rounds(uint64_t count)
{
    const char *rounds = getenv("SIM_ROUNDS");
    uint64_t factor = rounds == NULL ? 1 : strtoull(rounds, NULL, 10);
    return count * (factor == 0 ? 1 : factor);
}
