#include "storage/engine/recovery_state.h"

void recovery_note_damage(void *context, const char *description)
{
    struct recovery *recovery = context;
    recovery->engine->recovery.damaged++;
    recovery->engine->definitions_lost = true;
    log_event(recovery->engine->log, LOG_ERROR, "engine", "damage found at start",
              log_text("damage", description));
}

void recovery_note_manifest_damage(void *context, const char *description)
{
    struct recovery *recovery = context;
    recovery->manifest_damage++;
    log_event(recovery->engine->log, LOG_WARN, "engine",
              "the manifest is damaged, or an edit was cut short", log_text("damage", description));
}

void recovery_note_known_loss(struct recovery *recovery, const char *description)
{
    bool before = recovery->engine->definitions_lost;
    recovery_note_damage(recovery, description);
    recovery->engine->definitions_lost = before;
}

void recovery_note_descriptors(void *context, const char *description)
{
    recovery_note_known_loss(context, description);
}

void recovery_note_activity(void *context, const char *description)
{
    struct recovery *recovery = context;
    recovery->activity_lost = true;
    recovery_note_known_loss(recovery, description);
}

void recovery_note_log_damage(void *context, const char *description, uint64_t from, uint64_t to)
{
    struct recovery *recovery = context;
    if (from == to || to <= recovery->replay_from) {
        recovery_note_known_loss(recovery, description);
        return;
    }
    recovery_note_damage(recovery, description);
    if (recovery->lost_to == 0 || from < recovery->lost_from)
        recovery->lost_from = from;
    if (to > recovery->lost_to)
        recovery->lost_to = to;
}

enum status recovery_note_lost_frames(void *context, struct error *err)
{
    struct recovery *recovery = context;
    struct engine *engine = recovery->engine;
    const struct manifest_state *state = manifest_state(engine->manifest);
    uint64_t from = recovery->lost_from, to = recovery->lost_to;
    if (to == 0 || engine->options.read_only)
        return STATUS_OK;
    recovery->lost_from = recovery->lost_to = 0;
    if (state->log_lost_to != 0) {
        from = from < state->log_lost_from ? from : state->log_lost_from;
        to = to > state->log_lost_to ? to : state->log_lost_to;
    }
    if (from == state->log_lost_from && to == state->log_lost_to)
        return STATUS_OK;
    struct manifest_edit edit;
    manifest_edit_init(&edit);
    manifest_note_log_lost(&edit, from, to);
    enum status status = manifest_commit(engine->manifest, &edit, err);
    manifest_edit_release(&edit);
    return status;
}

void recovery_tell_lost_frames(struct recovery *recovery)
{
    const struct manifest_state *state = manifest_state(recovery->engine->manifest);
    if (state->log_lost_to != 0)
        recovery_note_damage(
            recovery, "frames of the log were lost, as an earlier start found: what stood there is "
                      "missing; metric-store verify --repair ends this");
}
