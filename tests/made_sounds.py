"""Sound files of known samples for tests."""

import io
import wave

import numpy as np


def wav(samples, rate=8_000, width=2):
    """Return a wav file of integer samples [T] or [T, C] of `width` bytes, as Python's own module writes it."""
    samples = np.asarray(samples)
    samples = samples[:, None] if samples.ndim == 1 else samples
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i4").tobytes() if width == 4 else samples.astype("<i2").tobytes())
    return out.getvalue()


def tone(pitch, rate=8_000, length=900, peak=30_000):
    """Return int16 samples [length] of a sine."""
    return np.int16(np.rint(peak * np.sin(2 * np.pi * pitch * np.arange(length) / rate)))


def write(folder, files):
    """Write {path: content} into a folder; content is bytes, text, or the samples of a wav file."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            content = content.encode()
        path.write_bytes(content if isinstance(content, bytes) else wav(content))
    return folder


def speech_commands(words=("no", "yes"), speakers=12):
    """Return the files of a small tree like that of Speech Commands: two takes of each word by each speaker, lists in which the
    first two speakers are for testing and the next for validation, noise, a readme and a licence."""
    files = {}
    for i, word in enumerate(words):
        for speaker in range(speakers):
            for take in range(2):
                files[f"{word}/{speaker:08x}_nohash_{take}.wav"] = tone(300 + 500 * i + 10 * speaker + take)
    names = sorted(files)
    lists = {"testing_list.txt": ("00000000", "00000001"), "validation_list.txt": ("00000002",)}
    for name, held_out in lists.items():
        files[name] = "".join(f"{file}\n" for file in names if file.split("/")[1][:8] in held_out)
    return files | {"_background_noise_/pink.wav": tone(50), "README.md": "words", "LICENSE": "CC BY"}
