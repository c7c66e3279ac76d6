"""The memory of this machine, which what a user asks for must fit."""

import os

from gan_jax.errors import InputError


def check_memory(what: str, size: int, remedy: str) -> None:
    """Raise InputError if `size` bytes, those of `what`, exceed this machine's memory: the system would end the process without
    a message. `remedy` says what to change."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory:
        raise InputError(
            f"{what} would take {size / 1e9:,.0f} GB, and this machine has {memory / 1e9:,.0f} GB of memory: {remedy}"
        )
