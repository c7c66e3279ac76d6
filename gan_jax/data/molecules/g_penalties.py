"""Penalties on the generator that need molecules: each public function here is a value of `--g_penalty`.

    --g_penalty 'molecular_property(goal="qed")' --g_gamma 1

RDKit's scores have no gradient; those of a network that was trained on them do (`property_network.py`).
"""

import jax
import jax.numpy as jnp

from gan_jax.data.dataset import Data
from gan_jax.data.molecules.property_network import SCALES, property_network
from gan_jax.errors import unknown
from gan_jax.types import Array, Critic, DataPenalty, Graph, Synthesis


@DataPenalty
def molecular_property(
    synthesis: Synthesis, critic: Critic, real: Graph, key: Array, *, data: Data, goal: str = "qed"
) -> Array:
    """1 - E R(G(z)): what samples fall short of in `goal`, a key of `SCALES`. R learns from the molecules of the game, `data`,
    which comes by itself. Weighted by `g_gamma`, it is the paper's lambda L_WGAN + (1 - lambda) L_RL over lambda, with g_gamma
    = (1 - lambda) / lambda.

    R judges the likeliest atoms and bonds, which is what a metric will see; its gradient goes to the probabilities, as if they
    were those. Raises InputError for a goal that there is not, ValueError for samples that are no graphs.

    Source: De Cao and Kipf 2018 (MolGAN), arXiv:1805.11973, section 3. Their R learns during the game, of the generator's
    samples too, each step's scored by RDKit; ours before it, of real molecules and of spoilt ones, so that no step waits for
    RDKit, and G never shows R where it is wrong.
    """
    if goal not in SCALES:
        raise unknown("goal of molecular_property", goal, SCALES)
    if not isinstance(data.sample_shape, Graph):
        raise ValueError(f"molecular_property needs graphs, as of data molecules; got samples of shape {data.sample_shape}")
    fake, judge = synthesis(synthesis.z), property_network(goal, data)
    return 1 - judge(Graph(*(_straight_through(x.astype(jnp.float32)) for x in fake))).mean()


def _straight_through(soft: Array) -> Array:
    hard = jax.nn.one_hot(soft.argmax(axis=-1), soft.shape[-1])
    return hard + soft - jax.lax.stop_gradient(soft)
