"""Explicit vector arithmetic for numba kernels: float32 vectors as wide as the processor, and blocks of four of them.

LLVM's own vectoriser leaves the scan three to six times slower than the processor allows, and numba has no vector
type; so this module gives numba two: `vector`, one register of ``LANES`` float32, and `block`, ``BLOCK`` registers side
by side that LLVM splits again. Kernels written with them unroll by themselves and hide the latency of the recurrence.
Memory is reached through plain addresses (int64) and element offsets: the caller keeps the tensors alive.

The same source serves AVX-512 (16 lanes), AVX2 (8) and everything else (4, SSE2 or NEON; the last untested). A little
over the usual length, as types, memory access and arithmetic share their helpers. Builds on numba and llvmlite; used by
the numba kernels beside it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import lower_builtin, models, register_model, type_callable

__all__ = [
    "BLOCK", "FLOAT_BYTES", "LANES", "exp2", "load", "load_block", "load_scalar", "multiply_add", "multiply_into",
    "repeat", "sigmoid", "softplus", "splat", "store", "store_scalar", "sum_each", "sum_lanes", "sum_products", "transpose_in",
    "transpose_out",
]  # fmt: skip


# numba declares its intrinsics with the typing context that only the compiler passes; to a type checker they are opaque
intrinsic: Any = numba.extending.intrinsic


def _target_has(feature: str) -> bool:
    """Ask numba's target, which the user may have restricted (NUMBA_CPU_NAME, NUMBA_CPU_FEATURES), not the host."""
    config: Any = numba.config
    if config.CPU_FEATURES is not None:
        return f"+{feature}" in config.CPU_FEATURES.split(",")
    if config.CPU_NAME == "generic":
        return False
    return bool(llvm.get_host_cpu_features().get(feature, False))


HAS_AVX512 = _target_has("avx512f")
LANES = 16 if HAS_AVX512 else 8 if _target_has("avx2") else 4
BLOCK = 4
FLOAT_BYTES = 4
LOG2_E = 1.4426950408889634
# Products may fuse with sums; NaN and infinities must survive, so neither nnan nor ninf is promised.
FLAGS = ("contract", "nsz", "arcp")
# 2**f on [-1/2, 1/2], highest power first; relative error 1.5e-7
EXP2_POLYNOMIAL = (1.32647e-3, 9.67151e-3, 5.550734e-2, 2.4022242e-1, 6.9314698e-1, 1.0)

_f32, _i32 = ir.FloatType(), ir.IntType(32)


class _VectorType(types.Type):
    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(name=f"stmest_f32x{width}")


@register_model(_VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: _VectorType) -> None:
        super().__init__(manager, kind, ir.VectorType(_f32, kind.width))


vector = _VectorType(LANES)
block = _VectorType(LANES * BLOCK)


def _constant(width: int, value: float) -> ir.Constant:
    return ir.Constant(ir.VectorType(_f32, width), [float(value)] * width)


def _lane_constant(values: list[int]) -> ir.Constant:
    return ir.Constant(ir.VectorType(_i32, len(values)), values)


def _shuffle(builder: Any, a: Any, b: Any, lanes: list[int]) -> Any:
    return builder.shuffle_vector(a, b, _lane_constant(lanes))


def _call(builder: Any, name: str, *args: Any) -> Any:
    """Call an LLVM intrinsic on vectors of one type."""
    kind = args[0].type
    signature = ir.FunctionType(kind, [kind] * len(args))
    return builder.call(
        get_or_insert_function(builder.module, signature, f"llvm.{name}.v{kind.count}f32"), args
    )


def _pointer(builder: Any, address: Any, index: Any, kind: Any) -> Any:
    base = builder.inttoptr(address, _f32.as_pointer())
    return builder.bitcast(builder.gep(base, [index]), kind.as_pointer())


# ---- memory


def _make_load(result: Any, kind: Any) -> Callable[..., Any]:
    def load(typing_context: Any, address: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.load(_pointer(builder, args[0], args[1], kind), align=FLOAT_BYTES)

        return result(types.int64, types.int64), generate

    return intrinsic(load)


load = _make_load(vector, ir.VectorType(_f32, LANES))
load_block = _make_load(block, ir.VectorType(_f32, LANES * BLOCK))
load_scalar = _make_load(types.float32, _f32)


@intrinsic
def store(typing_context: Any, address: Any, index: Any, value: Any) -> Any:
    """Store a vector or a block at an element offset from an address."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(builder, args[0], args[1], args[2].type)
        builder.store(args[2], pointer, align=FLOAT_BYTES)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, value), generate


@intrinsic
def store_scalar(typing_context: Any, address: Any, index: Any, value: Any) -> Any:
    """Store one float32."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _pointer(builder, args[0], args[1], _f32), align=FLOAT_BYTES)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.float32), generate


@intrinsic
def multiply_into(typing_context: Any, address: Any, index: Any, a: Any, b: Any) -> Any:
    """Add a * b to the vector or block in memory."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(builder, args[0], args[1], args[2].type)
        total = _call(builder, "fmuladd", args[2], args[3], builder.load(pointer, align=FLOAT_BYTES))
        builder.store(total, pointer, align=FLOAT_BYTES)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, a, a), generate


# ---- between scalars, vectors and blocks


@intrinsic
def splat(typing_context: Any, value: Any) -> Any:
    """Fill a vector with one number."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        undefined = ir.Constant(ir.VectorType(_f32, LANES), ir.Undefined)
        first = builder.insert_element(undefined, args[0], ir.Constant(_i32, 0))
        return _shuffle(builder, first, undefined, [0] * LANES)

    return vector(types.float32), generate


@intrinsic
def repeat(typing_context: Any, value: Any) -> Any:
    """Put the same vector in all registers of a block; costs nothing once LLVM has split the block."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _shuffle(builder, args[0], args[0], list(range(LANES)) * BLOCK)

    return block(vector), generate


def _registers(builder: Any, value: Any) -> list[Any]:
    return [
        _shuffle(builder, value, value, list(range(k * LANES, (k + 1) * LANES)))
        for k in range(value.type.count // LANES)
    ]


def _join(builder: Any, parts: list[Any]) -> Any:
    while len(parts) > 1:
        width = parts[0].type.count
        parts = [
            _shuffle(builder, a, b, list(range(2 * width)))
            for a, b in zip(parts[::2], parts[1::2], strict=True)
        ]
    return parts[0]


def emit_load_block(builder: Any, address: Any, index: Any) -> Any:
    """Emit the load of BLOCK vectors that lie side by side."""
    return builder.load(
        _pointer(builder, address, index, ir.VectorType(_f32, LANES * BLOCK)), align=FLOAT_BYTES
    )


def emit_broadcast_block(builder: Any, address: Any, index: Any) -> Any:
    """Emit the load of BLOCK numbers that lie side by side, each filling a register of the block."""
    numbers = builder.load(_pointer(builder, address, index, ir.VectorType(_f32, BLOCK)), align=FLOAT_BYTES)
    return _shuffle(builder, numbers, numbers, [k for k in range(BLOCK) for _ in range(LANES)])


@intrinsic
def sum_products(typing_context: Any, start: Any, a: Any, b: Any) -> Any:
    """Return the vector start + sum over the registers of two blocks of a * b."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        total = args[0]
        for left, right in zip(_registers(builder, args[1]), _registers(builder, args[2]), strict=True):
            total = _call(builder, "fmuladd", left, right, total)
        return total

    return vector(vector, block, block), generate


@intrinsic
def sum_lanes(typing_context: Any, value: Any) -> Any:
    """Sum the lanes of a vector, always in the same order."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        total, width = args[0], LANES
        while width > 1:
            width //= 2
            turned = _shuffle(builder, total, total, [(i + width) % LANES for i in range(LANES)])
            total = builder.fadd(total, turned)
        return builder.extract_element(total, ir.Constant(_i32, 0))

    return types.float32(vector), generate


@intrinsic
def sum_each(typing_context: Any, source: Any) -> Any:
    """Return the sums over the lanes of LANES vectors that lie side by side in memory, one in each lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.VectorType(_f32, LANES)
        offsets = (ir.Constant(args[0].type, k * LANES) for k in range(LANES))
        sums = [builder.load(_pointer(builder, args[0], k, kind), align=FLOAT_BYTES) for k in offsets]
        even, odd = list(range(0, 2 * LANES, 2)), list(range(1, 2 * LANES, 2))
        while len(sums) > 1:  # neighbouring lanes of two vectors are added and fill one
            pairs = zip(sums[::2], sums[1::2], strict=True)
            sums = [
                builder.fadd(_shuffle(builder, a, b, even), _shuffle(builder, a, b, odd)) for a, b in pairs
            ]
        return sums[0]

    return vector(types.int64), generate


# ---- transposition between rows in memory and lanes


def _column_mask(builder: Any, n_columns: Any) -> Any:
    count = builder.trunc(n_columns, _i32)
    undefined = ir.Constant(ir.VectorType(_i32, LANES), ir.Undefined)
    limit = _shuffle(
        builder, builder.insert_element(undefined, count, ir.Constant(_i32, 0)), undefined, [0] * LANES
    )
    return builder.icmp_signed("<", _lane_constant(list(range(LANES))), limit)


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Transpose LANES vectors: each round of interleaving turns the bits of (row, lane) by one place."""
    half = LANES // 2
    low = [i // 2 + LANES * (i % 2) for i in range(LANES)]
    high = [i + half for i in low]
    for _ in range(LANES.bit_length() - 1):
        pairs = [(rows[i], rows[i + half]) for i in range(half)]
        rows = [_shuffle(builder, a, b, order) for a, b in pairs for order in (low, high)]
    return rows


@intrinsic
def transpose_in(typing_context: Any, source: Any, stride: Any, n_columns: Any, target: Any) -> Any:
    """Read up to LANES columns of LANES rows, `stride` elements apart, and write LANES vectors, one per column.

    Columns beyond `n_columns` are not read; their vectors are written as zeros.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.VectorType(_f32, LANES)
        mask = _column_mask(builder, args[2])
        masked_load = get_or_insert_function(
            builder.module,
            ir.FunctionType(kind, [kind.as_pointer(), _i32, mask.type, kind]),
            f"llvm.masked.load.v{LANES}f32.p0",
        )
        rows = []
        for lane in range(LANES):
            offset = builder.mul(args[1], ir.Constant(args[1].type, lane))
            pointer = _pointer(builder, args[0], offset, kind)
            rows.append(
                builder.call(
                    masked_load, [pointer, ir.Constant(_i32, FLOAT_BYTES), mask, _constant(LANES, 0)]
                )
            )
        for column, value in enumerate(_transposed(builder, rows)):
            offset = ir.Constant(args[1].type, column * LANES)
            builder.store(value, _pointer(builder, args[3], offset, kind), align=FLOAT_BYTES)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), generate


@intrinsic
def transpose_out(typing_context: Any, source: Any, target: Any, stride: Any, n_columns: Any) -> Any:
    """Read LANES vectors and write up to LANES columns of LANES rows, `stride` elements apart."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.VectorType(_f32, LANES)
        mask = _column_mask(builder, args[3])
        masked_store = get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [kind, kind.as_pointer(), _i32, mask.type]),
            f"llvm.masked.store.v{LANES}f32.p0",
        )
        columns = [
            builder.load(
                _pointer(builder, args[0], ir.Constant(args[2].type, k * LANES), kind), align=FLOAT_BYTES
            )
            for k in range(LANES)
        ]
        for lane, value in enumerate(_transposed(builder, columns)):
            offset = builder.mul(args[2], ir.Constant(args[2].type, lane))
            pointer = _pointer(builder, args[1], offset, kind)
            builder.call(masked_store, [value, pointer, ir.Constant(_i32, FLOAT_BYTES), mask])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), generate


# ---- arithmetic


def _define_operator(python_operator: Callable[..., Any], instruction: str) -> None:
    @type_callable(python_operator)
    def _(context: Any) -> Callable[..., Any]:
        def typer(a: Any, b: Any) -> Any:
            return a if isinstance(a, _VectorType) and a == b else None

        return typer

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return getattr(builder, instruction)(args[0], args[1], flags=FLAGS)

    for kind in (vector, block):
        lower_builtin(python_operator, kind, kind)(generate)


for _operator, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _define_operator(_operator, _instruction)


@intrinsic
def multiply_add(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c, fused where the processor can."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(builder, "fmuladd", *args)

    return a(a, a, a), generate


def _horner(builder: Any, x: Any, coefficients: tuple[float, ...]) -> Any:
    total = _constant(x.type.count, coefficients[0])
    for coefficient in coefficients[1:]:
        total = _call(builder, "fmuladd", total, x, _constant(x.type.count, coefficient))
    return total


def _scale_by_power(builder: Any, value: Any, power: Any) -> Any:
    """Return value * 2**power for integral powers."""
    if not HAS_AVX512:
        integers = ir.VectorType(_i32, value.type.count)
        exponent = builder.shl(builder.fptosi(power, integers), _lane_constant([23] * value.type.count))
        return builder.bitcast(builder.add(builder.bitcast(value, integers), exponent), value.type)
    kind = ir.VectorType(_f32, LANES)
    scale = get_or_insert_function(
        builder.module,
        ir.FunctionType(kind, [kind, kind, kind, ir.IntType(16), _i32]),
        "llvm.x86.avx512.mask.scalef.ps.512",
    )
    every_lane, current_rounding = ir.Constant(ir.IntType(16), -1), ir.Constant(_i32, 4)
    parts = zip(_registers(builder, value), _registers(builder, power), strict=True)
    scaled = [
        builder.call(scale, [v, p, _constant(LANES, 0), every_lane, current_rounding]) for v, p in parts
    ]
    return _join(builder, scaled)


def _exp2(builder: Any, x: Any) -> Any:
    # Ordered comparisons are false for NaN, which therefore passes. AVX-512 scales into overflow by itself.
    low, high = _constant(x.type.count, -126.0), _constant(x.type.count, 126.0)
    x = builder.select(builder.fcmp_ordered("<", x, low), low, x)
    if not HAS_AVX512:
        x = builder.select(builder.fcmp_ordered(">", x, high), high, x)
    nearest = _call(builder, "rint", x)
    return _scale_by_power(builder, _horner(builder, builder.fsub(x, nearest), EXP2_POLYNOMIAL), nearest)


def _sigmoid(builder: Any, x: Any) -> Any:
    one = _constant(x.type.count, 1.0)
    decayed = _exp2(builder, builder.fmul(x, _constant(x.type.count, -LOG2_E)))
    return builder.fdiv(one, builder.fadd(decayed, one), flags=FLAGS)


def _softplus(builder: Any, x: Any) -> Any:
    """Return max(x, 0) + log1p(exp(-|x|)), the logarithm by its series in y / (y + 2)."""
    zero = _constant(x.type.count, 0.0)
    y = _exp2(builder, builder.fmul(_call(builder, "fabs", x), _constant(x.type.count, -LOG2_E)))
    ratio = builder.fdiv(y, builder.fadd(y, _constant(x.type.count, 2.0)), flags=FLAGS)
    square = builder.fmul(ratio, ratio)
    series = _horner(builder, square, tuple(2.0 / k for k in (15, 13, 11, 9, 7, 5, 3, 1)))
    positive = builder.select(builder.fcmp_ordered("<", x, zero), zero, x)
    return _call(builder, "fmuladd", series, ratio, positive)


def _make_function(emit: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def function(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return emit(builder, args[0])

        return x(x), generate

    return intrinsic(function)


exp2 = _make_function(_exp2)
sigmoid = _make_function(_sigmoid)
softplus = _make_function(_softplus)
