#include "api/worker_pool.h"

#include <stdlib.h>

enum { MAX_THREADS = 256 };

struct worker_pool {
    struct threads *threads;
    struct thread *workers[MAX_THREADS];
    unsigned worker_count;
    unsigned max_waiting;
    struct mutex lock; /* of all below */
    struct condition work;
    struct work_item *first;
    struct work_item **end;
    bool closing;
    struct worker_pool_stats stats;
};

static void run(void *context)
{
    struct worker_pool *pool = context;
    mutex_lock(&pool->lock);
    for (;;) {
        while (pool->first == NULL && !pool->closing)
            condition_wait(&pool->work, &pool->lock);
        struct work_item *item = pool->first;
        if (item == NULL)
            break;
        pool->first = item->next;
        if (pool->first == NULL)
            pool->end = &pool->first;
        pool->stats.waiting--;
        pool->stats.running++;
        mutex_unlock(&pool->lock);
        item->run(item->context);
        mutex_lock(&pool->lock);
        pool->stats.running--;
        pool->stats.done++;
    }
    mutex_unlock(&pool->lock);
}

enum status worker_pool_open(struct worker_pool **result, struct threads *threads,
                             unsigned thread_count, unsigned max_waiting, struct error *err)
{
    *result = NULL;
    struct worker_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return fail(err, STATUS_MEMORY, "no memory for query threads");
    pool->threads = threads;
    pool->max_waiting = max_waiting;
    pool->end = &pool->first;
    mutex_init(&pool->lock);
    condition_init(&pool->work);
    if (thread_count > MAX_THREADS)
        thread_count = MAX_THREADS;
    enum status status = STATUS_OK;
    for (unsigned i = 0; i < thread_count && status == STATUS_OK; i++) {
        status = threads_start(threads, "query", run, pool, &pool->workers[i], err);
        pool->worker_count += status == STATUS_OK;
    }
    if (status != STATUS_OK) {
        worker_pool_close(pool);
        return status;
    }
    *result = pool;
    return STATUS_OK;
}

void worker_pool_close(struct worker_pool *pool)
{
    if (pool == NULL)
        return;
    mutex_lock(&pool->lock);
    pool->closing = true;
    condition_broadcast(&pool->work);
    mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->worker_count; i++)
        threads_join(pool->threads, pool->workers[i]);
    mutex_release(&pool->lock);
    condition_release(&pool->work);
    free(pool);
}

enum status worker_pool_submit(struct worker_pool *pool, struct work_item *item, struct error *err)
{
    enum status status = STATUS_OK;
    item->next = NULL;
    mutex_lock(&pool->lock);
    if (pool->closing) {
        status = fail(err, STATUS_UNAVAILABLE, "the service is stopping");
    } else if (pool->stats.waiting >= pool->max_waiting) {
        pool->stats.refused++;
        status = fail_code(err, STATUS_BUSY, "query_queue_full",
                           "%u queries wait already, as many as query.queue allows; try again "
                           "shortly",
                           pool->max_waiting);
    } else {
        *pool->end = item;
        pool->end = &item->next;
        pool->stats.waiting++;
        condition_signal(&pool->work);
    }
    mutex_unlock(&pool->lock);
    return status;
}

void worker_pool_stats(struct worker_pool *pool, struct worker_pool_stats *stats)
{
    mutex_lock(&pool->lock);
    *stats = pool->stats;
    mutex_unlock(&pool->lock);
}
