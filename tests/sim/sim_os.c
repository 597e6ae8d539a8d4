#include "sim_os.h"

#include "base/invariant.h"

enum { NS_PER_MS = 1000000 };

uint64_t sim_next(uint64_t *state)
{
    uint64_t value = *state += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

uint64_t sim_below(uint64_t *state, uint64_t bound)
{
    return sim_next(state) % bound;
}

static struct sim_clock *clock_of(struct clock *clock)
{
    return container_of(clock, struct sim_clock, clock);
}

static int64_t sim_wall_ms(struct clock *clock)
{
    return clock_of(clock)->wall_ms;
}

static int64_t sim_monotonic_ns(struct clock *clock)
{
    struct sim_clock *self = clock_of(clock);
    self->monotonic_ns += self->step_ns;
    return self->monotonic_ns;
}

static void sim_sleep_ms(struct clock *clock, int64_t duration_ms)
{
    sim_clock_advance(clock_of(clock), duration_ms);
}

static const struct clock_ops sim_clock_ops = {
    .wall_ms = sim_wall_ms,
    .monotonic_ns = sim_monotonic_ns,
    .sleep_ms = sim_sleep_ms,
};

void sim_clock_init(struct sim_clock *clock, int64_t wall_ms)
{
    *clock = (struct sim_clock){.clock = {&sim_clock_ops}, .wall_ms = wall_ms, .step_ns = 1};
}

void sim_clock_advance(struct sim_clock *clock, int64_t duration_ms)
{
    clock->wall_ms += duration_ms;
    clock->monotonic_ns += duration_ms * NS_PER_MS;
}

void sim_clock_jump(struct sim_clock *clock, int64_t by_ms)
{
    clock->wall_ms += by_ms;
}

static void sim_fill(struct random *random, void *to, size_t size)
{
    struct sim_random *self = container_of(random, struct sim_random, random);
    uint8_t *bytes = to;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)sim_next(&self->state);
}

static const struct random_ops sim_random_ops = {.fill = sim_fill};

void sim_random_init(struct sim_random *random, uint64_t seed)
{
    *random = (struct sim_random){.random = {&sim_random_ops}, .state = seed};
}

static enum status sim_start(struct threads *threads, const char *name, void (*run)(void *),
                             void *context, struct thread **thread, struct error *err)
{
    (void)threads, (void)run, (void)context, (void)thread;
    return fail(err, STATUS_UNAVAILABLE, "cannot start thread %s: the simulation has none", name);
}

static void sim_join(struct threads *threads, struct thread *thread)
{
    (void)threads;
    invariant(thread == NULL);
}

static const struct threads_ops sim_threads_ops = {.start = sim_start, .join = sim_join};

struct threads *sim_threads(void)
{
    static struct threads threads = {&sim_threads_ops};
    return &threads;
}
