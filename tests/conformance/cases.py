"""The frames of the conformance test: what each producer is told to write, and what each consumer has to say of it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

# Bytes of a sample (or pair of samples) of each plane, and how much coarser it is than the picture, across and down.
SHAPES = {
    "BGRx": [(4, 0, 0)],
    "GRAY8": [(1, 0, 0)],
    "GRAY16_LE": [(2, 0, 0)],
    "NV12": [(1, 0, 0), (2, 1, 1)],
    "I420": [(1, 0, 0), (1, 1, 1), (1, 1, 1)],
}
KINDS = {"bytes": 0, "video": 1, "audio": 2, "packet": 3}
STEP = 40_000_000

Word = tuple[str, object]


@dataclass
class Frame:
    """The words for the producer, and those that a consumer has to say."""

    told: list[Word]
    said: list[Word]


@dataclass
class Case:
    name: str
    frames: list[Frame]
    # Words for `open`.
    settings: dict[str, int] = field(default_factory=lambda: {"depth": 16, "history": 16})
    # How many frames are written before the consumers join; the others while they read.
    before: int | None = None
    # The consumers that joined late have this many frames less.
    missed: int = 0
    # Producers that this system has no means for: only these are run.
    producers: set[str] | None = None
    # Words that a program in this role and language cannot know here.
    unknown: dict[str, set[str]] = field(default_factory=dict)


def payload(length: int, seed: int) -> bytes:
    return bytes((at * 7 + (at >> 8) * 13 + seed * 31) & 0xFF for at in range(length))


def pixels(format: str, width: int, height: int, fps: int = 25) -> str:
    return (
        f"video/x-raw, format=(string){format}, width=(int){width}, height=(int){height}, framerate=(fraction){fps}/1"
    )


def beside(n: int, *, dts: bool = False) -> list[Word]:
    """Times and offsets of the nth frame."""
    words: list[Word] = [("flags", "discont")] if n == 0 else []
    words += [("pts", n * STEP)]
    if dts:
        words += [("dts", n * STEP)]
    return [*words, ("duration", STEP), ("offset", n), ("offset_end", n + 1)]


def picture(
    n: int,
    format: str,
    size: tuple[int, int],
    planes: list[tuple[int, int]],
    length: int,
    *,
    crop: tuple[int, int, int, int] | None = None,
    extra: list[Word] | None = None,
    flags: str | None = None,
    layout_in_words: bool = True,
) -> Frame:
    seen = crop or (0, 0, *size)
    caps = pixels(format, seen[2], seen[3])
    times = [word for word in beside(n) if flags is None or word[0] != "flags"]
    times = [("flags", flags), *times] if flags else times
    told: list[Word] = [("seed", n), ("length", length), ("caps", caps), ("format", format), ("fps", 25), *times]
    told += [("width", size[0]), ("height", size[1])]
    if layout_in_words:
        told.append(("planes", ";".join(f"{at}:{stride}" for at, stride in planes)))
    if crop:
        told.append(("crop", ":".join(map(str, crop))))
    data, said = payload(length, n), []
    for (at, stride), (size_of, across, down) in zip(planes, SHAPES[format], strict=True):
        columns, rows = -(-seen[2] >> across), -(-seen[3] >> down)
        start = at + (seen[1] >> down) * stride + (seen[0] >> across) * size_of
        sum_of = 0
        for row in range(rows):
            sum_of = zlib.crc32(data[start + row * stride :][: columns * size_of], sum_of)
        said.append(("plane", f"{rows}:{columns * size_of}:{sum_of:08x}"))
    head: list[Word] = [("caps", caps), ("kind", KINDS["video"]), *times, ("capture", n * STEP)]
    return Frame(told + (extra or []), [*head, ("size", f"{seen[2]}x{seen[3]}"), *said, *(extra or [])])


def sound(n: int, sample: str, rate: int, channels: int, samples: int, *, planar: bool) -> Frame:
    size = int(sample[1:3]) // 8
    layout = "non-interleaved" if planar else "interleaved"
    caps = (
        f"audio/x-raw, format=(string){sample}, layout=(string){layout}, rate=(int){rate}, channels=(int){channels}, "
        "channel-mask=(bitmask)0x0000000000000003"
    )
    distance = size * samples + 64  # Room between the channels.
    length = channels * distance if planar else channels * size * samples
    told: list[Word] = [("seed", n), ("length", length), ("caps", caps), *beside(n), ("sample", sample), ("rate", rate)]
    told += [("channels", channels), ("samples", samples), ("mask", 3)]
    if planar:
        told.append(("offsets", ";".join(str(channel * distance) for channel in range(channels))))
    data = payload(length, n)
    said: list[Word] = [("caps", caps), ("kind", KINDS["audio"]), *beside(n), ("capture", n * STEP)]
    said.append(("audio", f"{sample}:{rate}:{channels}:{samples}:{'planar' if planar else 'interleaved'}"))
    for channel in range(channels):
        if planar:
            of_it = data[channel * distance :][: size * samples]
        else:
            at = range(channel * size, length, channels * size)
            of_it = b"".join(data[start : start + size] for start in at)
        said.append(("channel", f"{zlib.crc32(of_it):08x}"))
    return Frame(told, said)


def data(n: int, length: int, caps: str | None, kind: str, words: list[Word]) -> Frame:
    told: list[Word] = [("seed", n), ("length", length), *words]
    said: list[Word] = [("kind", KINDS[kind]), *words, ("bytes", f"{length}:{zlib.crc32(payload(length, n)):08x}")]
    pts = dict(words).get("pts")
    if pts is not None:
        said.append(("capture", pts))
    if caps is not None:
        told, said = [*told, ("caps", caps)], [("caps", caps), *said]
    return Frame(told, said)


def packets() -> list[Frame]:
    """A group of pictures in the order of decoding, with one that is shown before those that were decoded before it."""
    caps = "video/x-h264, stream-format=(string)byte-stream, alignment=(string)au"
    order = [
        (1, 0, "discont,header"),
        (3, 1, "delta-unit"),
        (2, 2, "delta-unit,droppable"),
        (4, 3, "marker,delta-unit"),
    ]
    frames = []
    for n, (shown, decoded, flags) in enumerate(order):
        words: list[Word] = [("flags", flags), ("pts", shown * STEP), ("dts", decoded * STEP), ("duration", STEP)]
        frames.append(data(n, 100 + 900 * n, caps, "packet", words))
    return frames


ATTACHED: list[Word] = [
    ("tags", "taglist, title=(string)film"),
    ("region", "face:10:20:16:12:3:-1"),
    ("region", "hand:1:2:3:4:5:3"),
    ("timecode", "25:1:0:10:59:58:24"),
    ("caption", "3:fc942c"),
    ("reference", "timestamp/x-ntp:3900000000000000000:40000000"),
    ("custom", "shmflow-conformance;shmflow-conformance, x=(int)7"),
]


def cases() -> list[Case]:
    padded = [(64, 128), (64 + 128 * 70, 128)]
    tight = [(0, 128)]
    thirds = [(32, 96), (32 + 96 * 50, 64), (32 + 96 * 50 + 64 * 26, 64)]
    whole = 64 + 128 * 70 + 128 * 36
    late = [picture(n, "GRAY8", (32, 16), [(0, 32)], 512) for n in range(12)]
    return [
        Case("plain", [picture(n, "BGRx", (32, 16), tight, 2048, layout_in_words=False) for n in range(3)]),
        Case(
            "nv12 with padding and crop",
            [picture(n, "NV12", (96, 64), padded, whole, crop=(8, 16, 64, 32)) for n in range(3)],
        ),
        Case("bgrx with padding", [picture(n, "BGRx", (33, 17), [(128, 160)], 128 + 160 * 17) for n in range(3)]),
        Case(
            "i420 of odd size with padding",
            [picture(n, "I420", (65, 49), thirds, 32 + 96 * 50 + 64 * 26 + 64 * 25) for n in range(3)],
        ),
        Case("16 bits", [picture(n, "GRAY16_LE", (40, 30), [(0, 96)], 96 * 30) for n in range(3)]),
        Case(
            "flags",
            [
                picture(n, "GRAY8", (32, 16), [(0, 32)], 512, flags=flags)
                for n, flags in enumerate(
                    [
                        "discont,interlaced,tff",
                        "gap,marker,resync",
                        "corrupted,droppable,live,interlaced",
                        "non-droppable",
                    ]
                )
            ],
        ),
        Case("sound, interleaved", [sound(n, "S16LE", 48_000, 2, 240, planar=False) for n in range(3)]),
        Case("sound, planar", [sound(n, "F32LE", 44_100, 2, 64, planar=True) for n in range(3)]),
        Case("packets", packets()),
        Case(
            "bytes with caps",
            [data(n, 33 + n, "application/x-robot-state", "bytes", beside(n)) for n in range(3)],
        ),
        Case(
            "bare bytes",
            [data(n, n * 1000, None, "bytes", [("bare", 1)]) for n in range(1, 4)],
            # What has no time gets that of its arrival; a sink knows when that was.
            unknown={"to gst": {"pts", "dts", "flags", "bare"}, "from gst": {"capture", "bare"}, "any": {"bare"}},
        ),
        Case(
            "everything that hangs on a frame",
            [picture(n, "BGRx", (32, 24), tight, 128 * 24, extra=ATTACHED) for n in range(3)],
        ),
        Case(
            "detections",
            [
                picture(
                    n,
                    "BGRx",
                    (32, 24),
                    tight,
                    128 * 24,
                    extra=[("detection", "person:0.5:4:20:8:4"), ("detection", "car:0.25:1:2:3:4")],
                )
                for n in range(3)
            ],
            # A sink of GStreamer 1.22 has no form for detections.
            producers={"rust", "c", "python"},
        ),
        Case(
            "entries of an application",
            [picture(n, "BGRx", (32, 24), tight, 128 * 24, extra=[("private", "32768:00ff10")]) for n in range(3)],
            producers={"rust", "c", "python"},
            unknown={"to gst": {"private"}},
        ),
        Case(
            "the format changes, and frames grow",
            [
                picture(0, "BGRx", (32, 16), tight, 2048),
                picture(1, "GRAY8", (32, 16), [(0, 32)], 512),
                picture(2, "NV12", (640, 360), [(0, 640), (640 * 360, 640)], 640 * 540),
                picture(3, "BGRx", (640, 360), [(0, 2560)], 2560 * 360),
                picture(4, "BGRx", (32, 16), tight, 2048),
            ],
            before=1,
        ),
        Case(
            "lossless",
            [picture(n, "GRAY8", (32, 16), [(0, 32)], 512) for n in range(40)],
            settings={"depth": 4, "history": 4, "lossless": 1},
            before=1,
        ),
        # A source says that its first frame continues nothing.
        Case(
            "joined late",
            late,
            settings={"depth": 4, "history": 4},
            before=12,
            missed=8,
            unknown={"to gst": {"flags"}},
        ),
    ]
