#include "os/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void random_fill(struct random *random, void *to, size_t size)
{
    random->ops->fill(random, to, size);
}

uint64_t random_u64(struct random *random)
{
    uint64_t value = 0;
    random_fill(random, &value, sizeof value);
    return value;
}

static void system_fill(struct random *random, void *to, size_t size)
{
    (void)random;
    size_t done = 0;
    while (done < size) {
        ssize_t count = getrandom((char *)to + done, size - done, 0);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0) {
            char text[128];
            fprintf(stderr, "metric-store: the kernel gives no random bytes: %s\n",
                    strerror_r(errno, text, sizeof text));
            abort();
        }
        done += (size_t)count;
    }
}

static const struct random_ops system_ops = {.fill = system_fill};

struct random *random_system(void)
{
    static struct random system = {&system_ops};
    return &system;
}
