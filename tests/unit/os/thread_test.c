#include "../test.h"

#include "os/clock.h"
#include "os/thread.h"

#include <signal.h>
#include <stdatomic.h>

struct seen {
    sigset_t mask;
    char name[16];
};

static void look_around(void *context)
{
    struct seen *seen = context;
    pthread_sigmask(SIG_SETMASK, NULL, &seen->mask);
    pthread_getname_np(pthread_self(), seen->name, sizeof seen->name);
}

static void a_thread_has_its_name_and_every_signal_blocked(void **state)
{
    (void)state;
    struct seen seen;
    struct thread *thread = NULL;
    assert_int_equal(
        threads_start(threads_posix(), "fifteen-bytes-x", look_around, &seen, &thread, NULL),
        STATUS_OK);
    threads_join(threads_posix(), thread);
    assert_string_equal(seen.name, "fifteen-bytes-x");
    assert_int_equal(sigismember(&seen.mask, SIGTERM), 1);
    assert_int_equal(sigismember(&seen.mask, SIGUSR1), 1);
    sigset_t own;
    pthread_sigmask(SIG_SETMASK, NULL, &own);
    assert_int_equal(sigismember(&own, SIGTERM), 0);
}

struct handshake {
    struct mutex mutex;
    struct condition condition;
    int turn;
};

static void answer(void *context)
{
    struct handshake *handshake = context;
    mutex_lock(&handshake->mutex);
    while (handshake->turn != 1)
        condition_wait(&handshake->condition, &handshake->mutex);
    handshake->turn = 2;
    condition_broadcast(&handshake->condition);
    mutex_unlock(&handshake->mutex);
}

static void a_condition_wakes_the_other_side(void **state)
{
    (void)state;
    struct handshake handshake = {.turn = 0};
    mutex_init(&handshake.mutex);
    condition_init(&handshake.condition);
    struct thread *thread = NULL;
    assert_int_equal(threads_start(threads_posix(), "answer", answer, &handshake, &thread, NULL),
                     STATUS_OK);
    mutex_lock(&handshake.mutex);
    handshake.turn = 1;
    condition_signal(&handshake.condition);
    while (handshake.turn != 2)
        assert_true(condition_wait_ms(&handshake.condition, &handshake.mutex, INT64_MAX));
    mutex_unlock(&handshake.mutex);
    threads_join(threads_posix(), thread);
    condition_release(&handshake.condition);
    mutex_release(&handshake.mutex);
}

static void waiting_without_a_signal_ends_at_the_timeout(void **state)
{
    (void)state;
    struct handshake handshake = {.turn = 0};
    mutex_init(&handshake.mutex);
    condition_init(&handshake.condition);
    mutex_lock(&handshake.mutex);
    int64_t before = clock_monotonic_ns(clock_system());
    while (condition_wait_ms(&handshake.condition, &handshake.mutex, 2))
        continue; /* woken without a reason */
    assert_true(clock_monotonic_ns(clock_system()) - before >= 2000000);
    while (condition_wait_ms(&handshake.condition, &handshake.mutex, -1))
        continue;
    mutex_unlock(&handshake.mutex);
    condition_release(&handshake.condition);
    mutex_release(&handshake.mutex);
}

struct queue {
    struct rwlock lock;
    atomic_int writers_waiting;
    atomic_bool written;
};

static void write_once(void *context)
{
    struct queue *queue = context;
    atomic_store(&queue->writers_waiting, 1);
    rwlock_write(&queue->lock);
    atomic_store(&queue->written, true);
    rwlock_unlock(&queue->lock);
}

static void a_waiting_writer_goes_before_new_readers(void **state)
{
    (void)state;
    struct queue queue = {.writers_waiting = 0};
    rwlock_init(&queue.lock);
    rwlock_read(&queue.lock);
    struct thread *thread = NULL;
    assert_int_equal(threads_start(threads_posix(), "writer", write_once, &queue, &thread, NULL),
                     STATUS_OK);
    while (atomic_load(&queue.writers_waiting) == 0)
        sched_yield();
    /* Once the writer waits, a new reader is turned away although only a reader holds the lock. */
    while (pthread_rwlock_tryrdlock(&queue.lock.native) == 0) {
        rwlock_unlock(&queue.lock);
        sched_yield();
    }
    assert_false(atomic_load(&queue.written));
    rwlock_unlock(&queue.lock);
    threads_join(threads_posix(), thread);
    assert_true(atomic_load(&queue.written));
    rwlock_release(&queue.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_has_its_name_and_every_signal_blocked),
        cmocka_unit_test(a_condition_wakes_the_other_side),
        cmocka_unit_test(waiting_without_a_signal_ends_at_the_timeout),
        cmocka_unit_test(a_waiting_writer_goes_before_new_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
