"""Bodies that clients send, made byte by byte: remote write's protobuf in snappy, and HTTP by hand."""

import gzip
import select
import socket
import struct
import subprocess
import zlib

WRITE_HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


def varint(number):
    number &= (1 << 64) - 1  # a negative int64 takes all ten bytes
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, payload):
    """A protobuf field that holds bytes."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def label(name, value):
    def utf8(text):
        return text if isinstance(text, bytes) else text.encode()
    return field(1, field(1, utf8(name)) + field(2, utf8(value)))


def sample(value, time_ms):
    return field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(time_ms))


def series(name, labels, samples, extra=b""):
    """A TimeSeries; `samples` are pairs of time in ms and value."""
    pairs = sorted([("__name__", name), *labels.items()])
    return field(1, b"".join(label(*pair) for pair in pairs) +
                 b"".join(sample(value, time_ms) for time_ms, value in samples) + extra)


def native_histogram(time_ms):
    """A histogram with a sum and a time, enough for a receiver to see what it is."""
    return field(4, b"\x19" + struct.pack("<d", 1.0) + b"\x78" + varint(time_ms))


def metadata(name, kind, help_text):
    return field(3, b"\x08" + varint(kind) + field(2, name.encode()) + field(4, help_text.encode()))


def snappy(data):
    """Snappy's block format with nothing but literals."""
    out = bytearray(varint(len(data)))
    for at in range(0, len(data), 65536):
        piece = data[at:at + 65536]
        out += bytes([61 << 2]) + struct.pack("<H", len(piece) - 1) + piece
    return bytes(out)


def remote_write(server, message, compressed=None, headers=None):
    """Posts a WriteRequest; `compressed` replaces what would have been sent."""
    return server.post("/api/v1/write", snappy(message) if compressed is None else compressed,
                       headers={**WRITE_HEADERS, **(headers or {})})


def same_samples(count, values):
    """A WriteRequest of `count` series "heavy" with the same samples, quick to make."""
    samples = b"".join(sample(value, time_ms) for time_ms, value in values)
    return b"".join(field(1, label("__name__", "heavy") + label("n", str(n)) + samples)
                    for n in range(count))


def zstd(data):
    """By the program, because Python's own library has no zstd."""
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True,
                          timeout=120).stdout


def unzstd(data):
    return subprocess.run(["zstd", "-q", "-d", "-c"], input=data, capture_output=True, check=True,
                          timeout=120).stdout


ENCODERS = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd}


def connect(server, source="127.0.0.1"):
    client = socket.create_connection(("127.0.0.1", server.port), timeout=30,
                                      source_address=(source, 0))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def receive_all(client, timeout_s=30):
    """Everything until the other side closes."""
    client.settimeout(timeout_s)
    received = b""
    while True:
        try:
            piece = client.recv(65536)
        except ConnectionResetError:
            return received
        if not piece:
            return received
        received += piece


def is_closed(client):
    """Whether the other side has closed; what it sent before is read away."""
    poll = select.poll()  # select() knows no descriptors above 1,023
    poll.register(client, select.POLLIN)
    while poll.poll(0):
        try:
            if not client.recv(65536):
                return True
        except ConnectionResetError:
            return True
    return False
