"""Running commands, and stores that no server has open."""

import json
import os
import subprocess


class Commands:
    """metric-store as a user calls it; every call ends by itself."""

    def __init__(self, binary, directory):
        self.binary = binary
        self.directory = str(directory)

    def environment(self):
        # No proxy stands between a test and its own server, and a new store is not 128 MiB.
        return {name: value for name, value in os.environ.items()
                if not name.lower().endswith("_proxy")} | {
                    "METRIC_STORE_STORAGE__WAL_SEGMENT_SIZE": "1MiB",
                    "XDG_STATE_HOME": os.path.join(self.directory, "state")}

    def run(self, *arguments, data=None, **options):
        """The completed process; `data` is standard input. Output is bytes."""
        result = subprocess.run([self.binary, *map(str, arguments)], input=data,
                                stdin=subprocess.DEVNULL if data is None else None,
                                capture_output=True, timeout=300, check=False,
                                cwd=self.directory, env=self.environment(), **options)
        report = result.stderr
        assert b"AddressSanitizer" not in report and b"runtime error:" not in report, report
        assert b"invariant failed" not in report, report
        return result

    def start(self, *arguments, **options):
        return subprocess.Popen([self.binary, *map(str, arguments)], cwd=self.directory,
                                env=self.environment(), **options)

    def ok(self, *arguments, code=0, **options):
        """Standard output as text; the exit code must be `code`."""
        result = self.run(*arguments, **options)
        assert result.returncode == code, (arguments, result.returncode, result.stderr[-2000:],
                                           result.stdout[-2000:])
        return result.stdout.decode()

    def import_json(self, *arguments, code=0, **options):
        """The summary of an import."""
        return json.loads(self.ok("import", "--json", *arguments, code=code, **options))

    def export_lines(self, *arguments):
        return sorted(self.ok("export", *arguments).splitlines())


def line(name, labels, value, timestamp):
    """A line as export writes it."""
    text = json.dumps({"name": name, "labels": labels, "value": value, "timestamp": timestamp},
                      separators=(",", ":"), ensure_ascii=False)
    return text.replace("\\n", "\\u000a")
