"""A consumer in event loops."""

import asyncio
import select
import selectors
import threading

import pytest
import shmflow


def test_a_consumer_is_selectable(directory):
    producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t")
    assert isinstance(consumer.fileno(), int) and consumer.fileno() == consumer.fileno()
    # Readable at first, for nothing: then it is not, until something comes.
    while select.select([consumer], [], [], 0)[0]:
        assert consumer.try_recv() is None
    for number in range(20):
        threading.Thread(target=producer.write, args=(bytes([number]),)).start()
        received = None
        while received is None:
            assert select.select([consumer], [], [], 30)[0] == [consumer]
            received = consumer.try_recv()
        assert bytes(received) == bytes([number])


def test_the_end_is_seen_by_who_selects(directory):
    with shmflow.Producer("t") as producer:
        consumer = shmflow.Consumer("t")
        producer.write(b"x")
    seen = []
    with selectors.DefaultSelector() as selector, pytest.raises(shmflow.Ended):
        selector.register(consumer, selectors.EVENT_READ)
        while True:
            assert selector.select(30)
            try:
                seen.append(consumer.recv(0).seq)
            except shmflow.Timeout:
                pass
    assert seen == [1]


def test_two_topics_in_one_loop(directory):
    producers = [shmflow.Producer(name) for name in ("a", "b")]
    consumers = [shmflow.Consumer(name) for name in ("a", "b")]

    async def main():
        loop = asyncio.get_running_loop()
        got = asyncio.Queue()

        def ready(consumer):
            while (frame := consumer.try_recv()) is not None:
                got.put_nowait((consumer.topic, bytes(frame)))

        for consumer in consumers:
            loop.add_reader(consumer, ready, consumer)
        found = []
        for number in range(10):
            producers[number % 2].write(bytes([number]))
            found.append(await asyncio.wait_for(got.get(), 30))
        for consumer in consumers:
            loop.remove_reader(consumer)
        return found

    assert asyncio.run(main()) == [("ab"[n % 2], bytes([n])) for n in range(10)]
