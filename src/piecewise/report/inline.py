"""Figures as part of a page: in its colours, with what they find said to whoever cannot see them."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

from piecewise.figures.style import GROUND, INK

COLOURS = {INK: "currentColor", GROUND: "var(--ground)"}  # the page's own, dark or light
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
    """A figure's file as an element of a page. Ids in it begin with `name`: no two figures share any."""
    body = text[text.index("<svg") :]
    found = _TITLE.search(body)
    finding = html.unescape(found.group(1)) if found else name
    width, box = _size(body)
    head = f'<svg role="img" aria-label="{html.escape(finding)}" viewBox="{box}" style="max-width: {width}pt">'
    body = _HEAD.sub(head, _METADATA.sub("", _TITLE.sub("", body, count=1), count=1), count=1)
    for colour, own in COLOURS.items():
        body = body.replace(colour, own)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'xlink:href="#', f'href="#{name}-', body).replace("url(#", f"url(#{name}-")
    return Inline(body.replace("xlink:href", "href").strip(), finding)


def _size(body: str) -> tuple[str, str]:
    found = _SIZE.search(body)
    assert found is not None, "no SVG that the figures' style has written"
    return found.group(1), found.group(2)
