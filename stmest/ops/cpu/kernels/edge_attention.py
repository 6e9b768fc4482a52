"""Attention along the edges of a graph as numba kernels, forward and backward.

A register block holds one channel of one node in many rows (windows times steps), which all share the graph: nothing is
gathered, every product is a full vector, and the scores of a node stay in the cache. Only the softmax's maximum and sum
are kept for the way back, where the scores are computed again; memory is linear in nodes, whatever the number of edges.

Builds on the vector language of ``simd``; called by the operator of the same name.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types

from ..simd.arithmetic import LOG2_E, exp2, maximum, multiply_add, reciprocal
from ..simd.compiler import kernel
from ..simd.vectors import (
    BLOCK,
    FLOAT_BYTES,
    LANES,
    intrinsic,
    load_block,
    load_scalar,
    multiply_into,
    repeat,
    splat,
    store,
)

__all__ = ["ROWS", "Problem", "attend_backward", "attend_forward"]

ROWS = LANES * BLOCK
ROW_BYTES = ROWS * FLOAT_BYTES
ZERO, ONE, LOWEST = np.float32(0.0), np.float32(1.0), np.float32(-3e38)
INT_BYTES = 8


@intrinsic
def load_integer(typing_context: Any, address: Any, index: Any) -> Any:
    """Load one int64."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.IntType(64)
        base = builder.inttoptr(args[0], kind.as_pointer())
        return builder.load(builder.gep(base, [args[1]]), align=INT_BYTES)

    return types.int64(types.int64, types.int64), generate


class Problem(NamedTuple):
    """Sizes, and addresses of the edges, ordered by target: `starts` (n + 1), `sources` (m), `log_weight` (m)."""

    nodes: int
    heads: int
    channels: int
    rows: int
    scale: float
    starts: int
    sources: int
    log_weight: int


@kernel
def _filled(number):
    return repeat(splat(np.float32(number)))


@kernel
def _scores(problem, query, keys, first, last, target):
    """Write the scores, times log2(e), of the edges first..last of one node and head; return their maximum."""
    stride, node_stride = problem.rows, 3 * problem.heads * problem.channels * problem.rows
    scale = _filled(problem.scale * LOG2_E)
    top = _filled(LOWEST)
    for e in range(first, last):
        key = load_integer(problem.sources, e) * node_stride
        score = _filled(ZERO)
        for c in range(problem.channels):
            score = multiply_add(load_block(query, c * stride), load_block(keys, key + c * stride), score)
        score = multiply_add(score, scale, _filled(load_scalar(problem.log_weight, e) * LOG2_E))
        store(target, (e - first) * ROWS, score)
        top = maximum(top, score)
    return top


@kernel
def attend_forward(first_block, last_block, scratch, problem, projected, out, tops, sums):
    """Attend in some blocks of rows.

    Parameters
    ----------
    first_block, last_block : int
        Blocks of ``ROWS`` rows.
    scratch : int
        Address of one block per edge of the node with the most.
    problem : Problem
    projected : int
        Address of (n, 3, h, c, r): queries, keys, values.
    out : int
        Address of (n, h, c, r).
    tops, sums : int
        Addresses of (n, h, r): the largest score and one over the sum of the exponentials.
    """
    stride = problem.rows
    head_size = problem.channels * stride
    part_size = problem.heads * head_size
    for part in range(first_block, last_block):
        offset = part * ROW_BYTES
        for node in range(problem.nodes):
            first, last = load_integer(problem.starts, node), load_integer(problem.starts, node + 1)
            for head in range(problem.heads):
                own = projected + offset + head * head_size * FLOAT_BYTES
                keys, values = own + part_size * FLOAT_BYTES, own + 2 * part_size * FLOAT_BYTES
                query = own + 3 * node * part_size * FLOAT_BYTES
                top = _scores(problem, query, keys, first, last, scratch)
                total = _filled(ZERO)
                for e in range(last - first):
                    weight = exp2(load_block(scratch, e * ROWS) - top)
                    store(scratch, e * ROWS, weight)
                    total = total + weight
                share = reciprocal(total)
                at = (node * problem.heads + head) * stride
                store(tops + offset, at, top)
                store(sums + offset, at, share)
                target = out + offset + (node * part_size + head * head_size) * FLOAT_BYTES
                for c in range(problem.channels):
                    total = _filled(ZERO)
                    for e in range(last - first):
                        value = load_integer(problem.sources, first + e) * 3 * part_size + c * stride
                        total = multiply_add(load_block(scratch, e * ROWS), load_block(values, value), total)
                    store(target, c * stride, total * share)


@kernel
def attend_backward(first_block, last_block, scratch, problem, projected, tops, sums, grad, d_projected):
    """Compute gradients for some blocks of rows; `d_projected` starts at zero, scratch holds two blocks per edge."""
    stride = problem.rows
    head_size = problem.channels * stride
    part_size = problem.heads * head_size
    for part in range(first_block, last_block):
        offset = part * ROW_BYTES
        for node in range(problem.nodes):
            first, last = load_integer(problem.starts, node), load_integer(problem.starts, node + 1)
            to_score = scratch + (last - first) * ROW_BYTES
            for head in range(problem.heads):
                shift = offset + head * head_size * FLOAT_BYTES
                keys, values = shift + part_size * FLOAT_BYTES, shift + 2 * part_size * FLOAT_BYTES
                query = shift + 3 * node * part_size * FLOAT_BYTES
                own_grad = grad + offset + (node * part_size + head * head_size) * FLOAT_BYTES
                _scores(problem, projected + query, projected + keys, first, last, scratch)
                at = (node * problem.heads + head) * stride
                top, share = load_block(tops + offset, at), load_block(sums + offset, at)
                mean = _filled(ZERO)
                for e in range(last - first):
                    value = load_integer(problem.sources, first + e) * 3 * part_size
                    weight = exp2(load_block(scratch, e * ROWS) - top) * share
                    to_weight = _filled(ZERO)
                    for c in range(problem.channels):
                        to_weight = multiply_add(
                            load_block(own_grad, c * stride),
                            load_block(projected + values, value + c * stride),
                            to_weight,
                        )
                    store(scratch, e * ROWS, weight)
                    store(to_score, e * ROWS, to_weight)
                    mean = multiply_add(weight, to_weight, mean)
                scale = _filled(problem.scale)
                for e in range(last - first):
                    weight = load_block(scratch, e * ROWS)
                    store(to_score, e * ROWS, weight * (load_block(to_score, e * ROWS) - mean) * scale)
                for c in range(problem.channels):
                    own_query = load_block(projected + query, c * stride)
                    own_out = load_block(own_grad, c * stride)
                    d_query = _filled(ZERO)
                    for e in range(last - first):
                        at = load_integer(problem.sources, first + e) * 3 * part_size + c * stride
                        change = load_block(to_score, e * ROWS)
                        d_query = multiply_add(change, load_block(projected + keys, at), d_query)
                        multiply_into(d_projected + keys, at, change, own_query)
                        multiply_into(d_projected + values, at, load_block(scratch, e * ROWS), own_out)
                    multiply_into(d_projected + query, c * stride, d_query, _filled(ONE))
