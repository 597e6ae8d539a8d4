#include "cxx/zone.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>

#include <cctz/time_zone.h>
#include <sys/stat.h>

struct zone {
    cctz::time_zone rules;
};

namespace
{

constexpr int64_t MS_PER_SECOND = 1000;
constexpr size_t NAME_MAX_SIZE = 64;

/* Where cctz looks. */
std::string database_path()
{
    const char *path = std::getenv("TZDIR");
    return path != nullptr && path[0] != 0 ? path : "/usr/share/zoneinfo";
}

bool is_letter_or_digit(uint8_t byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
           (byte >= '0' && byte <= '9');
}

/*
 * All zones are written so, with a capital first. Neither a path that leads out of the database nor
 * the database's other files (posix/, right/, localtime, zone.tab) are.
 */
bool is_name(struct slice name)
{
    if (name.size == 0 || name.size > NAME_MAX_SIZE || name.data[0] < 'A' || name.data[0] > 'Z')
        return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t byte = name.data[i];
        if (!is_letter_or_digit(byte) && byte != '_' && byte != '+' && byte != '-' && byte != '/')
            return false;
    }
    return name.data[name.size - 1] != '/';
}

/* cctz remembers every name it was asked for, so it is only asked for those that exist. */
bool is_in_database(const std::string &name)
{
    std::unique_ptr<FILE, int (*)(FILE *)> file(
        std::fopen((database_path() + "/" + name).c_str(), "re"), std::fclose);
    char magic[4];
    return file != nullptr && std::fread(magic, 1, sizeof magic, file.get()) == sizeof magic &&
           std::string(magic, sizeof magic) == "TZif";
}

bool has_database()
{
    struct stat about;
    return stat(database_path().c_str(), &about) == 0 && S_ISDIR(about.st_mode);
}

cctz::time_point<cctz::seconds> point_of(int64_t time_ms)
{
    int64_t seconds = time_ms / MS_PER_SECOND;
    if (time_ms % MS_PER_SECOND < 0)
        seconds--;
    return cctz::time_point<cctz::seconds>(cctz::seconds(seconds));
}

} // namespace

enum status zone_open(struct zone **result, struct slice name, struct error *err)
{
    *result = nullptr;
    try {
        std::string text(reinterpret_cast<const char *>(name.data), name.size);
        auto made = std::make_unique<zone>();
        bool found = text == "UTC" || (is_name(name) && is_in_database(text));
        if (found && cctz::load_time_zone(text, &made->rules)) {
            *result = made.release();
            return STATUS_OK;
        }
        if (!has_database())
            return fail(err, STATUS_UNSUPPORTED,
                        "there is no time zone database in %s; install tzdata",
                        database_path().c_str());
        return fail(err, STATUS_NOT_FOUND, "there is no time zone of that name");
    } catch (const std::bad_alloc &) {
        return fail(err, STATUS_MEMORY, "no memory for a time zone");
    }
}

void zone_close(struct zone *zone)
{
    delete zone;
}

struct zone_span zone_span_at(const struct zone *zone, int64_t time_ms)
{
    auto at = point_of(time_ms);
    struct zone_span span = {zone->rules.lookup(at).offset * MS_PER_SECOND, INT64_MAX};
    cctz::time_zone::civil_transition next;
    if (zone->rules.next_transition(at, &next)) {
        /* `from` is what the clock shows at the change, were there none. */
        int64_t seconds = next.from - cctz::civil_second();
        span.end_ms = seconds * MS_PER_SECOND - span.offset_ms;
        /* Whatever the file holds: a walk from stretch to stretch goes on. */
        if (span.end_ms <= time_ms)
            span.end_ms = time_ms + MS_PER_SECOND;
    }
    return span;
}
