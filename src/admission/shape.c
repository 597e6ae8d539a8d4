#include "admission/shape.h"

enum {
    ID_MIN_SIZE = 16,
    ID_MAX_SIZE = 128,
    TOKEN_MIN_RUN = 11, /* the hash in a pod's name has up to 10 */
    WORD_PERCENT = 60,  /* of frequent pairs among the letters' neighbours, from here on words */
    LONG_DIGITS_MIN_SIZE = 8,
    UUID_SIZE = 36,
    DOMAIN_MAX_SIZE = 253,
};

enum kind {
    KIND_OTHER,
    KIND_DIGIT,
    KIND_LOWER_HEX,
    KIND_LOWER,
    KIND_UPPER_HEX,
    KIND_UPPER,
    KIND_SEPARATOR, /* - _ */
    KIND_SLASH,
    KIND_AT,
    KIND_COLON,
    KIND_DOT,
    KIND_PLUS,
    KIND_COUNT
};

static const uint8_t kinds[256] = {
    ['0' ... '9'] = KIND_DIGIT,
    ['a' ... 'f'] = KIND_LOWER_HEX,
    ['g' ... 'z'] = KIND_LOWER,
    ['A' ... 'F'] = KIND_UPPER_HEX,
    ['G' ... 'Z'] = KIND_UPPER,
    ['-'] = KIND_SEPARATOR,
    ['_'] = KIND_SEPARATOR,
    ['/'] = KIND_SLASH,
    ['@'] = KIND_AT,
    [':'] = KIND_COLON,
    ['.'] = KIND_DOT,
    ['+'] = KIND_PLUS,
};

static bool is_digit(uint8_t byte)
{
    return kinds[byte] == KIND_DIGIT;
}

static bool is_hex(uint8_t byte)
{
    return (1u << kinds[byte] & (1u << KIND_DIGIT | 1u << KIND_LOWER_HEX | 1u << KIND_UPPER_HEX)) !=
           0;
}

static bool is_letter(uint8_t byte)
{
    return kinds[byte] >= KIND_LOWER_HEX && kinds[byte] <= KIND_UPPER;
}

static bool is_alnum(uint8_t byte)
{
    return kinds[byte] >= KIND_DIGIT && kinds[byte] <= KIND_UPPER;
}

static struct slice part_of(struct slice text, size_t from, size_t to)
{
    return slice_of(text.data + from, to - from);
}

static bool begins_with(struct slice text, const char *prefix)
{
    size_t size = strlen(prefix);
    return text.size >= size && memcmp(text.data, prefix, size) == 0;
}

/* How many bytes there are of each kind. */
struct sight {
    size_t counts[KIND_COUNT];
};

static struct sight look(struct slice text)
{
    struct sight sight = {0};
    for (size_t i = 0; i < text.size; i++)
        sight.counts[kinds[text.data[i]]]++;
    return sight;
}

static size_t hex_letters(const struct sight *sight)
{
    return sight->counts[KIND_LOWER_HEX] + sight->counts[KIND_UPPER_HEX];
}

/* ---- numbers and times ----------------------------------------------------------------------- */

/* The number that `count` digits at `at` make, which are there; -1 when one of them is none. */
static int number_at(struct slice text, size_t at, size_t count)
{
    int number = 0;
    for (size_t i = at; i < at + count; i++) {
        if (!is_digit(text.data[i]))
            return -1;
        number = number * 10 + (text.data[i] - '0');
    }
    return number;
}

static bool day_plausible(int year, int month, int day)
{
    return year >= 1970 && year <= 2100 && month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

static bool hour_plausible(int hour, int minute)
{
    return hour >= 0 && hour <= 23 && minute >= 0 && minute <= 59;
}

/* 20260131 at the beginning. */
static bool begins_with_day(struct slice text)
{
    return text.size >= 8 &&
           day_plausible(number_at(text, 0, 4), number_at(text, 4, 2), number_at(text, 6, 2));
}

/* 100000 at `at`. */
static bool has_hour(struct slice text, size_t at)
{
    int second = text.size >= at + 6 ? number_at(text, at + 4, 2) : -1;
    return second >= 0 && second <= 60 &&
           hour_plausible(number_at(text, at, 2), number_at(text, at + 2, 2));
}

/* Of digits, as seconds or the thousandths of thousandths of them that their count says. */
static bool is_unix_time(struct slice digits)
{
    const uint64_t min_s = 1420070400, max_s = 2051222400; /* 2015, 2035 */
    if (digits.size != 10 && digits.size != 13 && digits.size != 16 && digits.size != 19)
        return false;
    uint64_t seconds = 0;
    for (size_t i = 0; i < 10; i++)
        seconds = seconds * 10 + (uint64_t)(digits.data[i] - '0');
    return seconds >= min_s && seconds < max_s;
}

static enum value_shape digits_shape(struct slice digits)
{
    if (digits.size < LONG_DIGITS_MIN_SIZE || (digits.size == 8 && begins_with_day(digits)))
        return SHAPE_NONE;
    if (digits.size == 14 && begins_with_day(digits) && has_hour(digits, 8))
        return SHAPE_ISO_TIME;
    return is_unix_time(digits) ? SHAPE_UNIX_TIME : SHAPE_LONG_DIGITS;
}

/* Nothing, Z, +01:00, +0100 or +01. */
static bool is_zone(struct slice text)
{
    if (text.size == 0 || slice_equal_text(text, "Z") || slice_equal_text(text, "z") ||
        slice_equal_text(text, " UTC"))
        return true;
    if ((text.data[0] != '+' && text.data[0] != '-') || text.size < 3)
        return false;
    size_t colon = text.size == 6 && text.data[3] == ':' ? 1 : 0;
    if (text.size != 3 && text.size != 5 + colon)
        return false;
    int minute = text.size == 3 ? 0 : number_at(text, 3 + colon, 2);
    return hour_plausible(number_at(text, 1, 2), minute);
}

/* What stands behind the minute: seconds, a fraction of them, a zone. */
static bool is_time_end(struct slice text)
{
    size_t at = 0;
    if (text.size >= 3 && text.data[0] == ':') {
        int second = number_at(text, 1, 2);
        if (second < 0 || second > 60)
            return false;
        at = 3;
    }
    if (at > 0 && at < text.size && (text.data[at] == '.' || text.data[at] == ',')) {
        size_t begin = ++at;
        while (at < text.size && is_digit(text.data[at]))
            at++;
        if (at == begin)
            return false;
    }
    return is_zone(slice_from(text, at));
}

static bool is_iso_time(struct slice text)
{
    if (text.size >= 15 && text.data[8] == 'T')
        return begins_with_day(text) && has_hour(text, 9) && is_zone(slice_from(text, 15));
    if (text.size < 16 || text.data[4] != '-' || text.data[7] != '-' || text.data[13] != ':' ||
        (text.data[10] != 'T' && text.data[10] != 't' && text.data[10] != ' '))
        return false;
    return day_plausible(number_at(text, 0, 4), number_at(text, 5, 2), number_at(text, 8, 2)) &&
           hour_plausible(number_at(text, 11, 2), number_at(text, 14, 2)) &&
           is_time_end(slice_from(text, 16));
}

/* ---- addresses ------------------------------------------------------------------------------- */

static bool is_port(struct slice text)
{
    return text.size >= 1 && text.size <= 5 && number_at(text, 0, text.size) >= 0 &&
           number_at(text, 0, text.size) <= 65535;
}

/* How many bytes at the beginning are an address; 0: they are none. */
static size_t ipv4_size(struct slice text)
{
    size_t at = 0;
    for (int part = 0; part < 4; part++) {
        if (part > 0 && (at == text.size || text.data[at++] != '.'))
            return 0;
        size_t begin = at;
        while (at < text.size && at < begin + 3 && is_digit(text.data[at]))
            at++;
        if (at == begin || (text.data[begin] == '0' && at > begin + 1) ||
            number_at(text, begin, at - begin) > 255)
            return 0;
    }
    return at;
}

static bool is_ipv4(struct slice text)
{
    size_t size = ipv4_size(text);
    if (size == 0)
        return false;
    return size == text.size || (text.data[size] == ':' && is_port(slice_from(text, size + 1)));
}

/* Groups of an address without brackets and zone. Eight groups of two digits are an address of
 * hardware (EUI-64). */
static bool is_ipv6_bare(struct slice text)
{
    size_t groups = 0, pairs = 0, at = 0;
    bool shortened = false;
    if (begins_with(text, "::")) {
        shortened = true;
        at = 2;
    }
    while (at < text.size) {
        struct slice rest = slice_from(text, at);
        if (groups >= 1 && ipv4_size(rest) == rest.size)
            return shortened ? groups <= 5 : groups == 6;
        size_t size = 0;
        while (size < rest.size && size < 5 && is_hex(rest.data[size]))
            size++;
        if (size == 0 || size > 4)
            return false;
        groups++;
        pairs += size == 2;
        at += size;
        if (at == text.size)
            break;
        if (text.data[at++] != ':' || at == text.size)
            return false;
        if (text.data[at] == ':') {
            if (shortened)
                return false;
            shortened = true;
            at++;
        }
    }
    return shortened ? groups >= 1 && groups <= 7 : groups == 8 && pairs < 8;
}

static bool is_ipv6(struct slice text)
{
    if (text.size >= 2 && text.data[0] == '[') {
        const uint8_t *end = memchr(text.data, ']', text.size);
        if (end == NULL)
            return false;
        size_t close = (size_t)(end - text.data);
        struct slice rest = slice_from(text, close + 1);
        if (rest.size > 0 && (rest.data[0] != ':' || !is_port(slice_from(rest, 1))))
            return false;
        text = part_of(text, 1, close);
    }
    const uint8_t *zone = text.size == 0 ? NULL : memchr(text.data, '%', text.size);
    if (zone != NULL)
        text.size = (size_t)(zone - text.data);
    return is_ipv6_bare(text);
}

/* Units of systemd look like it: getty@tty1.service. */
static bool is_unit_type(struct slice name)
{
    static const char *const types[] = {"service", "socket",    "timer", "mount",
                                        "slice",   "scope",     "path",  "target",
                                        "device",  "automount", "swap"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (slice_equal_text(name, types[i]))
            return true;
    return false;
}

static bool is_domain(struct slice text)
{
    size_t label = 0, dots = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '.') {
            if (i == label)
                return false;
            label = i + 1;
            dots++;
        } else if (!is_alnum(text.data[i]) && text.data[i] != '-') {
            return false;
        }
    }
    struct slice last = slice_from(text, label);
    return text.size <= DOMAIN_MAX_SIZE && dots > 0 && last.size >= 2 && is_letter(last.data[0]) &&
           !is_unit_type(last);
}

static bool is_email(struct slice text)
{
    size_t at = 0;
    while (at < text.size && text.data[at] != '@') {
        uint8_t byte = text.data[at++];
        if (!is_alnum(byte) && (byte >= 0x80 || byte <= ' ' || strchr("\"(),:;<>[\\]/\x7f", byte)))
            return false;
    }
    return at > 0 && at < text.size && is_domain(slice_from(text, at + 1));
}

/* ---- ids ------------------------------------------------------------------------------------- */

static bool is_uuid_bare(struct slice text)
{
    if (text.size != UUID_SIZE)
        return false;
    for (size_t i = 0; i < UUID_SIZE; i++) {
        bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        if (hyphen ? text.data[i] != '-' : !is_hex(text.data[i]))
            return false;
    }
    return true;
}

static bool is_uuid(struct slice text)
{
    if (text.size == UUID_SIZE + 2 && text.data[0] == '{' && text.data[UUID_SIZE + 1] == '}')
        return is_uuid_bare(part_of(text, 1, UUID_SIZE + 1));
    if (begins_with(text, "urn:uuid:"))
        return is_uuid_bare(slice_from(text, 9));
    return is_uuid_bare(text);
}

static bool is_hex_id(struct slice text)
{
    if (begins_with(text, "0x") || begins_with(text, "0X"))
        text = slice_from(text, 2);
    if (text.size < ID_MIN_SIZE || text.size > ID_MAX_SIZE)
        return false;
    struct sight sight = look(text);
    size_t digits = sight.counts[KIND_DIGIT];
    bool one_case = sight.counts[KIND_LOWER_HEX] == 0 || sight.counts[KIND_UPPER_HEX] == 0;
    return one_case && digits > 0 && digits < text.size &&
           digits + hex_letters(&sight) == text.size;
}

/* i-0123456789abcdef0, vol-, subnet-, ...: 8 or 17 hex digits behind a word. */
static bool is_inventory_id(struct slice text)
{
    size_t at = 0;
    while (at < text.size && at < 10 && text.data[at] >= 'a' && text.data[at] <= 'z')
        at++;
    if (at == 0 || at == text.size || text.data[at] != '-')
        return false;
    struct slice rest = slice_from(text, at + 1);
    struct sight sight = look(rest);
    return (rest.size == 8 || rest.size == 17) &&
           sight.counts[KIND_DIGIT] + sight.counts[KIND_LOWER_HEX] == rest.size;
}

/* Bit b of row a: ab is one of the 200 most frequent pairs of letters in the words that programs
 * and their documents are made of, 90 % of all pairs in them; of pairs by lot 30 % are among them.
 */
static const uint32_t frequent_pairs[26] = {
    0x11eb94e, 0x0104911, 0x01a4d95, 0x0144111, 0x0aeb87d, 0x0104131, 0x0062190,
    0x0004111, 0x22ef87f, 0x0000000, 0x0000010, 0x11c4919, 0x000d111, 0x03c417d,
    0x07efc4e, 0x00ec911, 0x0100000, 0x11e795d, 0x01cc995, 0x11e4995, 0x00eb917,
    0x0000111, 0x0000111, 0x0088000, 0x0008000, 0x0000010,
};

/* How letters and digits follow each other. */
struct texture {
    size_t digit_runs;
    size_t longest_run; /* of letters and digits, without a separator */
    size_t pairs;       /* of letters that are neighbours */
    size_t frequent;
};

static struct texture feel(struct slice text)
{
    struct texture texture = {0};
    size_t run = 0;
    uint8_t before = '-';
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        run = is_alnum(byte) ? run + 1 : 0;
        texture.longest_run = run > texture.longest_run ? run : texture.longest_run;
        texture.digit_runs += is_digit(byte) && !is_digit(before);
        if (is_letter(byte) && is_letter(before)) {
            texture.pairs++;
            texture.frequent += frequent_pairs[(before | 0x20) - 'a'] >> ((byte | 0x20) - 'a') & 1;
        }
        before = byte;
    }
    return texture;
}

static bool is_token(struct slice text)
{
    for (int i = 0; i < 2 && text.size > 0 && text.data[text.size - 1] == '='; i++)
        text.size--;
    if (text.size < ID_MIN_SIZE || text.size > ID_MAX_SIZE)
        return false;
    struct sight sight = look(text);
    size_t digits = sight.counts[KIND_DIGIT];
    size_t lowers = sight.counts[KIND_LOWER_HEX] + sight.counts[KIND_LOWER];
    size_t uppers = sight.counts[KIND_UPPER_HEX] + sight.counts[KIND_UPPER];
    size_t separators = sight.counts[KIND_SEPARATOR] + sight.counts[KIND_PLUS];
    if (digits == 0 || digits + lowers + uppers + separators != text.size ||
        separators > 1 + text.size / 8)
        return false;
    struct texture texture = feel(text);
    bool mixed = lowers > 0 && uppers > 0;
    return (mixed || (texture.longest_run >= TOKEN_MIN_RUN && texture.digit_runs >= 2)) &&
           texture.frequent * 100 < texture.pairs * WORD_PERCENT && !is_inventory_id(text);
}

static bool is_jwt(struct slice text)
{
    if (!begins_with(text, "eyJ"))
        return false;
    size_t dots = 0, begin = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '.') {
            if (++dots > 2 || i < begin + 4)
                return false;
            begin = i + 1;
        } else if (!is_alnum(text.data[i]) && kinds[text.data[i]] != KIND_SEPARATOR) {
            return false;
        }
    }
    return dots == 2;
}

/* Of text without slash, dot, colon and @; without a method, a host, a query in a path. */
static enum value_shape id_shape(struct slice text)
{
    if (is_uuid(text))
        return SHAPE_UUID;
    struct sight sight = look(text);
    size_t digits = sight.counts[KIND_DIGIT];
    bool has_sign = text.size > 0 && (text.data[0] == '-' || text.data[0] == '+');
    if (digits > 0 && digits + has_sign == text.size)
        return !has_sign                        ? digits_shape(text)
               : digits >= LONG_DIGITS_MIN_SIZE ? SHAPE_LONG_DIGITS
                                                : SHAPE_NONE;
    if (is_hex_id(text))
        return SHAPE_HEX_ID;
    return is_token(text) ? SHAPE_BASE62_ID : SHAPE_NONE;
}

/* ---- paths ----------------------------------------------------------------------------------- */

/* A run of hex digits that could be an id of its own, behind one of `-_.=` or at the beginning:
 * docker-<64>.scope; but not behind a colon, as in pause@sha256:<64>. */
static bool has_hex_run(struct slice text)
{
    size_t begin = 0;
    for (size_t i = 0; i <= text.size; i++) {
        if (i < text.size && is_alnum(text.data[i]))
            continue;
        if (is_hex_id(part_of(text, begin, i)) && (begin == 0 || text.data[begin - 1] != ':'))
            return true;
        begin = i + 1;
    }
    return false;
}

/* Small numbers are ids in a path from the root alone. */
static bool segment_has_id(struct slice segment, bool rooted)
{
    if (segment.size < 2)
        return false;
    if (rooted && segment.size <= LONG_DIGITS_MIN_SIZE && number_at(segment, 0, segment.size) >= 0)
        return true;
    if (segment.size >= UUID_SIZE && is_uuid_bare(slice_from(segment, segment.size - UUID_SIZE)))
        return true;
    return segment.size >= LONG_DIGITS_MIN_SIZE &&
           (id_shape(segment) != SHAPE_NONE || has_hex_run(segment) || is_email(segment) ||
            is_iso_time(segment));
}

/* containerd://<64 hex digits> */
static bool host_is_id(struct slice host)
{
    return is_uuid(host) || is_hex_id(host);
}

/* Whether one of the query's parameters has a value, and not one that stands for a value. */
static bool query_has_value(struct slice query)
{
    for (size_t i = 0; i + 1 < query.size && query.data[i] != '#'; i++) {
        uint8_t next = query.data[i + 1];
        if (query.data[i] == '=' && next != '&' && next != '#' && strchr("{:<*%$[", next) == NULL)
            return true;
    }
    return false;
}

/* Where the path begins: behind a method ("GET /users"). */
static size_t method_size(struct slice text)
{
    size_t at = 0;
    while (at < text.size && at < 8 && text.data[at] >= 'A' && text.data[at] <= 'Z')
        at++;
    return at >= 3 && at + 1 < text.size && text.data[at] == ' ' ? at + 1 : 0;
}

/* Behind "scheme://"; 0: there is none. */
static size_t scheme_size(struct slice text)
{
    size_t at = 0;
    while (at < text.size && (is_alnum(text.data[at]) || strchr("+.-", text.data[at]) != NULL) &&
           text.data[at] != 0)
        at++;
    return at > 0 && begins_with(slice_from(text, at), "://") ? at + 3 : 0;
}

static bool path_has_id(struct slice text)
{
    text = slice_from(text, method_size(text));
    size_t at = scheme_size(text);
    bool is_host = at > 0; /* the segment that is looked at now */
    bool rooted = is_host || text.data[0] == '/';
    for (size_t begin = at;; at++) {
        bool ends = at == text.size || text.data[at] == '?' || text.data[at] == '#';
        if (!ends && text.data[at] != '/')
            continue;
        struct slice segment = part_of(text, begin, at);
        if (is_host ? host_is_id(segment) : segment_has_id(segment, rooted))
            return true;
        if (ends)
            break;
        is_host = false;
        begin = at + 1;
    }
    return rooted && at < text.size && text.data[at] == '?' &&
           query_has_value(slice_from(text, at + 1));
}

/* ---- all ------------------------------------------------------------------------------------- */

static bool is_unix_time_with_fraction(struct slice text)
{
    if (text.size < 12 || text.size > 20 || text.data[10] != '.')
        return false;
    for (size_t i = 0; i < text.size; i++)
        if (i != 10 && !is_digit(text.data[i]))
            return false;
    return is_unix_time(part_of(text, 0, 10));
}

/* With dots, but neither slash nor colon. */
static enum value_shape dotted_shape(struct slice value)
{
    if (is_ipv4(value))
        return SHAPE_IPV4;
    if (is_unix_time_with_fraction(value))
        return SHAPE_UNIX_TIME;
    return is_jwt(value) ? SHAPE_JWT : SHAPE_NONE;
}

static enum value_shape colon_shape(struct slice value)
{
    if (is_iso_time(value))
        return SHAPE_ISO_TIME;
    if (is_ipv4(value))
        return SHAPE_IPV4;
    return is_ipv6(value) ? SHAPE_IPV6 : SHAPE_NONE;
}

enum value_shape shape_of(struct slice value)
{
    if (value.size < 3)
        return SHAPE_NONE;
    if (is_uuid(value))
        return SHAPE_UUID;
    struct sight sight = look(value);
    if (sight.counts[KIND_SLASH] > 0)
        return path_has_id(value) ? SHAPE_PATH_ID : SHAPE_NONE;
    if (sight.counts[KIND_AT] == 1)
        return is_email(value) ? SHAPE_EMAIL : SHAPE_NONE;
    if (sight.counts[KIND_COLON] > 0)
        return colon_shape(value);
    if (sight.counts[KIND_DOT] > 0)
        return dotted_shape(value);
    if (sight.counts[KIND_DIGIT] == 0 && hex_letters(&sight) == 0)
        return SHAPE_NONE;
    return is_iso_time(value) ? SHAPE_ISO_TIME : id_shape(value);
}

static const struct {
    const char *name, *plural;
} texts[SHAPE_COUNT] = {
    [SHAPE_NONE] = {"none", "values of no shape"},
    [SHAPE_UUID] = {"uuid", "UUIDs"},
    [SHAPE_HEX_ID] = {"hex_id", "hexadecimal ids"},
    [SHAPE_BASE62_ID] = {"base62_id", "random ids"},
    [SHAPE_LONG_DIGITS] = {"long_digits", "long numbers"},
    [SHAPE_EMAIL] = {"email", "e-mail addresses"},
    [SHAPE_IPV4] = {"ipv4", "IPv4 addresses"},
    [SHAPE_IPV6] = {"ipv6", "IPv6 addresses"},
    [SHAPE_UNIX_TIME] = {"unix_time", "Unix times"},
    [SHAPE_ISO_TIME] = {"iso_time", "times"},
    [SHAPE_JWT] = {"jwt", "JSON web tokens"},
    [SHAPE_PATH_ID] = {"path_id", "paths with ids in them"},
};

const char *shape_name(enum value_shape shape)
{
    return texts[shape].name;
}

const char *shape_plural(enum value_shape shape)
{
    return texts[shape].plural;
}

void shape_mask(struct slice value, uint8_t *to)
{
    for (size_t i = 0; i < value.size; i++) {
        uint8_t byte = value.data[i];
        if (is_digit(byte))
            to[i] = '9';
        else if (is_letter(byte))
            to[i] = byte >= 'a' ? 'a' : 'A';
        else
            to[i] = byte < 0x80 ? byte : 'x';
    }
}
