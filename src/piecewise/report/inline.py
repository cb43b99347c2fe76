"""Embed SVG figures in the page, in the page's colours and with a label for screen readers."""

import html
import re

from piecewise.figures.style import GROUND, INK

# Colours of the file, and of the page's dark or light theme.
COLOURS = {INK: "currentColor", GROUND: "var(--ground)"}
_HEAD = re.compile(r"<svg\b.*?>", re.DOTALL)
_TITLE = re.compile(r"\s*<title>(.*?)</title>", re.DOTALL)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_SIZE = re.compile(r'width="([\d.]+)pt".*?viewBox="([^"]*)"', re.DOTALL)


def inline(text: str, name: str) -> str:
    """The `<svg>` element of the file with content `text`. Every id in it gets the prefix `name`.

    The label for screen readers is the file's `<title>` element, a sentence that says what the figure shows.
    """
    body = text[text.index("<svg") :]
    title, size = _TITLE.search(body), _SIZE.search(body)
    assert size is not None, "the SVG was not written by figures/style.py"
    finding = html.escape(html.unescape(title[1]) if title else name)
    head = f'<svg role="img" aria-label="{finding}" viewBox="{size[2]}" style="max-width: {size[1]}pt">'
    body = _HEAD.sub(head, _METADATA.sub("", _TITLE.sub("", body, count=1), count=1), count=1)
    for colour, page_colour in COLOURS.items():
        body = body.replace(colour, page_colour)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'xlink:href="#', f'href="#{name}-', body).replace("url(#", f"url(#{name}-")
    return body.replace("xlink:href", "href").strip()
