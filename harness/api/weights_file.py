"""The LSTM of a model file that a command line names; whatever is wrong with it ends in one line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from lstm_parity.backends import UnavailableError

from ..errors import CallError

if TYPE_CHECKING:
    from lstm_parity.backends.weights.contents import LoadedModel


def read_weights(file: str) -> LoadedModel:
    """The LSTM of FILE or FILE#name. Raises CallError."""
    from lstm_parity.backends.weights import WeightsFileError, load_weights

    try:
        return load_weights(file)
    except (WeightsFileError, UnavailableError) as error:
        raise CallError(str(error)) from error


def check_precisions(model: LoadedModel, precisions: Iterable[Any]) -> None:
    """Raise CallError for weights that a precision cannot hold."""
    from lstm_parity.backends.weights import WeightsFileError

    try:
        for precision in precisions:
            model.weights_for(precision)
    except WeightsFileError as error:
        raise CallError(str(error)) from error
