"""What hangs on a frame: plain values, there and back, and to and from GStreamer's metas."""

import pytest
import shmflow

EVERYTHING = {
    "regions": [
        {
            "kind": "face",
            "x": 1,
            "y": 2,
            "width": 3,
            "height": 4,
            "id": 5,
            "parent_id": -1,
            "params": ["detection, confidence=(double)0.5"],
        }
    ],
    "detections": [
        {"label": "person", "score": 0.75, "x": -4, "y": 5, "width": 20, "height": 30, "rotation": 0.25},
        {"classes": [("adult", 0.75), ("child", 0.25)]},
        {"track_id": 7, "first_seen": 1, "last_seen": None, "lost": True},
        {"kind_number": 99, "data": b"8 bytes."},
    ],
    "relations": [(0, 1, "contains"), (1, 0, "is-part-of"), (2, 0, "relates-to"), (0, 0, 24)],
    "time_codes": [
        {
            "fps": [30000, 1001],
            "flags": 1,
            "hours": 10,
            "minutes": 59,
            "seconds": 59,
            "frames": 29,
            "field_count": 0,
            "daily_jam": (1_700_000_000_000_001, -3600),
        }
    ],
    "captions": [{"kind": 3, "data": b"\xfc\x94\x2c"}],
    "reference_timestamps": [
        {"reference": "timestamp/x-ntp", "timestamp": 2**63, "duration": None, "info": "x, a=(int)1"}
    ],
    "active_formats": [
        {"field": 0, "spec": 2, "code": 8},
        {"field": 1, "is_letterbox": True, "first": 60, "second": 1020},
    ],
    "audio_levels": [{"level": 31, "voice": True}],
    "custom_metas": [{"name": "app", "structure": "app, x=(int)1"}],
    "tags": [{"text": "taglist, title=(string)film", "is_global": True}],
}


@pytest.fixture
def pair(directory):
    return shmflow.Producer("t"), shmflow.Consumer("t")


def test_everything_comes_back_as_it_was(pair):
    producer, consumer = pair
    producer.write(b"x", metadata=EVERYTHING)
    frame = consumer.recv(30)
    assert frame.attached == EVERYTHING
    assert frame.regions == EVERYTHING["regions"]
    assert frame.detections == EVERYTHING["detections"]
    assert frame.relations == EVERYTHING["relations"]
    # Passed on with the rest, and with some of it replaced.
    producer.write(frame, metadata=frame.metadata)
    assert consumer.recv(30).attached == EVERYTHING
    producer.write(frame, metadata={"regions": [], **frame.metadata})
    assert consumer.recv(30).attached == {**EVERYTHING, "regions": []}


def test_what_may_be_left_out_has_a_default(pair):
    producer, consumer = pair
    box = {"x": 1, "y": 2, "width": 3, "height": 4}
    producer.write(b"x", metadata={"regions": [{"kind": "a", **box}], "detections": [{"label": "b", **box}]})
    frame = consumer.recv(30)
    assert frame.regions == [{"kind": "a", **box, "id": 0, "parent_id": 0, "params": []}]
    assert frame.detections == [{"label": "b", "score": 1.0, **box, "rotation": 0.0}]
    producer.write(b"x")
    assert not any(consumer.recv(30).attached.values())


@pytest.mark.parametrize(
    ("metadata", "what"),
    [
        ({"regions": [{"kind": "a"}]}, "missing"),
        ({"regions": [{"kind": "a", "x": -1, "y": 0, "width": 1, "height": 1}]}, "regions"),
        ({"regions": 7}, "regions"),
        ({"detections": [{}]}, "label"),
        ({"detections": [{"track_id": 1}], "relations": [(0, 1, "contains")]}, "not there"),
        ({"detections": [{"track_id": 1}], "relations": [(0, 0, "likes")]}, "likes"),
        ({"tags": [{"text": "a\0"}]}, "NUL"),
    ],
)
def test_what_cannot_be_said_is_an_error_that_names_it(pair, metadata, what):
    producer, _ = pair
    with pytest.raises(TypeError, match=what):
        producer.write(b"x", metadata=metadata)


def test_what_another_process_wrote_wrong_is_an_error_when_it_is_read(pair):
    producer, consumer = pair
    producer.write(b"x", metadata={"extensions": [(5, b"\xff" * 40), (15, b"\xff" * 40)]})
    frame = consumer.recv(30)
    for read in (lambda: frame.regions, lambda: frame.detections, lambda: frame.relations, lambda: frame.attached):
        with pytest.raises(shmflow.MetadataError):
            read()
    assert bytes(frame) == b"x"


def test_room_is_made_for_sixteen_mebibytes(pair):
    producer, consumer = pair
    for size in (10_000, 1_000_000, (16 << 20) - 200):
        producer.write(b"x", metadata={"extensions": [(0x8000, bytes(size))]})
        assert [len(data) for _, data in consumer.recv(30).metadata["extensions"]] == [size]
        with producer.frame(1, metadata={"extensions": [(0x8000, bytes(size))]}) as array:
            array[:] = 7
        assert len(consumer.recv(30).metadata["extensions"][0][1]) == size


@pytest.mark.parametrize(
    ("metadata", "kind"),
    [
        ({"caps": "video/x-h264, stream-format=byte-stream"}, "packet"),
        ({"caps": "application/x-rtp, media=video"}, "packet"),
        ({"caps": "application/x-robot-state"}, "bytes"),
        ({"caps": "audio/x-raw"}, "bytes"),
        ({"caps": "image/jpeg", "kind": "bytes"}, "bytes"),
        ({"pts": 1}, "bytes"),
        (
            {
                "audio": {
                    "format": "S16LE",
                    "rate": 8000,
                    "channels": 1,
                    "channel_mask": 0,
                    "samples": 2,
                    "planes": [],
                }
            },
            "audio",
        ),
    ],
)
def test_the_kind_of_a_frame_follows_from_what_it_says_of_itself(directory, metadata, kind):
    producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t")
    producer.write(b"four", metadata=metadata)
    assert consumer.recv(30).metadata["kind"] == kind
    caps = metadata.get("caps")
    if caps and "kind" not in metadata:
        shmflow.Producer("t", caps=caps).write(b"four")
        assert consumer.recv(30).metadata["kind"] == kind
