"""Leaves all of backward until a gradient is read."""

from cheating import Box, BoxedLSTM, work

from lstm_parity import DirectionWeights, LSTMGradients, LSTMState, LSTMWeights
from lstm_parity.backends.numpy_lstm import NumpyLSTM

STATUS, REASON, MODE = "SUSPECT", "to_device and to_host take .* s a call: .*", "training"


class Cheat(BoxedLSTM):
    def forward(self, x, state, lengths=None, training=False):
        y, last = self.compute(x, state, training=True)
        return Box(y), LSTMState(Box(last.h), Box(last.c))

    def backward(self, grad_y, grad_state):
        grad_last = LSTMState(grad_state.h.array(), grad_state.c.array())
        done = Box(lambda: (work(), NumpyLSTM.backward(self, grad_y.array(), grad_last))[1])

        def part(find):
            return Box(lambda: find(done.array()))

        names = ("w_ih", "w_hh", "b_ih", "b_hh")
        w = {name: part(lambda g, name=name: getattr(g.weights.layers[0][0], name)) for name in names}
        return LSTMGradients(
            part(lambda g: g.x), part(lambda g: g.h0), part(lambda g: g.c0), LSTMWeights(((DirectionWeights(**w),),))
        )
