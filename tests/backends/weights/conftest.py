from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lstm_parity.backends import DirectionWeights, LSTMSpec, LSTMWeights


def draw_weights(spec: LSTMSpec, seed: int = 0) -> LSTMWeights:
    rng = np.random.default_rng(seed)
    return LSTMWeights(
        tuple(
            tuple(
                DirectionWeights(
                    **{
                        name: rng.normal(size=shape).astype(spec.dtype)
                        for name, shape in spec.weight_shapes(layer).items()
                        if shape is not None
                    }
                )
                for _ in range(spec.num_directions)
            )
            for layer in range(spec.num_layers)
        )
    )


@pytest.fixture
def drawn_weights() -> Callable[..., LSTMWeights]:
    return draw_weights


@pytest.fixture
def assert_same_weights() -> Callable[[LSTMWeights, LSTMWeights], None]:
    def check(left: LSTMWeights, right: LSTMWeights) -> None:
        assert [name for name, _ in left.items()] == [name for name, _ in right.items()]
        for (name, a), (_, b) in zip(left.items(), right.items(), strict=True):
            assert a.dtype == b.dtype, name
            np.testing.assert_array_equal(a, b, err_msg=name)

    return check
