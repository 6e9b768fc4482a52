"""The kernels of the selective scan. What they compute is in `stmest.ops.reference`, how they are called in `selective_scan`.

A program holds the states of some channels of one row of the batch, (T, C, S) at a time: T steps, C channels, S states. The
steps of such a tile lie in the registers of one thread, so that a scan along them needs no exchange between threads. Time is cut
into pieces where rows and channels alone would not fill the device: the state before each piece comes from `join_pieces`.
Consecutive rows may share a set of the parameters A, D and bias: `rows_per_set` of them. Counts are not specialised on, so that
another number of rows is no reason to compile anew. Sums over channels or rows go to buffers of partial sums, never through
atomics: the same inputs give the same bits. Builds on triton.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["join_pieces", "piece_adjoints", "piece_ends", "scan_backward", "scan_forward"]


@triton.jit
def _softplus(v):
    """log(1 + exp(v)), exact to rounding also where exp(v) is far below one."""
    power = tl.exp(tl.minimum(v, 20.0))
    one_more = 1.0 + power
    rounded = one_more - 1.0
    exact = tl.where(
        rounded == 0.0, power, tl.log(one_more) * (power / tl.where(rounded == 0.0, 1.0, rounded))
    )
    return tl.where(v > 20.0, v, exact)


@triton.jit
def _follow(decay, add, next_decay, next_add):
    """The map state -> decay * state + add, and another one after it, as one map."""
    return decay * next_decay, next_decay * add + next_add


@triton.jit
def _follow_but_last(
    decay, add, before_decay, before_add, next_decay, next_add, next_before_decay, next_before_add
):
    """The same, and all but the last of the maps as one map: what holds before the last step."""
    return (
        decay * next_decay,
        next_decay * add + next_add,
        next_before_decay * decay,
        next_before_decay * add + next_before_add,
    )


@triton.jit
def _load_step(delta, bias, channels, known, ok, at, HAS_BIAS: tl.constexpr):
    """The raw step size with its bias, and the step size, 0 where `ok` is false: such a step leaves the state alone."""
    raw = tl.load(delta + at, mask=ok, other=0.0)
    if HAS_BIAS:
        raw += tl.load(bias + channels, mask=known, other=0.0)[None, :]
    return raw, tl.where(ok, _softplus(raw), 0.0)


@triton.jit
def _set_of(row, rows_per_set, n_channels):
    """Where the parameters of a row's set begin, counted in channels."""
    return row // rows_per_set * n_channels


@triton.jit
def _rates(A, channels, states, n_channels, n_states):
    """Decay rates of some channels, (C, S)."""
    ok = (channels < n_channels)[:, None] & (states < n_states)[None, :]
    return tl.load(A + channels[:, None] * n_states + states[None, :], mask=ok, other=0.0)


@triton.jit(do_not_specialize=["n_steps", "n_pieces", "piece_steps", "rows_per_set"])
def piece_ends(
    x, delta, A, B, bias, ends, sums,
    x_b, x_t, delta_b, delta_t, B_b, B_t,
    n_steps, rows_per_set, n_channels, n_states, n_pieces, piece_steps,
    HAS_BIAS: tl.constexpr, T: tl.constexpr, C: tl.constexpr, S: tl.constexpr,
):  # fmt: skip
    """State at the end of each piece that starts from zero, (b, p, d, s), and the sum of its step sizes, (b, p, d)."""
    row, piece = tl.program_id(0).to(tl.int64), tl.program_id(2)
    channels, states = tl.program_id(1) * C + tl.arange(0, C), tl.arange(0, S)
    known, within = channels < n_channels, states < n_states
    own = _set_of(row, rows_per_set, n_channels)
    rates = _rates(A + own * n_states, channels, states, n_channels, n_states)
    state, total = tl.zeros([C, S], tl.float32), tl.zeros([C], tl.float32)
    first = piece * piece_steps
    last = tl.minimum(first + piece_steps, n_steps)
    for start in range(first, last, T):
        steps = start + tl.arange(0, T)
        ok = (steps < last)[:, None] & known[None, :]
        at = row * delta_b + steps[:, None] * delta_t + channels[None, :]
        _, step = _load_step(delta, bias + own, channels, known, ok, at, HAS_BIAS)
        values = tl.load(x + row * x_b + steps[:, None] * x_t + channels[None, :], mask=ok, other=0.0).to(
            tl.float32
        )
        seen = (steps < last)[:, None] & within[None, :]
        into = tl.load(B + row * B_b + steps[:, None] * B_t + states[None, :], mask=seen, other=0.0).to(
            tl.float32
        )
        decay = tl.exp(step[:, :, None] * rates[None, :, :])
        add = (step * values)[:, :, None] * into[:, None, :]
        decay, add = tl.associative_scan((decay, add), 0, _follow)
        all_states = decay * state[None, :, :] + add
        state = tl.sum(tl.where((tl.arange(0, T) == T - 1)[:, None, None], all_states, 0.0), 0)
        total += tl.sum(step, 0)
    place = (row * n_pieces + piece) * n_channels + channels
    tl.store(ends + place[:, None] * n_states + states[None, :], state, mask=known[:, None] & within[None, :])
    tl.store(sums + place, total, mask=known)


@triton.jit(do_not_specialize=["n_pieces", "rows_per_set"])
def join_pieces(
    ends, sums, A, outer, starts, rows_per_set, n_channels, n_states, n_pieces,
    HAS_OUTER: tl.constexpr, BACKWARD: tl.constexpr, C: tl.constexpr, S: tl.constexpr,
):  # fmt: skip
    """State before each piece, (b, p, d, s), in the direction of the pieces; `outer` (b, d, s) is that before them all."""
    row = tl.program_id(0).to(tl.int64)
    channels, states = tl.program_id(1) * C + tl.arange(0, C), tl.arange(0, S)
    known = channels < n_channels
    ok = known[:, None] & (states < n_states)[None, :]
    own = _set_of(row, rows_per_set, n_channels)
    rates = _rates(A + own * n_states, channels, states, n_channels, n_states)
    state = tl.zeros([C, S], tl.float32)
    if HAS_OUTER:
        at = (row * n_channels + channels)[:, None] * n_states + states[None, :]
        state = tl.load(outer + at, mask=ok, other=0.0)
    for index in range(n_pieces):
        piece = index
        if BACKWARD:
            piece = n_pieces - 1 - index
        place = (row * n_pieces + piece) * n_channels + channels
        at = place[:, None] * n_states + states[None, :]
        tl.store(starts + at, state, mask=ok)
        total = tl.load(sums + place, mask=known, other=0.0)
        state = tl.exp(total[:, None] * rates) * state + tl.load(ends + at, mask=ok, other=0.0)


@triton.jit(do_not_specialize=["n_steps", "n_pieces", "piece_steps", "n_borders", "rows_per_set"])
def scan_forward(
    x, delta, A, B, C_out, D, z, bias, starts, y, borders, final,
    x_b, x_t, delta_b, delta_t, B_b, B_t, C_b, C_t, z_b, z_t,
    n_steps, rows_per_set, n_channels, n_states, n_pieces, piece_steps, n_borders,
    HAS_BIAS: tl.constexpr, HAS_D: tl.constexpr, HAS_Z: tl.constexpr, HAS_START: tl.constexpr,
    KEEP: tl.constexpr, WANT_FINAL: tl.constexpr, T: tl.constexpr, C: tl.constexpr, S: tl.constexpr,
):  # fmt: skip
    """Outputs (b, t, d); with KEEP the states before every T steps, (b, t / T, d, s); with WANT_FINAL the last one."""
    row, piece = tl.program_id(0).to(tl.int64), tl.program_id(2)
    channels, states = tl.program_id(1) * C + tl.arange(0, C), tl.arange(0, S)
    known, within = channels < n_channels, states < n_states
    held = known[:, None] & within[None, :]
    own = _set_of(row, rows_per_set, n_channels)
    rates = _rates(A + own * n_states, channels, states, n_channels, n_states)
    state = tl.zeros([C, S], tl.float32)
    if HAS_START:
        place = ((row * n_pieces + piece) * n_channels + channels)[:, None] * n_states + states[None, :]
        state = tl.load(starts + place, mask=held, other=0.0)
    first = piece * piece_steps
    last = tl.minimum(first + piece_steps, n_steps)
    for start in range(first, last, T):
        if KEEP:
            place = ((row * n_borders + start // T) * n_channels + channels)[:, None] * n_states + states[
                None, :
            ]
            tl.store(borders + place, state, mask=held)
        steps = start + tl.arange(0, T)
        ok = (steps < last)[:, None] & known[None, :]
        at = row * delta_b + steps[:, None] * delta_t + channels[None, :]
        _, step = _load_step(delta, bias + own, channels, known, ok, at, HAS_BIAS)
        values = tl.load(x + row * x_b + steps[:, None] * x_t + channels[None, :], mask=ok, other=0.0).to(
            tl.float32
        )
        seen = (steps < last)[:, None] & within[None, :]
        into = tl.load(B + row * B_b + steps[:, None] * B_t + states[None, :], mask=seen, other=0.0).to(
            tl.float32
        )
        out = tl.load(C_out + row * C_b + steps[:, None] * C_t + states[None, :], mask=seen, other=0.0).to(
            tl.float32
        )
        decay = tl.exp(step[:, :, None] * rates[None, :, :])
        add = (step * values)[:, :, None] * into[:, None, :]
        decay, add = tl.associative_scan((decay, add), 0, _follow)
        all_states = decay * state[None, :, :] + add
        state = tl.sum(tl.where((tl.arange(0, T) == T - 1)[:, None, None], all_states, 0.0), 0)
        result = tl.sum(all_states * out[:, None, :], 2)
        if HAS_D:
            result += tl.load(D + own + channels, mask=known, other=0.0)[None, :] * values
        if HAS_Z:
            gate = tl.load(z + row * z_b + steps[:, None] * z_t + channels[None, :], mask=ok, other=0.0).to(
                tl.float32
            )
            result *= gate / (1.0 + tl.exp(-gate))
        tl.store(y + (row * n_steps + steps[:, None]) * n_channels + channels[None, :], result, mask=ok)
    if WANT_FINAL:  # noqa: SIM102, a constant of the compiler
        if last == n_steps:
            place = (row * n_channels + channels)[:, None] * n_states + states[None, :]
            tl.store(final + place, state, mask=held)


@triton.jit(do_not_specialize=["n_steps", "n_pieces", "piece_steps", "rows_per_set"])
def piece_adjoints(
    delta, A, C_out, z, bias, grad_y, ends, sums,
    delta_b, delta_t, C_b, C_t, z_b, z_t, grad_b, grad_t,
    n_steps, rows_per_set, n_channels, n_states, n_pieces, piece_steps,
    HAS_BIAS: tl.constexpr, HAS_Z: tl.constexpr, T: tl.constexpr, C: tl.constexpr, S: tl.constexpr,
):  # fmt: skip
    """Adjoint of the state before each piece if none comes in behind it, (b, p, d, s), and sums of step sizes, (b, p, d)."""
    row, piece = tl.program_id(0).to(tl.int64), tl.program_id(2)
    channels, states = tl.program_id(1) * C + tl.arange(0, C), tl.arange(0, S)
    known, within = channels < n_channels, states < n_states
    own = _set_of(row, rows_per_set, n_channels)
    rates = _rates(A + own * n_states, channels, states, n_channels, n_states)
    adjoint, total = tl.zeros([C, S], tl.float32), tl.zeros([C], tl.float32)
    first = piece * piece_steps
    last = tl.minimum(first + piece_steps, n_steps)
    n_tiles = tl.cdiv(last - first, T)
    for index in range(n_tiles):
        steps = first + (n_tiles - index) * T - 1 - tl.arange(0, T)  # against the order of time
        ok = (steps < last)[:, None] & known[None, :]
        at = row * delta_b + steps[:, None] * delta_t + channels[None, :]
        _, step = _load_step(delta, bias + own, channels, known, ok, at, HAS_BIAS)
        seen = (steps < last)[:, None] & within[None, :]
        out = tl.load(C_out + row * C_b + steps[:, None] * C_t + states[None, :], mask=seen, other=0.0).to(
            tl.float32
        )
        grad = tl.load(
            grad_y + row * grad_b + steps[:, None] * grad_t + channels[None, :], mask=ok, other=0.0
        )
        if HAS_Z:
            gate = tl.load(z + row * z_b + steps[:, None] * z_t + channels[None, :], mask=ok, other=0.0).to(
                tl.float32
            )
            grad *= gate / (1.0 + tl.exp(-gate))
        decay = tl.exp(step[:, :, None] * rates[None, :, :])
        add = decay * (grad[:, :, None] * out[:, None, :])
        decay, add = tl.associative_scan((decay, add), 0, _follow)
        all_adjoints = decay * adjoint[None, :, :] + add
        adjoint = tl.sum(tl.where((tl.arange(0, T) == T - 1)[:, None, None], all_adjoints, 0.0), 0)
        total += tl.sum(step, 0)
    place = (row * n_pieces + piece) * n_channels + channels
    tl.store(
        ends + place[:, None] * n_states + states[None, :], adjoint, mask=known[:, None] & within[None, :]
    )
    tl.store(sums + place, total, mask=known)


@triton.jit(do_not_specialize=["n_rows", "n_steps", "n_pieces", "piece_steps", "n_borders", "rows_per_set"])
def scan_backward(
    x, delta, A, B, C_out, D, z, bias, borders, adjoints, grad_y,
    d_x, d_delta, d_A, d_B, d_C, d_D, d_z, d_bias, d_start,
    x_b, x_t, delta_b, delta_t, B_b, B_t, C_b, C_t, z_b, z_t, grad_b, grad_t,
    n_rows, n_steps, rows_per_set, n_channels, n_states, n_pieces, piece_steps, n_borders,
    HAS_BIAS: tl.constexpr, HAS_D: tl.constexpr, HAS_Z: tl.constexpr, HAS_BORDERS: tl.constexpr,
    HAS_ADJOINT: tl.constexpr, WANT_START: tl.constexpr, T: tl.constexpr, C: tl.constexpr, S: tl.constexpr,
):  # fmt: skip
    """All gradients; those of A, D and bias once for every row and piece, those of B and C for every block of channels."""
    row, block, piece = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    channels, states = block * C + tl.arange(0, C), tl.arange(0, S)
    known, within = channels < n_channels, states < n_states
    held = known[:, None] & within[None, :]
    own = _set_of(row, rows_per_set, n_channels)
    rates = _rates(A + own * n_states, channels, states, n_channels, n_states)
    adjoint = tl.zeros([C, S], tl.float32)
    part = (row * n_pieces + piece) * n_channels + channels
    if HAS_ADJOINT:
        adjoint = tl.load(adjoints + part[:, None] * n_states + states[None, :], mask=held, other=0.0).to(
            tl.float32
        )
    if HAS_D:
        skip = tl.load(D + own + channels, mask=known, other=0.0)
    sum_A, sum_D, sum_bias = (
        tl.zeros([C, S], tl.float32),
        tl.zeros([C], tl.float32),
        tl.zeros([C], tl.float32),
    )
    first = piece * piece_steps
    last = tl.minimum(first + piece_steps, n_steps)
    n_tiles = tl.cdiv(last - first, T)
    for index in range(n_tiles):
        start = first + (n_tiles - 1 - index) * T

        # the states once more, from the one before this tile, in the order of time
        steps = start + tl.arange(0, T)
        ok = (steps < last)[:, None] & known[None, :]
        seen = (steps < last)[:, None] & within[None, :]
        at = row * delta_b + steps[:, None] * delta_t + channels[None, :]
        _, step = _load_step(delta, bias + own, channels, known, ok, at, HAS_BIAS)
        values = tl.load(x + row * x_b + steps[:, None] * x_t + channels[None, :], mask=ok, other=0.0).to(
            tl.float32
        )
        into = tl.load(B + row * B_b + steps[:, None] * B_t + states[None, :], mask=seen, other=0.0).to(
            tl.float32
        )
        decay = tl.exp(step[:, :, None] * rates[None, :, :])
        add = (step * values)[:, :, None] * into[:, None, :]
        none, one = tl.zeros([T, C, S], tl.float32), tl.full([T, C, S], 1.0, tl.float32)
        _, _, before_decay, before = tl.associative_scan((decay, add, one, none), 0, _follow_but_last)
        if HAS_BORDERS:
            border = ((row * n_borders + start // T) * n_channels + channels)[:, None] * n_states + states[
                None, :
            ]
            before += before_decay * tl.load(borders + border, mask=held, other=0.0)[None, :, :]

        # from here on against the order of time, as the adjoints go: a reverse scan would exchange all it takes between threads
        before = tl.flip(before, 0)
        steps = start + T - 1 - tl.arange(0, T)
        ok = (steps < last)[:, None] & known[None, :]
        seen = (steps < last)[:, None] & within[None, :]
        at = row * delta_b + steps[:, None] * delta_t + channels[None, :]
        raw, step = _load_step(delta, bias + own, channels, known, ok, at, HAS_BIAS)
        values = tl.load(x + row * x_b + steps[:, None] * x_t + channels[None, :], mask=ok, other=0.0).to(
            tl.float32
        )
        into = tl.load(B + row * B_b + steps[:, None] * B_t + states[None, :], mask=seen, other=0.0).to(
            tl.float32
        )
        out = tl.load(C_out + row * C_b + steps[:, None] * C_t + states[None, :], mask=seen, other=0.0).to(
            tl.float32
        )
        grad = tl.load(
            grad_y + row * grad_b + steps[:, None] * grad_t + channels[None, :], mask=ok, other=0.0
        )
        place = (row * n_steps + steps[:, None]) * n_channels + channels[None, :]
        decay = tl.exp(step[:, :, None] * rates[None, :, :])
        carried = decay * before
        all_states = carried + (step * values)[:, :, None] * into[:, None, :]

        if HAS_Z:
            gate = tl.load(z + row * z_b + steps[:, None] * z_t + channels[None, :], mask=ok, other=0.0).to(
                tl.float32
            )
            share = 1.0 / (1.0 + tl.exp(-gate))
            plain = tl.sum(all_states * out[:, None, :], 2)
            if HAS_D:
                plain += skip[None, :] * values
            tl.store(d_z + place, grad * plain * share * (1.0 + gate * (1.0 - share)), mask=ok)
            grad *= gate * share
        d_out = tl.sum(grad[:, :, None] * all_states, 1)

        # the adjoint of each state: what its own output asks for, and what the steps behind it ask for
        asked = grad[:, :, None] * out[:, None, :]
        _, _, later_decay, later_add = tl.associative_scan(
            (decay, decay * asked, one, none), 0, _follow_but_last
        )
        total = asked + later_decay * adjoint[None, :, :] + later_add
        adjoint = tl.sum(tl.where((tl.arange(0, T) == T - 1)[:, None, None], decay * total, 0.0), 0)

        through_decay = total * carried
        sum_A += tl.sum(through_decay * step[:, :, None], 0)
        through_input = tl.sum(total * into[:, None, :], 2)
        d_step = tl.sum(through_decay * rates[None, :, :], 2) + through_input * values
        d_raw = tl.where(ok, d_step / (1.0 + tl.exp(-raw)), 0.0)
        d_values = through_input * step
        if HAS_D:
            d_values += grad * skip[None, :]
            sum_D += tl.sum(grad * values, 0)
        if HAS_BIAS:
            sum_bias += tl.sum(d_raw, 0)
        tl.store(d_x + place, d_values, mask=ok)
        tl.store(d_delta + place, d_raw, mask=ok)
        d_into = tl.sum(total * (step * values)[:, :, None], 1)
        partial = ((block * n_rows + row) * n_steps + steps)[:, None] * n_states + states[None, :]
        tl.store(d_B + partial, d_into, mask=seen)
        tl.store(d_C + partial, d_out, mask=seen)
    tl.store(d_A + part[:, None] * n_states + states[None, :], sum_A, mask=held)
    if HAS_D:
        tl.store(d_D + part, sum_D, mask=known)
    if HAS_BIAS:
        tl.store(d_bias + part, sum_bias, mask=known)
    if WANT_START:  # noqa: SIM102
        if first == 0:
            place = (row * n_channels + channels)[:, None] * n_states + states[None, :]
            tl.store(d_start + place, adjoint, mask=held)
