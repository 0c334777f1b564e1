"""A picture that was made, and not written into the frame, is not published; one that was written is."""
# ruff: noqa: PLW2901, F841 (the mistake that is tested)

import contextlib
import types
import warnings

import numpy as np
import pytest
import shmflow

PICTURE = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
GRAY = PICTURE[..., 0]


# Blocks whose frame has nothing of what the program made.
def a_name(producer):
    with producer.frame() as picture:
        picture = np.zeros((48, 64, 3), np.uint8)


def the_name_of_what_was_in_the_slot(producer):
    with producer.frame() as picture:
        picture = (
            picture  # on several lines
            + 1
        )


def a_name_whose_array_was_asked_for_its_shape(producer):
    with producer.frame() as picture:
        rows, columns, _ = picture.shape
        picture = np.zeros((rows, columns, 3), picture.dtype)


def a_name_of_a_closure(producer):
    def show():
        return picture

    with producer.frame() as picture:
        picture = np.zeros((48, 64, 3), np.uint8)
    return show


def one_of_two_names(producer):
    with open("/dev/null") as nothing, producer.frame() as picture:
        picture = PICTURE.copy() if nothing else None


def a_list(producer):
    with producer.frame() as picture:
        picture = PICTURE.tolist()


@pytest.mark.parametrize(
    "render",
    [
        a_name,
        the_name_of_what_was_in_the_slot,
        a_name_whose_array_was_asked_for_its_shape,
        a_name_of_a_closure,
        one_of_two_names,
        a_list,
    ],
)
def test_a_picture_that_was_made_but_not_written_is_not_published(directory, render):
    with shmflow.Producer("t", 64, 48, "BGR") as producer:
        producer.write(PICTURE)
        with pytest.raises(shmflow.InvalidArgument, match=r"`picture` was bound to another .* picture\[:\] = ..., or"):
            render(producer)
        assert producer.stats["published"] == 1 and shmflow.inspect("t")["claimed_slots"] == 0
        producer.write(PICTURE)


def test_a_global_name_that_was_bound_to_another_picture(directory):
    with shmflow.Producer("t", 64, 48, "BGR") as producer:
        code = "with producer.frame() as picture:\n    picture = picture * 2"
        with pytest.raises(shmflow.InvalidArgument, match="`picture` was bound"):
            exec(code, {"producer": producer})
        assert producer.stats["published"] == 0


def test_planes_that_were_made_but_not_written_are_not_published(directory):
    with shmflow.Producer("t", 64, 48, "NV12") as producer:
        with pytest.raises(shmflow.InvalidArgument, match=r"planes.y\[:\] = ..."):
            with producer.frame() as planes:
                planes = {"y": GRAY, "uv": GRAY}
        with pytest.raises(TypeError, match=r"planes.y\[:\] = ..."):
            with producer.frame() as planes:
                planes.y = GRAY
        with pytest.raises(TypeError, match=r"planes.uv\[:\] = ..."):
            with producer.frame() as planes:
                planes["uv"] = GRAY
        with pytest.raises(AttributeError, match="no plane 'u'; it has y, uv"):
            with producer.frame() as planes:
                planes.u = GRAY
        assert producer.stats["published"] == 0
        with producer.frame() as planes:
            planes.y[:] = planes["uv"][:] = 7
            planes.y += 1
            planes["uv"] -= 1


# Blocks whose frame is what the program wrote.
def deleted(producer):
    with producer.frame() as picture:
        picture[:] = 7
        del picture


def set_to_none(producer):
    with producer.frame() as picture:
        picture[:] = 7
        picture = None


def a_number_afterwards(producer):
    with producer.frame() as picture:
        picture[:] = 7
        picture = 7


def without_a_name(producer):
    with producer.frame():
        pass


def a_view_of_itself(producer):
    with producer.frame() as picture:
        picture = picture.reshape(-1)
        picture[:] = 7


def in_place(producer):
    with producer.frame() as picture:
        picture += 7


def by_hand(producer):
    writer = producer.frame()
    writer.__enter__()[:] = 7
    writer.__exit__(None, None, None)


def by_a_stack(producer):
    with contextlib.ExitStack() as stack:
        stack.enter_context(producer.frame())[:] = 7


def an_attribute(producer):
    holder = types.SimpleNamespace()
    with producer.frame() as holder.picture:
        holder.picture[:] = 7


# Blocks that write a frame, and then bind its name to another picture.
def after_writing(producer):
    with producer.frame() as picture:
        picture[:] = 7
        picture = picture + 1


def after_a_function_has_written(producer):
    with producer.frame() as picture:
        np.copyto(picture, 7)
        picture = PICTURE.copy()


def after_a_method_has_written(producer):
    with producer.frame() as picture:
        if producer:
            picture.fill(7)
        picture = [
            [1],
            [2],
        ]


def after_adding_in_place(producer):
    with producer.frame() as picture:
        picture[:] = 3
        picture += 4
        picture = picture * 2


@pytest.mark.parametrize(
    "render", [after_writing, after_a_function_has_written, after_a_method_has_written, after_adding_in_place]
)
def test_what_was_written_is_published_with_a_warning_if_its_name_is_bound_to_another_picture(directory, render):
    with shmflow.Producer("t", 64, 48, "BGR") as producer, shmflow.Consumer("t") as consumer:
        with pytest.warns(
            RuntimeWarning, match="`picture` was bound to another picture, which is not in this frame"
        ) as told:
            render(producer)
        assert (consumer.recv(30).array == 7).all() and told[0].filename == __file__
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(RuntimeWarning):
                render(producer)
        assert producer.stats["published"] == 1 and shmflow.inspect("t")["claimed_slots"] == 0


@pytest.mark.parametrize(
    "render",
    [
        deleted,
        set_to_none,
        a_number_afterwards,
        without_a_name,
        a_view_of_itself,
        in_place,
        by_hand,
        by_a_stack,
        an_attribute,
    ],
)
def test_a_picture_that_was_written_is_published_whatever_became_of_its_name(directory, render):
    with shmflow.Producer("t", 64, 48, "BGR") as producer, shmflow.Consumer("t") as consumer:
        render(producer)
        frame = consumer.recv(30)
        assert frame.seq == 1 and (render is without_a_name or (frame.array == 7).all())
