"""Drawings that follow the light or dark scheme."""

from xml.etree import ElementTree

from gan_jax.imaging import vector

SVG = "{http://www.w3.org/2000/svg}"


def luminance(colour: str) -> float:
    """Of WCAG 2.1: the relative luminance of #rrggbb."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_text_can_be_read_on_both_papers():
    """WCAG 2.1 asks for a contrast of 4.5 for text and of 3 for graphics. The papers are those of reports/report.css."""
    for name, least in (("ink", 4.5), ("muted", 4.5), ("fake", 3), ("outside", 3), ("positive", 3)):
        light, dark = vector.COLOURS[name]
        assert contrast(light, "#ffffff") >= least and contrast(dark, "#15181c") >= least, name


def test_a_document_is_xml_with_its_description():
    body = vector.text(3, 4, "a < b & c", 10, "end") + vector.line(0, 0, 1, 1) + vector.dots([(1, 2), (3.26, 4)], 0.5, "fake")
    root = ElementTree.fromstring(vector.document(20, 10, body, "x < y"))
    assert (root.get("viewBox"), root.find(f"{SVG}desc").text, root.find(f"{SVG}text").text) == (
        "0 0 20 10",
        "x < y",
        "a < b & c",
    )
    assert root.findall(f"{SVG}path")[1].get("d") == "M1.0 2.0h0M3.3 4.0h0"
