"""A recording of real exporters: imported, over a crash, and out again, against our own reading.

The file is read here by other rules than the server's: a regular expression and Python's float().
METRIC_STORE_RECORDING names another recording.
"""

import json
import os
import re
import subprocess

import pytest

from conftest import ROOT
from exact import NAN_BITS, assert_same_samples, bits_of, series_key, stored_samples
from parts import PartsMet
from server import wait_until
from store import Commands
from test_metrics import scrape

RECORDING = os.environ.get("METRIC_STORE_RECORDING", os.path.join(
    ROOT, "..", "shared", "data", "exporters-5s.txt.zst"))
SMALL = ("storage.head_size=1MiB", "storage.merge_fan_in=2")
LIFTED = ("cardinality.max_series_per_metric=0", "cardinality.max_labels_per_metric=0",
          "cardinality.max_label_value_length=0")
LINE = re.compile(r'^(?P<name>[a-zA-Z_:][\w:]*)\s*(?:\{(?P<labels>(?:[^"}]|"(?:[^"\\]|\\.)*")*)\})?'
                  r'\s+(?P<value>\S+)(?:\s+(?P<time>-?\d+))?\s*$')
LABEL = re.compile(r'([a-zA-Z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*,?\s*')
ESCAPE = re.compile(r"\\(.)")

pytestmark = pytest.mark.skipif(not os.path.exists(RECORDING),
                                reason="the recording of exporters is not part of this one")


def unescape(text):
    return ESCAPE.sub(lambda match: {"n": "\n"}.get(match.group(1), match.group(1)), text)


def labels_of(text, target):
    """What the scrape adds wins; a label of that name in the text moves away."""
    labels = dict(target)
    for name, value in LABEL.findall(text or ""):
        labels[f"exported_{name}" if name in target else name] = unescape(value)
    return {name: value for name, value in labels.items() if value}


def read_recording():
    """All samples in the order of the file: [(series, time, bits)]."""
    text = subprocess.run(["zstd", "-dcq", RECORDING], capture_output=True, check=True,
                          timeout=120).stdout.decode()
    samples, keys = [], {}
    target, scrape_ms = {}, None
    for line in text.splitlines():
        if line.startswith("#SCRAPE "):
            _, milliseconds, url = line.split(" ")
            scrape_ms = int(milliseconds)
            target = {"instance": url.split("/")[2], "job": "import"}
        if not line or line.startswith("#"):
            continue
        match = LINE.match(line)
        assert match, line
        series = (target["instance"], match["name"], match["labels"])
        if series not in keys:
            keys[series] = series_key(match["name"], labels_of(match["labels"], target))
        value = float(match["value"])
        bits = bits_of(value) if value == value else NAN_BITS
        samples.append((keys[series], int(match["time"] or scrape_ms), bits))
    return samples


@pytest.fixture(scope="module")
def recording():
    samples = read_recording()
    assert len(samples) > 100_000
    return samples


def by_series(samples):
    stored = {}
    for key, time_ms, bits in samples:
        stored.setdefault(key, {})[time_ms] = bits
    return stored


def import_into(server, tmp_path, code):
    commands = Commands(os.path.abspath(server.binary), tmp_path)
    result = commands.run("import", "--json", "--url", server.url, os.path.abspath(RECORDING))
    assert result.returncode == code, (result.returncode, result.stderr[-2000:])
    wait_until(lambda: scrape(server)["metric_store_merges_total"] > 0, what="merges")
    return json.loads(result.stdout)


def test_a_recording_is_there_bit_for_bit_after_import_crash_and_restart(make_server, tmp_path,
                                                                         recording):
    server = make_server(*LIFTED, *SMALL).start()
    expected, met = by_series(recording), PartsMet()
    assert sum(map(len, expected.values())) == len(recording), "the recording has doubles itself"
    summary = import_into(server, tmp_path, 0)
    assert (summary["accepted"], summary["rejected"]) == (len(recording), 0)
    server.kill()
    met.look(server)
    server.start()
    assert_same_samples(expected, stored_samples(server), "after a crash")
    again = import_into(server, tmp_path, 0)
    assert (again["accepted"], again["new_series"]) == (len(recording), 0)
    server.kill()
    met.look(server)
    server.start()
    assert_same_samples(expected, stored_samples(server), "imported twice")
    assert server.stop() == 0
    met.look(server)
    server.start()
    assert_same_samples(expected, stored_samples(server), "after a clean stop")
    print(met)
    assert met.all(), met


def refusal_of(key, series_of_metric):
    """The code with which the default limits refuse a new series, or None."""
    name, labels = key
    if len(labels) > 10:
        return "label_limit"
    if any(len(value.encode()) > 100 for _, value in labels):
        return "label_value_limit"
    if len(series_of_metric.setdefault(name, set())) >= 10_000:
        return "cardinality_limit"
    series_of_metric[name].add(key)
    return None


SETTINGS = {
    "label_limit": "cardinality.max_labels_per_metric",
    "label_value_limit": "cardinality.max_label_value_length",
    "cardinality_limit": "cardinality.max_series_per_metric",
}


def test_the_default_limits_refuse_of_a_recording_exactly_what_they_say(make_server, tmp_path,
                                                                        recording):
    server, met = make_server(*SMALL).start(), PartsMet()
    verdicts, series_of_metric, refused, kept = {}, {}, {}, []
    for sample in recording:
        key = sample[0]
        if key not in verdicts:
            verdicts[key] = refusal_of(key, series_of_metric)
        if verdicts[key] is None:
            kept.append(sample)
        else:
            refused[verdicts[key]] = refused.get(verdicts[key], 0) + 1
    assert refused, "this recording does not reach any limit"
    summary = import_into(server, tmp_path, 3)
    assert summary["accepted"] == len(kept)
    assert summary["rejected"] == sum(refused.values())
    assert {reason["code"]: reason["samples"] for reason in summary["reasons"]} == refused
    for reason in summary["reasons"]:
        assert SETTINGS[reason["code"]] in reason["message"], reason
    server.kill()
    met.look(server)
    server.start()
    assert_same_samples(by_series(kept), stored_samples(server), "with the default limits")
    print(met)
    assert met.level > 0, met  # nothing of a recording that comes once is late
