/*
 * Where to listen: any text is an address of a kind that can be bound to, or is refused by a
 * message that quotes it. Written as numbers, an address comes back the same. The key and the text
 * that a limit and the log use of it agree with it.
 */
#include "fuzz.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "http/address.h"
#include "os/socket_address.h"

enum { TEXT_MAX = 200 };

static struct sockaddr_storage parsed(const char *text, socklen_t *size)
{
    struct sockaddr_storage address;
    invariant(socket_address_parse(text, &address, size, NULL) == STATUS_OK);
    return address;
}

static void check_v4(const struct sockaddr_storage *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    char host[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 8];
    socklen_t size;
    address_format(address, host);
    snprintf(text, sizeof text, "%s:%u", host, ntohs(v4->sin_port));
    struct sockaddr_storage again = parsed(text, &size);
    invariant(size == sizeof *v4 && memcmp(&again, address, size) == 0);
    struct address_key key = address_key(address);
    invariant(memcmp(key.bytes + 12, &v4->sin_addr, 4) == 0);
}

static void check_v6(const struct sockaddr_storage *address)
{
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    char host[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 10];
    socklen_t size;
    invariant(inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host) != NULL);
    snprintf(text, sizeof text, "[%s]:%u", host, ntohs(v6->sin6_port));
    struct sockaddr_storage again = parsed(text, &size);
    invariant(size == sizeof *v6 && memcmp(&again, address, size) == 0);
    struct address_key key = address_key(address);
    invariant(memcmp(key.bytes, &v6->sin6_addr, 8) == 0);
    address_format(address, host);
    bool mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
    invariant(mapped == (strchr(host, '.') != NULL && strchr(host, ':') == NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > TEXT_MAX)
        return 0;
    /* On the heap and no longer than it is: what reads on is seen. */
    char *text = malloc(size + 1);
    invariant(text != NULL);
    memcpy(text, data, size);
    text[size] = 0;
    struct sockaddr_storage address;
    socklen_t address_size;
    struct error err;
    enum status status = socket_address_parse(text, &address, &address_size, &err);
    if (status != STATUS_OK) {
        invariant(status == STATUS_INVALID);
        char quoted[104];
        snprintf(quoted, sizeof quoted, "\"%.100s\"", text);
        invariant(strstr(err.message, quoted) != NULL);
    } else if (address.ss_family == AF_INET) {
        invariant(address_size == sizeof(struct sockaddr_in));
        check_v4(&address);
    } else {
        invariant(address.ss_family == AF_INET6);
        invariant(address_size == sizeof(struct sockaddr_in6));
        check_v6(&address);
    }
    free(text);
    return 0;
}
