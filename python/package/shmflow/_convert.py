"""Colours for :meth:`Frame.bgr` and :meth:`Frame.rgb`, by OpenCV.

OpenCV's own conversions from YUV know one matrix (BT.601, limited range). They are used where that is what the frame has;
other frames are brought to full resolution and multiplied with their own matrix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import FormatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._planes import Planes
    from ._shmflow import Frame

# Order of the channels in memory.
_RGB = {
    "RGB": "rgb",
    "BGR": "bgr",
    "RGBx": "rgbx",
    "BGRx": "bgrx",
    "xRGB": "xrgb",
    "xBGR": "xbgr",
    "RGBA": "rgbx",
    "BGRA": "bgrx",
    "ARGB": "xrgb",
    "ABGR": "xbgr",
    "RBGA": "rbgx",
}
_YUV_PIXELS = {"AYUV": (1, 2, 3), "VUYA": (2, 1, 0), "v308": (0, 1, 2), "IYU2": (1, 0, 2)}
# Where Y, U and V are in two pixels of four bytes.
_YUV_PAIRS = {"YUY2": (0, 1, 3), "UYVY": (1, 0, 2), "YVYU": (0, 3, 1), "VYUY": (1, 2, 0)}
# Kr and Kb of ITU-T H.273's matrices, by GStreamer's numbers.
_MATRICES = {2: (0.30, 0.11), 3: (0.2126, 0.0722), 4: (0.299, 0.114), 5: (0.212, 0.087), 6: (0.2627, 0.0593)}
_NAMED = {"bt601": (2, 4), "bt709": (2, 3), "smpte240m": (2, 5), "bt2020": (2, 6), "bt2100": (2, 6)}


def bgr(frame: Frame) -> NDArray[Any]:
    return _converted(frame, "bgr")


def rgb(frame: Frame) -> NDArray[Any]:
    return _converted(frame, "rgb")


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            "Frame.bgr() and Frame.rgb() convert with OpenCV, which is not installed: pip install "
            "opencv-python-headless (Debian: python3-opencv). Frame.array and Frame.planes work without."
        ) from error
    return cv2


def _converted(frame: Frame, order: str) -> NDArray[Any]:
    name = frame.format
    if name is None:
        raise FormatError(
            f"frame {frame.seq} carries no video layout, so that it has no colours; give the consumer "
            "caps=, or format=, width= and height="
        )
    cv2 = _opencv()
    # A picture may begin within chroma that pixels share: then what is converted begins a little before it.
    planes, (width, height, left, above) = frame._around()
    picture = _Picture(name, planes, width, height)
    converted = _colours(cv2, picture, frame, order)
    return _own(converted[above:, left:]) if left or above else converted


class _Picture(NamedTuple):
    format: str
    planes: Planes
    width: int
    height: int


def _colours(cv2: Any, picture: _Picture, frame: Frame, order: str) -> NDArray[Any]:
    name, planes = picture.format, picture.planes
    if name in _RGB:
        return _reordered(planes["pixels"], _RGB[name], order)
    if name in ("GRAY8", "GRAY16_LE", "GRAY16_BE"):
        gray = _eight_bits(planes["pixels"], 8 if name == "GRAY8" else 16)
        return _own(cv2.cvtColor(_plain(gray), cv2.COLOR_GRAY2BGR))  # the same in either order
    if {"r", "g", "b"} <= planes.keys():
        return _own(cv2.merge([_plain(_eight_bits(planes[channel], _bits(name))) for channel in order]))
    limited, matrix = _colorimetry(frame)
    if limited and matrix == 4:
        quick = _quick(cv2, picture, order)
        if quick is not None:
            return quick
    return _multiplied(cv2, _full_yuv(cv2, picture, frame.seq), limited, matrix, order)


def _reordered(array: NDArray[Any], have: str, order: str) -> NDArray[Any]:
    import numpy as np

    return np.ascontiguousarray(array[..., [have.index(channel) for channel in order]])


def _colorimetry(frame: Frame) -> tuple[bool, int]:
    """Whether the range is limited, and the number of the matrix: those of the caps, or GStreamer's defaults."""
    text = frame._colorimetry
    height = frame.height or 0
    standard = (True, 3 if height > 576 else 4)
    if text is None:
        return standard
    for name, (known_range, matrix) in _NAMED.items():
        if text == name or text.startswith(f"{name}-"):
            return known_range != 1, matrix
    # range:matrix:transfer:primaries, as numbers. Another process wrote it.
    parts = text.split(":")
    if len(parts) == 4:
        return parts[0] != "1", next((known for known in _MATRICES if str(known) == parts[1]), standard[1])
    return standard


def _quick(cv2: Any, picture: _Picture, order: str) -> NDArray[Any] | None:
    """OpenCV's own conversion, for pictures that it supports: of even size."""
    import numpy as np

    name, planes, width, height = picture
    if width % 2 or height % 2:
        return None
    target = order.upper()
    if name in _YUV_PAIRS and name != "VYUY":
        return _own(cv2.cvtColor(_plain(planes["pixels"]), getattr(cv2, f"COLOR_YUV2{target}_{name}")))
    if name in ("NV12", "NV21"):
        code = getattr(cv2, f"COLOR_YUV2{target}_{name}")
        whole = np.empty((height * 3 // 2, width), np.uint8)
        whole[:height] = planes.y
        whole[height:] = planes["uv" if name == "NV12" else "vu"].reshape(height // 2, width)
        return _own(cv2.cvtColor(whole, code))
    if name in ("I420", "YV12"):
        joined = np.empty(height * width * 3 // 2, np.uint8)
        at = 0
        for plane in (planes.y, planes.u, planes.v):
            joined[at : at + plane.size].reshape(plane.shape)[:] = plane
            at += plane.size
        return _own(cv2.cvtColor(joined.reshape(height * 3 // 2, width), getattr(cv2, f"COLOR_YUV2{target}_I420")))
    return None


def _full_yuv(cv2: Any, picture: _Picture, seq: int) -> NDArray[Any]:
    """The picture as rows x columns x (Y, U, V) of 8 bits."""
    import numpy as np

    name, _, width, height = picture
    planes = dict(picture.planes)

    def full(plane: NDArray[Any], down: bool) -> NDArray[Any]:
        plane = _plain(plane)
        across = _shared(width, plane.shape[1])
        rows = _shared(height, plane.shape[0]) if down else 1
        size = (plane.shape[1] * across, plane.shape[0] * rows)
        return cv2.resize(plane, size, interpolation=cv2.INTER_NEAREST)[:height, :width]  # type: ignore[no-any-return]

    if name in _YUV_PIXELS:
        return np.ascontiguousarray(planes["pixels"][..., list(_YUV_PIXELS[name])])
    if name in _YUV_PAIRS:
        pairs = planes["pixels"]
        luma = pairs[..., _YUV_PAIRS[name][0]][:, :width]
        flat = pairs.reshape(height, -1, 4)
        u, v = (flat[..., at] for at in _YUV_PAIRS[name][1:])
        return np.ascontiguousarray(np.dstack([luma, full(u, False), full(v, False)]))
    chroma = planes.get("uv") if "uv" in planes else planes.get("vu")
    if chroma is not None and chroma.ndim == 3:
        first, second = chroma[..., 0], chroma[..., 1]
        planes["u"], planes["v"] = (first, second) if "uv" in planes else (second, first)
    if not {"y", "u", "v"} <= planes.keys():
        raise FormatError(
            f"frame {seq} is {name}, which bgr() and rgb() do not know; put videoconvert in front of the sink, or "
            "convert frame.planes"
        )
    bits = _bits(name)
    return np.ascontiguousarray(np.dstack([full(_eight_bits(planes[key], bits), True) for key in "yuv"]))


def _shared(pixels: int, samples: int) -> int:
    """How many pixels share a sample: 1, 2 or 4, of which the last one may stand for fewer."""
    return 1 << (-(-pixels // samples) - 1).bit_length()


def _bits(name: str) -> int:
    """Of a sample as a number: those of P010 and P012 are in the upper bits of 16."""
    if name.startswith("P0"):
        return 16
    return next((bits for bits in (10, 12, 16) if f"_{bits}" in name), 8)


def _eight_bits(plane: NDArray[Any], bits: int) -> NDArray[Any]:
    import numpy as np

    return plane if bits == 8 else (plane >> (bits - 8)).astype(np.uint8)


def _multiplied(cv2: Any, yuv: NDArray[Any], limited: bool, matrix: int, order: str) -> NDArray[Any]:
    import numpy as np

    kr, kb = _MATRICES[matrix]
    kg = 1 - kr - kb
    y_scale, c_scale, black = (255 / 219, 255 / 224, 16) if limited else (1.0, 1.0, 0)
    rows = {
        "r": (y_scale, 0.0, 2 * (1 - kr) * c_scale),
        "g": (y_scale, -2 * kb * (1 - kb) / kg * c_scale, -2 * kr * (1 - kr) / kg * c_scale),
        "b": (y_scale, 2 * (1 - kb) * c_scale, 0.0),
    }
    factors = np.array([[*rows[c], -(rows[c][0] * black + (rows[c][1] + rows[c][2]) * 128)] for c in order], np.float32)
    return _own(cv2.transform(yuv, factors))


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """An array that OpenCV accepts: no negative strides."""
    import numpy as np

    return array if all(stride > 0 for stride in array.strides) else np.ascontiguousarray(array)


def _own(array: Any) -> NDArray[Any]:
    import numpy as np

    return np.ascontiguousarray(array)
