#include "os/clock.h"

#include "base/invariant.h"

#include <errno.h>
#include <time.h>

enum { NS_PER_MS = 1000000, MS_PER_S = 1000, NS_PER_S = 1000000000 };

int64_t clock_wall_ms(struct clock *clock)
{
    return clock->ops->wall_ms(clock);
}

int64_t clock_monotonic_ns(struct clock *clock)
{
    return clock->ops->monotonic_ns(clock);
}

void clock_sleep_ms(struct clock *clock, int64_t duration_ms)
{
    if (duration_ms > 0)
        clock->ops->sleep_ms(clock, duration_ms);
}

static struct timespec read_clock(clockid_t id)
{
    struct timespec now;
    int result = clock_gettime(id, &now);
    invariant(result == 0);
    return now;
}

static int64_t system_wall_ms(struct clock *clock)
{
    (void)clock;
    struct timespec now = read_clock(CLOCK_REALTIME);
    return (int64_t)now.tv_sec * MS_PER_S + now.tv_nsec / NS_PER_MS;
}

static int64_t system_monotonic_ns(struct clock *clock)
{
    (void)clock;
    struct timespec now = read_clock(CLOCK_MONOTONIC);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void system_sleep_ms(struct clock *clock, int64_t duration_ms)
{
    (void)clock;
    struct timespec until = read_clock(CLOCK_MONOTONIC);
    until.tv_sec += duration_ms / MS_PER_S;
    until.tv_nsec += (long)(duration_ms % MS_PER_S) * NS_PER_MS;
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_sec++;
        until.tv_nsec -= NS_PER_S;
    }
    int result;
    do
        result = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    while (result == EINTR);
    invariant(result == 0);
}

static const struct clock_ops system_ops = {
    .wall_ms = system_wall_ms,
    .monotonic_ns = system_monotonic_ns,
    .sleep_ms = system_sleep_ms,
};

struct clock *clock_system(void)
{
    static struct clock system = {&system_ops};
    return &system;
}
