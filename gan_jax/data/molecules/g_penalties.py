"""Penalties on the generator that need molecules: each public function here is a value of `--g_penalty`.

    --g_penalty 'molecular_property(goal="qed")' --g_gamma 1

RDKit's scores have no gradient; those of a network trained to predict them do (see `property_network.py`).
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
    """1 - E R(G(z)): how far samples fall short of the highest reward for `goal`, a key of `SCALES`. R is trained on the
    molecules of the game, `data`. Weighted by `g_gamma`, it is the paper's lambda L_WGAN + (1 - lambda) L_RL divided by lambda,
    with g_gamma = (1 - lambda) / lambda.

    R is evaluated on the most likely atoms and bonds, as the metrics are; a straight-through estimator passes its gradient to
    the probabilities. Raises InputError for an unknown goal, ValueError for samples that are not graphs.

    Source: De Cao and Kipf 2018 (MolGAN), arXiv:1805.11973, section 3. Their R is trained during the game, also on generated
    samples, which RDKit scores at every step. Ours is trained before the game, on real and corrupted molecules, so that no step
    waits for RDKit; it is therefore not corrected where G exploits its errors.
    """
    if goal not in SCALES:
        raise unknown("goal of molecular_property", goal, SCALES)
    if not isinstance(data.sample_shape, Graph):
        raise ValueError(f"molecular_property needs graphs, such as data molecules; got samples of shape {data.sample_shape}")
    fake, reward = synthesis(synthesis.z), property_network(goal, data)
    return 1 - reward(Graph(*(_straight_through(x.astype(jnp.float32)) for x in fake))).mean()


def _straight_through(soft: Array) -> Array:
    hard = jax.nn.one_hot(soft.argmax(axis=-1), soft.shape[-1])
    return hard + soft - jax.lax.stop_gradient(soft)
