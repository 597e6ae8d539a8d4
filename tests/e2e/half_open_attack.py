"""half_open_attack.py PORT ADDRESSES: opens 10,000 connections that send half a header each, from as
many addresses, and ends when the server has closed all of them. A process of its own: what is measured
beside it must not wait for its interpreter.
"""

import resource
import select
import sys
from types import SimpleNamespace

import wire

CONNECTIONS = 10_000


def main():
    server, addresses = SimpleNamespace(port=int(sys.argv[1])), int(sys.argv[2])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * CONNECTIONS), hard))
    clients = {}
    poll = select.poll()
    for number in range(CONNECTIONS):
        client = wire.connect(server, f"127.0.1.{number % addresses + 1}")
        clients[client.fileno()] = client
        poll.register(client, select.POLLIN)
        try:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
    print(len(clients), flush=True)
    while clients:
        for descriptor, _ in poll.poll():
            if wire.is_closed(clients[descriptor]):
                poll.unregister(descriptor)
                clients.pop(descriptor).close()


if __name__ == "__main__":
    main()
