"""Arithmetic on vectors and blocks: sums, products, exponentials and what is made of them.

Polynomials take the place of the mathematical library, which knows no vectors. Builds on ``vectors``; used by the
kernels.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.extending import lower_builtin, type_callable

from .vectors import (
    FLOAT,
    HAS_AVX512,
    INTEGER,
    LANES,
    VectorType,
    block,
    constant_lanes,
    constant_vector,
    emit_call,
    emit_intrinsic,
    emit_join,
    emit_registers,
    intrinsic,
    vector,
)

__all__ = ["LOG2_E", "exp2", "inverse_root", "maximum", "multiply_add", "reciprocal", "sigmoid", "softplus"]

LOG2_E = np.float32(1.4426950408889634)
# Products may fuse with sums; NaN and infinities must survive, so neither nnan nor ninf is promised.
FLAGS = ("contract", "nsz", "arcp")
# 2**f on [-1/2, 1/2], highest power first; relative error 1.5e-7
EXP2_POLYNOMIAL = (1.32647e-3, 9.67151e-3, 5.550734e-2, 2.4022242e-1, 6.9314698e-1, 1.0)


def _define_operator(python_operator: Callable[..., Any], instruction: str) -> None:
    @type_callable(python_operator)
    def _(context: Any) -> Callable[..., Any]:
        def typer(a: Any, b: Any) -> Any:
            return a if isinstance(a, VectorType) and a == b else None

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
        return emit_call(builder, "fmuladd", *args)

    return a(a, a, a), generate


@intrinsic
def maximum(typing_context: Any, a: Any, b: Any) -> Any:
    """Return the larger of two vectors or blocks, lane by lane; a NaN in `a` stays."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", args[0], args[1]), args[1], args[0])

    return a(a, a), generate


def _horner(builder: Any, x: Any, coefficients: tuple[float, ...]) -> Any:
    total = constant_vector(x.type.count, coefficients[0])
    for coefficient in coefficients[1:]:
        total = emit_call(builder, "fmuladd", total, x, constant_vector(x.type.count, coefficient))
    return total


def _scale_by_power(builder: Any, value: Any, power: Any) -> Any:
    """Return value * 2**power for integral powers."""
    if not HAS_AVX512:
        integers = ir.VectorType(INTEGER, value.type.count)
        exponent = builder.shl(builder.fptosi(power, integers), constant_lanes([23] * value.type.count))
        return builder.bitcast(builder.add(builder.bitcast(value, integers), exponent), value.type)
    kind = ir.VectorType(FLOAT, LANES)
    zeros, every_lane = constant_vector(LANES, 0), ir.Constant(ir.IntType(16), -1)
    current_rounding = ir.Constant(INTEGER, 4)
    scaled = [
        emit_intrinsic(
            builder, "llvm.x86.avx512.mask.scalef.ps.512", kind, [v, p, zeros, every_lane, current_rounding]
        )
        for v, p in zip(emit_registers(builder, value), emit_registers(builder, power), strict=True)
    ]
    return emit_join(builder, scaled)


def _exp2(builder: Any, x: Any) -> Any:
    # Ordered comparisons are false for NaN, which therefore passes. AVX-512 scales into overflow by itself.
    low, high = constant_vector(x.type.count, -126.0), constant_vector(x.type.count, 126.0)
    x = builder.select(builder.fcmp_ordered("<", x, low), low, x)
    if not HAS_AVX512:
        x = builder.select(builder.fcmp_ordered(">", x, high), high, x)
    nearest = emit_call(builder, "rint", x)
    return _scale_by_power(builder, _horner(builder, builder.fsub(x, nearest), EXP2_POLYNOMIAL), nearest)


def _reciprocal(builder: Any, x: Any) -> Any:
    return builder.fdiv(constant_vector(x.type.count, 1.0), x, flags=FLAGS)


def _inverse_root(builder: Any, x: Any) -> Any:
    return _reciprocal(builder, emit_call(builder, "sqrt", x))


def _sigmoid(builder: Any, x: Any) -> Any:
    one = constant_vector(x.type.count, 1.0)
    decayed = _exp2(builder, builder.fmul(x, constant_vector(x.type.count, -float(LOG2_E))))
    return _reciprocal(builder, builder.fadd(decayed, one))


def _softplus(builder: Any, x: Any) -> Any:
    """Return max(x, 0) + log1p(exp(-|x|)), the logarithm by its series in y / (y + 2)."""
    zero = constant_vector(x.type.count, 0.0)
    y = _exp2(
        builder, builder.fmul(emit_call(builder, "fabs", x), constant_vector(x.type.count, -float(LOG2_E)))
    )
    ratio = builder.fdiv(y, builder.fadd(y, constant_vector(x.type.count, 2.0)), flags=FLAGS)
    square = builder.fmul(ratio, ratio)
    series = _horner(builder, square, tuple(2.0 / k for k in (15, 13, 11, 9, 7, 5, 3, 1)))
    positive = builder.select(builder.fcmp_ordered("<", x, zero), zero, x)
    return emit_call(builder, "fmuladd", series, ratio, positive)


def _make_function(emit: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def function(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return emit(builder, args[0])

        return x(x), generate

    return intrinsic(function)


exp2 = _make_function(_exp2)
sigmoid = _make_function(_sigmoid)
softplus = _make_function(_softplus)
reciprocal = _make_function(_reciprocal)
inverse_root = _make_function(_inverse_root)
