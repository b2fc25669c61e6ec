#!/usr/bin/env python3
"""Prints the figures that tools/bench/run has measured beside what they should be, as a Markdown table."""

import json
import pathlib
import sys

# figure; file, path in its JSON; unit; at least or at most; the bound; the aim
ROWS = [
    ("chat ÷ relay, messages/s", "full", ("ratios", "chat / relay"), "", "≥", 0.42, 0.55),
    ("chat at full rate: CPU of broker + worker + PostgreSQL per message", "full", ("chat", "server_cpu_us_per_message"), "µs", "≤", 80, 55),
    ("chat, 5,000/s offered: the same", "offered", ("chat", "server_cpu_us_per_message"), "µs", "≤", 160, 110),
    ("… publish → delivered, p99", "offered", ("chat", "delivery_p99_ms"), "ms", "≤", 15, 8),
    ("unloaded: publish → stored, p50", "unloaded", ("chat", "ack_p50_ms"), "ms", "≤", 1.0, 0.6),
    ("… p99", "unloaded", ("chat", "ack_p99_ms"), "ms", "≤", 2.5, 1.2),
    ("at half of the greatest rate: publish → delivered, p99", "half", ("chat", "delivery_p99_ms"), "ms", "≤", 25, 10),
    ("room ÷ fanout, deliveries/s", "room", ("ratios", "room / fanout"), "", "≥", 0.7, 0.9),
    ("longest wait of another client, one room message at a time", "crowd", ("room", "other_client_waits_max_ms"), "ms", "≤", 10, 5),
    ("broker memory per idle user ÷ without plugin", "connect", ("connect", "rss_per_connection_user_to_other"), "", "≤", 1.5, 1.15),
    ("logins/s ÷ without plugin", "connect", ("connect", "logins_user_to_other"), "", "≥", 0.6, 0.9),
    ("all who come back are up to date after", "sync", ("sync", "seconds_until_all_up_to_date"), "s", "≤", 30, 15),
]
# For the reader: what the ratios are made of.
ALSO = [
    ("relay, messages/s", "full", ("relay", "messages_per_s")),
    ("chat, messages/s", "full", ("chat", "messages_per_s")),
    ("chat: CPU after the last message (search index), µs per message", "full", ("chat", "server_cpu_us_afterwards")),
    ("fanout, deliveries/s", "room", ("fanout", "deliveries_per_s")),
    ("room, deliveries/s", "room", ("room", "deliveries_per_s")),
    ("longest wait beside the broker's own fan-out, ms", "crowd", ("fanout", "other_client_waits_max_ms")),
    ("mixed, messages/s", "mixed", ("mixed", "messages_per_s")),
]


def load(folder):
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def find(reports, name, path):
    """The value, and the least and greatest of the single measurements; nothing if it was not measured."""
    report = reports.get(name)
    if report is None:
        return None
    scenario, figure = path
    if scenario == "ratios":
        value = report["ratios"].get(figure)
        return None if value is None else (value, None)
    one = report["scenarios"].get(scenario, {})
    value = one.get("median", {}).get(figure)
    if value is None:
        return None
    all_values = [run[figure] for run in one["runs"] if figure in run]
    return value, (min(all_values), max(all_values)) if len(all_values) > 1 else None


def shown(value, unit=""):
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{text} {unit}".rstrip()


def with_spread(found, unit):
    value, spread = found
    text = shown(value, unit)
    return text if spread is None else f"{text} ({shown(spread[0])} … {shown(spread[1])})"


def verdict(value, relation, floor, aim):
    better = (lambda bound: value >= bound) if relation == "≥" else (lambda bound: value <= bound)
    return "aim" if better(aim) else "good" if better(floor) else "SHORT"


def main():
    folder, commit = pathlib.Path(sys.argv[1]), sys.argv[2]
    reports = load(folder)
    if not reports:
        sys.exit("table.py: nothing was measured")
    first = next(iter(reports.values()))
    print(f"\nparley {first['version']}, commit {commit}, {first['machine']}; {first['database']};"
          f" median of {first['options']['repeat']}\n")
    print("| figure | measured | at least | aim | |")
    print("|---|---|---|---|---|")
    for title, name, path, unit, relation, floor, aim in ROWS:
        found = find(reports, name, path)
        measured = "not measured" if found is None else with_spread(found, unit)
        said = "" if found is None else verdict(found[0], relation, floor, aim)
        print(f"| {title} | {measured} | {relation} {shown(floor, unit)} | {shown(aim, unit)} | {said} |")
    print("\n| also | |\n|---|---|")
    for title, name, path in ALSO:
        found = find(reports, name, path)
        if found is not None:
            print(f"| {title} | {with_spread(found, '')} |")


if __name__ == "__main__":
    main()
