"""The golden files that pin the metadata, read through this package."""

import json
from pathlib import Path

import pytest
import shmflow
from conftest import overwrite_metadata

GOLDEN = Path(__file__).resolve().parents[2] / "ring/tests/golden/meta"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.bin"))


def test_the_golden_files_are_there():
    assert len(NAMES) > 20 and sum(name.startswith("bad_") for name in NAMES) > 10


# As much as the layouts of the files say.
PAYLOAD = bytes(4 << 20)
BAD = [name for name in NAMES if name.startswith("bad_")]


def golden(name):
    return (GOLDEN / f"{name}.bin").read_bytes(), json.loads((GOLDEN / f"{name}.json").read_text())


@pytest.mark.parametrize("name", BAD)
def test_a_block_that_says_nothing_is_neither_written_nor_believed(directory, name):
    block, expected = golden(name)
    producer = shmflow.Producer("t", metadata_capacity=1 << 16)
    consumer = shmflow.Consumer("t")
    with pytest.raises(shmflow.MetadataError) as error:
        producer.write(b"payload", metadata=block)
    assert expected["error"] in str(error.value) and producer.stats["published"] == 0
    producer.write(b"payload", pts=1)
    overwrite_metadata(directory / "shmflow.t.ring", block)
    frame = consumer.recv(30)
    assert (bytes(frame), frame.metadata_bytes) == (b"payload", block)
    for read in (lambda: frame.metadata, lambda: frame.pts, lambda: frame.caps, lambda: frame.array):
        with pytest.raises(shmflow.MetadataError) as error:
            read()
        assert str(error.value) == expected["error"]
    assert "unusable metadata" in repr(frame)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in BAD])
def test_a_block_means_what_its_golden_file_says(directory, name):
    block, expected = golden(name)
    producer = shmflow.Producer("t", slot_capacity=len(PAYLOAD), depth=2)
    consumer = shmflow.Consumer("t")
    producer.write(PAYLOAD, metadata=block)
    frame = consumer.recv(30)
    assert (bytes(frame), frame.metadata_bytes) == (PAYLOAD, block)
    found = frame.metadata
    assert found is not None
    found["extensions"] = [{"type": kind, "hex": data.hex()} for kind, data in found["extensions"]]
    assert found == expected
    times = (frame.pts, frame.capture_time, frame.clock, frame.duration, frame.caps)
    assert times == tuple(expected[key] for key in ("pts", "capture_ns", "clock", "duration", "caps"))
    assert frame.flags == set(expected["flags"]) and frame.crop == expected["crop"]
    # Written again from the dictionary, it says the same.
    producer.write(PAYLOAD, metadata=frame.metadata)
    assert consumer.recv(30).metadata == frame.metadata
