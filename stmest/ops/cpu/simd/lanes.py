"""Sums and transpositions across the lanes of vectors, for numba kernels.

Arithmetic works on all lanes alike; here lanes exchange places, or are added up. Builds on
``vectors``; used by ``tiles`` and the kernels.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from .vectors import (
    FLOAT,
    FLOAT_BYTES,
    INTEGER,
    LANES,
    constant_lanes,
    constant_vector,
    emit_intrinsic,
    emit_pointer,
    emit_shuffle,
    intrinsic,
    vector,
)

__all__ = ["sum_each", "sum_lanes", "transpose_in", "transpose_out"]


@intrinsic
def sum_lanes(typing_context: Any, value: Any) -> Any:
    """Sum the lanes of a vector, always in the same order."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        total, width = args[0], LANES
        while width > 1:
            width //= 2
            turned = emit_shuffle(builder, total, total, [(i + width) % LANES for i in range(LANES)])
            total = builder.fadd(total, turned)
        return builder.extract_element(total, ir.Constant(INTEGER, 0))

    return types.float32(vector), generate


@intrinsic
def sum_each(typing_context: Any, source: Any) -> Any:
    """Return the sums over the lanes of LANES vectors that lie side by side in memory, one in each lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.VectorType(FLOAT, LANES)
        offsets = (ir.Constant(args[0].type, k * LANES) for k in range(LANES))
        sums = [builder.load(emit_pointer(builder, args[0], k, kind), align=FLOAT_BYTES) for k in offsets]
        even, odd = list(range(0, 2 * LANES, 2)), list(range(1, 2 * LANES, 2))
        while len(sums) > 1:  # neighbouring lanes of two vectors are added and fill one
            pairs = zip(sums[::2], sums[1::2], strict=True)
            sums = [
                builder.fadd(emit_shuffle(builder, a, b, even), emit_shuffle(builder, a, b, odd))
                for a, b in pairs
            ]
        return sums[0]

    return vector(types.int64), generate


def _column_mask(builder: Any, n_columns: Any) -> Any:
    count = builder.trunc(n_columns, INTEGER)
    undefined = ir.Constant(ir.VectorType(INTEGER, LANES), ir.Undefined)
    limit = emit_shuffle(
        builder, builder.insert_element(undefined, count, ir.Constant(INTEGER, 0)), undefined, [0] * LANES
    )
    return builder.icmp_signed("<", constant_lanes(list(range(LANES))), limit)


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Transpose LANES vectors: each round of interleaving turns the bits of (row, lane) by one place."""
    half = LANES // 2
    low = [i // 2 + LANES * (i % 2) for i in range(LANES)]
    high = [i + half for i in low]
    for _ in range(LANES.bit_length() - 1):
        pairs = [(rows[i], rows[i + half]) for i in range(half)]
        rows = [emit_shuffle(builder, a, b, order) for a, b in pairs for order in (low, high)]
    return rows


@intrinsic
def transpose_in(typing_context: Any, source: Any, stride: Any, n_columns: Any, target: Any) -> Any:
    """Read up to LANES columns of LANES rows, `stride` elements apart, and write LANES vectors, one per column.

    Columns beyond `n_columns` are not read; their vectors are written as zeros.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.VectorType(FLOAT, LANES)
        mask = _column_mask(builder, args[2])
        rows = []
        for lane in range(LANES):
            offset = builder.mul(args[1], ir.Constant(args[1].type, lane))
            pointer = emit_pointer(builder, args[0], offset, kind)
            inputs = [pointer, ir.Constant(INTEGER, FLOAT_BYTES), mask, constant_vector(LANES, 0)]
            rows.append(emit_intrinsic(builder, f"llvm.masked.load.v{LANES}f32.p0", kind, inputs))
        for column, value in enumerate(_transposed(builder, rows)):
            offset = ir.Constant(args[1].type, column * LANES)
            builder.store(value, emit_pointer(builder, args[3], offset, kind), align=FLOAT_BYTES)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), generate


@intrinsic
def transpose_out(typing_context: Any, source: Any, target: Any, stride: Any, n_columns: Any) -> Any:
    """Read LANES vectors and write up to LANES columns of LANES rows, `stride` elements apart."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.VectorType(FLOAT, LANES)
        mask = _column_mask(builder, args[3])
        columns = [
            builder.load(
                emit_pointer(builder, args[0], ir.Constant(args[2].type, k * LANES), kind), align=FLOAT_BYTES
            )
            for k in range(LANES)
        ]
        for lane, value in enumerate(_transposed(builder, columns)):
            offset = builder.mul(args[2], ir.Constant(args[2].type, lane))
            pointer = emit_pointer(builder, args[1], offset, kind)
            inputs = [value, pointer, ir.Constant(INTEGER, FLOAT_BYTES), mask]
            emit_intrinsic(builder, f"llvm.masked.store.v{LANES}f32.p0", ir.VoidType(), inputs)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), generate
