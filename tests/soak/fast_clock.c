/*
 * fast_clock - a wall clock that runs faster, for a program that is watched over simulated days:
 * preloaded (LD_PRELOAD), it answers CLOCK_REALTIME with
 *   FAST_CLOCK_EPOCH_NS + (real - FAST_CLOCK_START_NS) * FAST_CLOCK_RATE
 * and leaves every other clock, and all waiting, as it is. Without the three variables it changes
 * nothing. libfaketime is no match: it divides the timeouts of epoll_wait by the rate too, so that
 * threads that wait spin.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)

static int64_t start_ns, epoch_ns, rate; /* set before main, then only read */

static int64_t setting(const char *name)
{
    const char *text = getenv(name);
    return text == NULL ? 0 : strtoll(text, NULL, 10);
}

__attribute__((constructor)) static void read_settings(void)
{
    start_ns = setting("FAST_CLOCK_START_NS");
    epoch_ns = setting("FAST_CLOCK_EPOCH_NS");
    rate = setting("FAST_CLOCK_RATE");
}

/* The system call: glibc's function of this name is the one that stands here. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
    long result = syscall(SYS_clock_gettime, clock, now);
    if (result != 0 || clock != CLOCK_REALTIME || rate == 0)
        return (int)result;
    int64_t passed_ns = now->tv_sec * NS_PER_S + now->tv_nsec - start_ns;
    int64_t shown_ns = epoch_ns + passed_ns * rate;
    now->tv_sec = shown_ns / NS_PER_S;
    now->tv_nsec = shown_ns % NS_PER_S;
    return 0;
}
