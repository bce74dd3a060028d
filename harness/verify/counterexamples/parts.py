"""The parts of a counterexample's script that do not depend on its numbers."""

from __future__ import annotations

from lstm_parity.backends import LSTMSpec

WHY = """

    own: the backend's y, which goes from step to step in place of h, so that only one step's error counts.
    """


def equations(spec: LSTMSpec, *, lengths: bool, gradient: bool) -> str:
    """The equations as a NumPy loop, with no more than the problem needs.

    Defines equations(weights, x, h0, c0[, lengths], own) -> y, h_n, c_n.
    """
    one = not spec.bidirectional and spec.num_layers == 1
    bias = " + w.b_ih + w.b_hh" if spec.bias else ""
    length = ", lengths" * lengths
    lines = [
        "def sigmoid(z):",
        '    """1 / (1 + exp(-z)), for complex z, too."""',
        "    return 0.5 + 0.5 * np.tanh(z / 2)",
        "",
        "",
    ]
    if spec.bidirectional:
        lines += ["def reverse(x" + length + "):"]
        if lengths:
            lines += [
                '    """x with each row\'s valid steps in reverse order."""',
                "    t = np.arange(len(x))[:, None]",
                "    source = np.where(t < lengths, lengths - 1 - t, t)",
                "    return np.take_along_axis(x, source[:, :, None], axis=0)",
            ]
        else:
            lines += ['    """x with its steps in reverse order."""', "    return x[::-1]"]
        lines += ["", ""]
    own_parameter = "" if gradient or spec.num_layers > 1 else ", own"
    lines += [
        f"def direction(w, x, h, c{length}{own_parameter}):",
        f'    """The equations, {_sizes(spec)}.{WHY * bool(own_parameter)}"""',
        "    y = []",
    ]
    lines += ["    for t in range(len(x)):"]
    lines += [f"        i, f, g, o = np.split(x[t] @ w.w_ih.T + h @ w.w_hh.T{bias}, 4, axis=1)"]
    if spec.peephole:
        lines += ["        i, f = i + w.peephole[0] * c, f + w.peephole[1] * c"]
    lines += ["        c_new = sigmoid(f) * c + sigmoid(i) * np.tanh(g)"]
    if spec.peephole:
        lines += ["        o = o + w.peephole[2] * c_new"]
    h_new = "(sigmoid(o) * np.tanh(c_new)) @ w.w_hr.T" if spec.proj_size else "sigmoid(o) * np.tanh(c_new)"
    lines += [f"        h_new = {h_new}"]
    kept = "own[t]" if own_parameter else "h_new"
    if lengths:
        lines += [
            "        valid = (t < lengths)[:, None]",
            "        y.append(np.where(valid, h_new, 0))",
            f"        h, c = np.where(valid, {kept}, h), np.where(valid, c_new, c)",
        ]
    else:
        lines += ["        y.append(h_new)", f"        h, c = {kept}, c_new"]
    lines += ["    return np.array(y), h, c", "", ""]

    lines += [f"def equations(weights, x, h0, c0{length}{own_parameter}):", '    """y, h_n and c_n in float64."""']
    if lengths:
        lines += ["    valid = np.arange(len(x))[:, None] < lengths"]
        lines += ["    x = np.where(valid[:, :, None], x, 0)  # what lies past a row's length is never read"]
    if one:
        lines += [f"    y, h, c = direction(weights.layers[0][0], x, h0[0], c0[0]{length}{own_parameter})"]
        lines += ["    return y, h[None], c[None]"]
        return "\n".join(lines)
    lines += ["    h_n, c_n = h0.copy(), c0.copy()", "    for l, layer in enumerate(weights.layers):"]
    if spec.bidirectional:
        forward_own, reverse_own = (", own[:, :, :R]", f", reverse(own[:, :, R:]{length})") if own_parameter else ("", "")
        if own_parameter:
            lines.insert(-1, f"    R = {spec.state_size}")
        lines += [
            "        k = 2 * l",
            f"        y, h_n[k], c_n[k] = direction(layer[0], x, h0[k], c0[k]{length}{forward_own})",
            "        k += 1",
            f"        turned = reverse(x{length})",
            f"        back, h_n[k], c_n[k] = direction(layer[1], turned, h0[k], c0[k]{length}{reverse_own})",
            f"        x = np.concatenate([y, reverse(back{length})], axis=2)",
        ]
    else:
        lines += [f"        x, h_n[l], c_n[l] = direction(layer[0], x, h0[l], c0[l]{length})"]
    lines += ["    return x, h_n, c_n"]
    return "\n".join(lines)


def _sizes(spec: LSTMSpec) -> str:
    width = "R" if spec.proj_size else "H"
    return f"x [T, B, I], h [B, {width}], c [B, H]; gates are packed i, f, g, o"


def calling(*, layout: str, training: bool, lengths: bool, spoiled: bool) -> str:
    """Defines forward, backward (for training), host and spoil: calls of a backend, as the check makes them."""
    forward = FORWARD_LENGTHS if lengths else FORWARD
    if not training:
        forward = forward.replace(", training=False", "").replace(", training=training", "")
    return "\n\n".join([PUT[layout], forward, *[BACKWARD] * training, HOST, *[SPOIL] * spoiled])


PUT = {
    "strided": '''\
def put(lstm, array):
    """The backend's array, every other element of a larger one with two axes swapped."""
    larger = np.full([2 * n for n in array.shape], np.nan, array.dtype)
    every_other = tuple(slice(None, None, 2) for _ in array.shape)
    larger[every_other] = array
    return lstm.to_device(np.ascontiguousarray(larger.swapaxes(0, 1)))[every_other].swapaxes(0, 1)
''',
    "read-only": '''\
def put(lstm, array):
    """The backend's array; it may not be written to."""
    array = array.copy()
    array.flags.writeable = False
    return lstm.to_device(array)
''',
    "plain": '''\
def put(lstm, array):
    """The backend's array."""
    return lstm.to_device(array.copy())
''',
}

FORWARD = '''\
def forward(lstm, x, h0, c0, training=False):
    """What is given and what comes back, by name."""
    given = {"x": put(lstm, x), "h0": put(lstm, h0), "c0": put(lstm, c0)}
    y, last = lstm.forward(given["x"], LSTMState(given["h0"], given["c0"]), training=training)
    return given, {"y": y, "h_n": last.h, "c_n": last.c}
'''

FORWARD_LENGTHS = '''\
def forward(lstm, x, h0, c0, lengths=None, training=False):
    """What is given and what comes back, by name."""
    given = {"x": put(lstm, x), "h0": put(lstm, h0), "c0": put(lstm, c0)}
    if lengths is not None:
        given["lengths"] = lengths = lengths.copy()
    y, last = lstm.forward(given["x"], LSTMState(given["h0"], given["c0"]), lengths, training=training)
    return given, {"y": y, "h_n": last.h, "c_n": last.c}
'''

BACKWARD = '''\
def backward(lstm, given, returned, grad_y, grad_h, grad_c):
    """Adds what is given and what comes back."""
    given |= {"grad_y": put(lstm, grad_y), "grad_h": put(lstm, grad_h), "grad_c": put(lstm, grad_c)}
    g = lstm.backward(given["grad_y"], LSTMState(given["grad_h"], given["grad_c"]))
    returned |= {"gradient of x": g.x, "gradient of h0": g.h0, "gradient of c0": g.c0}
    returned |= {f"gradient of {path}": array for path, array in g.weights.items()}
'''

HOST = '''\
def host(lstm, returned):
    """Copies as NumPy arrays."""
    lstm.synchronize()
    return {name: np.array(lstm.to_host(array)) for name, array in returned.items()}
'''

SPOIL = '''\
def spoil(returned):
    """What came back is the caller's: filled with NaN, so that a buffer handed out twice shows."""
    for array in returned.values():
        with suppress(TypeError, ValueError, RuntimeError):
            array[...] = np.nan
'''

SEEN_FINDING = """\
got, allowed = float(got_{call}[{tensor!r}][{index}]), {allowed}
off = 0.0 if got == expected or (np.isnan(got) and np.isnan(expected)) else abs(got - expected)
wrong = not off <= allowed
print(f"called    {{NAME}} on {words}")
print(f"got       {{got!r}} for {what}")
print(f"expected  {{expected!r}} by the equations in float64")
times = off / allowed if allowed else (np.inf if off else 0.0)
print(f"off by    {{off:.3g}}: {{times:.3g}} times the allowed error {{allowed:.3g}}")
print("WRONG" if wrong else "right")
sys.exit(int(wrong))
"""
