"""What a query must answer, written for plainness: a dictionary of series and loops over samples."""

import math

STALE = "stale"
LOOKBACK_MS = 300_000


def number(value):
    """A sample's value as the API writes it: a number or a word."""
    words = {"NaN": math.nan, "+Inf": math.inf, "-Inf": -math.inf}
    return words[value] if isinstance(value, str) else value


def is_nan(value):
    return math.isnan(number(value))


def quantile(values, rank):
    ordered = sorted(values)
    at = rank * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def stddev(values):
    if any(not math.isfinite(value) for value in values):
        return math.nan
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


def combine(aggregate, samples):
    """Of a bucket's samples, (time, labels, value) each, none of them stale; None: no point."""
    values = [number(value) for _, _, value in samples]
    numbers = [value for value in values if not math.isnan(value)]
    if not values:
        return None
    if aggregate == "count":
        return len(values)
    if aggregate == "sum":
        return math.nan if len(numbers) < len(values) else math.fsum(values)
    if aggregate == "avg":
        return math.nan if len(numbers) < len(values) else math.fsum(values) / len(values)
    if aggregate in ("min", "max"):
        return (min if aggregate == "min" else max)(numbers) if numbers else math.nan
    if aggregate == "stddev":
        return stddev(values)
    if aggregate == "first":
        # The lowest labels at equal times.
        return values[min(range(len(samples)), key=lambda i: samples[i][:2])]
    if aggregate == "last":
        latest = max(time_ms for time_ms, _, _ in samples)
        at_latest = [i for i in range(len(samples)) if samples[i][0] == latest]
        return values[min(at_latest, key=lambda i: samples[i][1])]
    rank = QUANTILES.get(aggregate)
    if rank is None:
        rank = float(aggregate.removeprefix("quantile:"))
    return quantile(numbers, rank) if numbers else math.nan


def increases(times, start, end):
    """(time, difference) of one series; `times` maps all its times to values."""
    before = None
    in_range = False
    for time_ms in sorted(times):
        if times[time_ms] == STALE or time_ms >= end:
            continue
        value = number(times[time_ms])
        if time_ms >= start:
            if before is not None and (in_range or time_ms - before[0] <= LOOKBACK_MS):
                yield time_ms, value if value < before[1] else value - before[1]
            in_range = True
        before = (time_ms, value)


def bucket_of(time_ms, start, interval):
    return start if interval is None else time_ms // interval * interval


def group_key(labels, by):
    """`by` None: each series alone."""
    if by is None:
        return labels
    return tuple(sorted((name, value) for name, value in labels if name in by))


def query(series, start, end, aggregate, interval=None, by=None, over="samples"):
    """{group's labels: [[bucket, value], ...]}. `series` maps labels, as a sorted tuple of pairs, to
    {time: value}."""
    growth = aggregate in ("rate", "increase")
    groups = {}
    for labels, times in series.items():
        buckets = {}
        if growth:
            for time_ms, difference in increases(times, start, end):
                buckets.setdefault(bucket_of(time_ms, start, interval), []).append(
                    (time_ms, labels, difference))
        else:
            for time_ms, value in times.items():
                if start <= time_ms < end and value != STALE:
                    buckets.setdefault(bucket_of(time_ms, start, interval), []).append(
                        (time_ms, labels, value))
        if over == "series" and not growth:
            buckets = {bucket: [max(samples, key=lambda sample: sample[0])]
                       for bucket, samples in buckets.items()}
        group = groups.setdefault(group_key(labels, by), {})
        for bucket, samples in buckets.items():
            group.setdefault(bucket, []).extend(samples)
    width = end - start if interval is None else interval
    answer = {}
    for labels, buckets in groups.items():
        points = []
        for bucket, samples in sorted(buckets.items()):
            value = combine("sum" if growth else aggregate, samples)
            if aggregate == "rate":
                value /= width / 1000
            points.append([bucket, value])
        if points:
            answer[labels] = points
    return answer
