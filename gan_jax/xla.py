"""How XLA compiles our programs."""

import functools

import jax


@functools.cache
def compiler_options() -> dict[str, str]:
    """Options of `jax.jit` for programs with convolutions on a CPU; empty elsewhere, or if XLA does not know them.

    Convolutions by Eigen, not YNNPACK, which XLA prefers although a forward pass of a network takes up to twice as long, and
    its weight gradients of stride 1 up to 4 times. And optimization barriers, which XLA's CPU compiler otherwise removes before
    it fuses operations: they keep elementwise work out of transposes, which alone take 2 ms where the fusion takes 16 (12.6 MB,
    two cores).
    """
    if jax.default_backend() != "cpu":
        return {}
    options = {
        "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE,LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT",
        "xla_disable_hlo_passes": "cse_barrier_expander",
    }
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except (RuntimeError, ValueError):  # the option is experimental: other versions of XLA may not have it
        return {}
    return options
