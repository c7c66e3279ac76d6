"""What the metrics are called and mean, for whoever reads a page or a table of them."""

# The metrics: full name, the better direction, meaning. One that is not listed is shown under its own name.
METRICS: dict[str, tuple[str, str, str]] = {
    "fd": ("Fréchet distance", "↓", "Distance between Gaussians fitted to features of generated and of real samples."),
    "fd_train": ("… to the training samples", "↓", "Far below the Fréchet distance above: G memorises."),
    "fid": ("Fréchet Inception distance", "↓", "Fréchet distance in the features of the Inception network."),
    "kd": ("Kernel distance", "↓", "Squared MMD of the features, cubic kernel. Unbiased, so it may be below 0."),
    "kid": ("Kernel Inception distance", "↓", "Squared MMD of Inception features, cubic kernel. Unbiased."),
    "is": ("Inception score", "↑", "Each sample clearly of one class, all classes alike: from 1 to their number."),
    "precision": ("Precision", "↑", "Share of generated samples that lie among real ones: realism."),
    "recall": ("Recall", "↑", "Share of real samples that lie among generated ones: variety."),
    "density": ("Density", "↑", "How crowded with real samples the place of a generated one is; 1 as for a real one."),
    "coverage": ("Coverage", "↑", "Share of real samples with a generated one in their neighbourhood."),
    "modes": ("Modes", "↑", "Modes of the data that received samples."),
    "high_quality": ("High quality", "↑", "Share of samples within three standard deviations of a mode."),
    "reverse_kl": ("Reverse KL", "↓", "How unevenly samples are spread over the modes; 0 is evenly."),
    "confidence": ("Confidence", "↑", "Probability that the classifier gives the class it chooses; low: samples of no class."),
    "spread": ("Spread inside modes", "", "Samples’ deviation inside a mode over the mode’s own; 0.97 at best, 0 is collapse."),
    "nearest_train": ("Nearest training sample", "", "Distance to it, over that of held-out samples; far below 1: G copies."),
    "class_min": ("Rarest class", "↑", "Smallest share of a class among the samples."),
    "class_max": ("Commonest class", "↓", "Largest share of a class among the samples."),
    "accuracy": ("Label accuracy", "↑", "Share of samples classified as the class they were asked for."),
}
