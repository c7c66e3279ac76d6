"""Pictures as an animation, at `rate` frames per second."""

import io
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from gan_jax.errors import InputError, needs


def gif(pictures: list[bytes], rate: int) -> bytes:
    """Return a gif of pictures, each a png, in at most 128 colours."""
    first, *others = (Image.open(io.BytesIO(picture)).convert("RGB").quantize(128) for picture in pictures)
    animation = io.BytesIO()
    first.save(animation, "GIF", save_all=True, append_images=others, duration=round(1000 / rate), loop=0)
    return animation.getvalue()


def ffmpeg() -> str:
    """Return the path of ffmpeg. Raises InputError if it is missing."""
    executable = shutil.which("ffmpeg")
    if executable is None:
        with needs("walk: mp4 needs ffmpeg", "gan_jax[video]", "or set format='gif'"):
            from imageio_ffmpeg import get_ffmpeg_exe
        executable = get_ffmpeg_exe()
    return executable


def mp4(pictures: list[bytes], rate: int) -> bytes:
    """Return an mp4 of pictures, each a png, by ffmpeg. Raises InputError if it is missing or fails."""
    executable = ffmpeg()
    # The pixel format that all players support needs even sizes.
    even = ["-vf", "crop=floor(iw/2)*2:floor(ih/2)*2", "-pix_fmt", "yuv420p"]
    with TemporaryDirectory() as folder:
        video = Path(folder) / "walk.mp4"
        command = [executable, "-loglevel", "error", "-f", "image2pipe", "-framerate", str(rate), "-i", "-", *even, str(video)]
        process = subprocess.run(command, input=b"".join(pictures), capture_output=True)
        if process.returncode:
            message = process.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise InputError(f"walk: {executable} failed: {message}")
        return video.read_bytes()
