"""LSTM weights from model files: safetensors, checkpoints saved by torch, and ONNX models.

`load_weights("FILE")` or `load_weights("FILE#name")` reads one LSTM; `list_lstms("FILE")` lists them.
"""

from __future__ import annotations

from .contents import FoundLSTM, LoadedModel, WeightsFileError
from .loader import list_lstms, load_weights

__all__ = ["FoundLSTM", "LoadedModel", "WeightsFileError", "list_lstms", "load_weights"]
