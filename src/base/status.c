#include "base/status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *status_name(enum status status)
{
    switch (status) {
    case STATUS_OK:
        return "ok";
    case STATUS_END:
        return "end";
    case STATUS_INVALID:
        return "invalid";
    case STATUS_UNSUPPORTED:
        return "unsupported";
    case STATUS_NOT_FOUND:
        return "not_found";
    case STATUS_CONFLICT:
        return "conflict";
    case STATUS_LIMIT:
        return "limit";
    case STATUS_BUSY:
        return "busy";
    case STATUS_CANCELLED:
        return "cancelled";
    case STATUS_TIMEOUT:
        return "timeout";
    case STATUS_MEMORY:
        return "memory";
    case STATUS_IO:
        return "io";
    case STATUS_NO_SPACE:
        return "no_space";
    case STATUS_CORRUPT:
        return "corrupt";
    case STATUS_UNAVAILABLE:
        return "unavailable";
    }
    return "unknown";
}

PRINTF_LIKE(4, 0)
static void error_fill(struct error *err, enum status status, const char *code, const char *format,
                       va_list args)
{
    if (err == NULL)
        return;
    err->status = status;
    err->code = code;
    err->os_error = 0;
    vsnprintf(err->message, sizeof err->message, format, args);
}

enum status(fail)(struct error *err, enum status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_fill(err, status, NULL, format, args);
    va_end(args);
    return status;
}

enum status(fail_code)(struct error *err, enum status status, const char *code, const char *format,
                       ...)
{
    va_list args;
    va_start(args, format);
    error_fill(err, status, code, format, args);
    va_end(args);
    return status;
}

static enum status status_of_errno(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
    case EROFS:
        return STATUS_NO_SPACE;
    case ENOMEM:
        return STATUS_MEMORY;
    case ENOENT:
        return STATUS_NOT_FOUND;
    default:
        return STATUS_IO;
    }
}

enum status fail_errno(struct error *err, int number, const char *format, ...)
{
    enum status status = status_of_errno(number);
    if (err == NULL)
        return status;
    va_list args;
    va_start(args, format);
    error_fill(err, status, NULL, format, args);
    va_end(args);
    err->os_error = number;
    size_t used = strlen(err->message);
    char text[128];
    snprintf(err->message + used, sizeof err->message - used, ": %s",
             strerror_r(number, text, sizeof text));
    return status;
}

void error_prefix(struct error *err, const char *format, ...)
{
    if (err == NULL)
        return;
    char rest[ERROR_MESSAGE_SIZE];
    memcpy(rest, err->message, sizeof rest);
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    size_t used = strlen(err->message);
    snprintf(err->message + used, sizeof err->message - used, ": %s", rest);
}

bool error_not_allowed(const struct error *err)
{
    return err->os_error == EACCES || err->os_error == EPERM;
}

void error_suffix(struct error *err, const char *format, ...)
{
    if (err == NULL)
        return;
    char suffix[ERROR_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(suffix, sizeof suffix, format, args);
    va_end(args);
    size_t used = strlen(err->message);
    snprintf(err->message + used, sizeof err->message - used, "; %s", suffix);
}
