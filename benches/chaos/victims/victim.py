"""A producer or consumer that faults happen to: victim.py produce|consume|wait TOPIC TAG [fork|signals|once].

Every byte is checked as src/payload.rs has it. "fork": a child inherits everything and lives on, until the input ends.
"signals": a timer interrupts every 4 ms. It leaves when its input ends.
"""

import json
import os
import select
import signal
import sys
import time

import numpy as np
import shmflow

MOST, LEAST = 3000, 24
interruptions = 0


def interrupted(_number: int, _frame: object) -> None:
    global interruptions
    interruptions += 1


def pattern(tag: int, count: int, length: int) -> bytes:
    words = np.arange((length + 7) // 8, dtype=np.uint64)
    start = ((tag << 56) ^ (count << 24)) & 0xFFFFFFFFFFFFFFFF
    words = (words ^ np.uint64(start)) * np.uint64(0x9E3779B97F4A7C15)
    words[:3] = tag, count, length
    return words.astype("<u8").tobytes()[:length]


def whole(data: bytes) -> bool:
    if len(data) < LEAST:
        return False
    tag, count, length = (int(word) for word in np.frombuffer(data[:LEAST], "<u8"))
    return length == len(data) and data == pattern(tag, count, length)


def due_to_leave() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def begin(how: str) -> None:
    if how == "fork" and os.fork() == 0:
        # It has inherited everything, and touches nothing.
        while os.read(0, 1):
            pass
        os._exit(0)
    if how == "signals":
        signal.signal(signal.SIGALRM, interrupted)
        signal.setitimer(signal.ITIMER_REAL, 0.004, 0.004)
    print("ready", flush=True)


def produce(topic: str, tag: int, how: str) -> dict[str, object]:
    frames = 0
    with shmflow.Producer(topic, slot_capacity=MOST) as producer:
        begin(how)
        count = 0
        while not due_to_leave():
            count += 1
            try:
                producer.write(pattern(tag, count, LEAST + count * 97 % (MOST - LEAST)))
                frames += 1
            except shmflow.NoSlot:
                pass
            time.sleep(0.001)
    return {"role": "produce", "frames": frames}


def consume(topic: str, how: str) -> dict[str, object]:
    frames, lost, following = 0, 0, None
    with shmflow.Consumer(topic, connect_timeout=0 if how == "once" else 60) as consumer:
        begin(how)
        # When its input ends it goes on until it has one more frame: that shows that it did not hang.
        wanted, silent = None, 0
        while wanted is None or frames < wanted:
            if wanted is None and due_to_leave():
                wanted = frames + 1
            try:
                frame = consumer.recv(timeout=0.2)
            except shmflow.Timeout:
                silent += wanted is not None
                if silent == 75:
                    sys.exit(f"in 15 s no frame came, after {frames} frames")
                continue
            if not whole(bytes(frame)) or following not in (None, frame.seq - frame.lost_before):
                sys.exit(f"frame {frame.seq} is torn, or a gap was not told")
            following = frame.seq + 1
            lost += frame.lost_before
            frames += 1
    return {"role": "consume", "frames": frames, "lost": lost}


def wait_in_silence(topic: str) -> dict[str, object]:
    """Waits on a topic that is silent while signals arrive: each wait goes on for as long as was asked."""
    least, waits = float("inf"), 0
    with shmflow.Consumer(topic) as consumer:
        begin("signals")
        while not waits or not due_to_leave():
            start = time.monotonic()
            try:
                sys.exit(f"a frame in silence: {consumer.recv(timeout=0.3)}")
            except shmflow.Timeout:
                least = min(least, time.monotonic() - start)
                waits += 1
    return {"role": "wait", "frames": waits, "least_us": int(least * 1e6)}


def main() -> None:
    role, topic, tag, how = [*sys.argv[1:], ""][:4]
    try:
        if role == "wait":
            found = wait_in_silence(topic)
        else:
            found = produce(topic, int(tag), how) if role == "produce" else consume(topic, how)
    except shmflow.ShmflowError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    # An interpreter that ends has no handlers any more.
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(json.dumps({**found, "interruptions": interruptions}), flush=True)


if __name__ == "__main__":
    main()
