/*
 * shape - what a label's value looks like, where that says that there is no end of such values.
 *
 * One value proves nothing: a machine has its boot id, a disk its UUID. evidence.h counts shapes
 * over all the different values of a label. So a shape may be wrong about one value in twenty, but
 * must not be right about names that people give: pods, images, versions, devices, routes.
 *
 * Linear in the value's size, allocates nothing, reads nothing beyond the value. Text is taken as
 * bytes; what is not ASCII is of no shape, but may stand in paths and queries.
 *
 *   uuid         8-4-4-4-12 hex digits of any case, also in braces or behind "urn:uuid:"
 *   hex_id       16 to 128 hex digits of one case, digits and letters both, also behind "0x": trace
 *                and span ids, hashes. Not short commits, nor digests of images ("sha256:..."),
 *                which are as many as there are releases
 *   base62_id    16 to 128 letters and digits, `-` and `_` here and there, `+` too, `=` at the end:
 *                base62, base64url, ULID, KSUID, nanoid. The letters must not be like words (fewer
 *                than 60 % of neighbours are pairs that are frequent in English); digits are among
 *                them; where all letters are of one case, in two places at least, and 11 letters
 * and digits stand together (the longest part that Kubernetes makes of its own has 10). Not ids
 * that AWS gives to machines, disks and nets ("i-0abc..."): an inventory long_digits  8 digits or
 * more, also with a sign; not a day (20260131) email        one @ between a name and a domain of
 * two labels or more; not a unit of systemd ipv4         four numbers up to 255, also with a port;
 * not a network (10.0.0.0/8) ipv6         as RFC 4291 writes it, also with a zone, also in brackets
 * with a port unix_time    seconds, ms, us or ns of the years 2015 to 2034, as seconds also with a
 * fraction iso_time     a day with a time: 2026-01-31T10:00, also with a space, seconds, a
 * fraction, a zone; 20260131T100000Z; 20260131100000. Not a day alone: one a day, with builds jwt
 * three parts of base64url with dots between, the first begins with "eyJ" path_id      a path from
 * the root, or a URL, with an id in a segment: a UUID, also at the end of one (pod1234...), 16 hex
 * digits, also within one (docker-1234....scope), any of the ids above, or a number of two digits
 * or more; or with a query that has a value. A method may stand before it ("GET /users/12"). A path
 * that begins with neither / nor a scheme needs a UUID or an id of 8 digits or more ("1/0/24" is a
 *                port of a switch, "8080/tcp" one of a container). Hosts, ports, and what stands
 *                for a value ("/users/:id", "{id}", "?id=*") are no ids
 *
 * Threads: any.
 */
#ifndef METRIC_STORE_ADMISSION_SHAPE_H
#define METRIC_STORE_ADMISSION_SHAPE_H

#include "base/slice.h"

enum value_shape {
    SHAPE_NONE,
    SHAPE_UUID,
    SHAPE_HEX_ID,
    SHAPE_BASE62_ID,
    SHAPE_LONG_DIGITS,
    SHAPE_EMAIL,
    SHAPE_IPV4,
    SHAPE_IPV6,
    SHAPE_UNIX_TIME,
    SHAPE_ISO_TIME,
    SHAPE_JWT,
    SHAPE_PATH_ID,
    SHAPE_COUNT
};

enum value_shape shape_of(struct slice value);

/* "uuid", ...; "none". Stable across releases. */
const char *shape_name(enum value_shape shape);

/* For people: "UUIDs", "e-mail addresses", ... */
const char *shape_plural(enum value_shape shape);

/* Writes value.size bytes that tell the value's form and nothing else, for examples that must not
 * show whom they are about: digits become 9, letters a or A, what is not ASCII x. */
void shape_mask(struct slice value, uint8_t *to);

#endif
