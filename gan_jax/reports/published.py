"""Results that papers report on our data sets, under the names of our metrics, for comparison pages to show with our own."""

from typing import NamedTuple


class Published(NamedTuple):
    """A row of a paper's table. `high_quality` is a fraction, 0 to 1. Rows that are not `checked` were taken from notes and not
    yet compared with the paper."""

    name: str
    metrics: dict[str, float]
    source: str  # authors year, arXiv:id, table
    protocol: str
    checked: bool


# From the authors' code (github.com/fjxmlzn/PacGAN, synthetic_data_experiments).
_POINTS = (
    "100,000 training points, 400 epochs, batch 100; z of 2, G 4 x 400 with batch norm, D 3 x 200 maxout, Adam 1e-4, b1 0.8; "
    "2,500 samples, mean of 10 trials"
)
# From the authors' page (github.com/akashgit/VEEGAN, index.md).
_VEEGAN = "26,000 samples labelled by a classifier; mean of 5 runs"
# From the authors' code (github.com/fjxmlzn/PacGAN, stacked_MNIST_experiments/VEEGAN_experiment).
_STACKED = (
    "128,000 training images, 50 epochs, batch 64; z of 100, Adam 2e-4, b1 0.5; 26,000 samples labelled by a classifier; mean "
    "of 10 trials"
)
_PACGAN = "Lin et al. 2018 (PacGAN), arXiv:1712.04086"
_SRIVASTAVA = "Srivastava et al. 2017 (VEEGAN), arXiv:1705.07761, table 2"

_RING = [
    Published("GAN", {"modes": 6.3, "high_quality": 0.982, "reverse_kl": 0.45}, f"{_PACGAN}, table 1", _POINTS, False),
    Published("PacGAN2", {"modes": 7.9, "high_quality": 0.956, "reverse_kl": 0.07}, f"{_PACGAN}, table 1", _POINTS, False),
]
_GRID = [
    Published("GAN", {"modes": 17.3, "high_quality": 0.948, "reverse_kl": 0.70}, f"{_PACGAN}, table 1", _POINTS, False),
    Published("ALI", {"modes": 24.1, "high_quality": 0.957, "reverse_kl": 0.14}, f"{_PACGAN}, table 1", _POINTS, False),
    Published("PacGAN4", {"modes": 24.8, "high_quality": 0.936, "reverse_kl": 0.04}, f"{_PACGAN}, table 1", _POINTS, False),
]
_MNIST = [
    Published("DCGAN", {"modes": 99, "reverse_kl": 3.40}, _SRIVASTAVA, _VEEGAN, False),
    Published("ALI", {"modes": 16, "reverse_kl": 5.40}, _SRIVASTAVA, _VEEGAN, False),
    Published("Unrolled GAN", {"modes": 48.7, "reverse_kl": 4.32}, _SRIVASTAVA, _VEEGAN, False),
    Published("VEEGAN", {"modes": 150, "reverse_kl": 2.95}, _SRIVASTAVA, _VEEGAN, False),
    Published("PacDCGAN2", {"modes": 1000, "reverse_kl": 0.06}, f"{_PACGAN}, table 2", _STACKED, False),
    Published(
        "R3GAN",
        {"modes": 1000, "reverse_kl": 0.029},
        "Huang et al. 2024 (R3GAN), arXiv:2501.05441, tables 3 and 9",
        "10 million images, batch 512, constant learning rate 2e-4, no augmentation",
        True,
    ),
]

# By the `data` field of a config, without spaces.
PUBLISHED: dict[str, list[Published]] = {
    "ring(sigma=0.01)": _RING,
    "grid": _GRID,
    "grid(sigma=0.05)": _GRID,
    "stacked:tfds:mnist": _MNIST,
}
