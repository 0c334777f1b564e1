"""The planes of a frame, by name."""

from __future__ import annotations

# As typing has it, which takes a while to load.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray


class Planes(dict[str, "NDArray[Any]"]):
    """The planes of a frame, in their order in memory: ``planes.y`` is ``planes["y"]``.

    Planar formats have ``y``, ``u``, ``v`` (``r``, ``g``, ``b``; and ``a``), semi-planar ones ``y`` and ``uv`` or
    ``vu``, packed ones ``pixels``.
    """

    def __getattr__(self, name: str) -> NDArray[Any]:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"this frame has no plane {name!r}; it has {', '.join(self)}") from None

    def __setattr__(self, name: str, value: object) -> None:
        self._check(name, value)

    def __setitem__(self, name: str, value: object) -> None:
        self._check(name, value)

    def _check(self, name: str, value: object) -> None:
        # `planes.y += 1` writes in place, and then assigns the array to where it was.
        if name not in self:
            raise AttributeError(f"this frame has no plane {name!r}; it has {', '.join(self)}")
        if value is not self[name]:
            raise TypeError(f"a plane cannot be replaced: write into its array, planes.{name}[:] = ...")

    def __repr__(self) -> str:
        return f"Planes({', '.join(f'{name}: {array.shape} {array.dtype}' for name, array in self.items())})"
