"""Vectors for numba kernels: as many float32 as a register of the processor holds, blocks of four of them, and memory.

LLVM's own vectoriser leaves the scan three to six times slower than the processor allows, and numba has no vector
type; so this module gives numba two: `vector`, one register of ``LANES`` float32, and `block`, ``BLOCK`` registers side
by side that LLVM splits again. Kernels written with them unroll by themselves and hide the latency of the recurrence.
Memory is reached through plain addresses (int64) and element offsets: the caller keeps the tensors alive.

The same source serves AVX-512 (16 lanes), AVX2 (8) and everything else (4, SSE2 or NEON; the last untested). Builds on
numba and llvmlite; used by the other modules of this package and by the kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba import types
from numba.extending import models, register_model

__all__ = [
    "BLOCK", "FLOAT_BYTES", "LANES", "load", "load_block", "load_scalar", "multiply_into", "repeat", "splat", "store",
    "store_scalar", "sum_products",
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

FLOAT, INTEGER = ir.FloatType(), ir.IntType(32)


class VectorType(types.Type):
    """The type of vectors of one width, to numba."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(name=f"stmest_f32x{width}")


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: VectorType) -> None:
        super().__init__(manager, kind, ir.VectorType(FLOAT, kind.width))


vector = VectorType(LANES)
block = VectorType(LANES * BLOCK)


def constant_vector(width: int, value: float) -> ir.Constant:
    """Make a vector of one number."""
    return ir.Constant(ir.VectorType(FLOAT, width), [float(value)] * width)


def constant_lanes(values: list[int]) -> ir.Constant:
    """Make a vector of these integers."""
    return ir.Constant(ir.VectorType(INTEGER, len(values)), values)


def emit_shuffle(builder: Any, a: Any, b: Any, lanes: list[int]) -> Any:
    """Pick lanes from two vectors, those of the second counted on from the first."""
    return builder.shuffle_vector(a, b, constant_lanes(lanes))


def emit_call(builder: Any, name: str, *args: Any) -> Any:
    """Call an LLVM intrinsic on vectors of one type, which it also returns."""
    kind = args[0].type
    return emit_intrinsic(builder, f"llvm.{name}.v{kind.count}f32", kind, args)


def emit_intrinsic(builder: Any, name: str, result: Any, args: Sequence[Any]) -> Any:
    """Call an LLVM intrinsic by its full name."""
    signature = ir.FunctionType(result, [value.type for value in args])
    return builder.call(builder.module.declare_intrinsic(name, fnty=signature), args)


def emit_pointer(builder: Any, address: Any, index: Any, kind: Any) -> Any:
    """Point to something at an element offset from an address."""
    base = builder.inttoptr(address, FLOAT.as_pointer())
    return builder.bitcast(builder.gep(base, [index]), kind.as_pointer())


# ---- memory


def _make_load(result: Any, kind: Any) -> Callable[..., Any]:
    def load(typing_context: Any, address: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.load(emit_pointer(builder, args[0], args[1], kind), align=FLOAT_BYTES)

        return result(types.int64, types.int64), generate

    return intrinsic(load)


load = _make_load(vector, ir.VectorType(FLOAT, LANES))
load_block = _make_load(block, ir.VectorType(FLOAT, LANES * BLOCK))
load_scalar = _make_load(types.float32, FLOAT)


@intrinsic
def store(typing_context: Any, address: Any, index: Any, value: Any) -> Any:
    """Store a vector or a block at an element offset from an address."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = emit_pointer(builder, args[0], args[1], args[2].type)
        builder.store(args[2], pointer, align=FLOAT_BYTES)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, value), generate


@intrinsic
def store_scalar(typing_context: Any, address: Any, index: Any, value: Any) -> Any:
    """Store one float32."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], emit_pointer(builder, args[0], args[1], FLOAT), align=FLOAT_BYTES)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.float32), generate


@intrinsic
def multiply_into(typing_context: Any, address: Any, index: Any, a: Any, b: Any) -> Any:
    """Add a * b to the vector or block in memory."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = emit_pointer(builder, args[0], args[1], args[2].type)
        total = emit_call(builder, "fmuladd", args[2], args[3], builder.load(pointer, align=FLOAT_BYTES))
        builder.store(total, pointer, align=FLOAT_BYTES)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, a, a), generate


# ---- between scalars, vectors and blocks


@intrinsic
def splat(typing_context: Any, value: Any) -> Any:
    """Fill a vector with one number."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        undefined = ir.Constant(ir.VectorType(FLOAT, LANES), ir.Undefined)
        first = builder.insert_element(undefined, args[0], ir.Constant(INTEGER, 0))
        return emit_shuffle(builder, first, undefined, [0] * LANES)

    return vector(types.float32), generate


@intrinsic
def repeat(typing_context: Any, value: Any) -> Any:
    """Put the same vector in all registers of a block; costs nothing once LLVM has split the block."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return emit_shuffle(builder, args[0], args[0], list(range(LANES)) * BLOCK)

    return block(vector), generate


def emit_registers(builder: Any, value: Any) -> list[Any]:
    """Cut a block into its registers."""
    return [
        emit_shuffle(builder, value, value, list(range(k * LANES, (k + 1) * LANES)))
        for k in range(value.type.count // LANES)
    ]


def emit_join(builder: Any, parts: list[Any]) -> Any:
    """Put vectors side by side; as many as a power of two."""
    while len(parts) > 1:
        width = parts[0].type.count
        parts = [
            emit_shuffle(builder, a, b, list(range(2 * width)))
            for a, b in zip(parts[::2], parts[1::2], strict=True)
        ]
    return parts[0]


def emit_load_block(builder: Any, address: Any, index: Any) -> Any:
    """Emit the load of BLOCK vectors that lie side by side."""
    return builder.load(
        emit_pointer(builder, address, index, ir.VectorType(FLOAT, LANES * BLOCK)), align=FLOAT_BYTES
    )


def emit_broadcast_block(builder: Any, address: Any, index: Any) -> Any:
    """Emit the load of BLOCK numbers that lie side by side, each filling a register of the block."""
    numbers = builder.load(
        emit_pointer(builder, address, index, ir.VectorType(FLOAT, BLOCK)), align=FLOAT_BYTES
    )
    return emit_shuffle(builder, numbers, numbers, [k for k in range(BLOCK) for _ in range(LANES)])


@intrinsic
def sum_products(typing_context: Any, start: Any, a: Any, b: Any) -> Any:
    """Return the vector start + sum over the registers of two blocks of a * b."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        total = args[0]
        for left, right in zip(
            emit_registers(builder, args[1]), emit_registers(builder, args[2]), strict=True
        ):
            total = emit_call(builder, "fmuladd", left, right, total)
        return total

    return vector(vector, block, block), generate
