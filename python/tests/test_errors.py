"""Errors: their classes, and that they say what to do."""

import errno
import os
import subprocess
import sys
import time
import warnings

import pytest
import shmflow


def test_the_tree():
    for name in shmflow.errors.__all__:
        assert issubclass(getattr(shmflow, name), shmflow.ShmflowError)
    for name, standard in {
        "TopicNotFound": FileNotFoundError,
        "Timeout": TimeoutError,
        "PermissionDenied": PermissionError,
        "NoSpace": OSError,
        "SystemFailure": OSError,
        "Ended": EOFError,
        "ForkedError": RuntimeError,
        "InvalidArgument": ValueError,
        "FormatError": ValueError,
        "MetadataError": ValueError,
        "Closed": ValueError,
    }.items():
        assert issubclass(getattr(shmflow, name), standard)


def test_no_topic(directory):
    with pytest.raises(shmflow.TopicNotFound, match=f"no topic `t` in {directory}") as error:
        shmflow.Consumer("t", connect_timeout=0)
    assert error.value.errno == errno.ENOENT and str(error.value).startswith("there is no topic")
    with pytest.raises(shmflow.Timeout) as error:
        shmflow.Consumer("t", connect_timeout=0.02)
    assert error.value.errno == errno.ETIMEDOUT
    with pytest.raises(shmflow.TopicNotFound, match="/no/such/place"):
        shmflow.Consumer("t", connect_timeout=0, directory="/no/such/place")
    with pytest.raises(shmflow.TopicNotFound):
        shmflow.inspect("t")


def test_time_outs(directory):
    producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t", timeout=0.01)
    for wait in (lambda: consumer.recv(0), consumer.recv, lambda: next(consumer), lambda: list(consumer)):
        with pytest.raises(TimeoutError, match="`t`"):
            wait()
    producer.write(b"x")
    assert bytes(consumer.recv(0)) == b"x" and consumer.try_recv() is None


def test_no_space(directory):
    with pytest.raises(shmflow.NoSpace, match="bytes .* needed, .* free") as error:
        shmflow.Producer("t", slot_capacity=1 << 37)
    assert error.value.errno == errno.ENOSPC and error.value.needed > 1 << 37 and error.value.free < error.value.needed
    assert not list(directory.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_permissions(directory):
    producer = shmflow.Producer("t", perms=0o600)
    directory.chmod(0o755)
    code = (
        "import os, shmflow; os.setgid(65534); os.setuid(65534)\n"
        "try: shmflow.Consumer('t', connect_timeout=0, allow_foreign_owner=True)\n"
        "except PermissionError as error: print(type(error).__name__, error.errno, error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert said.stdout.startswith("PermissionDenied 13 permission denied: cannot "), said
    producer.close()


def test_bad_arguments(directory):
    for arguments, said in (
        ({"topic": ""}, "empty"),
        ({"topic": "a\nb"}, "control character"),
        ({"topic": "t", "start": "middle"}, 'start="middle": it must be one of "oldest", "newest"'),
        ({"topic": "t", "on_lapped": "x"}, "on_lapped"),
        ({"topic": "t", "timeout": -1}, "timeout=-1"),
        ({"topic": "t", "timeout": float("nan")}, "NaN"),
        ({"topic": "t", "caps": "audio/x-raw"}, "do not describe a frame"),
        ({"topic": "t", "format": "BGR"}, "format, width and height"),
        ({"topic": "t", "format": "bgr", "width": 1, "height": 1}, 'format="bgr" is not known'),
        ({"topic": "t", "accepted_caps": "x" * 9000}, "9000 bytes"),
    ):
        with pytest.raises(shmflow.InvalidArgument, match=said):
            shmflow.Consumer(connect_timeout=0, **arguments)
    for arguments, said in (
        ({"topic": "t", "width": 4}, "format, width and height"),
        ({"topic": "t", "fps": 4}, "format, width and height"),
        ({"topic": "t", "width": 0, "height": 4, "format": "BGR"}, "0x4"),
        ({"topic": "t", "width": 2**32 - 1, "height": 2**32 - 1, "format": "BGR"}, "cannot be laid out"),
        ({"topic": "t", "perms": 0o1777}, "0o1777"),
        ({"topic": "t", "overflow_policy": "keep"}, '"overwrite", "drop"'),
        ({"topic": "t", "caps": "video/x-raw,format=BGR"}, "a format, a width and a height"),
        ({"topic": "t", "caps": "a\0b"}, "NUL"),
    ):
        with pytest.raises(shmflow.InvalidArgument, match=said):
            shmflow.Producer(**arguments)
    with pytest.raises(OverflowError):
        shmflow.Producer("t", -1, 4, "BGR")
    producer = shmflow.Producer("t")
    for metadata, error in (
        ({"nonsense": 1}, TypeError),
        ({"flags": ["nonsense"]}, TypeError),
        ({"pts": -1}, TypeError),
        ({"video": {"format": "BGR"}}, TypeError),
        ([], TypeError),
        (b"x" * (17 << 20), shmflow.MetadataError),
        ({"caps": "x" * (17 << 20)}, shmflow.MetadataError),
        ({"video": {"format": "", "width": 1, "height": 1, "fps": [0, 1], "planes": []}}, shmflow.MetadataError),
    ):
        with pytest.raises(error):
            producer.write(b"x", metadata=metadata)
    assert producer.stats["published"] == 0 and shmflow.inspect("t")["claimed_slots"] == 0
    roomy = shmflow.Producer("roomy", metadata_capacity=8192)
    assert roomy.write(b"x", metadata={"caps": "x" * 5000}) == 1


def test_modes(directory):
    one = shmflow.Producer("t", mode="exclusive", name="the one")
    with pytest.raises(shmflow.InUse, match="the one"):
        shmflow.Producer("t")
    one.close()
    first = shmflow.Producer("t", mode="primary")
    second = shmflow.Producer("t", mode="primary")
    first.write(b"x")
    with pytest.raises(shmflow.Standby):
        second.write(b"x")
    first.close()
    assert second.write(b"x") == 2
    second.close()
    keeps = shmflow.Producer("t", overflow_policy="drop", depth=2, spare_slots=1)
    reader = shmflow.Consumer("t")
    with pytest.raises(shmflow.Full):
        for _ in range(9):
            keeps.write(b"x")
    assert keeps.stats["dropped"] == 1 and reader.recv(0).seq == 1


def test_a_topic_that_is_removed(directory):
    producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t")
    with pytest.raises(shmflow.InUse):
        shmflow.remove("t")
    assert shmflow.remove("t", force=True) > 0
    for use in (lambda: producer.write(b"x"), lambda: consumer.recv(30), lambda: list(consumer)):
        with pytest.raises(shmflow.Removed, match="`t`"):
            use()


def test_what_is_no_ring_is_refused(directory):
    shmflow.Producer("t", persistent=True).close()
    ring = directory / "shmflow.t.ring"
    ring.write_bytes(b"nonsense" * 10000)
    with pytest.raises(shmflow.Corrupt, match="is not a ring"):
        shmflow.Consumer("t")
    shmflow.remove("t", force=True)


def test_tools(directory):
    producer = shmflow.Producer("robot/cam0", 64, 48, "BGR", 25, depth=4, description="Front door")
    consumer = shmflow.Consumer("robot/cam0", name="me", accepted_caps="video/x-raw")
    producer.write(bytes(64 * 48 * 3))
    held = consumer.recv(30)
    assert shmflow.topics() == ["robot/cam0"] == shmflow.topics(directory)
    info = shmflow.inspect("robot/cam0")
    assert (info["topic"], info["published"], info["geometry"]["depth"], info["ended"]) == ("robot/cam0", 1, 4, False)
    assert info["directory"] == directory and info["geometry"]["slot_capacity"] >= 64 * 48 * 3
    assert (info["state"], info["what"], info["description"]) == ("live", "BGR 64×48 @ 25", "Front door")
    assert (info["format"], info["width"], info["height"], info["nominal_rate"]) == ("BGR", 64, 48, (25, 1))
    assert info["lossless"] is False and info["newest"]["seq"] == 1
    assert 0 <= time.monotonic_ns() - info["newest"]["published_ns"] < 30e9 and 0 <= info["newest"]["age_seconds"] < 30
    assert (info["participants"][0]["stopped"], info["participants"][1]["delivery"]) == (False, "all")
    (_, reader) = info["participants"]
    assert (reader["name"], reader["pid"], reader["alive"], reader["held_slots"]) == ("me", os.getpid(), True, 1)
    assert (reader["accepted_caps"], reader["frames"], reader["lost"], reader["lag"]) == ("video/x-raw", 1, 0, 0)
    assert shmflow.gc()["skipped"] == {"robot/cam0": "in use by 2"}
    del held
    consumer.close()
    producer.close()
    assert shmflow.topics() == [] and shmflow.gc()["removed"] == []


def test_a_directory_on_a_disk_is_warned_of(tmp_path):
    kind = subprocess.run(["stat", "-f", "-c", "%T", tmp_path], capture_output=True, text=True).stdout.strip()
    if kind in ("", "tmpfs"):
        pytest.skip("there is no directory on a disk")
    with pytest.warns(UserWarning, match="is on a disk"):
        producer = shmflow.Producer("t", directory=tmp_path)
    producer.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning):
            shmflow.Producer("t", directory=tmp_path)
        assert shmflow.topics(tmp_path) == []
