"""Names and meanings of the metrics, as shown on pages and in tables."""

import re

# By key: full name, better direction, meaning. A metric that is not listed is shown by its key.
METRICS: dict[str, tuple[str, str, str]] = {
    "fd": ("Fréchet distance", "↓", "Distance between Gaussians fitted to features of generated and of real samples."),
    "fd_train": (
        "Fréchet distance to the training samples",
        "↓",
        "Far below the Fréchet distance above: G memorises training samples.",
    ),
    "fid": ("Fréchet Inception distance", "↓", "Fréchet distance in the features of the Inception network."),
    "fd_all": ("Fréchet distance to all real samples", "↓", "The same for two sets of samples: no real one is held out."),
    "fid_all": ("FID to all real samples", "↓", "The same for two sets of samples: no real one is held out."),
    "few_real": ("Real samples compared with", "", "So few that no value in this table can be trusted."),
    "kd": ("Kernel distance", "↓", "Squared MMD of the features, cubic kernel. Unbiased, so it may be negative."),
    "kid": ("Kernel Inception distance", "↓", "Squared MMD of Inception features, cubic kernel. Unbiased."),
    "is": (
        "Inception score",
        "↑",
        "High if each sample clearly has a class and all classes are equally frequent: 1 to their number.",
    ),
    "precision": ("Precision", "↑", "Fraction of generated samples within the manifold of real ones: fidelity."),
    "recall": ("Recall", "↑", "Fraction of real samples within the manifold of generated ones: diversity."),
    "precision_k3": (
        "Precision (k = 3)",
        "↑",
        "The same by NVIDIA’s protocol: closed balls to the third neighbour, training samples.",
    ),
    "recall_k3": ("Recall (k = 3)", "↑", "The same by NVIDIA’s protocol."),
    "density": ("Density", "↑", "How many real neighbourhoods contain a generated sample, relative to a real one (1)."),
    "coverage": ("Coverage", "↑", "Fraction of real samples with a generated one in their neighbourhood."),
    "modes": ("Modes", "↑", "Modes of the data that are covered by samples."),
    "high_quality": ("High quality", "↑", "Fraction of samples within three standard deviations of a mode."),
    "reverse_kl": ("Reverse KL", "↓", "How unevenly samples are distributed over the modes; 0 is evenly."),
    "confidence": ("Confidence", "↑", "Mean probability of the predicted class; low: samples of no recognisable class."),
    "spread": (
        "Spread inside modes",
        "",
        "Standard deviation of samples within a mode, relative to the mode; 0.97 at best, 0 is collapse.",
    ),
    "nearest_train": ("Nearest training sample", "", "Distance to it, relative to held-out samples; far below 1: G copies."),
    "class_min": ("Rarest class", "↑", "Smallest fraction of a class among the samples."),
    "class_max": ("Commonest class", "↓", "Largest fraction of a class among the samples."),
    "fd_infinity": ("Fréchet distance, bias removed", "↓", "Extrapolated to infinitely many samples; to the training split."),
    "fd_intra": ("Fréchet distance within classes", "↓", "Mean over classes; to the training split."),
    "fid_infinity": ("FID, bias removed", "↓", "Extrapolated to infinitely many samples; to the training split."),
    "fid_intra": ("FID within classes", "↓", "Mean over classes; to the training split."),
    "authenticity": ("Authenticity", "↑", "Fraction of samples that are not noisy copies of a training sample."),
    "c_t": ("Data-copying test", "", "Far below 0: samples are closer to the training samples than new real ones are."),
    "vendi": ("Vendi score", "↑", "Effective number of different samples."),
    "ms_ssim": (
        "MS-SSIM of pairs",
        "↓",
        "Similarity of random pairs of samples; high: low diversity. Compare with real ones.",
    ),
    "swd": ("Sliced Wasserstein distance", "↓", "Mean distance along random directions of the features."),
    "path_length": ("Path length", "↓", "How much features change with the latents; with LPIPS, the perceptual path length."),
    "cas": ("Classification accuracy score", "↑", "Accuracy on real images of a classifier trained on samples."),
    "cas_resnet50": (
        "Classification accuracy score by a ResNet-50",
        "↑",
        "The same of a ResNet-50, as published for ImageNet.",
    ),
    "cas_reverse": (
        "Classification accuracy score, reversed",
        "↑",
        "Accuracy on samples of a classifier trained on real images.",
    ),
    "duality_gap": ("Duality gap", "↓", "Sum of what each player could still gain against the other; 0 at an equilibrium."),
    "d_exploitability": ("Exploitability of G by D", "↓", "What a better discriminator could gain against this generator."),
    "g_exploitability": ("Exploitability of D by G", "↓", "What a better generator could gain against this discriminator."),
    "accuracy": ("Label accuracy", "↑", "Fraction of samples classified as their requested class."),
    "wasserstein": (
        "Wasserstein distance of columns",
        "↓",
        "Mean over numeric columns, in standard deviations of the real column.",
    ),
    "jsd": ("Jensen-Shannon divergence", "↓", "Mean over categorical columns, in bits."),
    "correlation_gap": ("Correlation gap", "↓", "Mean difference in the dependence of two columns, over all pairs."),
    "tstr": (
        "Train on synthetic, test on real",
        "↑",
        "Accuracy on held-out rows of classifiers trained on generated rows only.",
    ),
    "tstr_f1": ("Train on synthetic, test on real: macro F1", "↑", "The same, with equal weight for each class."),
    "tstr_r2": (
        "Train on synthetic, test on real: R²",
        "↑",
        "R² on held-out rows of regressions trained on generated rows only: 1 is exact, 0 the mean.",
    ),
    "dcr": ("Distance to the closest record", "", "Median over rows; far below that of held-out rows: G copies."),
    "dcr_low": ("Distance to the closest record: 5th percentile", "", "The same for the rows closest to a training row."),
    "jsd1": ("Jensen-Shannon divergence of symbols", "↓", "Between the symbols of generated and held-out text; 0 to 1 bit."),
    "jsd2": ("Jensen-Shannon divergence of 2-grams", "↓", "The same for two consecutive symbols."),
    "jsd3": ("Jensen-Shannon divergence of 3-grams", "↓", "The same for three."),
    "jsd4": (
        "Jensen-Shannon divergence of 4-grams",
        "↓",
        "The same for four. Depends on the number of samples: compare with the floor.",
    ),
    "distinct2": ("Distinct 2-grams", "", "Fraction of distinct 2-grams; far below real text: repetition."),
    "distinct4": ("Distinct 4-grams", "", "Fraction of distinct 4-grams; far above real text: noise."),
    "unique": ("Unique samples", "↑", "Fraction of distinct samples."),
    "words": ("Known words", "↑", "Fraction of words that occur in the training text."),
    "valid": ("Valid", "↑", "Fraction of samples that are one molecule, or a row of the real columns. Copies are valid too."),
    "novel": ("Novel", "↑", "Fraction of the unique valid samples that are not in the training split."),
    "vun": ("Valid, unique and novel", "↑", "Fraction of all samples that are new molecules, each counted once."),
    "intdiv": ("Internal diversity", "↑", "1 − mean similarity of pairs of molecules."),
    "scaffold": ("Scaffold similarity", "↑", "Cosine similarity of scaffold counts to those of held-out molecules."),
    "qed": ("Drug-likeness", "", "Mean QED of valid molecules, from 0 to 1."),
    "qed_w1": ("Drug-likeness: distance", "↓", "Wasserstein distance of QED to held-out molecules."),
    "logp": ("logP", "", "Mean of Crippen’s estimate: lipophilic above 0, hydrophilic below."),
    "logp_w1": ("logP: distance", "↓", "Wasserstein distance of logP to held-out molecules."),
    "sa": ("Synthetic accessibility", "", "Mean over valid molecules, from 1 (easy to synthesise) to 10."),
    "sa_w1": ("Synthetic accessibility: distance", "↓", "Wasserstein distance of SA to held-out molecules."),
    "fcd": (
        "Fréchet ChemNet distance",
        "↓",
        "Between Gaussians fitted to ChemNet’s activations of valid and held-out molecules.",
    ),
    "nll": ("NLL of held-out text", "↓", "−log p per symbol under G, in nats: heavily penalises text that G cannot generate."),
    "bleu2": ("BLEU-2", "↑", "Precision of n-grams of 1 to 2 words against held-out text: quality; not meaningful alone."),
    "bleu3": ("BLEU-3", "↑", "Precision of n-grams of 1 to 3 words against held-out text: quality; not meaningful alone."),
    "bleu4": ("BLEU-4", "↑", "Precision of n-grams of 1 to 4 words against held-out text: quality; not meaningful alone."),
    "bleu5": ("BLEU-5", "↑", "Precision of n-grams of 1 to 5 words against held-out text: quality; not meaningful alone."),
    "self_bleu2": ("Self-BLEU-2", "↓", "BLEU against the other samples; far above real text: low diversity."),
    "self_bleu3": ("Self-BLEU-3", "↓", "BLEU against the other samples; far above real text: low diversity."),
    "self_bleu4": ("Self-BLEU-4", "↓", "BLEU against the other samples; far above real text: low diversity."),
    "self_bleu5": ("Self-BLEU-5", "↓", "BLEU against the other samples; far above real text: low diversity."),
    "nll_oracle": (
        "NLL under the oracle",
        "",
        "−log p per symbol under the data distribution, in nats. Low values alone mean little.",
    ),
    "nll_oracle_gap": (
        "NLL under the oracle, over its entropy",
        "↓",
        "The same minus the oracle’s entropy; below 0: too little diversity.",
    ),
    "mel_l1": ("Mel distance", "↓", "Mean absolute difference of log-mel spectrograms, in nepers."),
    "mstft": (
        "Multi-resolution STFT distance",
        "↓",
        "Spectral convergence plus difference of log magnitudes, at three resolutions.",
    ),
    "mcd": ("Mel-cepstral distortion", "↓", "Distance of spectral envelopes, in dB."),
}
METRICS |= {
    f"share_{i}": (f"Share of class {i}", "", "Fraction of samples that the classifier assigns to this class.")
    for i in range(10)
}

# By the metric that begins a name of `metrics/protocols.py`: full name, better direction.
PROTOCOLS = {
    "fid": ("Fréchet Inception distance", "↓"),
    "kid": ("Kernel Inception distance", "↓"),
    "clean_fid": ("Fréchet Inception distance, clean resize", "↓"),
    "clean_kid": ("Kernel Inception distance, clean resize", "↓"),
    "fd_dinov2": ("Fréchet distance in DINOv2’s features", "↓"),
    "is": ("Inception score", "↑"),
    "studiogan_fid": ("Fréchet Inception distance, as StudioGAN’s", "↓"),
    "studiogan_is": ("Inception score, as StudioGAN’s", "↑"),
    "pr": ("Precision and recall", "↑"),
}


_PUBLISHED = re.compile(
    rf"(({'|'.join(sorted(PROTOCOLS, key=len, reverse=True))})_?(?:\d\w*?|full|test))(?:_(precision|recall))?"
)


def published_protocol(metric: str) -> str:
    """The name of the published protocol by which a metric is measured, as in --metrics; empty for other metrics."""
    match = _PUBLISHED.fullmatch(metric)
    return match[1] if match and metric not in METRICS else ""


def describe_metric(name: str) -> tuple[str, str, str]:
    """A metric's full name, better direction and meaning; for one that is not listed, a full name made from `name`."""
    if name in METRICS:
        return METRICS[name]
    if (base := name.removesuffix("_train")) != name:
        title, better, _ = describe_metric(base)
        return f"{title} to the training samples", better, f"Far below {base}: G memorises training samples."
    if match := _PUBLISHED.fullmatch(name):
        title, better = PROTOCOLS[match[2]]
        # Precision and recall are two values of one protocol.
        return METRICS[match[3]][0] if match[3] else title, better, "Measured by the published protocol of this name."
    return name.replace("_", " ").capitalize(), "", ""
