/*
 * status - what a call that can fail returns, and the sentence a person reads about it.
 *
 * Every function that can fail returns an `enum status`; where a person will read the reason it
 * takes a `struct error *err` last. The error is filled only when the status is not STATUS_OK and
 * not STATUS_END. `err` may be NULL: then the sentence is dropped, the status stays.
 */
#ifndef METRIC_STORE_BASE_STATUS_H
#define METRIC_STORE_BASE_STATUS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#define MUST_CHECK             __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

#ifdef __cplusplus
extern "C" {
#endif

enum status {
    STATUS_OK = 0,
    STATUS_END,         /* an iterator is exhausted: not an error */
    STATUS_INVALID,     /* the caller's input is malformed */
    STATUS_UNSUPPORTED, /* well-formed, but nothing we can do */
    STATUS_NOT_FOUND,
    STATUS_CONFLICT,  /* contradicts what is already there */
    STATUS_LIMIT,     /* over a limit of ours; asking again will not help */
    STATUS_BUSY,      /* over a limit of ours for the moment; asking again later will help */
    STATUS_CANCELLED, /* the one who asked is gone */
    STATUS_TIMEOUT,
    STATUS_MEMORY,      /* the heap is exhausted */
    STATUS_IO,          /* the operating system refused */
    STATUS_NO_SPACE,    /* disk full, quota reached, or read-only file system */
    STATUS_CORRUPT,     /* bytes read back are not the bytes written */
    STATUS_UNAVAILABLE, /* stopped, stopping, or broken until a restart */
};

enum { ERROR_MESSAGE_SIZE = 512 };

struct error {
    enum status status;
    const char *code; /* static string, stable across releases, or NULL; see docs/API.md */
    int os_error;     /* errno of the call that failed, where fail_errno told of it; or 0 */
    char message[ERROR_MESSAGE_SIZE];
};

/* A short lower-case name: "invalid", "no_space", ... */
const char *status_name(enum status status);

/* Fills *err (if not NULL) and returns `status`, so that a caller can write `return fail(...)`. */
enum status fail(struct error *err, enum status status, const char *format, ...) PRINTF_LIKE(3, 4);

/* The same with a stable code. `code` must be a string literal. */
enum status fail_code(struct error *err, enum status status, const char *code, const char *format,
                      ...) PRINTF_LIKE(4, 5);

/* As fail(), and appends ": " and the text of errno value `number`. ENOSPC, EDQUOT and EROFS become
 * STATUS_NO_SPACE, ENOMEM becomes STATUS_MEMORY, ENOENT STATUS_NOT_FOUND, all others STATUS_IO. */
enum status fail_errno(struct error *err, int number, const char *format, ...) PRINTF_LIKE(3, 4);

/* Puts "PREFIX: " before the message that *err holds: for context added on the way up. */
void error_prefix(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* The system refused for want of rights (EACCES, EPERM), as fail_errno told: no fault of the disk.
 */
bool error_not_allowed(const struct error *err);

/* Puts "; SUFFIX" behind the message that *err (if not NULL) holds: what to do about it. */
void error_suffix(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);

#ifdef __cplusplus
}
#else
/* In C they are macros too, so that whoever reads the code by machine sees that STATUS_MEMORY comes
 * out where it went in. (C++ streams have members of that name.) */
#define fail(err, what, ...)                                                                       \
    ({                                                                                             \
        enum status fail_status = (what);                                                          \
        (void)(fail)((err), fail_status, __VA_ARGS__);                                             \
        fail_status;                                                                               \
    })
#define fail_code(err, what, code, ...)                                                            \
    ({                                                                                             \
        enum status fail_status = (what);                                                          \
        (void)(fail_code)((err), fail_status, (code), __VA_ARGS__);                                \
        fail_status;                                                                               \
    })
#endif

#endif
