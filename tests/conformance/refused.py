"""Topics of another layout version: every program, and the command, says so in a sentence."""

from __future__ import annotations

import os
import re
import struct
import subprocess
from pathlib import Path

from cases import picture

VERSION_AT = 8
# Every file of a topic begins with a magic number and the version of the layout (docs/layout.md).
FILES = "peers", "ring", "holds"


def ours(directory: Path, topic: str) -> int:
    return struct.unpack_from("<Q", (directory / f"shmflow.{topic}.peers").read_bytes(), VERSION_AT)[0]


def set_version(directory: Path, topic: str, version: int) -> None:
    for path in directory.glob(f"shmflow.{topic}.*"):
        if path.name.split(".")[2] in FILES:
            with path.open("r+b") as file:
                file.seek(VERSION_AT)
                file.write(struct.pack("<Q", version))


def says(text: str, topic: str, theirs: int, mine: int) -> list[str]:
    """What a refusal lacks."""
    needed = {
        "the topic": topic,
        "its version": rf"version {theirs}\b",
        "this build's version": rf"version {mine}\b",
        "what to do": "same version of shmflow in all processes",
    }
    return [what for what, pattern in needed.items() if not re.search(pattern, text)]


def asked(peer, verb: str, words, then: str, more) -> str:
    """What a program says that is refused; an element opens its topic with the first frame."""
    peer.tell(verb, words)
    _, error = peer.hear()
    if error is None:
        peer.tell(then, more)
        _, error = peer.hear()
    peer.tell("leave" if verb == "join" else "close")
    peer.hear()
    return error or "nothing: it was not refused"


def of_the_command(directory: Path, topic: str) -> dict[str, str]:
    command = os.environ["SHMFLOW"]
    runs = {"ls": ["ls"], "info": ["info", topic], "echo": ["echo", topic], "gc": ["gc"], "doctor": ["doctor"]}
    said = {}
    for name, arguments in runs.items():
        done = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=60)
        said[f"shmflow {name}"] = done.stdout + done.stderr
    return said


def refused(peers, directory: Path) -> int:
    topic, writer = "other", peers[0]
    frame = [("seed", 0), ("length", 8), ("bare", 1)]
    writer.ask("open", [("topic", topic), ("persistent", 1)])
    writer.ask("frame", frame)
    writer.ask("close")
    mine, wrong = ours(directory, topic), []
    for theirs in (mine - 1, mine + 1):
        set_version(directory, topic, theirs)
        before = {path.name: path.read_bytes() for path in directory.iterdir()}
        said = of_the_command(directory, topic)
        for peer in peers:
            said[f"{peer.name}, reading"] = asked(peer, "join", [("topic", topic)], "take", [("count", 1)])
            said[f"{peer.name}, writing"] = asked(peer, "open", [("topic", topic)], "frame", frame)
        for who, text in said.items():
            lacking = says(text, topic, theirs, mine)
            if lacking:
                wrong.append(f"version {theirs}: {who} does not say {', '.join(lacking)}: {text}")
        after = {path.name: path.read_bytes() for path in directory.iterdir()}
        if after != before:
            wrong.append(f"version {theirs}: the topic's files were changed by those that it refuses")
    for peer in peers:
        peer.quit()
    for what in wrong:
        print(what)
    print(f"refusals: layouts {mine - 1} and {mine + 1} beside {mine}: {len(wrong)} that do not say so")
    return 1 if wrong else 0


def each_refuses(peers, directory: Path) -> int:
    """Builds of different layouts: whoever comes second, to read or to write, says so."""
    wrong, pairs = [], 0
    versions: dict[str, int] = {}
    # What the oldest carry, too.
    frame = picture(0, "GRAY8", (16, 4), [(0, 16)], 64).told
    able = []
    for writer in peers:
        topic = f"of/{writer.name}"
        try:
            writer.ask("open", [("topic", topic), ("persistent", 1)])
            writer.ask("frame", frame)
            writer.ask("close")
        except SystemExit as why:
            if not writer.build:
                raise
            # What this program asks for came later than that build.
            print(f"left out: {why}")
            writer.process.kill()
            continue
        able.append(writer)
        versions[writer.build] = ours(directory, topic.replace("/", "%2F").replace("@", "%40"))
    peers = able
    if len(versions) < 2:
        raise SystemExit("conformance: no program can be run with the other build")
    for writer in peers:
        topic = f"of/{writer.name}"
        for other in peers:
            if other.build == writer.build:
                continue
            theirs, mine = versions[writer.build], versions[other.build]
            for who, text in {
                "reading": asked(other, "join", [("topic", topic)], "take", [("count", 1)]),
                "writing": asked(other, "open", [("topic", topic)], "frame", frame),
            }.items():
                pairs += 1
                lacking = says(text, topic, theirs, mine)
                if lacking:
                    wrong.append(f"{other.name}, {who} a topic of {writer.name}: no {', '.join(lacking)} in: {text}")
    for peer in peers:
        peer.quit()
    for what in wrong:
        print(what)
    print(f"refusals: layouts {sorted(versions.values())}: {pairs} asked, {len(wrong)} that do not say so")
    return 1 if wrong else 0
