"""Claims about processes, with real ones: death, forks, signals, exits, slow readers."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import shmflow
from conftest import PATIENCE, wait_until


def fill(producer, count, size=None):
    for _ in range(count):
        with producer.frame(size) as array:
            array[:] = 1


def consumers(topic="t"):
    return [p for p in shmflow.inspect(topic)["participants"] if p["role"] == "consumer"]


HOARDER = """
import shmflow, sys
consumer = shmflow.Consumer("t", timeout=30)
print("here")
hoard = []
for frame in consumer:
    hoard.append(frame.array)
    if len(hoard) == 60:
        break
sums = [int(array.sum()) for array in hoard]
print(consumer.stats["copied"], consumer.stats["lost"], consumer.stats["leases"], sums == [1000 * (n + 1) for n in range(60)])
sys.stdin.readline()
"""


def test_a_hoarder_costs_itself_copies_and_never_slows_a_producer(directory, child):
    producer = shmflow.Producer("t", depth=8)
    hoarder = child(HOARDER)
    assert hoarder.hear() == "here"
    for number in range(1, 61):
        with producer.frame(1000) as array:
            array[:] = number
        wait_until("it has read that", lambda n=number: consumers()[0]["frames"] >= n)
    copied, lost, leased, right = hoarder.hear().split()
    assert (int(lost), right) == (0, "True"), "every array it kept holds what was written"
    assert int(leased) <= 4 and int(copied) == 60 - int(leased), "half the depth, and copies beyond it"
    # And now it reads nothing at all, while holding all it may.
    fill(producer, 1000, 1000)
    assert producer.stats["dropped"] == 0 and producer.stats["published"] == 1060
    hoarder.tell("end")
    assert hoarder.wait() == 0


HOLDER = """
import shmflow, sys
consumer = shmflow.Consumer("t", timeout=30)
print("here")
frames = [consumer.recv() for _ in range(3)]
kept = [frames[0], frames[1].array[2:], memoryview(frames[2])]
del frames
print(consumer.stats["leases"])
sys.stdin.readline()
"""


def test_a_killed_consumer_that_held_views_leaks_nothing(directory, child):
    producer = shmflow.Producer("t", depth=8)
    holder = child(HOLDER)
    assert holder.hear() == "here"
    fill(producer, 3, 1000)
    assert holder.hear() == "3" and consumers()[0]["held_slots"] == 3
    holder.signal(signal.SIGKILL)
    holder.wait()
    wait_until("its death is seen", lambda: producer.consumer_count == 0)
    slots = shmflow.inspect("t")["geometry"]["slots"]
    fill(producer, 2 * slots, 1000)
    # Every slot can be had again.
    writers = [producer.frame(1000) for _ in range(slots)]
    arrays = [writer.__enter__() for writer in writers]
    assert len(arrays) == slots and shmflow.inspect("t")["claimed_slots"] == slots
    assert producer.stats["dropped"] == 0
    del arrays, writers
    producer.close()
    assert not list(directory.iterdir())


def test_a_topic_whose_processes_were_all_killed_is_collected(directory, child):
    holder = child(HOLDER)
    writer = child(
        "import shmflow, sys\nproducer = shmflow.Producer('t')\nwhile sys.stdin.readline(): producer.write(bytes(1000)); print(1)"
    )
    assert holder.hear() == "here"
    for _ in range(3):
        writer.tell("write")
        writer.hear()
    assert holder.hear() == "3"
    for process in (writer, holder):
        process.signal(signal.SIGKILL)
        process.wait()
    assert shmflow.gc()["removed"] == ["t"]
    assert not list(directory.iterdir())


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise ValueError", "del kept; consumer.close()", "os._exit(0)"])
def test_leases_go_at_the_exit_of_the_interpreter(directory, child, end):
    producer = shmflow.Producer("t", depth=8)
    holder = child(f"import os\n{HOLDER}\n{end}")
    assert holder.hear() == "here"
    fill(producer, 3, 1000)
    assert holder.hear() == "3" and consumers()[0]["held_slots"] == 3
    holder.tell("end")
    holder.wait()
    assert not [line for line in holder.errors if "Fatal" in line or "panic" in line], holder.errors
    wait_until("it is gone", lambda: producer.consumer_count == 0)
    fill(producer, 20, 1000)
    # A dead one is listed as such until a producer looks, which it does not do for each frame.
    wait_until("it is not listed", lambda: fill(producer, 1, 1000) or consumers() == [])
    assert producer.stats["dropped"] == 0


FORKING = """
import os, sys, shmflow, threading, numpy
producer = shmflow.Producer("t", 64, 48, "BGR")
consumer = shmflow.Consumer("t")
producer.write(numpy.full((48, 64, 3), 7, numpy.uint8))
frame = consumer.recv(30)
array = frame.array
open_writer = producer.frame()
inside = open_writer.__enter__()
waiter = shmflow.Consumer("t", start="newest")
waiter.recv(30)
waiting = threading.Thread(target=lambda: [None for _ in waiter], daemon=True)
waiting.start()
while waiter.stats["received"] != 1: pass
pid = os.fork()
if pid == 0:
    refused = []
    for use in (
        lambda: producer.write(b"x"), producer.frame, producer.end, producer.close, lambda: producer.consumer_count,
        lambda: consumer.recv(1), consumer.try_recv, consumer.close, consumer.fileno, lambda: next(iter(consumer)),
        lambda: consumer.stats, lambda: waiter.recv(1), lambda: waiter.stats, waiter.close,
        lambda: frame.array, lambda: bytes(frame), lambda: memoryview(frame),
        lambda: open_writer.__exit__(None, None, None),
    ):
        try:
            use()
            refused.append(False)
        except shmflow.ForkedError as error:
            refused.append("fork" in str(error))
    own = shmflow.Consumer("t")
    print("child", all(refused), len(refused), own.recv(30).seq)
    own.close()
    del frame, array, inside, open_writer, consumer, producer, waiter, own
    import gc
    gc.collect()
    sys.stdout.flush()
    sys.exit(0)
os.waitpid(pid, 0)
print("parent", producer.write(inside), array[0, 0, 0], consumer.stats["leases"])
sys.stdin.readline()
"""


def test_handles_in_a_forked_child_refuse_and_their_end_changes_nothing(directory, child):
    parent = child(FORKING)
    assert parent.hear() == "child True 18 1"
    assert parent.hear() == "parent 2 7 1"
    info = shmflow.inspect("t")["participants"]
    assert [(p["role"], p["alive"], p["active"]) for p in info] == [
        ("producer", True, True),
        ("consumer", True, True),
        ("consumer", True, True),
    ]


SPAWNING = """
import multiprocessing, sys
import shmflow

def work(topic):
    consumer = shmflow.Consumer(topic, timeout=30)
    return sum(int(frame.array.sum()) for frame in consumer)

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    producer = shmflow.Producer("t", depth=8)
    try:
        context.Process(target=work, args=(producer,)).start()
    except TypeError as error:
        print("by its name" in str(error))
    with context.Pool(2) as pool:
        results = [pool.apply_async(work, ("t",)) for _ in range(2)]
        while producer.consumer_count < 2:
            pass
        for number in range(5):
            producer.write(bytes([number]))
        producer.end()
        print([result.get(30) for result in results])
"""


def test_multiprocessing_that_spawns_works(directory, tmp_path):
    script = tmp_path / "spawning.py"
    script.write_text(SPAWNING)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=4 * PATIENCE)
    assert done.stdout.split("\n")[:2] == ["True", "[10, 10]"], done.stderr


WAITS = {
    "for a frame": "print('here'); consumer.recv()",
    "for a frame, with a limit": "print('here'); consumer.recv(3600)",
    "in a loop": "print('here'); [None for frame in consumer]",
    "for a topic": "print('here'); shmflow.Consumer('other')",
    "with a descriptor": "consumer.fileno(); print('here'); consumer.recv()",
    "only reading": "consumer = shmflow.Consumer('t', read_only=True); print('here'); consumer.recv()",
}


@pytest.mark.parametrize("wait", WAITS)
def test_ctrl_c_ends_a_wait(directory, child, wait):
    producer = shmflow.Producer("t", perms=0o644)
    waiter = child(f"import shmflow\nconsumer = shmflow.Consumer('t')\n{WAITS[wait]}")
    assert waiter.hear() == "here"
    wait_until("it sleeps", waiter.sleeps)
    waiter.signal(signal.SIGINT)
    waiter.wait()
    assert waiter.errors[-1] == "KeyboardInterrupt\n", waiter.errors
    wait_until("it has left", lambda: producer.consumer_count == 0)


HANDLING = """
import shmflow, signal
count = 0
def handler(number, frame):
    global count
    count += 1
    print("handled", count)
signal.signal(signal.SIGUSR1, handler)
consumer = shmflow.Consumer("t")
print("here")
print("frame", consumer.recv().seq)
"""


def test_other_signals_are_handled_during_a_wait_that_goes_on(directory, child):
    producer = shmflow.Producer("t")
    waiter = child(HANDLING)
    assert waiter.hear() == "here"
    for count in range(1, 4):
        wait_until("it sleeps", waiter.sleeps)
        waiter.signal(signal.SIGUSR1)
        assert waiter.hear() == f"handled {count}"
    producer.write(b"x")
    assert waiter.hear() == "frame 1" and waiter.wait() == 0


def test_others_run_while_one_waits(directory):
    producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t")
    found = []
    waiter = threading.Thread(target=lambda: found.append(consumer.recv(PATIENCE).seq))
    waiter.start()
    wait_until("it waits", lambda: consumers()[0]["waiting"])
    with pytest.raises(RuntimeError, match="another thread is receiving"):
        consumer.recv(0)
    assert consumer.stats["received"] == 0, "looking at it does not wait for it"
    producer.write(b"x")
    waiter.join(PATIENCE)
    assert found == [1]


def test_closing_ends_a_wait_in_another_thread(directory):
    shmflow_producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t")
    seen = []
    iterating = threading.Thread(target=lambda: seen.append([frame.seq for frame in consumer]))
    iterating.start()
    shmflow_producer.write(b"x")
    wait_until("it waits", lambda: consumer.stats["received"] == 1 and consumers()[0]["waiting"])
    consumer.close()
    iterating.join(PATIENCE)
    assert seen == [[1]] and consumer.closed
    for use in (lambda: consumer.recv(0), consumer.try_recv, consumer.fileno, consumer.skip_to_newest):
        with pytest.raises(shmflow.Closed):
            use()
    assert list(consumer) == [] and consumer.close() is None


def test_frames_may_be_dropped_by_any_thread(directory):
    producer = shmflow.Producer("t", 64, 48, "BGR", depth=8)
    consumer = shmflow.Consumer("t")
    for _ in range(50):
        producer.write(np.zeros((48, 64, 3), np.uint8))
        box = [consumer.recv(PATIENCE).array]
        dropping = threading.Thread(target=box.clear)
        dropping.start()
        dropping.join()
    assert consumer.stats["leases"] == 0


def test_read_only_consumers_get_copies_and_are_not_registered(directory):
    producer = shmflow.Producer("t", 64, 48, "BGR", perms=0o644)
    consumer = shmflow.Consumer("t", read_only=True)
    producer.write(np.full((48, 64, 3), 3, np.uint8))
    frame = consumer.recv(PATIENCE)
    assert frame.is_copy and (frame.array == 3).all() and producer.consumer_count == 0
    assert consumer.stats["leases"] == 0 and consumer.stats["copied"] == 1


def test_the_newest_is_had_where_it_is_asked_for(directory):
    producer = shmflow.Producer("t", depth=4)
    for number in range(10):
        producer.write(bytes([number]))
    assert shmflow.Consumer("t", start="newest").recv(0).seq == 10
    assert shmflow.Consumer("t").recv(0).seq == 7
    skipping, lapped = shmflow.Consumer("t"), shmflow.Consumer("t", on_lapped="newest")
    for number in range(20):
        producer.write(bytes([number]))
    skipping.skip_to_newest()
    assert (skipping.position, skipping.recv(0).seq) == (30, 30)
    frame = lapped.recv(0)
    assert (frame.seq, frame.lost_before) == (30, 23) and lapped.stats["lost"] == 23
    assert os.getpid() == shmflow.inspect("t")["participants"][0]["pid"]


@pytest.mark.parametrize("shift", ["1000000", "-20"])
def test_a_process_with_a_shifted_clock_knows_how_old_frames_are(directory, shift):
    unshare = ["unshare", "--time", "--fork", "--kill-child", f"--monotonic={shift}"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
        pytest.skip("this user may not make time namespaces")
    code = """
import shmflow, time
frame = shmflow.Consumer("t", max_age=10.0).recv(30)
print((time.monotonic_ns() - frame.capture_time) / 1e9)
"""
    with shmflow.Producer("t", 8, 8, "GRAY8") as producer:
        child = subprocess.Popen([*unshare, sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        while child.poll() is None:
            producer.write(bytes(64))
            time.sleep(0.01)
        age = float(child.stdout.read())
    assert child.returncode == 0 and 0 <= age < 10
