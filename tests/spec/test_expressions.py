"""Expressions that choose a variant: the grammar, and one-line errors for anything else."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from gan_jax.errors import InputError
from gan_jax.spec.expressions import bind, parse_call, parse_sum


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ("hinge", "hinge", {}),
        (" hinge ", "hinge", {}),
        ("hinge()", "hinge", {}),
        ("ring(sigma=0.01)", "ring", {"sigma": 0.01}),
        ("ring (sigma = -1e-2 , ) \n", "ring", {"sigma": -0.01}),
        (
            "f(a=1, b='x + (y', c=True, d=None, e=(1, [2.5]), g={'k': 3})",
            "f",
            {"a": 1, "b": "x + (y", "c": True, "d": None, "e": (1, [2.5]), "g": {"k": 3}},
        ),
        ("some where/mine.py:margin", "some where/mine.py:margin", {}),
        ("../a-b/mine.py:margin(m=2)", "../a-b/mine.py:margin", {"m": 2}),
        ("tfds:fashion_mnist", "tfds:fashion_mnist", {}),
    ],
)
def test_valid_calls(text, name, arguments):
    assert parse_call(text) == (name, arguments)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "(a=1)",
        "ring(",
        "ring)",
        "ring(sigma=0.1",
        "ring(sigma=0.1))",
        "ring(0.1)",
        "ring(sigma)",
        "ring(**{'sigma': 1})",
        "ring(*[1])",
        "ring(sigma=1, sigma=2)",
        "ring(sigma=tau)",
        "ring(sigma=__import__('os').getcwd())",
        "ring(sigma=2*3)",
        "ring(sigma=f'{1}')",
        "ring(sigma={[]: 1})",
        "ring(sigma=1)(mu=2)",
        "ring(sigma=1) + f(mu=2)",
        "ring(sigma=1).x",
        "ring(sigma=1) # )",
        "ring(sigma='\0')",
        "ring(sigma=" + "(" * 2000 + ")" * 2000 + ")",
    ],
)
def test_invalid_calls(text):
    with pytest.raises(InputError) as caught:
        parse_call(text)
    assert str(caught.value).startswith(f"{text!r} must be NAME or NAME(key=value, ...), values being numbers")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("r1", [(1.0, "r1", {})]),
        (
            "0.5 * r1 + lecam(decay=0.9) + path/mine.py:margin",
            [(0.5, "r1", {}), (1.0, "lecam", {"decay": 0.9}), (1.0, "path/mine.py:margin", {})],
        ),
        ("r1+r2", [(1.0, "r1", {}), (1.0, "r2", {})]),
        ("-2*f(a=(+1, 2), b='x)+y*z', c=[1])+1e+2*g", [(-2.0, "f", {"a": (1, 2), "b": "x)+y*z", "c": [1]}), (100.0, "g", {})]),
        (r"f(a='it\'s + (')", [(1.0, "f", {"a": "it's + ("})]),
        ("it's/mine.py:f + 3 * it's/mine.py:g", [(1.0, "it's/mine.py:f", {}), (3.0, "it's/mine.py:g", {})]),
        ("color + color", [(1.0, "color", {}), (1.0, "color", {})]),
    ],
)
def test_valid_sums(text, terms):
    parsed = parse_sum(text)
    assert parsed == terms
    assert all(type(weight) is float for weight, _, _ in parsed)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "a term is missing"),
        ("r1 +", "a term is missing"),
        ("+ r1", "a term is missing"),
        ("r1 + + r2", "a term is missing"),
        ("0.5 *", "a term is missing"),
        ("r1 * 0.5", "the weight before * must be a finite number, got 'r1'"),
        ("* r1", "the weight before * must be a finite number, got ''"),
        ("nan * r1", "the weight before * must be a finite number, got 'nan'"),
        ("1e999 * r1", "the weight before * must be a finite number, got '1e999'"),
    ],
)
def test_invalid_sums(text, problem):
    with pytest.raises(InputError) as caught:
        parse_sum(text)
    assert str(caught.value) == f"{text!r}: {problem}; write a sum such as r1 + 0.3 * lecam(decay=0.9)"


@pytest.mark.parametrize("text", ["r1 + f(1)", "f(a=1 + r1", "2 * (r1)", "2 * f(a=b)"])
def test_invalid_calls_in_a_sum(text):
    with pytest.raises(InputError, match="must be NAME or NAME"):
        parse_sum(text)


def margin(critic, real, *, width=1.0, side="both"):
    return width, side


def test_bind_sets_options():
    assert bind("penalty", "margin", margin, {}) is margin
    bound = bind("penalty", "margin", margin, {"width": 2.0})
    assert isinstance(bound, partial)
    assert bound(None, None) == (2.0, "both")
    assert bind("penalty", "any", lambda **options: options, {"x": 1})() == {"x": 1}


@pytest.mark.parametrize("key", ["widht", "critic"])  # a positional argument is not an option
def test_bind_names_an_unknown_option(key):
    with pytest.raises(InputError) as caught:
        bind("penalty", "margin", margin, {"side": "left", key: 1})
    hint = "did you mean 'width'? " if key == "widht" else ""
    assert str(caught.value) == f"unknown option of penalty margin '{key}': {hint}known: side, width"
    with pytest.raises(InputError, match="known: none"):
        bind("data", "digits", lambda: None, {key: 1})


def test_the_module_imports_no_large_package():
    code = "import sys, gan_jax.spec.expressions; print(sorted({'jax', 'numpy', 'flax'} & set(sys.modules)))"
    run = [sys.executable, "-c", code]
    assert subprocess.run(run, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]).stdout == "[]\n"
