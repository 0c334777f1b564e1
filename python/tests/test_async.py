"""`async for frame in consumer`, in asyncio."""

import asyncio
import collections.abc
import os
import threading

import pytest
import shmflow
from conftest import PATIENCE


class Loop(asyncio.SelectorEventLoop):
    """Counts its turns, and what it is told to watch."""

    def __init__(self):
        super().__init__()
        self.turns, self.added, self.removed = 0, 0, 0

    def _run_once(self):
        self.turns += 1
        super()._run_once()

    def add_reader(self, fd, callback, *arguments):
        self.added += 1
        super().add_reader(fd, callback, *arguments)

    def remove_reader(self, fd):
        self.removed += 1
        return super().remove_reader(fd)


def run(main):
    loop = Loop()
    try:
        return loop.run_until_complete(asyncio.wait_for(main(loop), PATIENCE))
    finally:
        loop.close()


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_a_frame_that_is_there_takes_no_turn_of_the_loop(directory):
    producer = shmflow.Producer("t", depth=64)
    consumer = shmflow.Consumer("t")
    for number in range(20):
        producer.write(bytes([number]))

    async def main(loop):
        frames, turns = aiter(consumer), loop.turns
        assert [bytes(await anext(frames))[0] for _ in range(20)] == list(range(20))
        assert loop.turns == turns and not loop.added

    run(main)


def test_others_of_the_loop_have_their_turn_among_frames_that_are_there(directory):
    producer = shmflow.Producer("t", depth=1000, slot_capacity=64)
    consumer = shmflow.Consumer("t")
    for _ in range(1000):
        producer.write(b"x")
    producer.end()

    async def main(loop):
        turns = 0

        async def other():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        received = [frame.seq async for frame in consumer]
        task.cancel()
        assert received == list(range(1, 1001)) and turns >= 1000 // 50

    run(main)


def test_the_descriptor_stays_watched_from_frame_to_frame(directory):
    producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t")

    async def main(loop):
        answers = asyncio.Queue()

        async def write():
            for number in range(50):
                producer.write(bytes([number]))
                assert await answers.get() == number
            producer.end()

        writing, turns = asyncio.create_task(write()), loop.turns
        async for frame in consumer:
            answers.put_nowait(bytes(frame)[0])
        await writing
        assert loop.added == loop.removed == 1
        # One turn for the consumer, and two or three for the other task, of each frame.
        assert loop.turns - turns < 50 * 5

    before = descriptors()
    run(main)
    consumer.close()
    assert descriptors() <= before


def test_a_slow_program_is_not_woken_for_frames_that_it_does_not_wait_for(directory):
    producer = shmflow.Producer("t", depth=64)
    consumer = shmflow.Consumer("t")

    async def main(loop):
        found = []
        writing = asyncio.get_running_loop().call_later(0.01, producer.write, b"first")
        async for frame in consumer:
            found.append(frame.seq)
            del frame
            if len(found) == 11:
                break
            if len(found) == 1:
                turns = loop.turns
                for _ in range(10):
                    producer.write(b"x")
                await asyncio.sleep(0.2)
                assert loop.turns - turns < 10, "it does not spin while the descriptor is readable"
        assert found == list(range(1, 12)) and writing.when()
        loop.call_later(0.01, producer.write, b"last")
        assert (await anext(aiter(consumer))).seq == 12

    run(main)


def test_a_wait_that_is_given_up_takes_no_frame(directory):
    producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t")

    async def main(loop):
        frames = aiter(consumer)
        for number in range(1, 4):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(frames), 0.01)
            task = asyncio.create_task(anext(frames))
            await asyncio.sleep(0.01)
            with pytest.raises(RuntimeError, match="another task waits"):
                await anext(frames)
            task.cancel("given up")
            with pytest.raises(asyncio.CancelledError):
                await task
            # Cancelled in the very turn in which its frame comes.
            task = asyncio.create_task(anext(frames))
            await asyncio.sleep(0.01)
            producer.write(b"x")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await anext(frames)).seq == number
        # One that nobody goes on with leaves the place to the next.
        left = anext(frames)
        assert isinstance(left, collections.abc.Coroutine)
        left.send(None)
        left.close()
        loop.call_later(0.01, producer.write, b"x")
        assert (await anext(frames)).seq == 4

    run(main)


def test_iterators_that_are_dropped_leave_nothing_in_the_loop(directory):
    producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t")
    consumer.fileno()

    async def main(loop):
        # The first frame has more opened, once for all.
        producer.write(b"x")
        assert consumer.recv().seq == 1
        before = descriptors()
        for number in range(20):
            loop.call_later(0.001, producer.write, b"x")
            async for _ in consumer:
                break
            assert descriptors() == before, number
        # One that ends in another thread.
        frames = [aiter(consumer)]
        loop.call_later(0.001, producer.write, b"x")
        await anext(frames[0])
        thread = threading.Thread(target=frames.clear)
        thread.start()
        thread.join()
        while descriptors() != before:
            await asyncio.sleep(0.001)
        assert loop.added == loop.removed == 21

    run(main)


def test_the_context_of_the_task_is_kept(directory):
    import contextvars

    who = contextvars.ContextVar("who")
    producers = [shmflow.Producer(name) for name in "ab"]

    async def read(name):
        who.set(name)
        found = []
        async for frame in shmflow.Consumer(name):
            found.append((who.get(), frame.seq))
            assert asyncio.current_task().get_name() == name
        return found

    async def main(loop):
        tasks = [asyncio.create_task(read(name), name=name) for name in "ab"]
        for _ in range(5):
            for producer in producers:
                producer.write(b"x")
            await asyncio.sleep(0.005)
        for producer in producers:
            producer.end()
        assert await asyncio.gather(*tasks) == [[(name, seq) for seq in range(1, 6)] for name in "ab"]

    run(main)


def test_a_loop_that_is_cancelled_says_so(directory):
    producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t")

    async def read():
        async for _ in consumer:
            pass

    async def main(loop):
        task = asyncio.create_task(read())
        await asyncio.sleep(0.01)
        task.cancel()
        # The iterator goes while the error is on its way.
        with pytest.raises(asyncio.CancelledError):
            await task
        assert loop.added == loop.removed == 1
        producer.write(b"x")
        assert (await anext(aiter(consumer))).seq == 1

    run(main)


def test_errors_are_those_of_the_plain_loop(directory):
    producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t")

    async def main(loop):
        loop.call_later(0.01, lambda: shmflow.remove("t", force=True))
        with pytest.raises(shmflow.Removed, match="`t`"):
            async for _ in consumer:
                pass
        assert loop.added == loop.removed

    run(main)
    producer.close()


def test_a_topic_that_was_removed_is_waited_for_without_turns_and_without_a_thread(directory):
    producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t", reconnect=True)

    async def main(loop):
        frames, threads = aiter(consumer), threading.active_count()
        for number in range(3):
            loop.call_later(0.01, write, number)
            assert bytes(await anext(frames)) == bytes([number])
            waiting = asyncio.create_task(anext(frames))
            await asyncio.sleep(0.01)
            shmflow.remove("t", force=True)
            await asyncio.sleep(0.1)
            turns = loop.turns
            await asyncio.sleep(0.3)
            assert loop.turns - turns < 10 and not waiting.done()
            again()
            loop.call_later(0.01, write, 100 + number)
            assert bytes(await waiting) == bytes([100 + number])
        assert loop.added == 1 and loop.removed == 0 and threading.active_count() == threads
        shmflow.remove("t", force=True)
        closed = asyncio.create_task(anext(frames, None))
        await asyncio.sleep(0.05)
        consumer.close()
        assert await closed is None

    def write(number):
        producer.write(bytes([number]))

    def again():
        nonlocal producer
        producer = shmflow.Producer("t")

    run(main)
