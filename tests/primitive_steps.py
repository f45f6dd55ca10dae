"""A small function for each primitive that JAX has a derivative rule of, to stand in a step."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from jaxrnn.jaxprs.equations import primitives

Function = Callable[[jax.Array], jax.Array]


def _integers(z):
    return (z * 10).astype(jnp.int32)


def _square(z):
    """A symmetric, positive definite matrix [3, 3]."""
    return jnp.outer(z, z) + np.diag(np.asarray([2, 3, 4], np.float32))


def _swung(z):
    """Another one that is not symmetric, with eigenvalues that differ."""
    return jnp.outer(z, jnp.cos(z)) + np.diag(np.asarray([2, 5, 9], np.float32))


def _windows(reducer, initial):
    def reduced(z):
        return lax.reduce_window(z, initial, reducer, (2,), (1,), "VALID")

    return reduced


def _largest(z):
    return _windows(lax.max, -np.inf)(z)


def _key():
    return jax.random.key(3)


_AT = np.asarray([[2], [0]], np.int32)
_NUMBERS = lax.ScatterDimensionNumbers((), (0,), (0,))


def _scattered(scatter):
    return lambda z: scatter(z, _AT, z[:2] + 2, _NUMBERS)


def _solved(z):
    a = _square(z)
    return lax.custom_linear_solve(
        lambda x: a @ x, z, lambda _, b: jnp.linalg.inv(a) @ b, symmetric=True
    )


def _of(names: str, change: Function = lambda z: z) -> dict[str, Function]:
    """The functions of `jax.lax` of these names, as far as this JAX has them."""

    def one(function):
        return lambda z: function(change(z))

    return {name: one(getattr(lax, name)) for name in names.split() if hasattr(lax, name)}


def _of_two(names: str, change: Function = lambda z: z) -> dict[str, Function]:
    def one(function):
        return lambda z: function(change(z), change(z[::-1]))

    return {name: one(getattr(lax, name)) for name in names.split() if hasattr(lax, name)}


def _of_axis(names: str) -> dict[str, Function]:
    def one(function):
        return lambda z: function(z, 0)

    return {name: one(getattr(lax, name)) for name in names.split()}


# Of z [3] between -1 and 1.
FUNCTIONS: dict[str, Function] = {
    **_of("abs acos asin asinh atan atanh ceil cos cosh erf erf_inv erfc exp exp2 expm1 floor"),
    **_of("is_finite log1p logistic neg round sign sin sinh square tan tanh bessel_i0e bessel_i1e"),
    **_of("acosh cbrt digamma lgamma log log2 rsqrt sqrt", lambda z: z + 2),
    **_of_two("add atan2 complex div max min mul nextafter rem sub eq ge gt le lt ne"),
    **_of_two("igamma igammac pow", lambda z: z + 2),
    **_of_two("mulhi shift_left shift_right_arithmetic shift_right_logical", _integers),
    **_of_axis("cumlogsumexp cummax cummin cumprod cumsum"),
    "and": lambda z: _integers(z) & 5,
    "or": lambda z: _integers(z) | 5,
    "xor": lambda z: _integers(z) ^ 5,
    "not": lambda z: ~(z > 0),
    "conj": lambda z: lax.conj(lax.complex(z, z[::-1])),
    "real": lambda z: lax.real(lax.complex(z, z[::-1]) ** 2),
    "imag": lambda z: lax.imag(lax.complex(z, z[::-1]) ** 2),
    "polygamma": lambda z: lax.polygamma(jnp.ones_like(z), z + 2),
    "regularized_incomplete_beta": lambda z: lax.betainc(
        jnp.full_like(z, 2), jnp.full_like(z, 3), (z + 1) / 2
    ),
    "integer_pow": lambda z: z**3,
    "clamp": lambda z: lax.clamp(jnp.float32(-0.3), z, jnp.float32(0.3)),
    "select_n": lambda z: jnp.where(z > 0, z, 3 * z),
    "convert_element_type": lambda z: z.astype(jnp.float16).astype(jnp.float32),
    "bitcast_convert_type": lambda z: lax.bitcast_convert_type(z, jnp.int32) // 2**23,
    "reduce_precision": lambda z: lax.reduce_precision(z, 8, 9),
    "copy": lambda z: jnp.array(z, copy=True),
    "device_put": lambda z: jax.device_put(z) * 2,
    "stop_gradient": lambda z: lax.stop_gradient(z) * z,
    "name": lambda z: checkpoint_name(z, "z") ** 2,
    "optimization_barrier": lambda z: lax.optimization_barrier(z) ** 2,
    "broadcast_in_dim": lambda z: jnp.broadcast_to(z, (2, 3)),
    "reshape": lambda z: _swung(z).reshape(9),
    "transpose": lambda z: _swung(z).T,
    "squeeze": lambda z: lax.squeeze(z[None], (0,)),
    "slice": lambda z: z[1:],
    "split": lambda z: lax.split(z, (1, 2))[1],
    "concatenate": lambda z: jnp.concatenate([z, z[:2] * 2]),
    "stack": lambda z: jnp.stack([z, z * z]),
    "unstack": lambda z: jnp.unstack(_swung(z))[1],
    "tile": lambda z: jnp.tile(z, 2),
    "pad": lambda z: lax.pad(z, z[0], [(1, 1, 1)]),
    "rev": lambda z: lax.rev(z, (0,)),
    "dynamic_slice": lambda z: lax.dynamic_slice(z, (_integers(z)[0] % 2,), (2,)),
    "dynamic_update_slice": lambda z: lax.dynamic_update_slice(
        z, z[:1] ** 2, (_integers(z)[0] % 2,)
    ),
    "gather": lambda z: z[_integers(z) % 3],
    "scatter": _scattered(lax.scatter),
    "scatter-add": _scattered(lax.scatter_add),
    "scatter-sub": _scattered(lax.scatter_sub),
    "scatter-mul": lambda z: lax.scatter_mul(z, _AT, z[:2] + 2, _NUMBERS, unique_indices=True),
    "scatter-max": _scattered(lax.scatter_max),
    "scatter-min": _scattered(lax.scatter_min),
    "argmax": lambda z: lax.argmax(z, 0, jnp.int32),
    "argmin": lambda z: lax.argmin(z, 0, jnp.int32),
    "reduce_sum": jnp.sum,
    "reduce_max": jnp.max,
    "reduce_min": jnp.min,
    "reduce_prod": jnp.prod,
    "reduce": lambda z: lax.reduce(z, np.float32(0), lambda a, b: a + b + 0 * a * b, (0,)),
    "reduce_window": lambda z: _windows(lambda a, b: a * b + a + b, np.float32(0))(z),
    "reduce_window_sum": _windows(lax.add, np.float32(0)),
    "reduce_window_max": _largest,
    "reduce_window_min": _windows(lax.min, np.inf),
    "select_and_scatter_add": lambda z: jax.vjp(_largest, z)[1](z[1:] ** 2)[0],
    "select_and_gather_add": lambda z: jax.jvp(_largest, (z,), (z**2,))[1],
    "sort": jnp.sort,
    "top_k": lambda z: lax.top_k(z, 2)[0],
    "approx_top_k": lambda z: lax.approx_max_k(z, 2)[0],
    "dot_general": lambda z: _swung(z) @ z,
    "conv_general_dilated": lambda z: jnp.convolve(z, z[:2]),
    "fft": lambda z: jnp.fft.fft(z),
    "cholesky": lambda z: jnp.linalg.cholesky(_square(z)),
    "eigh": lambda z: jnp.linalg.eigh(_square(z))[0],
    "eig": lambda z: jnp.linalg.eigvals(_swung(z)),
    "lu": lambda z: lax.linalg.lu(_swung(z))[0],
    "qr": lambda z: jnp.linalg.qr(_swung(z))[1],
    "svd": lambda z: jnp.linalg.svd(_swung(z), compute_uv=False),
    "triangular_solve": lambda z: lax.linalg.triangular_solve(
        _square(z), z[:, None], left_side=True, lower=True
    ),
    "tridiagonal_solve": lambda z: lax.linalg.tridiagonal_solve(z, z + 4, z, z[:, None]),
    "custom_linear_solve": _solved,
    "while": lambda z: lax.while_loop(lambda a: jnp.abs(a).sum() < 2, lambda a: a * 3 + 0.1, z),
    "cond": lambda z: lax.cond(z[0] > 0, jnp.sin, jnp.square, z),
    "scan": lambda z: lax.scan(lambda a, _: (jnp.sin(a + z), a), z, None, length=2)[0],
    "jit": lambda z: jax.jit(jnp.sin)(z),
    "remat2": lambda z: jax.checkpoint(jnp.sin)(z),
    "random_seed": lambda z: jax.random.key_data(jax.random.key(_integers(z)[0])) % 7,
    "random_fold_in": lambda z: jax.random.uniform(
        jax.random.fold_in(_key(), _integers(z)[0]), (3,), jnp.float32
    ),
    "random_split": lambda z: (
        jax.random.key_data(jax.random.split(jax.random.fold_in(_key(), _integers(z)[0]))) % 7
    ),
    "random_bits": lambda z: (
        z
        * jax.random.bits(jax.random.fold_in(_key(), _integers(z)[0]), (3,), jnp.uint8).astype(
            jnp.float32
        )
    ),
    "random_wrap": lambda z: jax.random.uniform(
        jax.random.wrap_key_data(jnp.abs(_integers(z)[:2]).astype(jnp.uint32)), (3,), jnp.float32
    ),
    "random_unwrap": lambda z: jax.random.key_data(jax.random.fold_in(_key(), _integers(z)[0])) % 7,
    "random_gamma": lambda z: jax.random.gamma(_key(), z + 2, dtype=jnp.float32),
}
# Why the others cannot stand in a step of one example.
_INTERNAL = "JAX's own, which no public function of arrays makes"
_NAMED_AXIS = "it joins the numbers of a named axis, which one example has not"
_MESH = "it moves an array over a mesh of devices, or marks how it lies there"
_MEMORY = "it reads or writes memory that changes: not a function of arrays"
_EFFECT = "it calls Python or foreign code, and has no derivative"
REASONS: dict[str, str] = {
    **dict.fromkeys(
        primitives("composite linear_call ragged_dot_general"), "JAX does not map it over a batch"
    ),
    **dict.fromkeys(
        primitives("""
        add_any call_hi_primitive dce_sink eq_to le_to lt_to eval_jaxpr from_edtype to_edtype
        custom_vmap_call remat_opt stage tie polynomial one_minus_square check program_order
        """),
        _INTERNAL,
    ),
    **dict.fromkeys(
        primitives("""
        all_gather all_gather_invariant all_gather_reduced all_to_all pbroadcast pbroadcast_dynamic
        ppermute preduced psum psum_invariant pvary ragged_all_to_all reduce_scatter unreduced_psum
        unreduced_reduce_scatter reduced_vary_cast reduced_vary_cast_p vary_unreduced_cast
        vary_unreduced_cast_p
        """),
        _NAMED_AXIS,
    ),
    **dict.fromkeys(
        primitives("""
        inspect_sharding layout_constraint reshard sharding_constraint relayout
        with_memory_space_constraint
        """),
        _MESH,
    ),
    **dict.fromkeys(
        primitives("""
        accum_grad_in_ref addupdate box_get box_set empty_ref free_ref freeze get log_extend
        log_read new_box new_log new_ref run_state swap
        """),
        _MEMORY,
    ),
    **dict.fromkeys(
        primitives("debug_callback debug_print ffi_call io_callback pure_callback"), _EFFECT
    ),
}
