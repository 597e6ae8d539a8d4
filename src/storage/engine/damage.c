/* What was met of damage while the store runs: counted each time, logged once a place. */
#include "base/hash.h"
#include "storage/engine/engine_internal.h"

/* Whether this place is met for the first time. With trouble_lock. Of more places than are kept
 * only the first of those is new. */
static bool is_new_place(struct engine *engine, uint64_t place)
{
    for (size_t i = 0; i < engine->damage_count; i++)
        if (engine->damage_places[i] == place)
            return false;
    if (engine->damage_count == ENGINE_DAMAGE_PLACES)
        return false;
    engine->damage_places[engine->damage_count++] = place;
    return true;
}

void engine_note_damage(struct engine *engine, const char *message, const struct error *why)
{
    /* The sentence names file, offset and series. */
    uint64_t place = hash64(slice_from_text(why->message), 0);
    mutex_lock(&engine->trouble_lock);
    bool fresh = is_new_place(engine, place);
    bool last = fresh && engine->damage_count == ENGINE_DAMAGE_PLACES;
    mutex_unlock(&engine->trouble_lock);
    atomic_fetch_add_explicit(&engine->counters.damaged_blocks, 1, memory_order_relaxed);
    engine_trouble(engine, TROUBLE_DAMAGE, STORAGE_DEGRADED, "damaged data: %s", why->message);
    if (fresh)
        log_event(engine->log, LOG_WARN, "engine", message, log_text("error", why->message));
    if (last)
        log_event(engine->log, LOG_WARN, "engine",
                  "more damaged places will be counted, and not logged any more",
                  log_int("places", ENGINE_DAMAGE_PLACES));
}

void engine_note_index_damage(struct engine *engine, const char *message, const struct error *why)
{
    engine_note_damage(engine, message, why);
    atomic_store(&engine->index_damaged, true);
}
