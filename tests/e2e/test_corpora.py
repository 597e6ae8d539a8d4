"""Documents of exporters and of other projects, posted as a scraper would have seen them."""

import json
import os
import re

import pytest

import wire
from conftest import ROOT

CORPORA = os.environ.get("METRIC_STORE_CORPORA", os.path.join(ROOT, "..", "shared", "corpora"))
IMPORT = "/api/v1/import/prometheus"
TEXT = "text/plain; version=0.0.4"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
LIFTED = ("cardinality.max_series_per_metric=0", "cardinality.max_labels_per_metric=0",
          "cardinality.max_label_value_length=0")
NO_CORPORA = "the corpora of other projects are not part of this one"


def corpus(*path):
    found = os.path.join(CORPORA, *path)
    if not os.path.exists(found):
        pytest.skip(NO_CORPORA)
    return found


def files(*path):
    folder = corpus(*path)
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))]


def read(path):
    with open(path, "rb") as file:
        return file.read()


def sample_lines(text):
    return [line for line in text.split(b"\n") if line.strip() and not line.startswith(b"#")]


@pytest.fixture(scope="module")
def lifted(make_module_server, tmp_path_factory):
    return make_module_server(*LIFTED, data=tmp_path_factory.mktemp("lifted")).start()


def exported(server):
    return {(sample["name"], json.dumps(sample["labels"], sort_keys=True), sample["timestamp"])
            for sample in server.export()}


def test_texts_of_exporters_are_stored_whole_where_limits_are_lifted(make_server):
    paths = (files("node_exporter") + files("cadvisor") +
             [corpus("prometheus_text", "alltypes.237mfs.prom.txt"),
              corpus("prometheus_text", "alltypes.237mfs.nometa.prom.txt")])
    server = make_server(*LIFTED).start()
    for path in paths:
        text = read(path)
        for coding in (None, "gzip"):
            body = wire.ENCODERS[coding](text) if coding else text
            answer = server.post(IMPORT, body, TEXT,
                                 headers={"Content-Encoding": coding} if coding else {})
            assert answer.status_code == 200, (path, answer.text[:500])
            body = answer.json()
            assert (body["accepted"], body["rejected"]) == (len(sample_lines(text)), 0), path
            if coding:
                assert body["new_series"] == 0, path
    names = {sample[0] for sample in exported(server)}
    assert {"node_cpu_seconds_total", "container_cpu_usage_seconds_total"} <= names


def as_in_kubernetes(text):
    """What the kubelet adds to each container's line: where it runs, and the image by its digest."""
    added = (b'namespace="monitoring",pod="prometheus-k8s-0",host="worker-1",'
             b'image_id="registry.example.com/monitoring/prometheus@sha256:' + b"0" * 64 + b'",')
    return re.sub(rb"(?m)^(container_\w+\{)", rb"\1" + added, text)


def test_cadvisor_in_kubernetes_is_refused_in_part_and_each_refusal_names_its_setting(server):
    settings = set()
    accepted = rejected = 0
    for path in files("cadvisor"):
        text = as_in_kubernetes(read(path))
        body = server.post(IMPORT, text, TEXT).json()
        # Refused is exactly what has more than ten labels or a value of more than 100 bytes.
        beyond = 0
        for line in sample_lines(text):
            labels = re.findall(rb'(\w+)="((?:[^"\\]|\\.)*)"', line)
            values = [value for _, value in labels if value]
            beyond += len(values) > 10 or any(len(value) > 100 for value in values)
        assert (body["accepted"], body["rejected"]) == (len(sample_lines(text)) - beyond, beyond)
        accepted += body["accepted"]
        rejected += body["rejected"]
        for error in body["errors"]:
            settings.update(re.findall(r"cardinality\.\w+", error["message"]))
            assert error["code"] in ("label_limit", "label_value_limit")
            assert error["metric"] and error["line"]
    assert accepted > 50 and rejected > 100
    assert settings == {"cardinality.max_labels_per_metric", "cardinality.max_label_value_length"}


def test_cadvisor_is_stored_whole_with_the_preset_for_kubernetes(make_server):
    paths = files("cadvisor")
    server = make_server(flags=("--preset", "kubernetes")).start()
    for path in paths:
        text = as_in_kubernetes(read(path))
        body = server.post(IMPORT, text, TEXT).json()
        assert (body["accepted"], body["rejected"]) == (len(sample_lines(text)), 0), path


def test_openmetrics_documents_get_their_verdict(lifted):
    folders = files("openmetrics")
    assert len(folders) > 100
    for folder in folders:
        verdict = json.loads(read(os.path.join(folder, "test.json")))["shouldParse"]
        text = read(os.path.join(folder, "metrics"))
        answer = lifted.post(IMPORT, text, OPENMETRICS)
        if verdict:
            # The one thing that is valid there and not stored here: a NUL byte in a label.
            assert answer.status_code == 200 or b"\0" in text, (folder, answer.text)
        else:
            assert answer.status_code == 400, (folder, answer.text)
            assert answer.json()["code"] == "openmetrics_invalid", (folder, answer.text)
            assert re.search(r"line \d+", answer.json()["detail"]), (folder, answer.text)


def test_cases_of_prometheus_parsers_get_their_verdict(lifted):
    with open(corpus("prometheus_text", "parse_error_cases.jsonl"), encoding="utf-8") as file:
        cases = [json.loads(line) for line in file]
    assert len(cases) > 80
    for case in cases:
        text = (case["input"].encode() if "input" in case
                else case["input_latin1"].encode("latin-1"))
        kind = OPENMETRICS if case["format"] == "openmetrics" else TEXT
        answer = lifted.post(IMPORT, text, kind)
        whole = answer.status_code == 200 and answer.json()["rejected"] == 0
        # A NUL byte in a label is taken there and refused here.
        assert whole == (case["ok"] and b"\0" not in text), (case, answer.text)


def test_inputs_of_a_fuzzer_are_answered(lifted):
    paths = files("prometheus_text", "common_expfmt_fuzz")
    for path in paths + [corpus("prometheus_text", "common_expfmt_text.bin"),
                         corpus("prometheus_text", "common_expfmt_protobuf.bin")]:
        for kind in (TEXT, OPENMETRICS):
            answer = lifted.post(IMPORT, read(path), kind)
            assert answer.status_code in (200, 400), (path, answer.text)
            assert answer.json()
    assert lifted.ready()


def test_what_came_from_texts_goes_out_as_openmetrics_and_in_again(make_server, tmp_path):
    paths = files("node_exporter") + [corpus("prometheus_text", "alltypes.237mfs.prom.txt")]
    first = make_server(*LIFTED, data=tmp_path / "first").start()
    for path in paths:
        assert first.post(IMPORT, read(path), TEXT).status_code == 200
    document = first.session.get(first.url + "/api/v1/metrics/export", timeout=60,
                                 params={"format": "openmetrics"}).content
    second = make_server(*LIFTED, data=tmp_path / "second").start()
    answer = second.post(IMPORT, document, OPENMETRICS)
    assert answer.status_code == 200, answer.text[:500]
    assert answer.json()["rejected"] == 0, answer.text[:500]
    again = second.session.get(second.url + "/api/v1/metrics/export", timeout=60,
                               params={"format": "openmetrics"}).content
    same = again == document
    assert same
