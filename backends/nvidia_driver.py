"""Asks NVIDIA's driver, without any GPU library, whether there is a device."""

from __future__ import annotations

import ctypes
import sys


def why_no_device() -> str | None:
    """Why NVIDIA's driver offers no device; None if it offers one."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return "no NVIDIA driver on this machine"
    if code := driver.cuInit(0):
        return f"the NVIDIA driver does not start (cuInit returns {code})"
    count = ctypes.c_int()
    if code := driver.cuDeviceGetCount(ctypes.byref(count)):
        return f"the NVIDIA driver lists no devices (cuDeviceGetCount returns {code})"
    return None if count.value else "the NVIDIA driver sees no GPU"
