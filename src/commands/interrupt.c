#include "commands/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum status interrupt_open(struct interrupt *interrupt, struct error *err)
{
    *interrupt = (struct interrupt){.fd = -1};
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) != 0)
        return fail_errno(err, errno, "cannot block signals");
    interrupt->fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    return interrupt->fd >= 0 ? STATUS_OK : fail_errno(err, errno, "cannot wait for signals");
}

void interrupt_close(struct interrupt *interrupt)
{
    if (interrupt->fd >= 0)
        close(interrupt->fd);
    interrupt->fd = -1;
}

bool interrupt_pending(struct interrupt *interrupt)
{
    return interrupt != NULL && interrupt_wait(interrupt, -1, 0);
}

static bool wait_for(struct interrupt *interrupt, int fd, short events, int timeout_ms)
{
    if (interrupt->pending)
        return true;
    struct pollfd waits[2] = {
        {.fd = interrupt->fd, .events = POLLIN},
        {.fd = fd, .events = events},
    };
    if (poll(waits, 2, timeout_ms) > 0 && (waits[0].revents & POLLIN) != 0)
        interrupt->pending = true;
    return interrupt->pending;
}

bool interrupt_wait(struct interrupt *interrupt, int fd, int timeout_ms)
{
    return wait_for(interrupt, fd, POLLIN, timeout_ms);
}

bool interrupt_wait_writable(struct interrupt *interrupt, int fd)
{
    return wait_for(interrupt, fd, POLLOUT, -1);
}

enum status interrupt_fail(struct error *err)
{
    return fail(err, STATUS_CANCELLED, "interrupted");
}
