"""Runs the conformance programs, each with each, and holds what they say against what was written.

Usage: run.py [--refused | --each-refuses] NAME=COMMAND...   for example: rust=target/debug/examples/conformance 'c=build/peer'

Names begin with a language (rust, c, python, gst); what is after an @ names a build, as in `c@old`. With builds, only programs of
different builds are paired. With --refused, a topic of another layout version is made, and every program has to say so; with --each-refuses, the builds are of
different layouts, and each has to refuse the topics of the other.
"""

from __future__ import annotations

import collections
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cases import Case, Frame, Word, cases

# What a program in a language cannot know: see README.md.
UNKNOWN = {"gst": {"seq", "kind", "capture"}}


class Peer:
    """A conformance program."""

    def __init__(self, name: str, command: str) -> None:
        self.name, self.build = name, name.partition("@")[2]
        self.language = name.partition("@")[0].partition("-")[0]
        self.process = subprocess.Popen(shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, verb: str, words: list[Word] = ()) -> None:
        self.process.stdin.write("\t".join([verb, *(f"{key}={value}" for key, value in words)]) + "\n")
        self.process.stdin.flush()

    def hear(self) -> tuple[list[str], str | None]:
        """The lines up to `ok`, or to an error, and that."""
        lines = []
        for text in self.process.stdout:
            line = text.rstrip("\n")
            if line == "ok":
                return lines, None
            if line.startswith("error\t"):
                return lines, line.removeprefix("error\t")
            lines.append(line)
        raise SystemExit(f"conformance: {self.name} ended: {self.process.wait()}")

    def ask(self, verb: str, words: list[Word] = ()) -> list[str]:
        self.tell(verb, words)
        lines, error = self.hear()
        if error is not None:
            raise SystemExit(f"conformance: {self.name}, {verb}: {error}")
        return lines

    def quit(self) -> None:
        self.process.stdin.close()
        if self.process.wait(60) != 0:
            raise SystemExit(f"conformance: {self.name} ended badly")


def parsed(words: list[Word], without: set[str]) -> dict[str, list[str]]:
    all_of: dict[str, list[str]] = collections.defaultdict(list)
    for key, value in words:
        if key not in without:
            all_of[key].append(str(value))
    return dict(all_of)


def differences(expected: Frame, line: str, without: set[str], first: int) -> list[str]:
    found = parsed([tuple(word.split("=", 1)) for word in line.split("\t")[1:]], without | {"seq"})
    # Times are told from the first frame on that was read.
    base = first if first else 0
    wanted = [
        (key, value - base if key in ("pts", "dts", "capture") and isinstance(value, int) else value)
        for key, value in expected.said
    ]
    expected_words = parsed(wanted, without)
    keys = sorted(expected_words.keys() | found.keys())
    return [
        f"{key}: written {expected_words.get(key, '–')}, read {found.get(key, '–')}"
        for key in keys
        if expected_words.get(key) != found.get(key)
    ]


def mended(peer: Peer) -> set[str]:
    """What programs of another build get wrong that are mended in this one: CONFORMANCE_MENDED, as `c@old=dts,offset gst@old=tags`."""
    of_all = dict(one.split("=") for one in os.environ.get("CONFORMANCE_MENDED", "").split())
    return set(of_all.get(peer.name, "").split(",")) - {""}


def held_against(case: Case, producer: Peer, consumer: Peer, lines: list[str]) -> list[str]:
    without = UNKNOWN.get(consumer.language, set()) | case.unknown.get("any", set())
    without = without | mended(producer) | mended(consumer)
    if producer.language == "gst":
        without = without | case.unknown.get("from gst", set())
    if consumer.language == "gst":
        without = without | case.unknown.get("to gst", set())
    frames = case.frames[case.missed :]
    first = dict(frames[0].said).get("pts", 0)
    if len(lines) != len(frames):
        return [f"{len(frames)} frames were written, {len(lines)} read"]
    wrong = []
    for number, (frame, line) in enumerate(zip(frames, lines, strict=True)):
        wrong += [f"frame {number}: {what}" for what in differences(frame, line, without, first)]
    numbers = [int(word[4:]) for line in lines for word in line.split("\t") if word.startswith("seq=")]
    if numbers and numbers != list(range(case.missed + 1, len(case.frames) + 1)):
        wrong.append(f"sequence numbers {numbers}")
    return wrong


def run(case: Case, producer: Peer, consumers: list[Peer], topic: str) -> list[str]:
    """One producer writes, all consumers read; what is wrong with what they say."""
    before = len(case.frames) if case.before is None else case.before
    producer.ask("open", [("topic", topic), *case.settings.items()])
    for frame in case.frames[:before]:
        producer.ask("frame", frame.told)
    for consumer in consumers:
        consumer.ask("join", [("topic", topic)])
    lines: dict[str, list[str]] = {consumer.name: [] for consumer in consumers}
    already = before - case.missed
    for consumer in consumers:
        lines[consumer.name] += consumer.ask("take", [("count", already)])
    rest = case.frames[before:]
    # All at once: a lossless producer waits until they are read.
    for frame in rest:
        producer.tell("frame", frame.told)
    if rest:
        for consumer in consumers:
            consumer.tell("take", [("count", len(rest))])
        for _ in rest:
            _, error = producer.hear()
            if error is not None:
                return [f"{producer.name}, frame: {error}"]
        for consumer in consumers:
            more, error = consumer.hear()
            lines[consumer.name] += more
            if error is not None:
                return [f"{consumer.name}, take: {error}"]
    producer.ask("end")
    for consumer in consumers:
        consumer.ask("ended")
        consumer.ask("leave")
    producer.ask("close")
    wrong = []
    for consumer in consumers:
        for what in held_against(case, producer, consumer, lines[consumer.name]):
            wrong.append(f"{case.name}: {producer.name} to {consumer.name}: {what}")
    return wrong


def start(commands: list[str]) -> list[Peer]:
    return [Peer(*command.split("=", 1)) for command in commands]


def matrix(commands: list[str], directory: Path) -> int:
    producers, consumers = start(commands), start(commands)
    builds = {peer.build for peer in producers}
    wrong, pairs, began = [], 0, time.monotonic()
    for case in cases():
        for producer in producers:
            if case.producers is not None and producer.language not in case.producers:
                continue
            with_it = [one for one in consumers if len(builds) == 1 or one.build != producer.build]
            wrong += run(case, producer, with_it, f"{case.name}/{producer.name}")
            pairs += len(with_it)
    for peer in producers + consumers:
        peer.quit()
    left = [path.name for path in directory.iterdir()]
    wrong += [f"left behind: {name}" for name in left]
    for what in wrong:
        print(what)
    took = time.monotonic() - began
    names = ", ".join(peer.name for peer in producers)
    print(f"conformance: {names}: {len(cases())} cases, {pairs} pairs, {len(wrong)} differences ({took:.1f} s)")
    return 1 if wrong else 0


def main() -> int:
    arguments = sys.argv[1:]
    directory = Path(tempfile.mkdtemp(prefix="shmflow-conformance-", dir="/dev/shm"))
    os.environ["SHMFLOW_DIR"] = str(directory)
    try:
        if arguments[:1] == ["--refused"]:
            from refused import refused

            return refused(start(arguments[1:]), directory)
        if arguments[:1] == ["--each-refuses"]:
            from refused import each_refuses

            return each_refuses(start(arguments[1:]), directory)
        return matrix(arguments, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
