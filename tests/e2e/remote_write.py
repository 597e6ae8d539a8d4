"""Remote write 1.0 requests, written field by field so that every bit of a value can be chosen."""

import struct

import wire
from wire import WRITE_HEADERS

def sample(time_ms, bits):
    """Proto 3 leaves out what is zero."""
    value = b"" if bits == 0 else b"\x09" + struct.pack("<Q", bits)
    time = b"" if time_ms == 0 else b"\x10" + wire.varint(time_ms)
    return wire.field(2, value + time)


def write_request(series):
    """`series` yields (name, labels, [(time, bits), ...]); a snappy body."""
    message = bytearray()
    for name, labels, samples in series:
        texts = sorted({"__name__": name, **labels}.items())
        message += wire.field(1, b"".join(wire.label(*text) for text in texts) +
                             b"".join(sample(*one) for one in samples))
    return wire.snappy(bytes(message))


def remote_write(server, series):
    answer = server.post("/api/v1/write", write_request(series), headers=WRITE_HEADERS)
    assert answer.status_code == 204, f"{answer.status_code} {answer.text}"
