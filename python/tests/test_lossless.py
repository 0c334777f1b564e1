"""A producer that waits for its consumers."""

import signal
import threading

import pytest
import shmflow
from conftest import PATIENCE, wait_until

pytestmark = pytest.mark.usefixtures("directory")


def producer(**settings):
    return shmflow.Producer("t", depth=4, overflow_policy="lossless", **settings)


def test_nothing_is_lost_and_other_threads_run_meanwhile():
    frames = 2000
    with producer(stall_timeout=None) as written:
        consumer = shmflow.Consumer("t")
        received = []

        def receive():
            received.extend(consumer.recv(PATIENCE).seq for _ in range(frames))

        thread = threading.Thread(target=receive)
        thread.start()
        for number in range(frames):
            if number % 2:
                written.write(b"x")
            else:
                with written.frame(1) as array:
                    array[:] = 1
        thread.join()
        assert received == list(range(1, frames + 1))
        assert consumer.stats["lost"] == 0
        assert written.stats["dropped"] == 0


def test_one_that_takes_nothing_is_passed_over():
    written = producer(stall_timeout=0.1)
    idle = shmflow.Consumer("t", name="idle")
    preview = shmflow.Consumer("t", delivery="latest")
    for _ in range(20):
        written.write(b"x")
    assert written.stalled_consumers == ["idle"]
    assert written.stats["stalls"] == 1
    assert idle.recv(PATIENCE).lost_before > 0
    assert preview.recv(PATIENCE).lost_before > 0
    assert written.stalled_consumers == []


def fill(written):
    for _ in range(6):
        written.write(b"x")


def test_a_wait_ends_when_the_producer_is_closed():
    written = producer(stall_timeout=None)
    consumer = shmflow.Consumer("t")
    fill(written)
    raised = []

    def write():
        with pytest.raises(shmflow.Closed) as caught:
            written.write(b"x")
        raised.append(caught)

    thread = threading.Thread(target=write)
    thread.start()
    # One tick of its wait at least.
    thread.join(0.2)
    assert not raised
    written.close()
    thread.join(PATIENCE)
    assert raised
    assert consumer.recv(PATIENCE).seq == 1


def test_control_c_ends_a_wait():
    written = producer(stall_timeout=None)
    consumer = shmflow.Consumer("t")
    fill(written)
    timer = threading.Timer(0.2, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        written.write(b"x")
    timer.join()
    assert consumer.recv(PATIENCE).seq == 1
    written.write(b"there is room")


def test_settings_are_checked():
    with pytest.raises(shmflow.InvalidArgument, match="stall_timeout"):
        producer(stall_timeout=0)
    with pytest.raises(shmflow.InvalidArgument, match="delivery"):
        shmflow.Consumer("t", delivery="newest")


def test_a_killed_consumer_is_not_waited_for(child):
    written = producer(stall_timeout=None)
    other = child("""
import shmflow, time
consumer = shmflow.Consumer("t")
print("open")
time.sleep(1000)
""")
    assert other.hear() == "open"
    fill(written)
    timer = threading.Timer(0.1, other.signal, [signal.SIGKILL])
    timer.start()
    written.write(b"x")
    wait_until("the dead one is gone", lambda: written.consumer_count == 0)
