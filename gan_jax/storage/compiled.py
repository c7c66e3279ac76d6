"""The cache of compiled programs: JAX's persistent compilation cache, in the user's cache, so that a command compiles a program
once per machine. A program restored from it computes the same bits as one compiled now."""

import contextlib
import hashlib
import os
import platform
import warnings
import zlib
from pathlib import Path

import jax

from gan_jax.storage.cache import cache_path

MAX_BYTES = 2**30  # of all programs when a command starts; beyond it the least recently used ones are deleted
_SUFFIX = "-cache"  # of JAX's files
_ZSTANDARD = b"\x28\xb5\x2f\xfd"  # first bytes of files that JAX compressed by zstandard instead of zlib


def cache_programs() -> str | None:
    """Keep the programs that this process compiles, and use those of earlier ones; call it before anything is compiled. Returns
    None, or a line that says why programs cannot be kept.

    Does nothing if the user has set $JAX_COMPILATION_CACHE_DIR or JAX_ENABLE_COMPILATION_CACHE=false."""
    if jax.config.jax_compilation_cache_dir or not jax.config.jax_enable_compilation_cache:
        return None
    directory = cache_path(f"programs-{_processor()}")
    try:
        # Whoever can write here can make this user execute code.
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        tidy(directory)
    except OSError as error:
        return f"compiled programs are not cached: {error}; set GAN_JAX_CACHE to a directory that you can write"
    jax.config.update("jax_compilation_cache_dir", str(directory))
    # All programs: the many small ones together take a second.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    # An entry that cannot be read or written, because another process is writing it or the disk is full, is compiled again.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry", UserWarning)
    return None


def tidy(directory: Path) -> None:
    """Delete damaged programs, which JAX would never replace, and the least recently used ones beyond `MAX_BYTES`. Raises
    OSError if the directory cannot be written."""
    # Programs written before the last command started have been verified already.
    stamp = directory / "verified"
    verified = stamp.stat().st_mtime if stamp.exists() else 0.0
    stamp.touch()
    total, entries = 0, []
    for path in directory.glob(f"*{_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):  # deleted by another process
            status = path.stat()
            if status.st_mtime >= verified and not _is_intact(path):
                path.unlink()
                continue
            total += status.st_size
            entries.append((max(status.st_atime, status.st_mtime), status.st_size, path))
    for _, size, path in sorted(entries):
        if total <= MAX_BYTES:
            break
        path.unlink(missing_ok=True)
        total -= size


def _is_intact(path: Path) -> bool:
    content = path.read_bytes()
    if content.startswith(_ZSTANDARD):
        return True
    try:
        zlib.decompress(content)
    except zlib.error:
        return False
    return True


def _processor() -> str:
    """A name for this type of processor. A program for a CPU uses its instruction set, which JAX's keys do not contain: on
    another type, with the same home directory, it could crash."""
    words = [platform.machine(), platform.processor()]
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        first = lines[: lines.index("")] if "" in lines else lines
        names = ("vendor_id", "cpu family", "model", "model name", "flags", "Features", "CPU implementer", "CPU part")
        words += [line for line in first if line.partition(":")[0].strip() in names]
    return hashlib.sha256(os.linesep.join(words).encode()).hexdigest()[:12]
