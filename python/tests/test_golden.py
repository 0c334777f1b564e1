"""The golden files that pin the metadata, read through this package."""

import json
from pathlib import Path

import pytest
import shmflow

GOLDEN = Path(__file__).resolve().parents[2] / "ring/tests/golden/meta"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.bin"))


def test_the_golden_files_are_there():
    assert len(NAMES) > 20 and sum(name.startswith("bad_") for name in NAMES) > 10


@pytest.mark.parametrize("name", NAMES)
def test_a_block_means_what_its_golden_file_says(directory, name):
    block = (GOLDEN / f"{name}.bin").read_bytes()
    expected = json.loads((GOLDEN / f"{name}.json").read_text())
    producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t")
    producer.write(b"payload", metadata=block)
    frame = consumer.recv(30)
    assert (bytes(frame), frame.metadata_bytes) == (b"payload", block)
    if "error" in expected:
        for read in (lambda: frame.metadata, lambda: frame.pts, lambda: frame.caps, lambda: frame.array):
            with pytest.raises(shmflow.MetadataError) as error:
                read()
            assert str(error.value) == expected["error"]
        assert "unusable metadata" in repr(frame)
        return
    found = frame.metadata
    assert found is not None
    found["extensions"] = [{"type": kind, "hex": data.hex()} for kind, data in found["extensions"]]
    assert found == expected
    times = (frame.pts, frame.capture_time, frame.clock, frame.duration, frame.caps)
    assert times == tuple(expected[key] for key in ("pts", "capture_ns", "clock", "duration", "caps"))
    assert frame.flags == set(expected["flags"]) and frame.crop == expected["crop"]
    # Written again from the dictionary, it says the same.
    producer.write(b"payload", metadata=frame.metadata)
    assert consumer.recv(30).metadata == frame.metadata
