#include "os/thread.h"

#include "base/invariant.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    THREAD_NAME_SIZE = 16,
    MS_PER_S = 1000,
    NS_PER_MS = 1000000,
    NS_PER_S = 1000000000,
    STEPPED_BACK = 10, /* the nice value: a tenth of the share of others */
};

struct thread {
    pthread_t native;
    void (*run)(void *);
    void *context;
    char name[THREAD_NAME_SIZE];
};

enum status threads_start(struct threads *threads, const char *name, void (*run)(void *),
                          void *context, struct thread **thread, struct error *err)
{
    invariant(strlen(name) < THREAD_NAME_SIZE);
    *thread = NULL;
    return threads->ops->start(threads, name, run, context, thread, err);
}

void threads_join(struct threads *threads, struct thread *thread)
{
    threads->ops->join(threads, thread);
}

static void *thread_main(void *context)
{
    struct thread *thread = context;
    pthread_setname_np(pthread_self(), thread->name);
    thread->run(thread->context);
    return NULL;
}

static enum status posix_start(struct threads *threads, const char *name, void (*run)(void *),
                               void *context, struct thread **thread, struct error *err)
{
    (void)threads;
    struct thread *self = malloc(sizeof *self);
    if (self == NULL)
        return fail(err, STATUS_MEMORY, "no memory to start thread %s", name);
    self->run = run;
    self->context = context;
    memcpy(self->name, name, strlen(name) + 1);

    /* A thread inherits the mask of its creator: signals go to the main thread only. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    int result = pthread_sigmask(SIG_SETMASK, &all, &before);
    invariant(result == 0);
    int number = pthread_create(&self->native, NULL, thread_main, self);
    result = pthread_sigmask(SIG_SETMASK, &before, NULL);
    invariant(result == 0);
    if (number != 0) {
        free(self);
        return fail_errno(err, number, "cannot start thread %s", name);
    }
    *thread = self;
    return STATUS_OK;
}

static void posix_join(struct threads *threads, struct thread *thread)
{
    (void)threads;
    int result = pthread_join(thread->native, NULL);
    invariant(result == 0);
    free(thread);
}

bool thread_step_back(void)
{
    /* Linux: of this thread alone. */
    return setpriority(PRIO_PROCESS, (id_t)gettid(), STEPPED_BACK) == 0;
}

static const struct threads_ops posix_ops = {.start = posix_start, .join = posix_join};

struct threads *threads_posix(void)
{
    static struct threads posix = {&posix_ops};
    return &posix;
}

void mutex_init(struct mutex *mutex)
{
    int result = pthread_mutex_init(&mutex->native, NULL);
    invariant(result == 0);
}

void mutex_release(struct mutex *mutex)
{
    int result = pthread_mutex_destroy(&mutex->native);
    invariant(result == 0);
}

void mutex_lock(struct mutex *mutex)
{
    int result = pthread_mutex_lock(&mutex->native);
    invariant(result == 0);
}

void mutex_unlock(struct mutex *mutex)
{
    int result = pthread_mutex_unlock(&mutex->native);
    invariant(result == 0);
}

void condition_init(struct condition *condition)
{
    pthread_condattr_t attributes;
    int result = pthread_condattr_init(&attributes);
    invariant(result == 0);
    result = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    invariant(result == 0);
    result = pthread_cond_init(&condition->native, &attributes);
    invariant(result == 0);
    pthread_condattr_destroy(&attributes);
}

void condition_release(struct condition *condition)
{
    int result = pthread_cond_destroy(&condition->native);
    invariant(result == 0);
}

void condition_signal(struct condition *condition)
{
    int result = pthread_cond_signal(&condition->native);
    invariant(result == 0);
}

void condition_broadcast(struct condition *condition)
{
    int result = pthread_cond_broadcast(&condition->native);
    invariant(result == 0);
}

void condition_wait(struct condition *condition, struct mutex *mutex)
{
    int result = pthread_cond_wait(&condition->native, &mutex->native);
    invariant(result == 0);
}

bool condition_wait_ms(struct condition *condition, struct mutex *mutex, int64_t timeout_ms)
{
    /* A hundred years: beyond it the sum below could overflow. */
    const int64_t longest_ms = INT64_C(100) * 365 * 24 * 3600 * MS_PER_S;
    if (timeout_ms < 0)
        timeout_ms = 0;
    if (timeout_ms > longest_ms)
        timeout_ms = longest_ms;
    struct timespec until;
    int result = clock_gettime(CLOCK_MONOTONIC, &until);
    invariant(result == 0);
    until.tv_sec += timeout_ms / MS_PER_S;
    until.tv_nsec += (long)(timeout_ms % MS_PER_S) * NS_PER_MS;
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_sec++;
        until.tv_nsec -= NS_PER_S;
    }
    result = pthread_cond_timedwait(&condition->native, &mutex->native, &until);
    invariant(result == 0 || result == ETIMEDOUT);
    return result == 0;
}

void thread_yield(void)
{
    (void)sched_yield(); /* always succeeds on Linux */
}

void rwlock_init(struct rwlock *lock)
{
    pthread_rwlockattr_t attributes;
    int result = pthread_rwlockattr_init(&attributes);
    invariant(result == 0);
    result =
        pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    invariant(result == 0);
    result = pthread_rwlock_init(&lock->native, &attributes);
    invariant(result == 0);
    pthread_rwlockattr_destroy(&attributes);
}

void rwlock_release(struct rwlock *lock)
{
    int result = pthread_rwlock_destroy(&lock->native);
    invariant(result == 0);
}

void rwlock_read(struct rwlock *lock)
{
    int result = pthread_rwlock_rdlock(&lock->native);
    invariant(result == 0);
}

void rwlock_write(struct rwlock *lock)
{
    int result = pthread_rwlock_wrlock(&lock->native);
    invariant(result == 0);
}

void rwlock_unlock(struct rwlock *lock)
{
    int result = pthread_rwlock_unlock(&lock->native);
    invariant(result == 0);
}
