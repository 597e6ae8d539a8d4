"""A row for several runs of one attack on one server, and whether it holds what is promised."""

import statistics

ABOVE_LIMIT = 1.15  # anonymous memory may take this much of memory.limit
SLOWER = 2.0        # p99 of the healthy requests beside a flood of new series, by that of the quiet
# From a quarter of the size to all of it, CPU time may grow by so much; below LEAST_MS it says nothing.
LINEAR, LEAST_MS = 4 * 1.5, 4.0
FLAT_MIB = 16       # how much memory may still grow in the last three quarters of known series
PERMUTED_SERIES = 1000
MIB = 1 << 20
HEADER = ("server", "attack", "runs", "sent: stored + refused", "outcome", "its CPU", "anonymous: quiet, most",
          "healthy stored", "healthy p50/p99: quiet, attacked",
          "new series of others stored: attacked, after", "query of a healthy series: attacked, after",
          "query of the attacked: attacked, after")


def median_of(results, *path):
    """The median over the runs of a number at that path; None where a run has none."""
    values = []
    for result in results:
        for key in path:
            result = result.get(key) if result is not None else None
        if result is not None:
            values.append(result)
    return statistics.median(values) if values else None


def mib(size):
    return "?" if size is None else f"{size / MIB:.0f}"


def ms(value):
    return "?" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def asked(results, kind, phase):
    """Answered of asked, the worst time, and why not."""
    count = sum(result[kind][phase]["asked"] for result in results)
    if count == 0:
        return "none" if phase == "attack" else "gone"
    answered = sum(result[kind][phase]["answered"] for result in results)
    worst = max(result[kind][phase]["worst_s"] for result in results if result[kind][phase]["asked"])
    failures = sorted({text for result in results for text in result[kind][phase]["failures"]})
    why = " (" + failures[0][:80] + ")" if failures else ""
    return f"{answered}/{count} in {worst * 1000:.0f} ms{why}"


def others(results, phase):
    """Stored of sent."""
    sent, stored = (sum(result["newcomers"][phase][name] for result in results) for name in ("sent", "stored"))
    return f"{stored}/{sent}" if sent > 0 else "none" if phase == "attack" else "gone"


def outcomes(results):
    counts = {}
    for result in results:
        counts[result["outcome"]] = counts.get(result["outcome"], 0) + 1
    text = ", ".join(name if len(results) == 1 else f"{name} {count}/{len(results)}"
                     for name, count in counts.items())
    ended = [result["attack_s"] for result in results if result["exit_code"] is not None]
    return text + (f" after {statistics.median(ended):.0f} s" if ended else "")


def row(results):
    first = results[0]
    counts = {name: median_of(results, "attack", name) for name in
              ("sent", "accepted", "refused", "unavailable", "lost")}
    sent = f"{counts['sent']:,.0f}: {counts['accepted']:,.0f} + {counts['refused']:,.0f}"
    for name in ("unavailable", "lost"):
        if counts[name]:
            sent += f", {name} {counts[name]:,.0f}"
    share = min(result["healthy"]["attack"]["stored_share"] or 0 for result in results)
    delays = ", ".join(f"{ms(median_of(results, 'healthy', phase, 'p50_ms'))}/"
                       f"{ms(median_of(results, 'healthy', phase, 'p99_ms'))} ms"
                       for phase in ("quiet", "attack"))
    memory = f"{mib(median_of(results, 'anonymous_quiet'))}, {mib(median_of(results, 'anonymous_peak'))} MiB"
    if first["limit"]:
        memory += f" of {mib(first['limit'])}"
    newcomers = ", ".join(others(results, phase) for phase in ("attack", "after"))
    queries = [f"{asked(results, kind, 'attack')}, {asked(results, kind, 'after')}"
               for kind in ("query_healthy", "query_attacked")]
    cpu_s, attack_s = median_of(results, "cpu_s"), median_of(results, "attack_s")
    cpu = "?" if cpu_s is None else f"{cpu_s:.1f} of {attack_s:.0f} s"
    return (first["server"], first["kind"], str(len(results)), sent, outcomes(results), cpu, memory,
            f"{share * 100:.2f} %".replace("100.00", "100"), delays, newcomers, *queries)


def line(cells):
    return "| " + " | ".join(cells) + " |"


def huge_lines(results):
    """What each kind of a request that is too large cost, by size."""
    for kind, sizes in results[0]["attack"]["huge"].items():
        for size, seen in sizes.items():
            cpu = median_of(results, "attack", "huge", kind, size, "cpu_ms")
            yield (f"  {kind} {int(size):,}: {seen['status']} {', '.join(seen['codes'])}, "
                   f"{seen['refused_share'] * 100:.0f} % refused, CPU {ms(cpu)} ms; {seen['message'][:160]}")


def huge_faults(results):
    for kind, sizes in results[0]["attack"]["huge"].items():
        costs = [median_of(results, "attack", "huge", kind, size, "cpu_ms") for size in sizes]
        if None in costs or not costs:
            yield f"{kind}: it did not live to the end"
        elif costs[-1] > max(LINEAR * costs[0], LEAST_MS):
            yield f"{kind}: {costs[0]:.1f} ms of CPU for a quarter, {costs[-1]:.1f} ms for all: not linear"
        for size, seen in sizes.items():
            if seen["status"] != 400 or not seen["codes"] or str(seen["status"]) in seen["codes"]:
                yield f"{kind} {size}: not refused by name ({seen['status']})"


def permuted_faults(results):
    for result in results:
        wanted = result["healthy_series"] + PERMUTED_SERIES
        if result["series_after"] is not None and result["series_after"] != wanted:
            yield f"{result['series_after']} series, not {wanted}"
        sizes = result["anonymous_quarters"]
        if sizes and max(sizes) - sizes[1] > FLAT_MIB * MIB:
            yield f"memory grows: {', '.join(mib(size) for size in sizes)} MiB at its quarters"


def faults(results):
    """What of the promise does not hold."""
    first = results[0]
    if any(result["outcome"] != "lives" for result in results):
        yield "it died"
    peak = median_of(results, "anonymous_peak")
    if first["limit"] and peak is not None and peak > first["limit"] * ABOVE_LIMIT:
        yield f"anonymous memory of {mib(peak)} MiB is above {mib(first['limit'] * ABOVE_LIMIT)} MiB"
    if any(result["healthy"]["attack"]["stored_share"] != 1 for result in results):
        yield "healthy samples were not stored"
    quiet, attacked = (median_of(results, "healthy", phase, "p99_ms") for phase in ("quiet", "attack"))
    flood = first["kind"] not in ("huge", "permuted")
    if flood and quiet is not None and attacked is not None and attacked > SLOWER * quiet:
        yield f"p99 of healthy requests is {attacked / quiet:.1f} times that of the quiet"
    for kind in ("query_healthy", "query_attacked"):
        for phase in ("attack", "after"):
            if any(result[kind][phase]["answered"] < result[kind][phase]["asked"] for result in results):
                yield f"{kind} was not answered ({phase})"
    for phase in ("attack", "after"):
        if any(result["newcomers"][phase]["stored"] < result["newcomers"][phase]["sent"] for result in results):
            yield f"new series of others were refused ({phase})"
    if first["kind"] == "huge":
        yield from huge_faults(results)
    if first["kind"] == "permuted":
        yield from permuted_faults(results)
