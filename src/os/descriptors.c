#include "os/descriptors.h"

#include <sys/resource.h>

enum { CONNECTIONS_SHARE = 3 };

uint64_t descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return UINT64_MAX;
    rlim_t soft = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (soft != limit.rlim_max && setrlimit(RLIMIT_NOFILE, &limit) != 0)
        limit.rlim_cur = soft;
    return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : (uint64_t)limit.rlim_cur;
}

uint64_t descriptors_for_connections(uint64_t limit, uint64_t own, uint64_t wanted)
{
    uint64_t left = own < limit ? limit - own : 0;
    if (left < limit / CONNECTIONS_SHARE)
        left = limit / CONNECTIONS_SHARE;
    if (left == 0)
        left = 1;
    return wanted < left ? wanted : left;
}
