"""What damage on disk costs, and that it never shows one series' samples under another's name."""

import json
import os
import shutil
import subprocess

import pytest

FIRST_MS = 1795305600000


def samples(name, count, points):
    return [{"name": name, "labels": {"n": str(i)}, "value": i, "timestamp": FIRST_MS + 1000 * p}
            for i in range(count) for p in range(points)]


def flip(path, offset):
    with open(path, "r+b") as damaged:
        damaged.seek(offset)
        byte = damaged.read(1)
        damaged.seek(offset)
        damaged.write(bytes([byte[0] ^ 0x10]))


def stored(server, name):
    answer = server.query(metric=name, start=str(FIRST_MS), end=str(FIRST_MS + 86_400_000),
                          aggregate="count", by="")
    return answer, sum(point[1] for series in answer["series"] for point in series["points"])


def largest_segment(data):
    folder = os.path.join(data, "index")
    return max((os.path.join(folder, name) for name in os.listdir(folder)), key=os.path.getsize)


def test_a_flipped_bit_in_the_index_is_named_and_no_answer_is_wrong_in_silence(make_server, tmp_path):
    server = make_server().start()
    server.ingest(samples("aaa", 300, 2) + samples("bbb", 30, 2))
    assert server.stop() == 0
    size = os.path.getsize(largest_segment(server.data))
    queries = [('aaa', 600), ('{__name__="aaa",n="7"}', 2), ('{n=~"1.*"}', 244), ('{n!=""}', 660)]
    partial = 0
    for step in range(24):
        data = str(tmp_path / f"copy{step}")
        shutil.copytree(server.data, data)
        flip(largest_segment(data), size * step // 24 + step % 7)

        def command(*arguments):
            return subprocess.run([server.binary, *arguments, "--data", data], capture_output=True,
                                  text=True, timeout=60, check=False)

        assert command("verify").returncode == 4, f"the damage of step {step} is not found"
        for selector, right in queries:
            done = command("query", "--json", "--aggregate", "count", "--by", "", "--start",
                           str(FIRST_MS), "--end", str(FIRST_MS + 86_400_000), selector)
            answer = json.loads(done.stdout)
            count = sum(point[1] for series in answer["series"] for point in series["points"])
            if answer["partial"]:
                partial += 1
                assert done.returncode == 4 and count <= right
            else:
                assert done.returncode == 0 and count == right, f"step {step}, {selector}"
        exported = command("export", "--format", "ndjson")
        lines = [json.loads(line) for line in exported.stdout.splitlines()]
        assert exported.returncode == 4 or len(lines) == 660
        assert all(line["value"] == int(line["labels"]["n"]) for line in lines)
        shutil.rmtree(data)
    assert partial > 5


def test_lost_definitions_make_answers_partial_and_their_ids_are_not_given_again(make_server):
    server = make_server().start()
    server.ingest(samples("aaa", 50, 20))
    assert server.stop() == 0
    os.rename(largest_segment(server.data), os.path.join(server.data, "gone"))
    server.start()
    for _ in range(2):
        server.ingest(samples("bbb", 60, 1))
        answer, count = stored(server, "bbb")
        assert count == 60, "samples of lost series under another name"
        assert answer["partial"] and answer["warnings"]
        export = server.session.get(server.url + "/api/v1/metrics/export", timeout=60)
        assert export.status_code == 500 and "verify" in export.text
        assert server.session.get(server.url + "/api/v1/health").json()["status"] == "degraded"
        assert server.stop() == 0
        server.start()


def test_a_part_that_is_gone_makes_answers_about_its_day_partial_and_no_others(make_server):
    server = make_server().start()
    server.ingest(samples("aaa", 5, 5))
    assert server.stop() == 0
    folder = os.path.join(server.data, "parts")
    for name in os.listdir(folder):
        os.rename(os.path.join(folder, name), os.path.join(server.data, name))
    server.start()
    assert stored(server, "aaa")[0]["partial"]
    server.ingest([{"name": "now", "value": 1}])
    assert not server.query(metric="now", start="now-1m")["partial"]


def test_refused_batches_take_no_days_and_the_present_always_has_one(make_server):
    server = make_server("storage.max_chunks=10").start()
    day_ms = 86_400_000
    lines = [json.dumps({"name": "odd", "value": 1, "timestamp": i * day_ms}) for i in range(30)]
    answer = server.post("/api/v1/metrics/ingest/batch", "\n".join(lines + ["{"]),
                         "application/x-ndjson", params={"atomic": "true", "precision": "ms"})
    assert answer.status_code == 400
    body = server.post("/api/v1/metrics/ingest/batch", "\n".join(lines), "application/x-ndjson",
                       params={"precision": "ms"}).json()
    assert (body["accepted"], body["rejected"]) == (10, 20)
    assert {error["code"] for error in body["errors"]} == {"chunk_limit"}
    assert server.ingest([{"name": "now", "value": 1}])["accepted"] == 1


def test_a_damaged_block_is_logged_once_and_counted_each_time(make_server):
    server = make_server().start()
    server.ingest([{"name": "aaa", "value": p * p % 101 / 7, "timestamp": FIRST_MS + 977 * p}
                   for p in range(1000)])
    assert server.stop() == 0
    folder = os.path.join(server.data, "parts")
    flip(os.path.join(folder, os.listdir(folder)[0]), 60)
    server.start()

    def damaged_blocks():
        text = server.session.get(server.url + "/metrics", timeout=60).text
        return [float(line.split()[-1]) for line in text.splitlines()
                if line.startswith("metric_store_damaged_blocks_total ")][0]

    for asked in range(1, 6):
        answer, _ = stored(server, "aaa")
        raw = server.query(metric="aaa", start=str(FIRST_MS), end=str(FIRST_MS + 86_400_000))
        assert raw["partial"] and damaged_blocks() >= asked
    assert server.log_tail().count("damaged data was left out of an answer") == 1
    health = server.session.get(server.url + "/api/v1/health").json()
    assert health["status"] == "degraded" and "damaged" in health["checks"]["storage"]["message"]


def test_a_repair_tells_what_is_lost_and_the_rest_is_answered_whole(make_server):
    server = make_server().start()
    server.ingest([{"name": "aaa", "labels": {"n": str(n)}, "value": p * p % 101 / 7 + n,
                    "timestamp": FIRST_MS + 977 * p} for n in range(4) for p in range(500)])
    before = server.export()
    assert server.stop() == 0
    folder = os.path.join(server.data, "parts")
    flip(os.path.join(folder, os.listdir(folder)[0]), 2000)

    def verify(*options):
        return subprocess.run([server.binary, "verify", "--json", *options, "--data", server.data],
                              capture_output=True, text=True, timeout=60, check=False)

    assert verify().returncode == 4
    repaired = verify("--repair")
    assert repaired.returncode == 3, repaired.stderr
    told = json.loads(repaired.stdout)
    assert told["damaged"] == 0 and told["repair"]["quarantined"] == 1
    assert told["repair"]["lost_samples"] == 500 == len(before) - told["samples"]
    lost = [finding["message"] for finding in told["findings"] if finding["kind"] == "lost"]
    assert any('500 samples of {__name__="aaa",n="' in message and "2026-11-22" in message
               for message in lost), lost
    assert verify().returncode == 0 and verify("--repair").returncode == 0
    assert len(os.listdir(os.path.join(server.data, "quarantine"))) == 1
    server.start()
    left = server.export()
    gone = {json.dumps(line["labels"]) for line in before} - \
        {json.dumps(line["labels"]) for line in left}
    assert len(gone) == 1 and left == [line for line in before
                                       if json.dumps(line["labels"]) not in gone]
    assert not stored(server, "aaa")[0]["partial"]
    assert server.session.get(server.url + "/api/v1/health").json()["status"] == "ok"


def test_a_repair_of_a_sound_or_open_store_changes_nothing(make_server):
    server = make_server().start()
    server.ingest(samples("aaa", 5, 5))

    def repair():
        return subprocess.run([server.binary, "verify", "--repair", "--data", server.data],
                              capture_output=True, text=True, timeout=60, check=False)

    assert repair().returncode == 1
    assert server.stop() == 0
    done = repair()
    assert done.returncode == 0 and "nothing was changed" in done.stdout
    assert not os.path.exists(os.path.join(server.data, "quarantine"))


def test_a_store_without_its_manifest_is_told_as_what_it_is(make_server):
    server = make_server().start()
    server.ingest(samples("up", 1, 3))
    assert server.stop() == 0
    os.remove(os.path.join(server.data, "manifest"))
    for command, exit_code in ((["verify"], 4), (["verify", "--repair"], 4), (["query", "up"], 1)):
        shown = subprocess.run([server.binary, *command, "--data", server.data], capture_output=True, text=True,
                               timeout=60, check=False)
        assert shown.returncode == exit_code, shown
        assert "the manifest is missing, but parts, index or log are there" in shown.stderr, shown


def cut_manifest(data, copies):
    """Takes the end off the manifest: so many copies of its last record, and half of the next."""
    path = os.path.join(data, "manifest")
    with open(path, "r+b") as manifest:
        content = manifest.read()
        at = 0
        while at < len(content):
            size = 16 + int.from_bytes(content[at + 4:at + 8], "little")
            at += 2 * size
        assert at == len(content)
        manifest.truncate(len(content) - copies * size - size // 2)


def stop_with_the_log_released(server):
    """The last edit of the manifest is a flush of what came in one run; its log is used again."""
    server.start()
    server.ingest([{"name": "aaa", "labels": {"n": str(n)}, "value": p * p % 1013 / 7 + n,
                    "timestamp": FIRST_MS + 977 * p} for n in range(30) for p in range(400)])
    before = server.export()
    assert len(before) == 12000 and server.stop() == 0
    return before


def by_labels(lines):
    return sorted(json.dumps(line, sort_keys=True) for line in lines)


@pytest.mark.parametrize("taken", ["a byte", "half a copy"])
def test_a_manifest_cut_within_its_second_copy_loses_nothing(make_server, taken):
    server = make_server("storage.wal_segment_size=64KiB")
    before = stop_with_the_log_released(server)
    path = os.path.join(server.data, "manifest")
    if taken == "a byte":
        os.truncate(path, os.path.getsize(path) - 1)
    else:
        cut_manifest(server.data, 0)

    def verify():
        return subprocess.run([server.binary, "verify", "--data", server.data],
                              capture_output=True, text=True, timeout=60, check=False)

    damaged = verify()
    assert damaged.returncode == 4 and "second copy" in damaged.stdout, damaged
    server.start()
    assert by_labels(server.export()) == by_labels(before)
    assert not stored(server, "aaa")[0]["partial"]
    assert server.stop() == 0
    assert verify().returncode == 0


def test_a_manifest_that_lost_an_edit_deletes_nothing_and_a_repair_brings_all_of_it_back(
        make_server):
    server = make_server("storage.wal_segment_size=64KiB")
    before = stop_with_the_log_released(server)
    cut_manifest(server.data, 1)
    parts = set(os.listdir(os.path.join(server.data, "parts")))

    def verify(*options):
        return subprocess.run([server.binary, "verify", "--json", *options, "--data", server.data],
                              capture_output=True, text=True, timeout=60, check=False)

    for run in range(2):
        server.start()
        assert parts <= set(os.listdir(os.path.join(server.data, "parts")))
        answer, count = stored(server, "aaa")
        assert answer["partial"] and count == len(before), "start deleted what may count"
        assert server.session.get(server.url + "/api/v1/health").json()["status"] == "degraded"
        # Known series, under the ids that they have.
        more = [{"name": "aaa", "labels": {"n": str(n)}, "value": n,
                 "timestamp": FIRST_MS + 500_000 + run} for n in range(30)]
        server.ingest(more)
        before += more
        assert server.stop() == 0
        assert verify().returncode == 4
    repaired = verify("--repair")
    assert repaired.returncode == 3 and json.loads(repaired.stdout)["damaged"] == 0, repaired
    assert verify().returncode == 0
    server.start()
    assert by_labels(server.export()) == by_labels(before)
    assert not stored(server, "aaa")[0]["partial"]
    assert server.session.get(server.url + "/api/v1/health").json()["status"] == "ok"
