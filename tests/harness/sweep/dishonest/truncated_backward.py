"""Goes back over the last steps only in timed calls."""

from cheating import CountingLSTM

STATUS, REASON, MODE = "WRONG", r"in timed call \d+: gradient of x .*", "training"


class Cheat(CountingLSTM):
    def backward(self, grad_y, grad_state):
        gradients = super().backward(grad_y, grad_state)
        if self.timed:
            gradients.x[:2] = 0
        return gradients
