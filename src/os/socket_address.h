/*
 * socket_address - where to listen, as a person writes it.
 */
#ifndef METRIC_STORE_OS_SOCKET_ADDRESS_H
#define METRIC_STORE_OS_SOCKET_ADDRESS_H

#include <sys/socket.h>

#include "base/status.h"

/*
 * "127.0.0.1:9480", "[::1]:9480", ":9480" (every address of the machine); port 0 is the system's
 * choice. Literal addresses only: a name may stand for several, of which one would be a surprise.
 *   INVALID  the message quotes the text and says what to write
 */
MUST_CHECK enum status socket_address_parse(const char *text, struct sockaddr_storage *address,
                                            socklen_t *size, struct error *err);

#endif
