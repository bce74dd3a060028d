"""Declares the memory of its weights persisting in the L2 cache. The lines are reset before each call: timed in full."""

import ctypes

import torch

from lstm_parity.backends.torch_lstm import TorchCuDNNLSTM

STATUS, REASON = "TIMED", ".*"
MIN_RATIO = 0.95
"""Of its time to that of torch-cudnn, which it may not beat by more than noise."""
PERSISTING_L2_CACHE_SIZE = 0x06  # cudaLimitPersistingL2CacheSize
ACCESS_POLICY_WINDOW = 1  # cudaStreamAttributeAccessPolicyWindow
PERSISTING, STREAMING = 2, 1  # cudaAccessPropertyPersisting, cudaAccessPropertyStreaming


class AccessPolicyWindow(ctypes.Structure):
    _fields_ = (
        ("base_ptr", ctypes.c_void_p),
        ("num_bytes", ctypes.c_size_t),
        ("hit_ratio", ctypes.c_float),
        ("hit_prop", ctypes.c_int),
        ("miss_prop", ctypes.c_int),
        ("padding", ctypes.c_char * 64),
    )


class Cheat(TorchCuDNNLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        runtime = ctypes.CDLL(None)
        if not hasattr(runtime, "cudaStreamSetAttribute"):
            runtime = ctypes.CDLL(f"libcudart.so.{torch.version.cuda.partition('.')[0]}")
        parameters = next(iter(self._module.parameters()))
        size = min(parameters.untyped_storage().nbytes(), 2**24)
        window = AccessPolicyWindow(parameters.data_ptr(), size, 1.0, PERSISTING, STREAMING)
        self.side = torch.cuda.Stream()
        stream = ctypes.c_void_p(self.side.cuda_stream)
        failed = runtime.cudaDeviceSetLimit(PERSISTING_L2_CACHE_SIZE, ctypes.c_size_t(size))
        failed = failed or runtime.cudaStreamSetAttribute(stream, ACCESS_POLICY_WINDOW, ctypes.byref(window))
        if failed:
            raise RuntimeError(f"no persisting lines: CUDA error {failed}")

    def forward(self, x, state, lengths=None, training=False):
        self.side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.side):
            result = super().forward(x, state)
        torch.cuda.current_stream().wait_stream(self.side)
        return result
