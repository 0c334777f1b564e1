"""How programs receive: signals within a wait, topics that are not there, the newest frame, shares, several topics."""

import asyncio
import select
import signal
import threading
import time
import types

import numpy as np
import pytest
import shmflow
from conftest import PATIENCE, wait_until


def write(producer, count=1):
    for _ in range(count):
        producer.write(b"x")


def seqs(consumer):
    found = []
    while (frame := consumer.try_recv()) is not None:
        found.append(frame.seq)
    return found


CLOSING = """
import shmflow, signal, sys, threading
producer = shmflow.Producer("own", overflow_policy="lossless", stall_timeout=None, depth=1)
consumer = shmflow.Consumer("t")
token = shmflow.CancelToken()
tokened = shmflow.Consumer("t", cancel_token=token)
unread = shmflow.Consumer("own")

def elsewhere(act):
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()

def handler(number, frame):
    {act}
    print("handled", flush=True)

signal.signal(signal.SIGTERM, handler)
print("here", flush=True)
try:
    {wait}
    print("ended")
except shmflow.ShmflowError as error:
    print(type(error).__name__)
print(consumer.closed, consumer.stats["received"], consumer.topic)
"""


@pytest.mark.parametrize(
    ("wait", "act", "end"),
    [
        ("consumer.recv()", "consumer.close()", "Closed"),
        ("consumer.recv(3600)", "consumer.close()", "Closed"),
        ("[None for _ in consumer]", "consumer.close()", "ended"),
        ("consumer.fileno(); consumer.recv()", "consumer.close()", "Closed"),
        ("consumer.recv()", "elsewhere(consumer.close)", "Closed"),
        ("consumer.recv()", "consumer.__exit__(None, None, None)", "Closed"),
        ("tokened.recv()", "token.cancel()", "Cancelled"),
        ("shmflow.Consumer('none', cancel_token=token)", "token.cancel()", "Cancelled"),
        ("[producer.write(b'x') for _ in range(9)]", "producer.close()", "Closed"),
        ("[producer.write(b'x') for _ in range(9)]", "elsewhere(producer.close)", "Closed"),
        ("shmflow.wait([consumer, tokened]); consumer.recv(0)", "consumer.close()", "Closed"),
    ],
)
def test_whatever_waits_can_be_ended_by_a_signal_handler(directory, child, wait, act, end):
    producer = shmflow.Producer("t")
    waiter = child(CLOSING.format(wait=wait, act=act))
    assert waiter.hear() == "here"
    wait_until("it sleeps", waiter.sleeps)
    waiter.signal(signal.SIGTERM)
    assert waiter.hear() == "handled"
    assert waiter.hear() == end
    assert waiter.hear().split()[1:] == ["0", "t"]
    assert waiter.wait() == 0, waiter.errors
    wait_until("it has left", lambda: producer.consumer_count == 0)


def test_a_handler_may_look_at_the_consumer_that_waits(directory, child):
    producer = shmflow.Producer("t")
    act = "print(consumer.stats['received'], consumer.closed, repr(consumer)); print(tried(consumer.try_recv))"
    tried = "def tried(call):\n    try: return call()\n    except RuntimeError as error: return 'signal handler' in str(error)"
    waiter = child(tried + CLOSING.format(wait="print(consumer.recv().seq)", act=act))
    assert waiter.hear() == "here"
    wait_until("it sleeps", waiter.sleeps)
    waiter.signal(signal.SIGTERM)
    assert [waiter.hear() for _ in range(3)] == ['0 False <shmflow.Consumer of "t">', "True", "handled"]
    write(producer)
    assert waiter.hear() == "1" and waiter.hear() == "ended"


def test_a_topic_that_is_not_there_is_told_of_after_a_second_with_what_was_meant(directory, child):
    producer = shmflow.Producer("robot/camera")
    waiter = child("import shmflow\nprint(shmflow.Consumer('robot/camrea').topic)")
    wait_until("it tells", lambda: waiter.errors)
    assert waiter.errors == [
        f"waiting for a producer of topic `robot/camrea` in {directory} (did you mean `robot/camera`?)\n"
    ]
    late = shmflow.Producer("robot/camrea")
    assert waiter.hear() == "robot/camrea" and waiter.wait() == 0
    producer.close()
    late.close()


def test_the_wait_is_a_matter_of_logging(directory, caplog):
    with pytest.raises(shmflow.TopicTimeout):
        shmflow.Consumer("none", connect_timeout=1.1)
    assert [(r.name, r.levelname) for r in caplog.records] == [("shmflow", "WARNING")]


def test_no_topic_and_no_frame_are_different_errors(directory):
    producer = shmflow.Producer("camera")
    for wait, kind in [(0, shmflow.TopicNotFound), (0.01, shmflow.TopicTimeout)]:
        with pytest.raises(kind, match=f"no (such )?topic.*{directory}.*did you mean `camera`"):
            shmflow.Consumer("camrea", connect_timeout=wait)
    assert issubclass(shmflow.TopicTimeout, shmflow.TopicNotFound | TimeoutError)
    consumer = shmflow.Consumer("camera")
    with pytest.raises(shmflow.Timeout, match="no frame arrived, though it has a producer") as raised:
        consumer.recv(0.01)
    assert not isinstance(raised.value, shmflow.TopicNotFound)
    producer.close()
    with pytest.raises(shmflow.Timeout, match="no frame arrived: it has no producer"):
        consumer.recv(0.01)


def test_a_cancelled_token_can_be_reset_and_serves_many(directory):
    producer = shmflow.Producer("t")
    token = shmflow.CancelToken()
    consumers = [shmflow.Consumer("t", cancel_token=token) for _ in range(3)]
    raised = []

    def receive(consumer):
        try:
            consumer.recv()
        except shmflow.Cancelled as error:
            raised.append(error)

    threads = [threading.Thread(target=receive, args=(consumer,)) for consumer in consumers]
    for thread in threads:
        thread.start()
    token.cancel()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(raised) == 3 and token.cancelled
    with pytest.raises(shmflow.Cancelled):
        shmflow.Consumer("none", cancel_token=token)
    token.reset()
    write(producer)
    assert [consumer.recv(PATIENCE).seq for consumer in consumers] == [1, 1, 1] and not token.cancelled


def test_the_latest_is_one_word(directory):
    producer = shmflow.Producer("t", depth=8)
    latest = shmflow.Consumer("t", latest=True)
    write(producer, 5)
    assert seqs(latest) == [5]
    write(producer, 50)
    frame = latest.recv(PATIENCE)
    assert (frame.seq, frame.lost_before, latest.stats["lost"]) == (55, 0, 0)


def test_whoever_comes_late_need_not_take_what_a_dead_producer_left(directory, child):
    writer = child(
        "import shmflow, sys, time\np = shmflow.Producer('t')\np.write(b'old', capture_time=time.monotonic_ns())\nprint('written')\nsys.stdin.readline()"
    )
    assert writer.hear() == "written"
    kept = shmflow.Consumer("t")
    writer.signal(signal.SIGKILL)
    writer.wait()
    time.sleep(0.2)
    following, fresh = shmflow.Consumer("t", start="next"), shmflow.Consumer("t", max_age=0.1)
    for consumer in (following, fresh):
        with pytest.raises(shmflow.Timeout):
            consumer.recv(0.01)
    assert fresh.stats["skipped"] == 1
    # One that says when it was captured, on this clock or another, and one that does not.
    producer = shmflow.Producer("t", 4, 4, "GRAY8")
    picture = np.zeros((4, 4), np.uint8)
    now = time.clock_gettime_ns
    assert kept.recv(0).seq == 1
    producer.write(picture, metadata={"clock": "realtime", "capture_ns": now(time.CLOCK_REALTIME) - 10**9})
    producer.write(picture, metadata={"clock": "realtime", "capture_ns": now(time.CLOCK_REALTIME)})
    producer.write(picture, metadata={"clock": "unknown", "capture_ns": 1})
    producer.write(picture, capture_time=now(time.CLOCK_MONOTONIC) - 10**9)
    assert seqs(fresh) == [3, 4]
    assert seqs(following) == [2, 3, 4, 5]


WORKER = """
import shmflow, sys
index, of = map(int, sys.argv[1:])
consumer = shmflow.Consumer("t", share=(index, of))
print("here", flush=True)
print(*[frame.seq for frame in consumer])
"""


def test_worker_processes_share_a_stream(directory, child):
    producer = shmflow.Producer("t", depth=4, overflow_policy="lossless")
    workers = [child(WORKER, str(index), "3") for index in range(3)]
    assert [worker.hear() for worker in workers] == ["here"] * 3
    write(producer, 100)
    producer.end()
    found = [[int(seq) for seq in worker.hear().split()] for worker in workers]
    assert found == [[seq for seq in range(1, 101) if seq % 3 == index] for index in range(3)]
    with pytest.raises(shmflow.InvalidArgument, match="share 3 of 3"):
        shmflow.Consumer("t", share=(3, 3))


def test_a_topic_that_was_removed_is_opened_again(directory):
    producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t", reconnect=True)
    write(producer, 2)
    assert seqs(consumer) == [1, 2]
    shmflow.remove("t", force=True)
    assert consumer.try_recv() is None, "there is none now"
    received = []
    waiter = threading.Thread(target=lambda: received.append(consumer.recv(PATIENCE).seq))
    waiter.start()
    again = shmflow.Producer("t")
    write(again)
    waiter.join(PATIENCE)
    assert received == [1] and consumer.stats["received"] == 3
    shmflow.remove("t", force=True)
    for limit in (0, 0.05):
        with pytest.raises(shmflow.TopicTimeout):
            consumer.recv(limit)
    closing = threading.Thread(target=lambda: [None for _ in consumer])
    closing.start()
    consumer.close()
    closing.join(PATIENCE)
    assert not closing.is_alive()


def test_frames_are_awaited(directory):
    producer = shmflow.Producer("t")

    async def main():
        consumer = shmflow.Consumer("t", reconnect=True)
        found = []

        async def read():
            async for frame in consumer:
                found.append((frame.epoch, frame.seq))

        async def until(count):
            while len(found) < count:
                await asyncio.sleep(0.001)

        reading = asyncio.create_task(read())
        for number in range(1, 4):
            write(producer)
            await asyncio.wait_for(until(number), PATIENCE)
        write(producer, 3)
        await asyncio.wait_for(until(6), PATIENCE)
        shmflow.remove("t", force=True)
        again = shmflow.Producer("t")
        write(again)
        await asyncio.wait_for(until(7), PATIENCE)
        again.end()
        await asyncio.wait_for(reading, PATIENCE)
        assert [seq for _, seq in found] == [1, 2, 3, 4, 5, 6, 1]
        # A task that is cancelled while it waits takes nothing with it.
        waiting = asyncio.create_task(anext(aiter(consumer)))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        write(again)
        assert consumer.recv(PATIENCE).seq == 2
        # One that is closed ends.
        closed = asyncio.create_task(read())
        await asyncio.sleep(0.01)
        consumer.close()
        await asyncio.wait_for(closed, PATIENCE)

    asyncio.run(main())


def test_at_most_so_many_frames_a_second(directory):
    producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t", max_rate=20)
    stop = threading.Event()

    def produce():
        while not stop.wait(0.002):
            write(producer)

    producing = threading.Thread(target=produce)
    producing.start()
    start = time.monotonic()
    found = [consumer.recv(PATIENCE).seq for _ in range(6)]
    took = time.monotonic() - start
    stop.set()
    producing.join()
    assert took >= 0.24 and found == sorted(set(found)), (took, found)


def test_several_topics_are_waited_for_together(directory):
    producers = [shmflow.Producer(name) for name in "ab"]
    one, two = consumers = [shmflow.Consumer(name) for name in "ab"]
    assert shmflow.wait(consumers, 0) == [] == shmflow.wait(consumers, 0.01)
    found = []
    waiter = threading.Thread(target=lambda: found.extend(shmflow.wait(consumers, PATIENCE)))
    waiter.start()
    write(producers[1])
    waiter.join(PATIENCE)
    assert found == [two] and two.recv(0).seq == 1
    producers[0].end()
    assert shmflow.wait(consumers, PATIENCE) == [one]
    with pytest.raises(shmflow.Ended):
        one.recv(0)
    assert shmflow.wait(consumers, 0) == []


class Polls:
    """select.poll, counted."""

    count = 0

    def __init__(self):
        self.poller = select.poll()

    def register(self, *arguments):
        self.poller.register(*arguments)

    def poll(self, timeout):
        Polls.count += 1
        return self.poller.poll(timeout)


def test_a_topic_that_is_not_there_again_does_not_count_as_something_to_receive(directory, monkeypatch):
    monkeypatch.setattr(shmflow._wait, "select", types.SimpleNamespace(poll=Polls, POLLIN=select.POLLIN))
    producers = [shmflow.Producer(name) for name in "ab"]
    one, two = consumers = [shmflow.Consumer(name, reconnect=True) for name in "ab"]
    assert shmflow.wait(consumers, 0) == []
    descriptor = one.fileno()
    for _ in range(3):
        write(producers[0])
        shmflow.remove("a", force=True)
        assert shmflow.wait(consumers, PATIENCE) == [one] and bytes(one.recv(0)) == b"x"
        # It may be found out about once, as a loop does that receives from whatever is returned.
        Polls.count = rounds = 0
        before = time.process_time()
        for _ in range(4):
            for ready in shmflow.wait(consumers, 0.1):
                rounds += 1
                with pytest.raises(shmflow.TopicTimeout):
                    ready.recv(0)
        spent = time.process_time() - before
        assert (rounds, Polls.count) <= (1, 16), (rounds, Polls.count)
        assert spent < 0.2, f"{spent} s of CPU in 0.4 s"
        assert (one.position, one.producer_count, one.ended, one.request_key_frame()) == (0, 0, False, False)
        one.skip_to_newest()
        found = []
        waiter = threading.Thread(target=lambda found=found: found.extend(shmflow.wait(consumers, PATIENCE)))
        waiter.start()
        producers[0] = shmflow.Producer("a")
        write(producers[0])
        waiter.join(PATIENCE)
        assert found == [one] and one.recv(0).seq == 1 and one.fileno() == descriptor
    assert one.stats["received"] == 6 and two.stats["received"] == 0
    # What else may be wrong with a topic of that name is an error, and not waited for.
    shmflow.remove("a", force=True)
    (directory / "shmflow.a.peers").write_bytes(b"")
    (directory / "shmflow.a.ring").write_bytes(b"x" * 8192)
    assert shmflow.wait(consumers, PATIENCE) == [one]
    with pytest.raises(shmflow.Corrupt):
        one.recv(0)


def test_what_a_consumer_accepts_is_told_to_the_next_topic_too(directory):
    producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t", reconnect=True, accepted_caps="audio/x-raw")
    consumer.set_accepted_caps("video/x-raw")
    shmflow.remove("t", force=True)
    assert consumer.try_recv() is None
    producer = shmflow.Producer("t")
    assert consumer.try_recv() is None and producer.consumers[0][1] == "video/x-raw"
    shmflow.remove("t", force=True)
    assert consumer.try_recv() is None
    consumer.set_accepted_caps("text/x-raw")
    producer = shmflow.Producer("t")
    assert consumer.try_recv() is None and producer.consumers[0][1] == "text/x-raw"


def test_no_frame_within_a_rest_is_told_as_that(directory):
    producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t", max_rate=0.5)
    write(producer, 2)
    consumer.recv(PATIENCE)
    with pytest.raises(shmflow.Timeout, match=r"max_rate allows the next frame in 1\d\d\d ms"):
        consumer.recv(0.01)


def test_frames_that_were_taken_at_the_same_moment_come_together(directory):
    left, right = (shmflow.Producer(name, 4, 4, "GRAY8", depth=16) for name in ("left", "right"))
    picture = np.zeros((4, 4), np.uint8)
    sets = shmflow.synchronized({"l": "left", "r": "right"}, tolerance=0.002, timeout=PATIENCE)
    for number in range(1, 11):
        time_of_both = number * 33_000_000
        if number != 4:
            left.write(picture, capture_time=time_of_both)
        if number != 7:
            right.write(picture, capture_time=time_of_both + 1_000_000)
    left.end()
    right.end()
    found = [(pair["l"].capture_time // 33_000_000, pair["r"].capture_time // 33_000_000) for pair in sets]
    assert found == [(n, n) for n in range(1, 11) if n not in (4, 7)]
    assert sets.lost == {"l": 1, "r": 1}
    sets.close()
    with pytest.raises(shmflow.Timeout, match="no set"):
        next(shmflow.synchronized({"l": "left", "r": "right"}, timeout=0.01, start="next"))


def test_frames_of_different_clocks_are_refused_and_not_waited_for_in_vain(directory):
    left, right = (shmflow.Producer(name, 4, 4, "GRAY8") for name in ("left", "right"))
    picture = np.zeros((4, 4), np.uint8)
    sets = shmflow.synchronized({"l": "left", "r": "right"}, timeout=PATIENCE)
    left.write(picture, capture_time=33_000_000)
    right.write(picture, metadata={"capture_ns": 1_700_000_000_000_000_000, "clock": "realtime"})
    with pytest.raises(shmflow.FormatError, match="'realtime'.*`left` on 'monotonic'"):
        next(sets)


def test_one_reads_only_ones_own_topic(directory):
    for perms in (0o600, 0o660):
        producer = shmflow.Producer(f"t{perms}", perms=perms)
        consumer = shmflow.Consumer(f"t{perms}", read_only=True)
        write(producer)
        assert consumer.recv(PATIENCE).is_copy and producer.consumer_count == 0


def test_more_leases_than_there_can_be_are_told_of(directory, caplog):
    shmflow.Producer("t", depth=4).write(b"x")
    with shmflow.Producer("u", depth=4):
        shmflow.Consumer("u", max_leases=4)
        assert not caplog.records
        shmflow.Consumer("u", max_leases=64)
    assert "max_leases=64" in caplog.text and "depth of 4" in caplog.text


def test_a_consumer_looks_for_frames_that_are_due(directory):
    producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t", busy_wait=0.002, timeout=30)
    stop = threading.Event()

    def publish():
        while not stop.wait(0.004):
            producer.write(b"x")

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        # On a busy machine it looks less often.
        for frame in consumer:
            assert frame.lost_before == 0
            if consumer.stats["expected"] >= 3:
                break
    finally:
        stop.set()
        thread.join()
    with pytest.raises(ValueError, match="busy_wait"):
        shmflow.Consumer("t", busy_wait=-1)
