"""What `Producer.write` takes besides buffers, and what it advises when something does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# Device types of DLPack that a processor can read: CPU, and pinned or managed memory of CUDA and ROCm.
_READABLE = {1, 3, 11, 13}
_DEVICES = {2: "a CUDA GPU", 4: "an OpenCL device", 7: "a Vulkan device", 8: "Metal", 10: "a ROCm GPU"}
_TO_HOST = {"torch": "tensor.cpu()", "cupy": "array.get()", "jax": "jax.device_get(array)"}
# What PIL calls the channels of a format.
_PIL_MODES = {
    "RGB": ("RGB", (0, 1, 2)),
    "BGR": ("RGB", (2, 1, 0)),
    "RGBA": ("RGBA", (0, 1, 2, 3)),
    "RGBx": ("RGBA", (0, 1, 2, 3)),
    "BGRA": ("RGBA", (2, 1, 0, 3)),
    "BGRx": ("RGBA", (2, 1, 0, 3)),
    "ARGB": ("RGBA", (3, 0, 1, 2)),
    "xRGB": ("RGBA", (3, 0, 1, 2)),
    "ABGR": ("RGBA", (3, 2, 1, 0)),
    "xBGR": ("RGBA", (3, 2, 1, 0)),
    "GRAY8": ("L", None),
}
_DECODE = "file: decode it first, cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)"
_FILES = {b"\xff\xd8\xff": f"this is a JPEG {_DECODE}", b"\x89PNG": f"this is a PNG {_DECODE}"}
_STACKED_BY_OPENCV = {"I420": "cv2.COLOR_BGR2YUV_I420", "YV12": "cv2.COLOR_BGR2YUV_YV12"}


def buffer(data: Any, what: str, format: str | None, size: tuple[int, int] | None) -> Any:
    """`data`, which has no buffer protocol, as something that has: tensors, PIL images, arrays of other libraries.

    `format` and `size` (width and height) are those of the producer. Raises TypeError with the remedy.
    """
    if _library(data) == "PIL" and hasattr(data, "getbands"):
        return _of_pil(data, format, size)
    advice = _advice(data)
    if advice is None and hasattr(data, "__dlpack__"):
        return _of_dlpack(data)
    if advice is None and hasattr(data, "__cuda_array_interface__"):
        advice = "its memory is that of a GPU: copy it to the processor's first"
    if advice is None and any(hasattr(data, name) for name in ("__array_interface__", "__array__", "__array_struct__")):
        import numpy as np

        return np.asarray(data)
    raise TypeError(f"write() takes {what}, not {type(data).__name__}" + (f": {advice}" if advice else ""))


def mask(data: Any) -> Any:
    """Truth values as a picture: 255 where they are true, as OpenCV and PIL have masks."""
    import numpy as np

    return np.multiply(np.asarray(data), 255, dtype=np.uint8)


def squeezed(data: Any, shape: tuple[int, ...]) -> Any | None:
    """A gray picture whose one channel has a dimension of its own, without that; None if `data` is something else."""
    import numpy as np

    array = np.asarray(data)
    return array[..., 0] if array.shape == (*shape, 1) else None


def remedy(data: Any, format: str, shape: tuple[int, ...] | None, dtype: str | None, size: tuple[int, int]) -> str:
    """What to do with data that does not fit, as the end of a sentence; empty if there is no advice.

    `shape` and `dtype` are those of the picture's array; None for formats that have planes instead.
    """
    import numpy as np

    advice = _advice(data)
    if advice is not None:
        return f": {advice}"
    if isinstance(data, (bytes, bytearray)):
        return next((f"; {text}" for magic, text in _FILES.items() if data.startswith(magic)), "")
    try:
        array = np.asarray(data)
    except Exception:  # of whoever made the object
        return ""
    found = list(_of_shape(data, array, format, shape, size))
    if dtype is not None:
        found += _of_type(array, format, np.dtype(dtype))
    return "".join(f"; {one}" for one in found)


def _library(data: Any) -> str:
    return type(data).__module__.partition(".")[0]


def _of_pil(image: Any, format: str | None, size: tuple[int, int] | None) -> Any:
    import numpy as np

    from .errors import InvalidArgument

    if size is not None and image.size != size:
        raise InvalidArgument(
            f"a picture of {size[0]}x{size[1]} is needed, but this PIL image has {image.size[0]}x{image.size[1]}: "
            f"image.resize({size})"
        )
    if format is None:
        return image.tobytes()
    if format == "GRAY16_LE" and image.mode.startswith("I;16"):
        return np.asarray(image).astype("<u2", copy=False)
    if format not in _PIL_MODES or image.mode in ("F", "I") or image.mode.startswith("I;16"):
        raise InvalidArgument(
            f'a PIL image of mode {image.mode} does not become {format}: open the producer with format="RGB" and write '
            'image.convert("RGB"), or write an array of the picture'
        )
    mode, order = _PIL_MODES[format]
    pixels = np.asarray(image.convert(mode))
    return pixels if order is None else pixels[..., order]


def _of_dlpack(data: Any) -> Any:
    import numpy as np

    if hasattr(data, "__dlpack_device__"):
        kind, number = (int(part) for part in data.__dlpack_device__())
        if kind not in _READABLE:
            where = f"{_DEVICES.get(kind, f'device type {kind} of DLPack')} (number {number})"
            every = ", ".join(f"{library}: {call}" for library, call in _TO_HOST.items())
            copy = _TO_HOST.get(_library(data), f"({every})")
            raise TypeError(
                f"write() cannot read this {type(data).__name__}, whose memory is on {where}: copy it to the processor's "
                f"memory first, {copy}"
            )
    try:
        return np.from_dlpack(data)
    except Exception as error:  # of whoever made the object
        detached = "; call detach() first" if getattr(data, "requires_grad", False) else ""
        raise TypeError(f"write() cannot read this {type(data).__name__}: {error}{detached}") from error


def _advice(data: Any) -> str | None:
    """For what is no picture at all."""
    name = type(data).__name__
    if data is None:
        return "cv2.imread() and VideoCapture.read() return None when they have no picture; check for it"
    if isinstance(data, str):
        return "open a picture file first, cv2.imread(path); text is written as bytes, text.encode()"
    if hasattr(data, "__fspath__"):
        return "open the picture file first, cv2.imread(path)"
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], bool):
        return "VideoCapture.read() returns two values: ok, picture = capture.read()"
    if isinstance(data, (list, tuple)) and data:
        if all(hasattr(one, "shape") for one in data):
            return "write pictures one by one; a list is for planes, in the order of the format"
        return "make an array of it, np.asarray(data, np.uint8)"
    if name == "UMat":
        return "download it, picture.get()"
    if name == "GpuMat":
        return "download it, picture.download()"
    if isinstance(data, (bool, int, float)) or getattr(data, "shape", None) == ():
        return "a number is no picture; np.full(producer.shape, value, np.uint8) is one of one colour"
    return None


def _of_shape(
    data: Any, array: Any, format: str, shape: tuple[int, ...] | None, size: tuple[int, int]
) -> Iterator[str]:
    given, (width, height) = array.shape, size
    last = "tensor.permute(1, 2, 0)" if _library(data) == "torch" else "array.transpose(1, 2, 0)"
    channels = shape[2] if shape and len(shape) == 3 else 1
    if given == shape:
        return
    if array.ndim == 4:
        yield "array[0] is the picture" if given[0] == 1 else f"write the {given[0]} pictures of this batch one by one"
    elif array.ndim == 3 and given[0] in (1, 3, 4) and given[1:] == (height, width):
        yield f"the channels come last, {last}"
    elif given[:2] == (width, height) and width != height:
        yield "rows come first, then columns: an array of a picture has the shape (height, width, ...)"
    elif shape is None:
        if given == (height, width, 3):
            code = _STACKED_BY_OPENCV.get(format)
            stacked = f"convert it, cv2.cvtColor(array, {code}), or " if code else ""
            yield f'{stacked}open the producer with format="BGR" or "RGB"; consumers convert'
    elif given[:2] == (height, width):
        yield from _of_channels(1 if array.ndim == 2 else given[2], channels, format)
    elif array.ndim in (2, 3):
        yield (
            f"resize it, cv2.resize(array, ({width}, {height})), or open the producer with width={given[1]}, "
            f"height={given[0]}"
        )


def _of_channels(given: int, needed: int, format: str) -> Iterator[str]:
    with_alpha = {"BGR": "BGRA", "RGB": "RGBA"}.get(format, "BGRA")
    without = {"BGRA": "BGR", "BGRx": "BGR", "RGBA": "RGB", "RGBx": "RGB"}.get(format, "BGR")
    if given == 1 and needed > 1:
        yield 'a gray picture is written by a producer with format="GRAY8", or as np.stack([gray] * 3, axis=2)'
    elif given == 4 and needed == 3:
        yield f'drop the fourth channel, array[..., :3], or open the producer with format="{with_alpha}"'
    elif given == 3 and needed == 4:
        yield f'open the producer with format="{without}", which has three channels'
    elif given in (3, 4) and needed == 1:
        yield 'make it gray, cv2.cvtColor(array, cv2.COLOR_BGR2GRAY), or open the producer with format="BGR"'


def _of_type(array: Any, format: str, dtype: Any) -> Iterator[str]:
    import numpy as np

    if array.dtype == dtype or array.dtype.kind not in "fiub" or not array.size:
        return
    kind, most = array.dtype.kind, np.nanmax(array)
    eight = dtype.itemsize == 1
    if kind == array.dtype.kind == dtype.kind and array.dtype.itemsize == dtype.itemsize:
        yield f'the byte order differs, array.astype("{dtype.str}")'
    elif kind == "f" and most <= 1 and eight:
        yield "scale 0 to 1 to 0 to 255, (array.clip(0, 1) * 255).astype(np.uint8)"
    elif kind in "fi" and eight:
        yield "convert it, array.clip(0, 255).astype(np.uint8)"
    elif kind == "u" and eight:
        deep = ', or open the producer with format="GRAY16_LE"' if format == "GRAY8" else ""
        yield f"convert it, {'(array >> 8)' if most > 255 else 'array'}.astype(np.uint8){deep}"
    elif format.startswith("GRAY16") and array.dtype == np.uint8:
        yield f'scale it, array.astype("{dtype.str}") << 8, or open the producer with format="GRAY8"'
    else:
        yield f'convert it, array.astype("{dtype.str}")'
