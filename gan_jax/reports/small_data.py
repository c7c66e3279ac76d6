"""Which metrics mean little with the number of samples that a run was measured on.

Sources: a covariance of n samples has rank n - 1 at most, so a Frechet distance between D features needs more than D samples
(Heusel et al. 2017, arXiv:1706.08500, ask for at least 2,048 for the Inception network and recommend 10,000); its bias falls as
1/n (Chong and Forsyth 2020, arXiv:1911.07023). A fraction of n samples has the standard error sqrt(p (1 - p) / n), at most
1 / (2 sqrt(n)); twice that is its 95% interval.
"""

import math
from collections.abc import Iterable
from typing import Any

# Fractions of the generated samples, and those that also depend on the number of real ones.
OF_SAMPLES = {"accuracy", "authenticity", "class_max", "class_min", "high_quality", "novel", "unique", "valid", "vun"}
OF_BOTH = {"cas", "cas_reverse", "coverage", "precision", "precision_k3", "recall", "recall_k3", "tstr"}
NOTICEABLE = 0.05  # the half width of an interval from which it is stated
INCEPTION = 2_048  # features of the FID's network
RECOMMENDED = 10_000  # samples for a Frechet distance between them
N_GRAMS = ("jsd3", "jsd4")
MIN_TEXTS = 10_000  # samples below which most n-grams of three or four symbols are seen once or never


def cautions(names: Iterable[str], config: dict[str, Any], environment: dict[str, Any]) -> list[str]:
    """Sentences on the metrics `names` that mean little at the size at which they were measured."""
    names = list(names)
    recorded = environment.get("protocol")
    facts = recorded if isinstance(recorded, dict) else {}
    generated = config.get("eval_samples")
    if not _is_count(generated):
        return []
    real = min((facts[name] for name in ("held_out", "train") if _is_count(facts.get(name))), default=generated)
    size = min(generated, real)
    if "few_real" in names:
        return [f"Everything in this table: {real:,} real samples are too few for any of these metrics."]
    sentences = _on_distances(names, size, facts.get("features"))
    for fractions, count in ((OF_SAMPLES, generated), (OF_BOTH, size)):
        half_width = 1 / math.sqrt(count)
        if (measured := [name for name in names if name in fractions]) and half_width > NOTICEABLE:
            sentences.append(
                f"{', '.join(measured)}: a fraction of {count:,} samples is uncertain by up to ±{half_width:.2f} (95%), so "
                "smaller differences mean nothing."
            )
    if (measured := [name for name in names if name in N_GRAMS]) and size < MIN_TEXTS:
        sentences.append(
            f"{', '.join(measured)}: {size:,} samples contain few of the possible n-grams, so the value depends on their "
            "number. Read it next to that of real data."
        )
    return sentences


def _on_distances(names: list[str], size: int, features: Any) -> list[str]:
    sentences = []
    for name, dimension in (("fd", features), ("fid", INCEPTION)):
        measured = ", ".join(known for known in (name, f"{name}_train", f"{name}_all", f"{name}_intra") if known in names)
        if not measured or not _is_count(dimension):
            continue
        if size <= dimension:
            sentences.append(
                f"{measured}: {size:,} samples do not determine the covariance of {dimension:,} features. Most of the value is "
                "bias, and it is comparable only between runs measured on as many samples."
            )
        elif dimension == INCEPTION and size < RECOMMENDED:
            sentences.append(
                f"{measured}: below {RECOMMENDED:,} samples, here {size:,}, the bias is too large for a comparison with "
                "published values."
            )
    return sentences


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
