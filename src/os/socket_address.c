#include "os/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

static bool port_parse(const char *text, in_port_t *port)
{
    unsigned value = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (unsigned)(*text - '0');
        if (value > UINT16_MAX)
            return false;
    }
    *port = htons((uint16_t)value);
    return true;
}

static bool host_parse(const char *host, bool brackets, in_port_t port,
                       struct sockaddr_storage *address, socklen_t *size)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
    memset(address, 0, sizeof *address);
    if (!brackets && host[0] != '\0') {
        v4->sin_family = AF_INET;
        v4->sin_port = port;
        *size = sizeof *v4;
        return inet_pton(AF_INET, host, &v4->sin_addr) == 1;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = port;
    *size = sizeof *v6;
    return !brackets || inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
}

enum status socket_address_parse(const char *text, struct sockaddr_storage *address,
                                 socklen_t *size, struct error *err)
{
    char host[INET6_ADDRSTRLEN] = "";
    const char *colon = strrchr(text, ':');
    bool brackets = text[0] == '[';
    const char *end = brackets ? strchr(text, ']') : colon;
    const char *start = text + brackets;
    in_port_t port = 0;
    if (colon != NULL && end != NULL && end + brackets == colon &&
        (size_t)(end - start) < sizeof host && port_parse(colon + 1, &port)) {
        memcpy(host, start, (size_t)(end - start));
        host[end - start] = '\0';
        if (host_parse(host, brackets, port, address, size))
            return STATUS_OK;
    }
    return fail(
        err, STATUS_INVALID,
        "cannot listen on \"%.100s\": write ADDRESS:PORT with the address in numbers, as in "
        "127.0.0.1:9480 or [::1]:9480, or :9480 for every address of this machine",
        text);
}
