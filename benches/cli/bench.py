"""Figures of docs/cli.md: what `grab`, `top`, `serve` and `record` cost.

    make build && python3 benches/cli/bench.py [grab] [top] [serve] [page] [picture] [producer] [record]

Takes the command and the C library of target/release (or the folder in SHMFLOW_BUILD), a C compiler, Chromium for `page`, and 2 GB of
/dev/shm. Processor times are the kernel's (user and system); what is compared takes turns.
"""

import contextlib
import fcntl
import http.client
import json
import os
import pty
import resource
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SHMFLOW_BUILD", ROOT / "target/release")).resolve()
SHMFLOW = BUILD / "shmflow"
sys.path.insert(0, str(ROOT / "tools"))
HD = "video/x-raw,format=I420,width=1920,height=1080,framerate=60/1"
HD_BYTES = 1920 * 1080 * 3 // 2


def row(what, value, note=""):
    print(f"| {what} | {value} | {note} |", flush=True)


def spread(values, unit, digits=1):
    return f"{statistics.median(values):.{digits}f} {unit} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def cpu_of(command, **more):
    """Seconds of processor time that a command took, until it ended."""
    process = subprocess.Popen(command, **more)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{command} ended with {process.returncode}"
    return usage.ru_utime + usage.ru_stime


def cpu_now(pid):
    """The same of a process that runs."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def hd_frame(place):
    """A file with one picture: slopes, and what a camera's sensor adds to them."""
    frame = place / "frame.raw"
    noise = os.urandom(1920)
    rows = (
        bytes((x // 10 + y // 10 + noise[(x * 7 + y * 13) % 1920] % 4) % 256 for x in range(1920)) for y in range(1080)
    )
    frame.write_bytes(b"".join(rows) + bytes([128]) * (HD_BYTES - 1920 * 1080))
    return frame


def grab(place):
    frame = hd_frame(place)
    subprocess.run([SHMFLOW, "send", "hd", frame, "--caps", HD, "--persistent"], check=True, stderr=subprocess.DEVNULL)
    for ending in ["raw", "npy", "jpg", "png"]:
        times, busy = [], []
        for _ in range(21):
            start = time.perf_counter()
            busy.append(cpu_of([SHMFLOW, "grab", "hd", place / f"picture.{ending}"], stdout=subprocess.DEVNULL) * 1000)
            times.append((time.perf_counter() - start) * 1000)
        row(f"`grab` of a 1080p frame as .{ending}", spread(times, "ms"))
        row("its processor time", spread(busy, "ms"))
    subprocess.run([SHMFLOW, "rm", "hd"], check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def topics(count, rate):
    """So many topics with frames of 1000 bytes, from a process of their own."""
    code = f"""
import ctypes, time
library = ctypes.CDLL({str(BUILD / "libshmflow.so")!r})
producers = []
for number in range({count}):
    producer = ctypes.c_void_p()
    assert library.shmflow_producer_open(b"group%d/topic%d" % (number % 10, number), None, ctypes.byref(producer)) == 0
    producers.append(producer)
print("ready", flush=True)
begin = time.monotonic()
for step in range(10**9):
    for producer in producers:
        library.shmflow_producer_write(producer, bytes(1000), ctypes.c_size_t(1000), None, None)
    time.sleep(max(0.0, begin + step / {rate} - time.monotonic()))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    try:
        yield
    finally:
        process.kill()
        process.wait()
        for name in Path(os.environ["SHMFLOW_DIR"]).glob("shmflow.group*"):
            name.unlink()


@contextlib.contextmanager
def watching(*more):
    """`top` on a terminal of 120 columns and 40 rows, whose output is read."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    process = subprocess.Popen([SHMFLOW, "top", *more], stdin=slave, stdout=slave, stderr=slave, env=environment)
    os.close(slave)

    def drain():
        with contextlib.suppress(OSError):
            while os.read(master, 1 << 16):
                pass

    reader = threading.Thread(target=drain, daemon=True)
    reader.start()
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()
        reader.join()
        os.close(master)


@contextlib.contextmanager
def started():
    """`serve`, and its address."""
    process = subprocess.Popen([SHMFLOW, "serve", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    lines = iter(process.stdout.readline, "")
    address = next(word for line in lines for word in line.split() if word.startswith("http://"))
    try:
        yield process.pid, address
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def serving():
    """`serve`, asked for all topics once a second, as its page does."""
    stop = threading.Event()
    with started() as (pid, address):

        def ask():
            while not stop.wait(1):
                with urllib.request.urlopen(address + "api/topics") as answer:
                    answer.read()

        reader = threading.Thread(target=ask)
        reader.start()
        try:
            yield pid
        finally:
            stop.set()
            reader.join()


@contextlib.contextmanager
def pictures(count, place):
    """So many topics of pictures, 160 x 120 and 30 a second, whose names come before those of others."""
    source = place / "source.rgb"
    source.write_bytes(os.urandom(160 * 120 * 3) * 3)
    caps = "video/x-raw,format=RGB,width=160,height=120,framerate=30/1"
    senders = [
        subprocess.Popen(
            [SHMFLOW, "send", f"camera{number}", source, "--caps", caps, "--rate", "30", "--loop"],
            stderr=subprocess.DEVNULL,
        )
        for number in range(count)
    ]
    try:
        yield
    finally:
        for sender in senders:
            sender.terminate()
        for sender in senders:
            sender.wait()
        source.unlink()


def shares_of(pid):
    """Percent of a core that a process takes, five times."""
    time.sleep(3)
    for _ in range(5):
        before, start = cpu_now(pid), time.monotonic()
        time.sleep(6)
        yield (cpu_now(pid) - before) / (time.monotonic() - start) * 100


def top(_place):
    with topics(100, 30), watching() as pid:
        shares = spread(list(shares_of(pid)), "% of a core")
        row("`top` on 100 topics of 30 frames a second", shares, "a look each second")


def serve(_place):
    with topics(100, 30), serving() as pid:
        shares = spread(list(shares_of(pid)), "% of a core")
        row("`serve`, asked for 100 topics of 30 frames a second", shares, "each second, without pictures")


def page(place):
    """The page as a browser has it, which takes its time from the same cores; and `serve` with nobody looking."""
    from browser import Browser

    with topics(91, 30), pictures(9, place), started() as (pid, address):
        row("`serve` with 100 topics, nobody looks", spread(list(shares_of(pid)), "% of a core", 2))
        browser = Browser(place / "profile")
        try:
            browser.resize((1280, 800))
            browser.call("Page.navigate", url=address)
            browser.wait("document.querySelectorAll('.card').length === 100")
            browser.wait("document.querySelectorAll('.card .shown').length === 9")
            row("the same, its page open", spread(list(shares_of(pid)), "% of a core"), "9 topics with pictures")
        finally:
            browser.close()


def made(address):
    """Pictures that `serve` has made."""
    with urllib.request.urlopen(address + "metrics") as answer:
        lines = answer.read().decode().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("shmflow_serve_pictures_total ")))


def drain(url):
    """Reads all of a stream of pictures, as a viewer does, until the server ends."""
    with contextlib.suppress(OSError, http.client.HTTPException), urllib.request.urlopen(url) as stream:
        while stream.read(1 << 16):
            pass


def picture(place):
    """Processor time of `serve` for each picture that it makes, with sending it to its viewers."""
    sender = subprocess.Popen(
        [SHMFLOW, "send", "hd", hd_frame(place), "--caps", HD, "--rate", "10", "--loop"], stderr=subprocess.DEVNULL
    )
    try:
        while subprocess.run([SHMFLOW, "info", "hd"], capture_output=True).returncode != 0:
            time.sleep(0.1)
        for what, query, count in [
            ("one viewer", "", 1),
            ("five viewers", "", 5),
            ("one viewer, at most 640 x 480", "?size=small", 1),
        ]:
            times = []
            with started() as (pid, address):
                url = f"{address}topics/hd.mjpg{query}"
                viewers = [threading.Thread(target=drain, args=(url,)) for _ in range(count)]
                for viewer in viewers:
                    viewer.start()
                time.sleep(2)
                for _ in range(5):
                    before, first = cpu_now(pid), made(address)
                    time.sleep(5)
                    times.append((cpu_now(pid) - before) * 1000 / (made(address) - first))
            for viewer in viewers:
                viewer.join()
            row(f"`serve`: a picture of 1080p, 10 a second, {what}", spread(times, "ms"), "processor time")
    finally:
        sender.terminate()
        sender.wait()


def producer(place):
    """What publishing costs one of 101 producers, while nobody looks at them, `top` does, or `serve` is asked."""
    program = place / "publish"
    subprocess.run(
        [
            "cc",
            "-O2",
            ROOT / "benches/cli/publish.c",
            f"-I{ROOT}/capi/include",
            f"-L{BUILD}",
            "-lshmflow",
            "-o",
            program,
        ],
        check=True,
    )
    # Under the name that programs look for once it is installed.
    (place / "libshmflow.so.0").symlink_to(BUILD / "libshmflow.so")
    environment = {**os.environ, "LD_LIBRARY_PATH": str(place)}
    process = subprocess.Popen(
        [program, "publish"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    )

    def measured():
        process.stdin.write("\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    alone, beside = [], {"top": [], "serve": []}
    with topics(100, 30):
        measured()
        for _ in range(20):
            alone.append(statistics.mean(measured() for _ in range(10)))
            # They look once a second, and so at least once in the time of ten windows.
            for name, watcher in (("top", watching), ("serve", serving)):
                with watcher():
                    beside[name].append(statistics.mean(measured() for _ in range(10)))
    process.stdin.close()
    process.wait()
    note = "processor time, means of a second, 20 times; beside 100 topics of 30 frames a second"
    row("publishing 64 bytes, nobody watches", spread(alone, "ns"), note)
    for name, watched in beside.items():
        row(f"publishing 64 bytes, `{name}` watches all", spread(watched, "ns"), "in turns with the row above")
        ratios = [there / here for here, there in zip(alone, watched, strict=True)]
        row("times as much as with nobody", spread(ratios, "", 3))


def plain(path, frames):
    """Writes so many frames to a file at 60 a second, and nothing else."""
    frame = bytes(os.urandom(1 << 16)) * (HD_BYTES // (1 << 16) + 1)
    view = memoryview(frame)[:HD_BYTES]
    before = resource.getrusage(resource.RUSAGE_SELF)
    begin = time.monotonic()
    with open(path, "wb", buffering=0) as file:
        for number in range(frames):
            time.sleep(max(0.0, begin + number / 60 - time.monotonic()))
            file.write(view)
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def recorded(place, depth, frames):
    """Records so many frames of a ring so deep: seconds of processor time, and how many frames were lost."""
    source = place / "source.raw"
    if not source.exists():
        source.write_bytes(os.urandom(HD_BYTES) * 3)
    sender = subprocess.Popen(
        [SHMFLOW, "send", "film", source, "--caps", HD, "--rate", "60", "--loop", "--max-buffers", str(depth)],
        stderr=subprocess.DEVNULL,
    )
    target, report = place / "run.mcap", place / "report.json"
    try:
        with open(report, "w") as out:
            command = [SHMFLOW, "record", "film", "-o", target, "--wait", "-n", str(frames), "--json"]
            busy = cpu_of(command, stdout=out)
    finally:
        sender.terminate()
        sender.wait()
    assert target.stat().st_size > frames * HD_BYTES
    target.unlink()
    # The last line is the summary.
    said = json.loads(report.read_text().splitlines()[-1])
    return busy, sum(topic["lost"] for topic in said["topics"])


def record(place):
    """As deep as rings are by default, and, where frames are lost by that, deeper until none is."""
    frames = 240
    for depth in (8, 16, 32, 64):
        ratios, busy, written, lost = [], [], [], []
        for _ in range(5):
            took, missed = recorded(place, depth, frames)
            busy.append(took)
            lost.append(missed)
            file = place / "plain"
            code = [sys.executable, __file__, "plain", str(file), str(frames)]
            written.append(float(subprocess.run(code, check=True, capture_output=True, text=True).stdout))
            file.unlink()
            ratios.append(busy[-1] / written[-1])
        note = "nothing lost" if not any(lost) else f"lost frames of {frames}, each time: {lost}"
        what = f"`record` of 1080p60 (187 MB/s), 4 s, to tmpfs, a ring {depth} deep"
        row(what, spread(busy, "s of processor time", 2), note)
        row("a plain `write` of the same bytes at the same pace", spread(written, "s of processor time", 2))
        row("ratio of the two", spread(ratios, "", 2), "in turns")
        if not any(lost):
            break


def main():
    if sys.argv[1:2] == ["plain"]:
        return plain(sys.argv[2], int(sys.argv[3]))
    all_parts = {
        "grab": grab,
        "top": top,
        "serve": serve,
        "page": page,
        "picture": picture,
        "producer": producer,
        "record": record,
    }
    wanted = sys.argv[1:] or list(all_parts)
    for name in wanted:
        if name not in all_parts:
            sys.exit(f"bench: {name} is none of {', '.join(all_parts)}")
    # What was started ends with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    place = Path(tempfile.mkdtemp(prefix="shmflow-bench-", dir="/dev/shm"))
    os.environ["SHMFLOW_DIR"] = str(place)
    try:
        print("| what | median (least to greatest) | |\n|---|---|---|")
        for name in wanted:
            all_parts[name](place)
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
