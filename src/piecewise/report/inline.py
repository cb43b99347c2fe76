"""SVG figures as elements of a page, in the page's colours and with a label for screen readers."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

from piecewise.figures.style import GROUND, INK

COLOURS = {INK: "currentColor", GROUND: "var(--ground)"}  # the page's colours, dark or light
_HEAD = re.compile(r"<svg\b.*?>", re.DOTALL)
_TITLE = re.compile(r"\s*<title>(.*?)</title>", re.DOTALL)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_SIZE = re.compile(r'width="([\d.]+)pt".*?viewBox="([^"]*)"', re.DOTALL)


@dataclass(frozen=True)
class Inline:
    """An SVG element, and its finding in words."""

    svg: str
    finding: str


def inline(text: str, name: str) -> Inline:
    """The element of a figure, from its file's text. Its ids begin with `name`, so no two figures share one."""
    body = text[text.index("<svg") :]
    found = _TITLE.search(body)
    finding = html.unescape(found.group(1)) if found else name
    width, box = _size(body)
    head = f'<svg role="img" aria-label="{html.escape(finding)}" viewBox="{box}" style="max-width: {width}pt">'
    body = _HEAD.sub(head, _METADATA.sub("", _TITLE.sub("", body, count=1), count=1), count=1)
    for colour, page_colour in COLOURS.items():
        body = body.replace(colour, page_colour)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'xlink:href="#', f'href="#{name}-', body).replace("url(#", f"url(#{name}-")
    return Inline(body.replace("xlink:href", "href").strip(), finding)


def _size(body: str) -> tuple[str, str]:
    found = _SIZE.search(body)
    assert found is not None, "not an SVG of figures/style.py"
    return found.group(1), found.group(2)
