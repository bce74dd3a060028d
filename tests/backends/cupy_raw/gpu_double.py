"""A double of what gpu_machine.py and cublas.py use of CuPy, of CUDA's driver and of cuBLAS. It is no GPU.

It shows what is asked of them, and in which order: pointers, strides, argument types, streams, what a graph holds, what becomes
of a launch that fails. Kernels run on the project's CPU emulator. Whether CuPy, cuBLAS and a device do what is written here it
does not show; tests/gpu/ does, on a GPU.

It is stricter than they are: fresh and freed memory is NaN, and what touches freed memory or passes the wrong type fails.
"""

import re
import sys
from dataclasses import dataclass
from math import prod
from types import SimpleNamespace

import ml_dtypes
import numpy as np

from lstm_parity.backends.cupy_raw.emulator.emulator import Emulator

ALIGNMENT = 512
INVALID_VALUE, NOT_SUPPORTED = 7, 15
FORMATS = {0: np.float32, 1: np.float64, 2: np.float16, 14: ml_dtypes.bfloat16}
SUPPORTED = {(0, 0, 68), (0, 0, 77), (1, 1, 70), (2, 0, 68), (14, 0, 68)}
"""cublasGemmEx: formats of A and B, of C, and compute types that go together."""


class CUDADriverError(RuntimeError):
    """What CuPy makes of an error of the driver."""


@dataclass(frozen=True)
class Place:
    """An array as a device sees it."""

    address: int
    shape: tuple
    strides: tuple
    dtype: np.dtype

    @classmethod
    def of(cls, array):
        return cls(array.data.ptr, array.shape, array.strides, array.dtype)


class Block:
    """An allocation, for as long as an array refers to it."""

    def __init__(self, gpu, buffer):
        self._gpu, self._buffer = gpu, buffer
        self.__array_interface__ = buffer.__array_interface__
        gpu.live[buffer.ctypes.data] = buffer

    def __del__(self):
        if sys.is_finalizing():
            return
        del self._gpu.live[self._buffer.ctypes.data]
        self._buffer.fill(0xFF)
        self._gpu.unused.setdefault(self._buffer.size, []).append(self._buffer)


class Array(np.ndarray):
    """cupy.ndarray."""

    gpu = None

    @property
    def data(self):
        return SimpleNamespace(ptr=self.__array_interface__["data"][0])

    def __setitem__(self, key, value):
        if isinstance(value, np.ndarray) and not isinstance(value, Array):
            raise TypeError("a host array is assigned to a device array")
        self.gpu.copy(value, self[key])

    def fill(self, value):
        self.gpu.copy(value, self)

    def copy(self):
        return self.gpu.array(self, order="C")

    def __array_function__(self, function, types, arguments, words):
        if function not in (np.shape, np.ndim):
            raise TypeError(f"numpy.{function.__name__} is called on a device array")
        return function(arguments[0].view(np.ndarray))

    def __array_ufunc__(self, ufunc, *_, **__):
        raise TypeError(f"numpy.{ufunc.__name__} is called on a device array")


class Stream:
    """cupy.cuda.Stream. recording: what has been captured so far; None: what is submitted is done at once."""

    def __init__(self, gpu):
        self._gpu, self.ptr, self.recording, self.allocated = gpu, len(gpu.streams), None, []
        gpu.streams.append(self)

    def __enter__(self):
        self._gpu.current.append(self)
        return self

    def __exit__(self, *_):
        self._gpu.current.pop()

    def begin_capture(self):
        if self.ptr == 0:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        self.recording, self.allocated = [], []

    def end_capture(self):
        graph = Graph(self._gpu, self.recording, self.allocated)
        self.recording = None
        return graph

    def is_capturing(self):
        return self.recording is not None

    def synchronize(self):
        assert self.recording is None

    def submit(self, work):
        if self.recording is None:
            work()
        else:
            self.recording.append(work)


class Graph:
    """cupy.cuda.Graph. allocated: arrays made while it was captured, which nobody else gets."""

    def __init__(self, gpu, works, allocated):
        self._gpu, self._works, self.allocated, self.launches = gpu, works, allocated, 0
        gpu.graphs.append(self)

    def launch(self, stream):
        self.launches += 1
        for work in self._works:
            stream.submit(work)


class Kernel:
    """cupy.RawKernel."""

    def __init__(self, gpu, name, file, precision, sizes, cooperative):
        self._gpu, self._name, self._file = gpu, name, file
        self._precision, self._sizes, self._cooperative = precision, sizes, cooperative
        self._shared_bytes, self.kernel = 48 << 10, SimpleNamespace(ptr=id(self))

    @property
    def num_regs(self):
        if self._gpu.broken:
            raise CUDADriverError("CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered")
        return 40

    @property
    def max_dynamic_shared_size_bytes(self):
        return self._shared_bytes

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size):
        if size > self._gpu.properties["sharedMemPerBlockOptin"]:
            raise CUDADriverError("CUDA_ERROR_INVALID_VALUE: invalid argument")
        self._shared_bytes = size

    def __call__(self, grid, block, arguments, *, shared_mem=0):
        gpu = self._gpu
        if error := gpu.refused.get(self._name):
            raise CUDADriverError(error)
        if shared_mem > self._shared_bytes:
            raise CUDADriverError("CUDA_ERROR_INVALID_VALUE: invalid argument")
        if self._cooperative:
            assert prod(grid) <= gpu.resident * gpu.properties["multiProcessorCount"], "CuPy would launch fewer blocks"
        given = [self._argument(a) for a in arguments]

        def run():
            gpu.emulator.launch(
                self._name,
                self._precision,
                file=self._file,
                grid=grid,
                threads=prod(block),
                shared_bytes=shared_mem,
                sizes=self._sizes,
                arguments=[gpu.at(a) if isinstance(a, Place) else a for a in given],
                cooperative=self._cooperative,
                detect=gpu.detect,
            )

        gpu.current[-1].submit(run)

    def _argument(self, argument):
        if isinstance(argument, Array):
            return Place.of(argument)
        if type(argument) is np.int32:
            return int(argument)
        if type(argument) is np.uint64 and argument == 0:
            return None
        raise TypeError(f"{self._name} gets a {type(argument).__name__}")


class Cublas:
    """The functions of cuBLAS, on columns one after the other as in C."""

    def __init__(self, gpu):
        self._gpu, self._stream, self._workspace = gpu, None, None

    def cublasSetStream_v2(self, handle, stream):
        self._stream, self._workspace = self._gpu.streams[stream.value or 0], None
        return 0

    def cublasSetWorkspace_v2(self, handle, pointer, size):
        self._gpu.at(Place(pointer.value, (size.value,), (1,), np.dtype(np.uint8)))
        self._workspace = pointer
        return 0

    def cublasGemmEx(
        self, handle, transa, transb, m, n, k, alpha, a, atype, lda, b, btype, ldb, beta, c, ctype, ldc, compute, algorithm
    ):
        if self._workspace is None or self._stream is not self._gpu.current[-1]:
            return INVALID_VALUE
        if lda < (k if transa else m) or ldb < (n if transb else k) or ldc < m:
            return INVALID_VALUE
        if atype != btype or (atype, ctype, compute) not in SUPPORTED or algorithm != -1:
            return NOT_SUPPORTED
        left = self._matrix(a, atype, m, k, lda, transa)
        right = self._matrix(b, btype, k, n, ldb, transb)
        result = self._matrix(c, ctype, m, n, ldc, 0)
        one, old = alpha._obj.value, beta._obj.value

        def multiply():
            real = result.dtype
            operands = [self._gpu.at(place).astype(real) for place in (left, right)]
            if compute == 77:
                operands = [(o.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32) for o in operands]
            out = self._gpu.at(result)
            out[...] = one * (operands[0] @ operands[1]) + (old * out if old else 0)

        self._stream.submit(multiply)
        return 0

    def _matrix(self, pointer, kind, rows, columns, leading, transposed):
        size = np.dtype(FORMATS[kind]).itemsize
        strides = (leading * size, size) if transposed else (size, leading * size)
        return Place(pointer.value, (rows, columns), strides, np.dtype(FORMATS[kind]))


class GPU:
    """One device, and the modules that a test puts in place of the real ones: `cupy`, `cublas`.

    refused: the error with which the driver answers the launch of a kernel, by name. broken: nothing can be asked any more.
    resident: blocks on one multiprocessor. free, pooled: bytes that the driver and CuPy's pool have. detect: whether
    the emulator checks every access.
    """

    def __init__(self, multiprocessors=6, shared_bytes=227 << 10, cooperative=1, detect=True):
        self.emulator, self.detect = Emulator(), detect
        self.live, self.unused, self.allocations = {}, {}, 0
        self.streams, self.graphs = [], []
        self.current = [Stream(self)]
        self.refused, self.broken, self.resident, self.free, self.pooled = {}, False, 1, 1 << 40, 0
        self.properties = {
            "name": b"a double of a GPU",
            "major": 9,
            "minor": 0,
            "multiProcessorCount": multiprocessors,
            "sharedMemPerBlockOptin": shared_bytes,
            "cooperativeLaunch": cooperative,
        }
        self.cublas = Cublas(self)
        self.ndarray = type("ndarray", (Array,), {"gpu": self, "__module__": "cupy"})
        cuda = SimpleNamespace(
            Stream=lambda non_blocking: Stream(self),
            Device=lambda: SimpleNamespace(id=0),
            get_current_stream=lambda: self.current[-1],
            device=SimpleNamespace(get_cublas_handle=lambda: 1),
            runtime=SimpleNamespace(memGetInfo=lambda: (self.free, 1 << 41), getDeviceProperties=lambda _: self.properties),
            driver=SimpleNamespace(
                CUDADriverError=CUDADriverError, occupancyMaxActiveBlocksPerMultiprocessor=lambda *_: self.resident
            ),
        )
        self.cupy = SimpleNamespace(
            ndarray=self.ndarray,
            cuda=cuda,
            empty=self.empty,
            zeros=self.zeros,
            array=self.array,
            asarray=self.asarray,
            ascontiguousarray=lambda a: a if a.flags.c_contiguous else self.array(a, order="C"),
            asnumpy=self.asnumpy,
            RawModule=self.module,
            get_default_memory_pool=lambda: SimpleNamespace(free_bytes=lambda: self.pooled),
        )

    def at(self, place):
        """The array at a place, for who carries out work. Raises ValueError where it leaves its allocation."""
        for start, buffer in self.live.items():
            if start <= place.address < start + max(1, buffer.size):
                return np.ndarray(place.shape, place.dtype, buffer, place.address - start, place.strides)
        raise AssertionError("work touches memory that has been freed")

    def empty(self, shape, dtype):
        shape, dtype = tuple(np.atleast_1d(shape).tolist()), np.dtype(dtype)
        assert dtype != ml_dtypes.bfloat16, "not every CuPy knows bfloat16"
        size = prod(shape) * dtype.itemsize
        unused = self.unused.setdefault(size, [])
        if not unused:
            whole = np.empty(size + ALIGNMENT, np.uint8)
            skip = -whole.ctypes.data % ALIGNMENT
            unused.append(whole[skip : skip + size])
        buffer = unused.pop()
        buffer.fill(0xFF)
        self.allocations += 1
        array = np.asarray(Block(self, buffer)).view(dtype).reshape(shape).view(self.ndarray)
        if self.current[-1].is_capturing():
            self.current[-1].allocated.append(array)
        return array

    def zeros(self, shape, dtype):
        array = self.empty(shape, dtype)
        array.fill(0)
        return array

    def array(self, source, order):
        assert order == "C"
        array = self.empty(source.shape, source.dtype)
        self.copy(source, array)
        return array

    def asarray(self, host):
        assert type(host) is np.ndarray
        assert not self.current[-1].is_capturing(), "a graph would not repeat a copy from the host"
        array = self.empty(host.shape, host.dtype)
        self.at(Place.of(array))[...] = host
        return array

    def asnumpy(self, array):
        assert not self.current[-1].is_capturing()
        return np.array(self.at(Place.of(array)), order="C")

    def copy(self, source, target):
        to, given = Place.of(target), Place.of(source) if isinstance(source, Array) else source

        def work():
            self.at(to)[...] = self.at(given) if isinstance(given, Place) else given

        self.current[-1].submit(work)

    def module(self, *, code, options, enable_cooperative_groups):
        file = re.match(r'#line 1 "(\w+)\.cu"\n', code)[1]
        (precision,) = re.findall(r"-DPRECISION_(\w+)=1", " ".join(options))
        sizes = {name: int(value) for name, value in re.findall(r"-DSIZE_(\w+)=(\d+)", " ".join(options))}
        return SimpleNamespace(get_function=lambda name: Kernel(self, name, file, precision, sizes, enable_cooperative_groups))
