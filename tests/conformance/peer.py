"""The conformance program in Python; README.md has what it is told and what it says."""

import sys
import time
import zlib

import numpy as np
import shmflow

PATIENCE = 60.0
PRIVATE = 0x8000


def payload(length: int, seed: int) -> bytes:
    at = np.arange(length, dtype=np.uint64)
    return ((at * 7 + (at >> 8) * 13 + seed * 31) & 0xFF).astype(np.uint8).tobytes()


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.replace(";", ":").split(":") if part]


def attached(words: dict[str, list[str]]) -> dict[str, object]:
    metadata: dict[str, object] = {}
    if "tags" in words:
        metadata["tags"] = [{"text": words["tags"][0]}]
    keys = ["x", "y", "width", "height", "id", "parent_id"]
    regions = [text.split(":", 1) for text in words.get("region", [])]
    metadata["regions"] = [{"kind": kind, **dict(zip(keys, numbers(rest), strict=True))} for kind, rest in regions]
    keys = ["hours", "minutes", "seconds", "frames"]
    codes = [numbers(text) for text in words.get("timecode", [])]
    metadata["time_codes"] = [
        {"fps": code[:2], "flags": code[2], **dict(zip(keys, code[3:], strict=True))} for code in codes
    ]
    captions = [text.split(":") for text in words.get("caption", [])]
    metadata["captions"] = [{"kind": int(kind), "data": bytes.fromhex(data)} for kind, data in captions]
    clocks = [text.split(":") for text in words.get("reference", [])]
    metadata["reference_timestamps"] = [
        {"reference": caps, "timestamp": int(at), "duration": int(duration)} for caps, at, duration in clocks
    ]
    custom = [text.split(";", 1) for text in words.get("custom", [])]
    metadata["custom_metas"] = [{"name": name, "structure": structure} for name, structure in custom]
    keys = ["x", "y", "width", "height"]
    found = [text.split(":", 2) for text in words.get("detection", [])]
    metadata["detections"] = [
        {"label": label, "score": float(score), **dict(zip(keys, numbers(box), strict=True))}
        for label, score, box in found
    ]
    private = [text.split(":") for text in words.get("private", [])]
    metadata["extensions"] = [(int(kind), bytes.fromhex(data)) for kind, data in private]
    return metadata


class Peer:
    def __init__(self) -> None:
        self.settings: dict[str, object] = {}
        self.producer: shmflow.Producer | None = None
        self.consumer: shmflow.Consumer | None = None
        self.started = 0
        self.first: dict[str, int] = {}

    def open(self, words: dict[str, list[str]]) -> None:
        number = {key: int(words[key][0]) for key in ("depth", "history", "persistent", "lossless") if key in words}
        self.settings = {"topic": words["topic"][0], "depth": number.get("depth", 8)}
        if number.get("history"):
            self.settings["history"] = number["history"]
        self.settings["persistent"] = bool(number.get("persistent"))
        self.settings["overflow_policy"] = "lossless" if number.get("lossless") else "overwrite"
        self.started = time.monotonic_ns()
        self.producer = None
        self.producer = shmflow.Producer(**self.settings)

    def frame(self, words: dict[str, list[str]]) -> None:
        one = {key: values[0] for key, values in words.items()}
        data = payload(int(one["length"]), int(one["seed"]))
        if "bare" in one:
            self.producer.write(data)
            return
        if "format" in one and "planes" not in one:
            # A producer of pictures, which makes the caps by itself.
            if self.producer.shape is None:
                numbers_of = {key: int(one[key]) for key in ("width", "height", "fps")}
                before, self.producer = (
                    self.producer,
                    shmflow.Producer(format=one["format"], **numbers_of, **self.settings),
                )
                before.close()
            del one["caps"]
        names = ("pts", "dts", "duration", "offset", "offset_end")
        metadata: dict[str, object] = {key: int(one[key]) for key in names if key in one}
        metadata["flags"] = one["flags"].split(",") if "flags" in one else []
        if "caps" in one:
            metadata["caps"] = one["caps"]
        if "planes" in one:
            planes = numbers(one["planes"])
            metadata["video"] = {
                "format": one["format"],
                "width": int(one["width"]),
                "height": int(one["height"]),
                "fps": [int(one["fps"]), 1],
                "planes": [
                    {"offset": at, "stride": stride} for at, stride in zip(planes[::2], planes[1::2], strict=True)
                ],
            }
            if "crop" in one:
                metadata["crop"] = dict(zip(["x", "y", "width", "height"], numbers(one["crop"]), strict=True))
        elif "sample" in one:
            metadata["audio"] = {
                "format": one["sample"],
                "rate": int(one["rate"]),
                "channels": int(one["channels"]),
                "channel_mask": int(one.get("mask", "0")),
                "samples": int(one["samples"]),
                "planes": numbers(one.get("offsets", "")),
            }
        captured = self.started + int(one["pts"]) if "pts" in one else None
        if captured is None:
            metadata["capture_ns"], metadata["clock"] = None, "unknown"
        self.producer.write(data, capture_time=captured, metadata={**metadata, **attached(words)})

    def end(self, _: object) -> None:
        self.producer.end()

    def close(self, _: object) -> None:
        if self.producer is not None:
            self.producer.close()

    def join(self, words: dict[str, list[str]]) -> None:
        self.first, self.consumer = {}, None
        self.consumer = shmflow.Consumer(words["topic"][0], connect_timeout=0)

    def take(self, words: dict[str, list[str]]) -> None:
        for _ in range(int(words["count"][0])):
            with self.consumer.recv(PATIENCE) as frame:
                print("\t".join(["frame", *(f"{key}={value}" for key, value in self.told(frame))]))

    def ended(self, _: object) -> None:
        try:
            frame = self.consumer.recv(PATIENCE)
        except shmflow.Ended:
            return
        raise RuntimeError(f"instead of the end came {frame!r}")

    def leave(self, _: object) -> None:
        if self.consumer is not None:
            self.consumer.close()

    def told(self, frame: shmflow.Frame):
        metadata = frame.metadata or {"kind_number": 0, "flags": []}
        yield "seq", frame.seq
        if frame.lost_before:
            yield "lost", frame.lost_before
        if frame.caps is not None:
            yield "caps", frame.caps
        yield "kind", metadata["kind_number"]
        if metadata["flags"]:
            yield "flags", ",".join(metadata["flags"])
        for key, name, of in (("pts", "pts", "pts"), ("dts", "dts", "pts"), ("capture", "capture_ns", "capture")):
            value = metadata.get(name)
            if value is not None:
                yield key, value - self.first.setdefault(of, value)
        for key in ("duration", "offset", "offset_end"):
            if metadata.get(key) is not None:
                yield key, metadata[key]
        if metadata.get("video"):
            yield "size", f"{frame.width}x{frame.height}"
            planes = frame.planes.values()
            for plane in planes:
                rows = np.ascontiguousarray(plane).view(np.uint8).reshape(plane.shape[0], -1)
                yield "plane", f"{rows.shape[0]}:{rows.shape[1]}:{zlib.crc32(rows.tobytes()):08x}"
        elif metadata.get("audio"):
            yield from sound(frame, metadata["audio"])
        else:
            yield "bytes", f"{len(frame)}:{zlib.crc32(frame.payload):08x}"
        if frame.metadata is not None:
            yield from hung(frame)


def sound(frame: shmflow.Frame, audio: dict):
    size, count = int("".join(c for c in audio["format"][1:3] if c.isdigit())) // 8, audio["samples"]
    layout = "planar" if audio["planes"] else "interleaved"
    yield "audio", f"{audio['format']}:{audio['rate']}:{audio['channels']}:{count}:{layout}"
    data = np.frombuffer(bytes(frame), np.uint8)
    for channel in range(audio["channels"]):
        if audio["planes"]:
            at = audio["planes"][channel]
            samples = data[at : at + size * count]
        else:
            samples = data[: size * count * audio["channels"]].reshape(count, audio["channels"], size)[:, channel]
        yield "channel", f"{zlib.crc32(samples.tobytes()):08x}"


def hung(frame: shmflow.Frame):
    """What hangs on the frame."""
    there = frame.attached
    for one in there["tags"]:
        yield "tags", one["text"]
    for one in there["regions"]:
        keys = ("kind", "x", "y", "width", "height", "id", "parent_id")
        yield "region", ":".join(str(one[key]) for key in keys)
    for one in there["time_codes"]:
        parts = [*one["fps"], *(one[key] for key in ("flags", "hours", "minutes", "seconds", "frames"))]
        yield "timecode", ":".join(map(str, parts))
    for one in there["captions"]:
        yield "caption", f"{one['kind']}:{one['data'].hex()}"
    for one in there["reference_timestamps"]:
        yield "reference", f"{one['reference']}:{one['timestamp']}:{one['duration']}"
    for one in there["custom_metas"]:
        yield "custom", f"{one['name']};{one['structure']}"
    for one in there["detections"]:
        box = ":".join(str(one[key]) for key in ("x", "y", "width", "height"))
        yield "detection", f"{one['label']}:{one['score']:g}:{box}"
    for kind, data in frame.metadata["extensions"]:
        if kind >= PRIVATE:
            yield "private", f"{kind}:{data.hex()}"


def main() -> None:
    peer = Peer()
    for line in sys.stdin:
        verb, *rest = line.rstrip("\n").split("\t")
        words: dict[str, list[str]] = {}
        for word in rest:
            key, value = word.split("=", 1)
            words.setdefault(key, []).append(value)
        try:
            getattr(peer, verb)(words)
            print("ok", flush=True)
        except (shmflow.ShmflowError, RuntimeError) as error:
            print(f"error\t{error}", flush=True)


main()
