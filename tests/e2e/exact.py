"""Samples compared bit for bit: what a value's text means, and what a server holds."""

import json
import struct

STALE_BITS = 0x7FF0000000000002
NAN_BITS = 0x7FF8000000000001  # what a NaN from a text or from a computation becomes

TEXT_BITS = {
    "NaN": NAN_BITS,
    "stale": STALE_BITS,
    "+Inf": 0x7FF0000000000000,
    "-Inf": 0xFFF0000000000000,
}


def bits_of(number):
    return struct.unpack("<Q", struct.pack("<d", number))[0]


def double_of(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def bits_of_json(value):
    """Of a value as our NDJSON and query answers write it."""
    if not isinstance(value, str):
        return bits_of(float(value))
    if value.startswith("nan:"):
        assert len(value) == len("nan:") + 16, value
        return int(value[len("nan:"):], 16)
    return TEXT_BITS[value]


def json_of_bits(bits):
    """The text of a value in NDJSON."""
    for text, known in TEXT_BITS.items():
        if bits == known:
            return f'"{text}"'
    number = double_of(bits)
    return repr(number) if number == number else f'"nan:{bits:016x}"'


def series_key(name, labels):
    return (name, tuple(sorted(labels.items())))


def stored_samples(server, **params):
    """{series: {time: bits}} of an export; a sample that is there twice is a failure."""
    stored = {}
    answer = server.session.get(server.url + "/api/v1/metrics/export", params=params, timeout=300,
                                stream=True)
    assert answer.status_code == 200, answer.text
    last_text, samples = None, None
    for line in answer.iter_lines(chunk_size=1 << 20):
        # A series' lines stand together and begin alike: its labels are parsed once.
        head, _, tail = line.rpartition(b',"value":')
        if head != last_text:
            sample = json.loads(head + b"}")
            key = series_key(sample["name"], sample["labels"])
            assert key not in stored, f"{key} stands in two places of the export"
            samples = stored[key] = {}
            last_text = head
        sample = json.loads(b'{"value":' + tail)
        time_ms = sample["timestamp"]
        assert time_ms not in samples, f"{key} at {time_ms} is there twice"
        samples[time_ms] = bits_of_json(sample["value"])
    return stored


def assert_same_samples(expected, stored, what=""):
    """Both are {series: {time: bits}}; names the first differences instead of printing all."""
    differences = []
    for key in sorted(set(expected) | set(stored)):
        wanted, found = expected.get(key, {}), stored.get(key, {})
        if wanted == found:
            continue
        for time_ms in sorted(set(wanted) | set(found)):
            if wanted.get(time_ms) != found.get(time_ms):
                differences.append((key, time_ms, *(
                    "nothing" if side.get(time_ms) is None else f"{side[time_ms]:016x}"
                    for side in (wanted, found))))
    shown = "\n".join(f"  {key} at {time_ms}: want {want}, stored {found}"
                      for key, time_ms, want, found in differences[:20])
    assert not differences, f"{what}: {len(differences)} samples differ\n{shown}"
