#include "commands/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/times.h"

enum { REDRAW_NS = 100 * 1000 * 1000, BAR_WIDTH = 20, ESTIMATE_NS = 500 * 1000 * 1000 };

void progress_begin(struct progress *progress, struct clock *clock, const char *name)
{
    *progress =
        (struct progress){.clock = clock, .name = name, .visible = isatty(STDERR_FILENO) == 1};
    progress->started_ns = clock_monotonic_ns(clock);
}

static const char *unit_of(uint64_t bytes, double *divisor)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    *divisor = 1;
    while (unit < 4 && (double)bytes / *divisor >= 1024) {
        *divisor *= 1024;
        unit++;
    }
    return units[unit];
}

static size_t append(char line[PROGRESS_LINE_SIZE], size_t used, const char *text)
{
    int size = snprintf(line + used, PROGRESS_LINE_SIZE - used, "%s", text);
    used += size > 0 ? (size_t)size : 0;
    return used < PROGRESS_LINE_SIZE ? used : PROGRESS_LINE_SIZE - 1;
}

size_t progress_format(char line[PROGRESS_LINE_SIZE], const char *name, uint64_t resumed,
                       uint64_t done, uint64_t total, int64_t elapsed_ns)
{
    char text[PROGRESS_LINE_SIZE];
    double divisor;
    size_t used = append(line, 0, name);
    if (done > total && total > 0)
        done = total;
    if (resumed > done)
        resumed = done;
    double share = total > 0 ? (double)done / (double)total : 0;
    if (total > 0) {
        char bar[BAR_WIDTH + 1];
        memset(bar, '-', BAR_WIDTH);
        memset(bar, '#', (size_t)(share * BAR_WIDTH));
        memset(bar, '=', (size_t)((double)resumed / (double)total * BAR_WIDTH));
        bar[BAR_WIDTH] = 0;
        const char *unit = unit_of(total, &divisor);
        snprintf(text, sizeof text, "  [%s] %3d%%  %.1f of %.1f %s", bar, (int)(share * 100),
                 (double)done / divisor, (double)total / divisor, unit);
    } else {
        const char *unit = unit_of(done, &divisor);
        snprintf(text, sizeof text, "  %.1f %s", (double)done / divisor, unit);
    }
    used = append(line, used, text);
    /* What the first moments say of the rate is noise. */
    if (elapsed_ns < ESTIMATE_NS || done == resumed)
        return used;
    double rate = (double)(done - resumed) * 1e9 / (double)elapsed_ns;
    const char *unit = unit_of((uint64_t)rate, &divisor);
    snprintf(text, sizeof text, "  %.1f %s/s", rate / divisor, unit);
    used = append(line, used, text);
    if (total == 0)
        return used;
    char left[INSTANT_TEXT_SIZE];
    duration_format(left, (int64_t)((double)(total - done) / rate) * MS_PER_SECOND);
    snprintf(text, sizeof text, "  %s left", left);
    return append(line, used, text);
}

void progress_update(struct progress *progress, uint64_t done, uint64_t total)
{
    if (!progress->visible)
        return;
    int64_t now_ns = clock_monotonic_ns(progress->clock);
    if (now_ns - progress->started_ns < REDRAW_NS ||
        (progress->drawn && now_ns - progress->drawn_ns < REDRAW_NS))
        return;
    char line[PROGRESS_LINE_SIZE];
    progress_format(line, progress->name, progress->resumed, done, total,
                    now_ns - progress->started_ns);
    fprintf(stderr, "\r\033[K%s", line);
    fflush(stderr);
    progress->drawn = true;
    progress->drawn_ns = now_ns;
}

void progress_erase(struct progress *progress)
{
    if (!progress->drawn)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    progress->drawn = false;
}
