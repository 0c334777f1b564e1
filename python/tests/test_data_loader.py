"""Workers that share a stream, by `fork` and by `spawn`: plain processes, and those of torch's DataLoader."""

import os
import subprocess
import sys

import pytest
from conftest import PATIENCE

PLAIN = """
import sys
import shmflow, multiprocessing

def work(index, of, results):
    consumer = shmflow.Consumer("t", share=(index, of), timeout=30)
    results.put("here")
    results.put((index, [frame.seq for frame in consumer]))

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    producer = shmflow.Producer("t", depth=16)
    results = context.Queue()
    workers = [context.Process(target=work, args=(index, 2, results)) for index in range(2)]
    for worker in workers:
        worker.start()
    assert [results.get(timeout=60) for _ in workers] == ["here", "here"]
    for number in range(10):
        producer.write(bytes([number]))
    producer.end()
    print(sorted(results.get(timeout=60) for _ in workers))
"""

TORCH = """
import sys, time
import numpy as np
import shmflow, shmflow.torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

class Frames(IterableDataset):
    def __init__(self, topic):
        self.topic = topic

    def __iter__(self):
        worker = get_worker_info()
        for frame in shmflow.Consumer(self.topic, share=(worker.id, worker.num_workers), timeout=30):
            yield worker.id, frame.seq, shmflow.torch.tensor(frame, layout="CHW")

class Opened(IterableDataset):
    def __init__(self, topic):
        self.consumer = shmflow.Consumer(topic)

    def __iter__(self):
        return (frame.seq for frame in self.consumer)

if __name__ == "__main__":
    settings = {"num_workers": 2, "batch_size": None, "multiprocessing_context": sys.argv[1], "timeout": 60}
    producer = shmflow.Producer("t", 4, 2, "BGR", depth=16)
    frames = iter(DataLoader(Frames("t"), **settings))
    end = time.monotonic() + 60
    while producer.consumer_count < 2:
        assert time.monotonic() < end, "the workers do not come"
        time.sleep(0.01)
    for number in range(1, 11):
        producer.write(np.full((2, 4, 3), number, np.uint8))
    producer.end()
    found = sorted((worker, seq, tuple(tensor.shape), tensor.unique().tolist()) for worker, seq, tensor in frames)
    assert found == sorted((seq % 2, seq, (3, 2, 4), [seq]) for seq in range(1, 11)), found
    try:
        next(iter(DataLoader(Opened("t"), **settings)))
    except Exception as error:
        print(type(error).__name__, "|", error)
"""


def run(tmp_path, script, method):
    path = tmp_path / "loading.py"
    path.write_text(script)
    done = subprocess.run([sys.executable, path, method], capture_output=True, text=True, timeout=8 * PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_get_their_shares(directory, tmp_path, method):
    assert run(tmp_path, PLAIN, method) == "[(0, [2, 4, 6, 8, 10]), (1, [1, 3, 5, 7, 9])]\n"
    assert os.environ["SHMFLOW_DIR"] == str(directory)


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("fork", "ForkedError | Caught ForkedError in DataLoader worker process"),
        ("spawn", "TypeError | a consumer cannot be pickled: open topic `t` by its name in the other process"),
    ],
)
def test_the_workers_of_torch_get_their_shares_and_are_told_to_open_the_topic_themselves(
    directory, tmp_path, method, error
):
    pytest.importorskip("torch", reason="torch is not installed (Debian: python3-torch)")
    assert error in run(tmp_path, TORCH, method)
