/*
 * thread - starting threads behind a table; mutexes and conditions as thin wrappers that treat
 * any failure as the bug it is.
 *
 * The table lets the simulator run the engine with no threads at all: background jobs are plain
 * functions, and code that would start a thread asks `threads_start`, which may refuse.
 */
#ifndef METRIC_STORE_OS_THREAD_H
#define METRIC_STORE_OS_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct thread; /* opaque */
struct threads;

struct threads_ops {
    enum status (*start)(struct threads *threads, const char *name, void (*run)(void *),
                         void *context, struct thread **thread, struct error *err);
    void (*join)(struct threads *threads, struct thread *thread);
};

struct threads {
    const struct threads_ops *ops;
};

/* `name` is at most 15 bytes and shows in ps and top. Gives *thread, ended by threads_join. The new
 * thread has every signal blocked. */
MUST_CHECK enum status threads_start(struct threads *threads, const char *name, void (*run)(void *),
                                     void *context, struct thread **thread, struct error *err);
void threads_join(struct threads *threads, struct thread *thread);

struct threads *threads_posix(void);

/* From now on the calling thread gives way to others that want the processor; it stays so. False
 * where a sandbox does not let it. */
bool thread_step_back(void);

/* Lets others run, for whoever waits for a few instructions of theirs. */
void thread_yield(void);

struct mutex {
    pthread_mutex_t native;
};
struct condition {
    pthread_cond_t native; /* on the monotonic clock */
};
struct rwlock {
    pthread_rwlock_t native; /* writers are preferred: a stream of queries never starves ingest */
};

void mutex_init(struct mutex *mutex);
void mutex_release(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);

void condition_init(struct condition *condition);
void condition_release(struct condition *condition);
void condition_signal(struct condition *condition);
void condition_broadcast(struct condition *condition);
void condition_wait(struct condition *condition, struct mutex *mutex);
/* False when `timeout_ms` passed without a signal. */
bool condition_wait_ms(struct condition *condition, struct mutex *mutex, int64_t timeout_ms);

void rwlock_init(struct rwlock *lock);
void rwlock_release(struct rwlock *lock);
void rwlock_read(struct rwlock *lock);
void rwlock_write(struct rwlock *lock);
void rwlock_unlock(struct rwlock *lock);

#endif
