/*
 * shown - text from outside as a message shows it: on one line, harmless to a terminal, and
 * bounded.
 */
#ifndef METRIC_STORE_BASE_SHOWN_H
#define METRIC_STORE_BASE_SHOWN_H

#include "base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SHOWN_MAX_SIZE = 80 };

struct shown {
    char text[SHOWN_MAX_SIZE + 1]; /* zero-terminated UTF-8 */
};

/* The beginning of `text`: control characters (also U+0080 to U+009F) and bytes that are no UTF-8
 * stand as \x00, and neither they nor a character are cut in two. */
struct shown shown_text(struct slice text);

#ifdef __cplusplus
}
#endif

#endif
