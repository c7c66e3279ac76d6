"""Statistics of features in the files of other projects: read without executing anything."""

import os
import pickle
import sys
from types import ModuleType

import numpy as np
import pytest

from gan_jax.errors import InputError
from gan_jax.storage.statistics import Statistics, is_statistics, read_statistics, write_statistics

FEATURES = np.random.RandomState(0).normal(size=(50, 3)) + 2.0
MEAN, COVARIANCE = FEATURES.mean(axis=0), np.cov(FEATURES, rowvar=False)


def assert_read(path, covariance=COVARIANCE):
    assert is_statistics(path)
    statistics = read_statistics(path)
    assert [x.dtype for x in statistics] == [np.float64] * 2
    np.testing.assert_allclose(statistics.mean, MEAN, rtol=1e-12)
    np.testing.assert_allclose(statistics.covariance, covariance, rtol=1e-12)


def test_npz_of_pytorch_fid(tmp_path):
    path = tmp_path / "real.npz"
    np.savez_compressed(path, mu=MEAN, sigma=COVARIANCE)  # pytorch-fid, save_fid_stats
    assert_read(path)
    write_statistics(path, Statistics(MEAN, COVARIANCE))
    with np.load(path) as stored:  # pytorch-fid, compute_statistics_of_path
        np.testing.assert_array_equal(stored["mu"], MEAN)
        np.testing.assert_array_equal(stored["sigma"], COVARIANCE)
    assert_read(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_nvidia(protocol, tmp_path, monkeypatch):
    path = tmp_path / "real.pkl"
    path.write_bytes(pickle.dumps({"fid": {"mu": MEAN, "sigma": np.asfortranarray(COVARIANCE)}}, protocol))
    assert_read(path)
    # FeatureStats of StyleGAN2-ADA: append_torch adds features and their products, get_mean_cov divides by their number.
    sums = {"capture_all": False, "capture_mean_cov": True, "max_items": 50, "num_items": np.int64(50), "num_features": 3}
    sums |= {"all_features": None, "raw_mean": FEATURES.sum(axis=0), "raw_cov": FEATURES.T @ FEATURES}
    path.write_bytes(pickle.dumps(sums, protocol))
    assert_read(path, np.cov(FEATURES, rowvar=False, ddof=0))
    # EasyDict of dnnlib is a dictionary.
    easy = type("EasyDict", (dict,), {"__module__": "dnnlib.util"})
    module = ModuleType("dnnlib.util")
    module.EasyDict = easy
    monkeypatch.setitem(sys.modules, "dnnlib", ModuleType("dnnlib"))
    monkeypatch.setitem(sys.modules, "dnnlib.util", module)
    if protocol >= 2:  # before, a reconstruction by copyreg, which no such file has
        path.write_bytes(pickle.dumps(easy(mu=MEAN.astype(">f8"), sigma=COVARIANCE), protocol))
        assert_read(path)


class Evil:
    def __reduce__(self):
        return os.system, ("touch evil",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"mu": Evil()}), "refused: the file refers to .*system"),
        (pickle.dumps({"mu": np.array([None])}), "refused: an array of type 'O8'"),
        (pickle.dumps({"mu": MEAN, "sigma": COVARIANCE[:2]}), r"the mean must be \[D\] .* got \[3\] and \[2, 3\]"),
        (pickle.dumps({"mu": MEAN * np.nan, "sigma": COVARIANCE}), "not finite"),
        (pickle.dumps({"mu": MEAN}), 'the pickle has neither "mu" and "sigma" nor'),
        (pickle.dumps({"mu": MEAN, "sigma": -COVARIANCE}), "not a covariance: it has the negative eigenvalue"),
        (pickle.dumps({"mu": MEAN, "sigma": COVARIANCE + np.triu(COVARIANCE, 1) + np.eye(3)[::-1].cumsum(0)}), "not symmetric"),
        (pickle.dumps({"mu": MEAN > 0, "sigma": COVARIANCE}), "must be real numbers, got bool"),
        (pickle.dumps({"mu": [], "sigma": []}), r"the mean must be"),
        (
            pickle.dumps({"raw_mean": MEAN, "raw_cov": COVARIANCE, "num_items": 0}),
            "num_items must be a number of images, got 0",
        ),
        (pickle.dumps([1]), 'the pickle has neither "mu" and "sigma" nor'),
        (
            pickle.dumps({"mu": MEAN, "sigma": COVARIANCE}).replace(b"K\x03K\x03", b"K\x7fK\x7f"),
            r"an array \[127, 127\] of 72 bytes",
        ),
        (b"text", "damaged"),
        (b"", "damaged"),
    ],
)
def test_other_pickles_are_refused(content, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "real.pkl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"real.pkl.*({message})"):
        read_statistics(path)
    assert os.listdir(tmp_path) == ["real.pkl"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mu": MEAN}, "has no sigma, only mu"),
        ({"mu": MEAN.astype("U8"), "sigma": COVARIANCE}, "must be real numbers, got <U8"),
        ({"mu": MEAN + 1j, "sigma": COVARIANCE}, "must be real numbers, got complex128"),
    ],
)
def test_other_arrays_are_refused(arrays, message, tmp_path):
    np.savez(tmp_path / "real.npz", **arrays)
    assert is_statistics(tmp_path / "real.npz")
    with pytest.raises(InputError, match=f"real.npz: .*{message}"):
        read_statistics(tmp_path / "real.npz")


def test_what_is_not_statistics(tmp_path):
    np.savez(tmp_path / "images.npz", images=np.zeros(3))
    for name in ("images.npz", "missing.npz", "missing.pkl", "."):
        assert not is_statistics(tmp_path / name)
    with pytest.raises(InputError, match=r"cannot write /dev/null/no.npz"):
        write_statistics(tmp_path.__class__("/dev/null/no.npz"), Statistics(MEAN, COVARIANCE))
