"""How XLA compiles our programs."""

import functools

import jax


@functools.cache
def compiler_options() -> dict[str, str]:
    """Options of `jax.jit` for programs with convolutions on a CPU; empty elsewhere, or if XLA does not know them.

    The first option has convolutions computed by Eigen. XLA prefers YNNPACK, with which a forward pass of a network takes up to
    twice as long, and the weight gradients of convolutions of stride 1 up to 4 times. The second keeps optimization barriers,
    which XLA's CPU compiler otherwise removes before it fuses operations: they keep elementwise operations out of transposes (a
    transpose of 12.6 MB takes 2 ms on two cores, and 16 ms with operations fused into it).
    """
    if jax.default_backend() != "cpu":
        return {}
    options = {
        "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE,LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT",
        "xla_disable_hlo_passes": "cse_barrier_expander",
    }
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except (RuntimeError, ValueError):  # other versions of XLA may not have these options
        return {}
    return options
