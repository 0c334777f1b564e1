#!/usr/bin/env python3
"""What a bridge costs: two bridges on this machine, over loopback. Prints a table, and with --json the numbers.

Run from the root of the checkout, after `make build bridge`. It needs two quiet cores, and says how busy they were.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
H264 = "video/x-h264,stream-format=byte-stream,alignment=au,width=1920,height=1080,framerate=60/1"
VGA = "video/x-raw,format=I420,width=640,height=480,framerate=60/1"


def processor_seconds(pid):
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident(pid):
    """Its memory in MiB, without shared files."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) / 1024


def loopback_bytes():
    """What loopback has carried."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        if line.strip().startswith("lo:"):
            return int(line.split(":")[1].split()[0])
    return 0


class Hosts:
    """Two directories with a bridge each."""

    def __init__(self, release):
        self.release = release
        self.processes = []
        self.dirs = [Path(tempfile.mkdtemp(prefix="shmflow-measure-", dir="/dev/shm")) for _ in range(2)]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            endpoint = f"tcp/127.0.0.1:{probe.getsockname()[1]}"
        self.bridges = [
            self.start(
                "shmflow-bridge", place, "--topic", "*", "--stats", "1", f"--{how}", endpoint, stdout=subprocess.PIPE
            )
            for place, how in enumerate(["listen", "connect"])
        ]
        os.set_blocking(self.bridges[1].stdout.fileno(), False)

    def start(self, program, place, *args, **streams):
        """Starts a program at one of the hosts."""
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL} | streams
        command = [self.release / program, *args]
        env = os.environ | {"SHMFLOW_DIR": str(self.dirs[place])}
        process = subprocess.Popen(command, env=env, **streams)
        self.processes.append(process)
        return process

    def received(self):
        """The newest statistics of the second bridge."""
        lines = self.bridges[1].stdout.read() or b""
        last = lines.decode().strip().splitlines()[-1:]
        return json.loads(last[0])["received"] if last else {}

    def measure(self, seconds):
        """What both bridges use meanwhile, as shares of a processor."""
        pids = [bridge.pid for bridge in self.bridges]
        before, carried, start = [processor_seconds(pid) for pid in pids], loopback_bytes(), time.monotonic()
        time.sleep(seconds)
        elapsed = time.monotonic() - start
        used = [(processor_seconds(pid) - was) / elapsed for pid, was in zip(pids, before, strict=True)]
        return {
            "sender": used[0],
            "receiver": used[1],
            "memory_mib": [resident(pid) for pid in pids],
            "loopback_bytes_per_second": (loopback_bytes() - carried) / elapsed,
        }

    def end(self):
        """Ends everything."""
        for process in reversed(self.processes):
            process.kill()
            process.wait()
        for directory in self.dirs:
            shutil.rmtree(directory, ignore_errors=True)


def stream(release, seconds, caps, frame_bytes):
    """One topic at 60 frames a second, with a consumer at the other side."""
    hosts = Hosts(release)
    try:
        source = hosts.dirs[0] / "frames"
        source.write_bytes(os.urandom(frame_bytes) * 8)
        hosts.start(
            "shmflow",
            0,
            "send",
            "cam0",
            source,
            "--caps",
            caps,
            "--frame-bytes",
            str(frame_bytes),
            "--rate",
            "60",
            "--loop",
            stderr=subprocess.DEVNULL,
        )
        while not list(hosts.dirs[1].glob("shmflow.cam0.ring")):
            time.sleep(0.05)
        hosts.start("shmflow", 1, "recv", "cam0", stderr=subprocess.DEVNULL)
        time.sleep(3)
        row = hosts.measure(seconds)
        time.sleep(1.5)
        row |= hosts.received().get("cam0", {})
        row["bytes_per_second"] = frame_bytes * 60
        # With all of Zenoh and TCP.
        row["overhead"] = row["loopback_bytes_per_second"] / row["bytes_per_second"]
        return row
    finally:
        hosts.end()


def idle(release, seconds, topics):
    """Topics that nobody reads."""
    hosts = Hosts(release)
    try:
        time.sleep(2)
        announced = loopback_bytes()
        for number in range(topics):
            hosts.start("shmflow", 0, "send", f"cam{number}", "--lines", stdin=subprocess.PIPE)
        while len(list(hosts.dirs[1].glob("shmflow.*.ring"))) < topics:
            time.sleep(0.1)
        announced = loopback_bytes() - announced
        time.sleep(3)
        mirrors = sum(path.stat().st_blocks * 512 for path in hosts.dirs[1].iterdir())
        row = {
            "topics": topics,
            "announcement_bytes": announced / max(topics, 1),
            "mirror_bytes": mirrors / max(topics, 1),
        }
        return hosts.measure(seconds) | row
    finally:
        hosts.end()


def main():
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", type=Path, default=Path("target/release"), help="where the programs are")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    args = parser.parse_args()
    release = args.release.resolve()
    load = os.getloadavg()[0]
    rows = {
        "H.264 1080p60, 10 Mbit/s": stream(release, args.seconds, H264, 20_833),
        "raw VGA 60 fps, 221 Mbit/s": stream(release, args.seconds, VGA, 640 * 480 * 3 // 2),
        "100 idle topics": idle(release, args.seconds, 100),
        "no topic": idle(release, args.seconds, 0),
    }
    print(f"load before: {load:.2f}, now: {os.getloadavg()[0]:.2f}; {args.seconds:g} s each\n")
    print("| | sender, % of a core | receiver, % | frames | lost | memory, MiB | network, kB/s |")
    print("|---|---:|---:|---:|---:|---|---:|")
    for name, row in rows.items():
        memory = " + ".join(f"{mib:.0f}" for mib in row["memory_mib"])
        print(
            f"| {name} | {100 * row['sender']:.1f} | {100 * row['receiver']:.1f} | {row.get('frames', '')} | "
            f"{row.get('lost', '')} | {memory} | {row['loopback_bytes_per_second'] / 1000:.1f} |"
        )
    if args.json:
        args.json.write_text(json.dumps({"load": load, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
