"""Audio: sound files in folders and zips, splits, evaluation, and output as sounds."""

import importlib.util
import io
import json
import wave
import zipfile

import numpy as np
import pytest
from made import REAL_DATA
from PIL import Image

from gan_jax.data.audio.clips import _wav, audio
from gan_jax.data.dataset import Measure, Protocol
from gan_jax.data.images import pixels
from gan_jax.data.load import load
from gan_jax.errors import InputError

LENGTH = 1_024


def tone(pitch, rate=8_000, length=900):
    return _wav(np.sin(2 * np.pi * pitch * np.arange(length) / rate), rate)


@pytest.fixture
def folder(tmp_path):
    """A folder with fifteen takes of each of two words."""
    for word, pitch in (("high", 2_000), ("low", 300)):
        for number in range(15):
            (tmp_path / f"{word}_ann_{number}.wav").write_bytes(tone(pitch + number))
    return tmp_path


def test_words_in_file_names_are_classes_and_their_first_takes_are_held_out(folder):
    source = audio(path=str(folder), length=LENGTH)
    assert source.num_classes == 2 and len(source.classes) == 2 and source.train.samples.shape == (20, 8, 64, 1)
    assert source.test.labels.tolist() == [0] * 5 + [1] * 5
    band = source.train.samples[:, 4, :, 0].argmax(axis=1)
    assert (band[source.train.labels == 0] > band[source.train.labels == 1].max()).all()


def test_a_zip_is_read_like_a_folder(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for file in folder.glob("*.wav"):
            archive.write(file, f"folder/{file.name}")
    from_folder = audio(path=str(folder), length=LENGTH)
    from_zip = audio(str(tmp_path), path="all.zip", length=LENGTH)
    np.testing.assert_array_equal(from_folder.train.samples, from_zip.train.samples)
    np.testing.assert_array_equal(from_folder.test.labels, from_zip.test.labels)


def test_folders_are_classes(tmp_path):
    for word in ("no", "yes"):
        (tmp_path / word).mkdir()
        for number in range(50):
            (tmp_path / word / f"{number}.wav").write_bytes(tone(500 if word == "no" else 1_500))
    source = audio(path=str(tmp_path), length=LENGTH)
    assert source.num_classes == 2 and source.test.samples.shape[0] == 10 and source.train.samples.shape[0] == 90


def test_invalid_input_is_rejected(folder, tmp_path):
    with pytest.raises(InputError, match="no file or folder 'nowhere'"):
        audio(path="nowhere")
    with pytest.raises(InputError, match="length must be a multiple of 128, at least 1024, got 1100"):
        audio(length=1_100)
    with pytest.raises(InputError, match="rate must be a whole number of at least 1000, got 0"):
        audio(rate=0)
    with pytest.raises(
        InputError, match=r"recordings in \S+ have 8000 \(30: .*\) samples per second, not 16000: set rate=8000, or"
    ):
        audio(path=str(folder), rate=16_000)
    (folder / "high_ann_0.wav").write_bytes(b"RIFF")
    with pytest.raises(InputError, match=r"1 of 30 recordings in \S+ cannot be used: 1 unreadable \(high_ann_0\.wav: "):
        audio(path=str(folder))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="there is no sound that can be read in"):
        audio(path=str(empty))
    (tmp_path / "a.txt").write_text("no")
    with pytest.raises(InputError, match="is neither a folder nor a zip of sound files"):
        audio(path=str(tmp_path / "a.txt"))


def test_clips_have_the_same_peak_and_length(tmp_path):
    for number in range(20):
        content = tone(700, length=700)
        if number % 2:  # a tenth of the amplitude, in stereo
            with wave.open(io.BytesIO(content)) as file:
                quiet = np.frombuffer(file.readframes(700), "<i2") // 10
            out = io.BytesIO()
            with wave.open(out, "wb") as file:
                file.setnchannels(2)
                file.setsampwidth(2)
                file.setframerate(8_000)
                file.writeframes(np.repeat(quiet, 2).astype("<i2").tobytes())
            content = out.getvalue()
        for speaker in ("ann", "bob"):
            (tmp_path / f"tone_{speaker}_{number}.wav").write_bytes(content)
    samples = audio(path=str(tmp_path), length=LENGTH).train.samples
    np.testing.assert_allclose(samples.max(axis=(1, 2, 3)), samples.max(), atol=0.01)
    assert (samples[:, -1] < -0.9).all()  # padded with silence


def test_samples_are_written_as_sounds():
    data = load("audio(length=2048)", 0, 8)
    assert data.sample_shape == (16, 64, 1) and data.num_classes == 3
    files = data.show(data.test.samples[:10])
    assert list(files) == [".png", *(f"-{i}.wav" for i in range(10)), *(f"-{i}.png" for i in range(10))]
    picture = Image.open(io.BytesIO(files["-3.png"]))
    assert picture.size == (16, 64)  # time to the right, a pixel for each frame and each band
    level = np.clip((data.test.samples[3, 5, 60, 0] + 1) * 127.5, 0, 255)
    assert abs(picture.getpixel((5, 63 - 60)) - level) <= 0.5  # low frequencies at the bottom
    with wave.open(io.BytesIO(files["-3.wav"])) as file:
        assert (file.getframerate(), file.getnframes(), file.getnchannels()) == (8_000, 2_048, 1)
        written = np.frombuffer(file.readframes(2_048), "<i2")
    assert np.abs(written).max() > 30_000
    assert data.pack(data.test.samples[:4])["waves"].shape == (4, 2_048)


def test_waves_are_evaluated_by_their_spectrograms_and_classes(monkeypatch):
    data, received = load('audio(form="wave", length=1024)', 0, 8), {}

    def evaluator(data, protocol):
        received.update(data=data, metrics=protocol.metrics)
        return Measure(lambda samples, label: received.update(samples=samples) or {}, "classifier", {})

    monkeypatch.setattr(pixels, "evaluator", evaluator)
    data.evaluator(data, Protocol())(np.asarray(data.to_float(data.test.samples)), data.test.labels)
    assert {"frechet", "class_shares"} <= set(received["metrics"]) and received["data"].sample_shape == (8, 64, 1)
    np.testing.assert_array_equal(received["samples"], received["data"].test.samples)


@pytest.mark.skipif(not (REAL_DATA / "fsdd").is_dir(), reason=f"needs fsdd/recordings.zip in {REAL_DATA}")
def test_spoken_digits():
    data = load('audio(path="fsdd/recordings.zip")', 0, 8, str(REAL_DATA))
    assert (data.num_train, data.test.count, data.num_classes) == (2_700, 300, 10)
    assert np.bincount(data.test.labels).tolist() == [30] * 10


def prepare_sounds(folder, name, splits, words=None, feature="audio", channels=1):
    """Write a data set of sounds in the format of tensorflow-datasets 4.9.10, with int64 samples, without TensorFlow."""
    pytest.importorskip("tensorflow_datasets")
    from array_record.python.array_record_module import ArrayRecordWriter
    from tensorflow_datasets.proto import tf_example_pb2

    prepared = folder / name / "1.0.0"
    prepared.mkdir(parents=True)
    sound = {"dtype": "int64", "encoding": "NONE", "sampleRate": "8000", "shape": {"dimensions": ["-1", "2"][:channels]}}
    package = "tensorflow_datasets.core.features"
    features = {feature: {"pythonClassName": f"{package}.audio_feature.Audio", "audio": sound}}
    if words:
        label = {"classLabel": {"numClasses": str(len(words))}}
        features["label"] = {"pythonClassName": f"{package}.class_label_feature.ClassLabel"} | label
    description = {"pythonClassName": f"{package}.features_dict.FeaturesDict", "featuresDict": {"features": features}}
    (prepared / "features.json").write_text(json.dumps(description))
    info = {"name": name, "version": "1.0.0", "fileFormat": "array_record", "moduleName": "nowhere"}
    (prepared / "dataset_info.json").write_text(json.dumps(info))
    if words:
        (prepared / "label.labels.txt").write_text("\n".join(words) + "\n")
    for split, count in splits.items():
        writer = ArrayRecordWriter(str(prepared / f"{name}-{split}.array_record-00000-of-00001"), "group_size:1")
        for number in range(count):
            example = tf_example_pb2.Example()
            pitch = (2_000, 300)[number % 2]
            samples = np.int64(1_000 * np.sin(2 * np.pi * pitch * np.arange(900 + number) / 8_000))
            if channels == 1:
                example.features.feature[feature].int64_list.value.extend(samples.tolist())
            else:  # floats, the second channel twice as loud
                example.features.feature[feature].float_list.value.extend(np.outer(samples, [1, 2]).ravel().tolist())
            example.features.feature["label"].int64_list.value.append(number % 2)
            writer.write(example.SerializeToString())
        writer.close()
    return prepared


def test_a_data_set_prepared_by_tensorflow_datasets(tmp_path):
    prepare_sounds(tmp_path, "words", {"train": 20, "validation": 3, "test": 10}, ["high", "low"])
    source = audio(str(tmp_path), path="tfds:words", length=LENGTH)
    assert source.num_classes == 2 and source.train.samples.shape == (20, 8, 64, 1)
    assert source.set_aside(0.1)[1].count == 3
    assert source.test.labels.tolist() == [0, 1] * 5
    band = source.test.samples[:, 4, :, 0].argmax(axis=1)
    assert (band[source.test.labels == 0] > band[source.test.labels == 1].max()).all()
    if importlib.util.find_spec("tensorflow") is None:
        with pytest.raises(InputError, match=r"tfds:words holds no images; sounds are read by --data 'audio\(path="):
            load("tfds:words", 0, 8, str(tmp_path))
    prepare_sounds(tmp_path, "stereo", {"train": 20, "test": 10}, ["car horn", "low tone"], channels=2)
    stereo = audio(str(tmp_path), path="tfds:stereo", length=LENGTH)
    assert stereo.classes == ("car horn", "low tone")
    np.testing.assert_allclose(stereo.test.samples, source.test.samples, atol=1e-3)
    prepared = prepare_sounds(tmp_path, "read", {"train": 120}, feature="speech")
    source = audio(str(tmp_path), path="tfds:read", form="wave", length=LENGTH)
    assert source.train.labels is None and len(source.train.samples) == 108 and len(source.test.samples) == 12
    with pytest.raises(InputError, match=r"recordings in tfds:read have 8000 \(120: train-.*\) samples per second, not 16000"):
        audio(str(tmp_path), path="tfds:read", rate=16_000, length=LENGTH)
    with pytest.raises(InputError, match="tfds:ljspeech is not prepared in"):
        audio(str(tmp_path), path="tfds:ljspeech")
    record = prepared / "read-train.array_record-00000-of-00001"
    record.write_bytes(record.read_bytes()[:100])
    with pytest.raises(InputError, match=r"tfds:read: .* is damaged"):
        audio(str(tmp_path), path="tfds:read", length=LENGTH)
    (prepared / "features.json").write_text('{"featuresDict": {"features": {"image": {}}}}')
    with pytest.raises(InputError, match="tfds:read: a feature of decoded sounds is needed, it has image"):
        audio(str(tmp_path), path="tfds:read", length=LENGTH)
