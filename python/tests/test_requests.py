"""What a consumer may ask for: to be told, instead of waiting or copying; and a key frame."""

import pytest
import shmflow


def test_a_producer_that_leaves_without_an_end_is_reported_once_on_request():
    producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t", report_no_producer=True)
    producer.write(b"x")
    producer.close()
    assert consumer.recv(30).seq == 1
    with pytest.raises(shmflow.NoProducer, match="`t`"):
        consumer.recv(30)
    with pytest.raises(shmflow.Timeout):
        consumer.recv(0)


def test_a_copy_that_is_not_allowed_is_an_error_and_the_frame_stays():
    producer = shmflow.Producer("t")
    consumer = shmflow.Consumer("t", max_leases=1, allow_copies=False)
    producer.write(b"x")
    producer.write(b"y")
    first = consumer.recv(30)
    with pytest.raises(shmflow.WouldCopy, match="as many frames as it may"):
        consumer.recv(30)
    first.release()
    second = consumer.recv(30)
    assert (second.seq, second.lost_before, second.is_copy) == (2, 0, False)


def test_a_consumer_asks_for_a_key_frame_and_the_producer_sees_it():
    producer = shmflow.Producer("t", perms=0o644)
    before = producer.key_frame_requests
    consumer = shmflow.Consumer("t")
    assert consumer.request_key_frame() and producer.key_frame_requests == before + 1
    assert not shmflow.Consumer("t", read_only=True).request_key_frame()
    assert producer.key_frame_requests == before + 1
