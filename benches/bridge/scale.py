#!/usr/bin/env python3
"""What more hosts than were measured would need: computed from what `measure.py --json` found. docs/scale.md has the table."""

import argparse
import json
from pathlib import Path

CAMERAS = 10
"""Topics of each host."""
VIEWERS = 3
"""Streams that each host reads from others, on average."""
CABLE = 1e9 / 8
"""Bytes a second of a host's network."""


def of_hosts(hosts, measured, frames_per_second=60):
    """What a host, a router and the network need if `hosts` have ten cameras each."""
    stream, idle, none = (
        measured["H.264 1080p60, 10 Mbit/s"],
        measured["100 idle topics"],
        measured["no topic"],
    )
    topics = hosts * CAMERAS
    bytes_per_stream = stream["bytes_per_second"] * stream["overhead"]
    # Every topic is a token, and the answer to one question, at each of the others.
    tokens = topics * idle["announcement_bytes"]
    per_topic = (idle["receiver"] - none["receiver"]) / idle["topics"]
    streams = hosts * VIEWERS
    return {
        "hosts": hosts,
        "topics": topics,
        "streams": streams,
        "host_sends": VIEWERS * bytes_per_stream,
        "host_receives": VIEWERS * bytes_per_stream,
        "host_processor": VIEWERS * (stream["sender"] + stream["receiver"])
        + max(per_topic, 0) * topics
        + none["receiver"],
        "join_bytes": tokens,
        # Each to each.
        "links": hosts * (hosts - 1) // 2,
        # A router takes in every stream once and sends it once for each reader.
        "router_bytes": 2 * streams * bytes_per_stream,
        "routers": -(-2 * streams * bytes_per_stream // (2 * CABLE * 0.7)),
        "mirror_memory": topics * idle["mirror_bytes"],
        "frames": streams * frames_per_second,
    }


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measured", type=Path, nargs="?", default=Path(__file__).with_name("measured.json"))
    measured = json.loads(parser.parse_args().measured.read_text())["rows"]
    columns = [of_hosts(hosts, measured) for hosts in (10, 100, 1000)]
    rows = [
        ("hosts", lambda c: f"{c['hosts']:,}"),
        ("topics", lambda c: f"{c['topics']:,}"),
        (f"streams that cross ({VIEWERS} read by each host)", lambda c: f"{c['streams']:,}"),
        ("a host sends, and receives, Mbit/s", lambda c: f"{c['host_sends'] * 8 / 1e6:.0f}"),
        ("a host's bridge, % of a core", lambda c: f"{100 * c['host_processor']:.0f}"),
        ("what it learns when it joins, MB", lambda c: f"{c['join_bytes'] / 1e6:.2f}"),
        (
            "shared memory of the topics that it shows and does not read, MB",
            lambda c: f"{c['mirror_memory'] / 1e6:.0f}",
        ),
        ("connections, each to each", lambda c: f"{c['links']:,}"),
        ("all routers together carry, Gbit/s", lambda c: f"{c['router_bytes'] * 8 / 1e9:.1f}"),
        ("routers with 1 Gbit/s each way, 70 % full", lambda c: f"{c['routers']:.0f}"),
    ]
    print("| | " + " | ".join("" for _ in columns) + " |")
    print("|---|" + "---:|" * len(columns))
    for name, cell in rows:
        print(f"| {name} | " + " | ".join(cell(column) for column in columns) + " |")


if __name__ == "__main__":
    main()
