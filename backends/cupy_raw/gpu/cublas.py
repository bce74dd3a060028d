"""cuBLAS's matrix product with separate formats of operands, result and arithmetic: cublasGemmEx, called through ctypes.

CuPy's wrapper passes the arithmetic as a data type, which cannot express TF32. The library and the handle are those that CuPy
has loaded. cuBLAS documentation, "cublasGemmEx()", "cublasSetWorkspace()", "CUDA Graphs Support".
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any

CUDA_R = {"float64": 1, "float32": 0, "tf32": 0, "float16": 2, "bfloat16": 14}
"""cudaDataType of the storage dtype."""

CUDA_R_REAL = {"float64": 1}
"""cudaDataType of the arithmetic; CUDA_R_32F for all others."""

COMPUTE = {"float64": 70, "tf32": 77}
"""cublasComputeType_t: CUBLAS_COMPUTE_64F, CUBLAS_COMPUTE_32F_FAST_TF32; for all others CUBLAS_COMPUTE_32F."""

CUBLAS_COMPUTE_32F = 68
CUBLAS_GEMM_DEFAULT = -1
NO, TRANSPOSED = 0, 1

NUMBERS = {
    "float64": (ctypes.byref(ctypes.c_double(0)), ctypes.byref(ctypes.c_double(1))),
    "float32": (ctypes.byref(ctypes.c_float(0)), ctypes.byref(ctypes.c_float(1))),
}
"""0 and 1 as cuBLAS takes them, in the format of the arithmetic."""

WORKSPACE_BYTES = 32 << 20
"""What NVIDIA recommends for the largest GPUs. With a workspace of our own a product gives the same bits in a CUDA graph as
outside: while a stream is captured, cuBLAS would allocate another workspace, and may then choose another kernel."""


class CublasError(RuntimeError):
    """cuBLAS returns an error for a product; the message has its status and the sizes."""


def gemm_ex(precision: str, a: Any, b: Any, out: Any, accumulate: bool, workspace: Any) -> None:
    """out [M, N] = a [M, K] b [N, K]^T, or += with `accumulate`, on CuPy's current stream.

    a, b: in the storage dtype of the precision, row- or column-major. out: float32, or float64 for float64, row-major.
    workspace: a byte array that no other stream's products use meanwhile. cuBLAS is column-major, so it computes out^T = b a^T.
    Raises CublasError, ValueError for an operand that is neither row- nor column-major.
    """
    import cupy

    library = _library()
    handle = ctypes.c_void_p(cupy.cuda.device.get_cublas_handle())
    operand, result = CUDA_R[precision], CUDA_R_REAL.get(precision, 0)
    b_form, b_leading = _form(b)
    a_form, a_leading = _form(a)
    (m, k), n = a.shape, len(b)
    zero, one = NUMBERS["float64" if precision == "float64" else "float32"]
    # setting the stream resets the workspace, so this order
    status = library.cublasSetStream_v2(handle, ctypes.c_void_p(cupy.cuda.get_current_stream().ptr))
    status = status or library.cublasSetWorkspace_v2(
        handle, ctypes.c_void_p(workspace.data.ptr), ctypes.c_size_t(workspace.size)
    )
    status = status or library.cublasGemmEx(
        handle,
        TRANSPOSED if b_form == "rows" else NO,
        NO if a_form == "rows" else TRANSPOSED,
        n,
        m,
        k,
        one,
        ctypes.c_void_p(b.data.ptr),
        operand,
        b_leading,
        ctypes.c_void_p(a.data.ptr),
        operand,
        a_leading,
        one if accumulate else zero,
        ctypes.c_void_p(out.data.ptr),
        result,
        _form(out)[1],
        COMPUTE.get(precision, CUBLAS_COMPUTE_32F),
        CUBLAS_GEMM_DEFAULT,
    )
    if status:
        raise CublasError(f"cublasGemmEx returns status {status} for [{m}, {k}] x [{k}, {n}] in {precision}")


def _form(array: Any) -> tuple[str, int]:
    """Whether a matrix's rows or its columns are contiguous, and their distance in elements."""
    rows, columns = array.shape
    row_stride, column_stride = (stride // array.itemsize for stride in array.strides)
    if columns == 1 or column_stride == 1:
        return "rows", row_stride if rows > 1 else columns
    if rows == 1 or row_stride == 1:
        return "columns", column_stride
    raise ValueError(f"neither the rows nor the columns of a [{rows}, {columns}] matrix are contiguous")


@cache
def _library() -> Any:
    import cupy
    from cupy_backends.cuda.libs import cublas  # noqa: F401  loads the library

    major = cupy.cuda.runtime.runtimeGetVersion() // 1000
    return ctypes.CDLL(f"cublas64_{major}.dll" if sys.platform == "win32" else f"libcublas.so.{major}")
