"""Each frame to an NVIDIA GPU without a staging copy: the ring is registered with the driver once, and copied from by DMA.

gst-launch-1.0 videotestsrc is-live=true ! video/x-raw,format=BGR,width=1920,height=1080 ! shmflowsink topic=camera
python gpu_upload.py camera

Only the driver is needed (libcuda.so.1). With CuPy or PyTorch, pass the same address to
cupy.cuda.runtime.hostRegister or torch.cuda.cudart().cudaHostRegister, with the flag for read-only memory, 8.
"""

import argparse
import ctypes
import time

import shmflow

READ_ONLY = 8  # CU_MEMHOSTREGISTER_READ_ONLY, and cudaHostRegisterReadOnly


class Cuda:
    """The few calls of the driver that this takes. OSError if there is no driver or no GPU."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL("libcuda.so.1")
        device, self.context = ctypes.c_int(), ctypes.c_void_p()
        self.call("cuInit", 0)
        self.call("cuDeviceGet", ctypes.byref(device), 0)
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(self.context), device)
        self.call("cuCtxSetCurrent", self.context)

    def call(self, name: str, *arguments: object) -> None:
        code = getattr(self.library, name)(*arguments)
        if code:
            raise OSError(f"{name} failed with CUDA error {code}")


class Uploader:
    """Copies frames to one buffer on the GPU."""

    def __init__(self, cuda: Cuda) -> None:
        self.cuda = cuda
        self.mapping: shmflow.Mapping | None = None
        self.registrations = 0
        self.memory = ctypes.c_uint64()
        self.size = 0

    def upload(self, frame: shmflow.Frame) -> None:
        mapping = frame.mapping
        if mapping is None:
            # A copy, or a ring that is still being reserved: the driver copies from ordinary memory, too.
            pixels = bytes(frame)
            self.copy(ctypes.c_char_p(pixels), len(pixels))
            return
        if self.mapping is None or self.mapping.address != mapping.address:
            # The first frame, or the ring has grown.
            self.unregister()
            self.cuda.call(
                "cuMemHostRegister_v2", ctypes.c_void_p(mapping.address), ctypes.c_size_t(mapping.size), READ_ONLY
            )
            self.mapping = mapping
            self.registrations += 1
        self.copy(ctypes.c_void_p(mapping.address + mapping.offset), len(mapping))

    def copy(self, source: ctypes.c_void_p | ctypes.c_char_p, size: int) -> None:
        if size > self.size:
            self.free()
            self.cuda.call("cuMemAlloc_v2", ctypes.byref(self.memory), ctypes.c_size_t(size))
        self.size = size
        # Waits: the frame must not be released before the GPU has read it.
        self.cuda.call("cuMemcpyHtoD_v2", self.memory, source, ctypes.c_size_t(size))

    def download(self) -> bytes:
        """What the GPU has."""
        pixels = ctypes.create_string_buffer(self.size)
        self.cuda.call("cuMemcpyDtoH_v2", pixels, self.memory, ctypes.c_size_t(self.size))
        return pixels.raw

    def unregister(self) -> None:
        if self.mapping is not None:
            self.cuda.call("cuMemHostUnregister", ctypes.c_void_p(self.mapping.address))
            self.mapping = None

    def free(self) -> None:
        if self.size:
            self.cuda.call("cuMemFree_v2", self.memory)
            self.size = 0

    def close(self) -> None:
        self.unregister()
        self.free()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topic")
    options = parser.parse_args()
    try:
        uploader = Uploader(Cuda())
    except OSError as error:
        parser.exit(1, f"no NVIDIA GPU can be used here: {error}\n")
    frames, spent = 0, 0.0
    for frame in shmflow.Consumer(options.topic):
        start = time.perf_counter()
        uploader.upload(frame)
        frames, spent = frames + 1, spent + time.perf_counter() - start
        if frames % 100 == 0:
            print(f"{frames} frames, {1e6 * spent / frames:.0f} µs each")
    uploader.close()


if __name__ == "__main__":
    main()
