"""Values and times at the edge of what can be stored keep every bit on each way through the store.

The ways in are remote write and NDJSON; then the samples are read from the head, from a replayed
log, from freshly flushed parts, from merged ones, and each time after a restart.
"""

import datetime

import pytest

from exact import (NAN_BITS, STALE_BITS, assert_same_samples, bits_of, json_of_bits, series_key,
                   stored_samples)
from parts import PartsMet
from remote_write import remote_write
from server import wait_until
from test_metrics import scrape

MS = datetime.timedelta(milliseconds=1)
EPOCH = datetime.datetime(1970, 1, 1)

VALUES = {
    "stale": STALE_BITS,
    "nan": NAN_BITS,
    "nan_quiet": 0x7FF8000000000000,
    "nan_negative": 0xFFF8000000000001,
    "nan_payload": 0x7FFDEADBEEF12345,
    "nan_signalling": 0x7FF0000000000001,
    "nan_beside_stale": 0x7FF0000000000003,
    "nan_all_ones": 0xFFFFFFFFFFFFFFFF,
    "zero": 0x0000000000000000,
    "zero_negative": 0x8000000000000000,
    "subnormal_least": 0x0000000000000001,
    "subnormal_negative": 0x8000000000000001,
    "subnormal_largest": 0x000FFFFFFFFFFFFF,
    "normal_least": 0x0010000000000000,
    "largest": 0x7FEFFFFFFFFFFFFF,
    "largest_negative": 0xFFEFFFFFFFFFFFFF,
    "infinity": 0x7FF0000000000000,
    "infinity_negative": 0xFFF0000000000000,
    "one_and_a_bit": 0x3FF0000000000001,
    "tenth": bits_of(0.1),
    "beyond_exact_integers": bits_of(2.0**53 + 2),
    "int64_least": bits_of(-2.0**63),
    "uint64_end": bits_of(2.0**64),
}


def moment(*fields):
    return (datetime.datetime(*fields) - EPOCH) // MS


TIMES = {
    "first": moment(1678, 1, 1),
    "before_1900": moment(1899, 12, 31, 23, 59, 59, 999000),
    "just_before_1970": -1,
    "at_1970": 0,
    "just_after_1970": 1,
    "before_a_day_ends": moment(1969, 12, 30, 23, 59, 59, 999000),
    "leap_day": moment(2024, 2, 29, 12),
    "far": moment(2200, 6, 1),
    "last": moment(2262, 4, 11, 23, 47, 16, 854000),
}
DAYS = len({time_ms // 86_400_000 for time_ms in TIMES.values()})


class Writer:
    """Sends by one of the ways in and keeps what has to be there."""

    def __init__(self, server, way):
        self.server, self.way, self.expected = server, way, {}

    def send(self, series):
        for name, labels, samples in series:
            self.expected.setdefault(series_key(name, labels), {}).update(samples)
        if self.way == "remote_write":
            remote_write(self.server, series)
            return
        lines = ["{" f'"name":"{name}","labels":{{{labels_json(labels)}}},'
                 f'"value":{json_of_bits(bits)},"timestamp":{time_ms}' "}"
                 for name, labels, samples in series for time_ms, bits in samples]
        answer = self.server.post("/api/v1/metrics/ingest/batch", "\n".join(lines),
                                  "application/x-ndjson", params={"precision": "ms"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["rejected"] == 0, answer.text
        assert answer.json()["accepted"] == len(lines), answer.text

    def check(self, what):
        assert_same_samples(self.expected, stored_samples(self.server), what)


def labels_json(labels):
    return ",".join(f'"{name}":"{value}"' for name, value in labels.items())


def special_series(round_number):
    """Each value alone in a series at each time, and all of them in one series' neighbourhood."""
    offset = round_number * 1000 if round_number < 3 else 0
    series = [("special_value", {"value": name, "round": str(round_number)},
               [(time_ms, bits) for time_ms in sorted(TIMES.values())])
              for name, bits in VALUES.items()]
    mixed = [(1_700_000_000_000 + offset + i, bits) for i, bits in enumerate(VALUES.values())]
    series.append(("special_mixed", {}, mixed))
    return series


def filler(writer, round_number, count=20_000):
    """Enough for a head of 1 MiB to be full; beside it special values must not be forgotten."""
    times = range(1_700_000_000_000, 1_700_000_000_000 + count // 10 * 1000, 1000)
    writer.send([("special_filler", {"n": str(n), "round": str(round_number)},
                  [(time_ms, bits_of(time_ms % 7919 + n / 3)) for time_ms in times])
                 for n in range(10)])


@pytest.mark.parametrize("way", ["remote_write", "ndjson"])
def test_every_bit_of_special_values_and_times_survives_each_stage(make_server, way):
    server = make_server("storage.head_size=1MiB", "storage.merge_fan_in=2").start()
    writer, met = Writer(server, way), PartsMet()
    writer.send(special_series(0))
    writer.check("from the head")
    server.kill()
    server.start()
    assert scrape(server)["metric_store_recovery_samples"] > 0
    writer.check("from the replayed log")
    assert server.stop() == 0
    met.look(server)
    server.start()
    assert scrape(server)["metric_store_parts"] >= DAYS
    writer.check("from parts after a clean stop")
    for round_number in (1, 2, 3):
        writer.send(special_series(round_number))
        for piece in range(4):
            filler(writer, f"{round_number}.{piece}")
        writer.check(f"in round {round_number}")
    wait_until(lambda: scrape(server)["metric_store_flushes_total"] >= 2, what="flushes")
    wait_until(lambda: scrape(server)["metric_store_merges_total"] >= DAYS, what="merges")
    writer.check("after flushes and merges")
    server.kill()
    met.look(server)
    server.start()
    writer.check("after a crash")
    assert server.stop() == 0
    met.look(server)
    server.start()
    writer.check("after a clean stop")
    print(met)
    assert met.all(), met


def test_special_values_in_an_export_can_be_posted_back(make_server, tmp_path):
    server = make_server().start()
    writer = Writer(server, "remote_write")
    writer.send(special_series(0))
    text = server.session.get(server.url + "/api/v1/metrics/export", timeout=60).content
    other = make_server(data=tmp_path / "other").start()
    answer = other.post("/api/v1/metrics/ingest/batch", text, "application/x-ndjson",
                        params={"precision": "ms"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["rejected"] == 0, answer.text
    assert_same_samples(writer.expected, stored_samples(other), "posted back")
    again = other.session.get(other.url + "/api/v1/metrics/export", timeout=60).content
    assert again == text


@pytest.mark.parametrize("time_ms", [TIMES["first"] - 1, TIMES["last"] + 1, -2**63, 2**63 - 1])
def test_times_beyond_what_can_be_stored_are_refused_and_nothing_else_of_the_batch(server,
                                                                                   time_ms):
    answer = server.post("/api/v1/metrics/ingest/batch",
                         f'{{"name":"beyond","value":1,"timestamp":{time_ms}}}\n'
                         f'{{"name":"beyond","value":2,"timestamp":{TIMES["last"]}}}\n',
                         "application/x-ndjson", params={"precision": "ms"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (1, 1)
    assert answer.json()["errors"][0]["index"] == 0
    assert stored_samples(server) == {series_key("beyond", {}): {TIMES["last"]: bits_of(2.0)}}
