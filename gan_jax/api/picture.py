"""Picture: what a notebook displays of samples."""

import base64
from dataclasses import dataclass
from html import escape

IMAGES = {".png": "image/png", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Picture:
    """Pictures, sounds or texts of samples as files by suffix, {".png": ...}."""

    files: dict[str, bytes]

    def _repr_html_(self) -> str:
        return "".join(_element(suffix, content) for suffix, content in self.files.items())

    def __repr__(self) -> str:
        return f"Picture({', '.join(self.files)})"


def _element(suffix: str, content: bytes) -> str:
    """A file as HTML that contains all of it. Files for other programs, such as .csv, are left out."""
    encoded = base64.b64encode(content).decode()
    if suffix in IMAGES:
        return f'<img alt="samples" style="max-width:100%" src="data:{IMAGES[suffix]};base64,{encoded}">'
    if suffix.endswith(".wav"):
        return f'<audio controls src="data:audio/wav;base64,{encoded}"></audio>'
    return f"<pre>{escape(content.decode(errors='replace'))}</pre>" if suffix in (".txt", ".smi") else ""
