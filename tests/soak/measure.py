"""What a run costs, sample by sample; a line through it says whether it grows."""

import os
import statistics

# Of the mean, over the measured days together; and what is too little to matter.
QUANTITIES = {
    "rss_anon_kib": (0.10, 2048),
    "fds": (0.10, 4),
    "threads": (0.0, 0.5),
    "parts": (0.10, 12),  # swing by half as many with what is merged; one lost day brings more
    "index_files": (0.10, 24),  # a dozen become one from time to time, later where much is to do
    "log_files": (0.10, 2),
    "disk_kib": (0.10, 1024),
    "series": (0.10, 100),
    "tombstones": (0.10, 32),
}
# A short run is over before the allocator has what all threads need at their busiest, which takes
# some minutes.
SHORT_MINUTES, SHORT_RSS_KIB = 5, 6144


def files_in(directory):
    """(count, bytes); files may go meanwhile."""
    count = total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
                count += 1
            except FileNotFoundError:
                pass
    return count, total


def files_open(process, directory):
    """File descriptors of a process but those of files below a directory, which come and go with
    them and are counted there."""
    count = 0
    for fd in os.listdir(process + "/fd"):
        try:
            count += not os.readlink(f"{process}/fd/{fd}").startswith(directory + "/")
        except FileNotFoundError:
            pass
    return count


def metrics_of(text):
    values = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            values[name] = float(value)
    return values


class Meter:
    def __init__(self, server, session, clock):
        self.server, self.session, self.clock = server, session, clock
        self.rows = []  # (simulated days, {quantity: value})

    def take(self):
        process = f"/proc/{self.server.process.pid}"
        metrics = metrics_of(self.session.get(self.server.url + "/metrics", timeout=60).text)
        parts, part_bytes = files_in(os.path.join(self.server.data, "parts"))
        segments, segment_bytes = files_in(os.path.join(self.server.data, "index"))
        logs, log_bytes = files_in(os.path.join(self.server.data, "wal"))
        self.rows.append((self.clock.days(), {
            "rss_anon_kib": self.server.rss_anon_kb(),
            "fds": files_open(process, os.path.realpath(self.server.data)),
            "threads": len(os.listdir(process + "/task")),
            "parts": parts,
            "index_files": segments,
            "log_files": logs,
            "disk_kib": (part_bytes + segment_bytes + log_bytes) / 1024,
            "series": metrics["metric_store_series"],
            "tombstones": metrics["metric_store_tombstones"],
        }))

    def watch(self, every_s, stop):
        while not stop.wait(every_s):
            self.take()

    def by_day(self):
        """[(day, {quantity: its mean})], whole days only."""
        days = {}
        for at, values in self.rows:
            days.setdefault(int(at), []).append(values)
        days.pop(max(days, default=0), None)
        return [(day, {name: statistics.fmean(values[name] for values in rows)
                       for name in QUANTITIES}) for day, rows in sorted(days.items())]


def growth(points):
    """Of a line through (day, value): its rise over all days, and the mean."""
    days = [day for day, _ in points]
    values = [value for _, value in points]
    middle, mean = statistics.fmean(days), statistics.fmean(values)
    spread = sum((day - middle) ** 2 for day in days)
    slope = sum((day - middle) * (value - mean) for day, value in points) / spread
    return slope * (days[-1] - days[0] + 1), mean


def judge(days, warm_up_days, minutes):
    """[(quantity, mean, growth, bound)] over the days after the warm-up, at least two, of a run of
    so many minutes."""
    measured = [(day, values) for day, values in days if day >= warm_up_days]
    verdicts = []
    for name, (share, slack) in QUANTITIES.items():
        rise, mean = growth([(day, values[name]) for day, values in measured])
        if name == "rss_anon_kib" and minutes < SHORT_MINUTES:
            slack = SHORT_RSS_KIB
        verdicts.append((name, mean, rise, max(share * mean, slack)))
    return verdicts


def print_days(days, warm_up_days):
    print(" ".join(["day".rjust(4), *(name.rjust(12) for name in QUANTITIES)]))
    for day, values in days:
        mark = " " if day >= warm_up_days else "*"
        print(f"{day:3d}{mark} " + " ".join(f"{values[name]:12.0f}" for name in QUANTITIES))
    print("(means of each day; * warm-up)\n")


def print_verdicts(verdicts):
    print(f"{'quantity':14}{'mean':>12}{'growth':>12}{'at most':>12}")
    for name, mean, rise, bound in verdicts:
        print(f"{name:14}{mean:12.1f}{rise:12.1f}{bound:12.1f}{'' if rise <= bound else '  GROWS'}")
