"""A badge: as an endpoint of shields.io, and as a picture that needs nobody."""

from __future__ import annotations

import json
from html import escape

from ..cases.tiers import TIERS
from ..run import judge as judging
from ..run.coverage import claimed, coverage
from ..run.record import Report

LABEL = "mlx-quant conformance"
# Percent of the cases of the formats it claims that a loader must have answered to be shown in green.
GREEN = 75
COLOURS = {"blue": "#1f5fa8", "brightgreen": "#2f7d32", "red": "#b3261e", "orange": "#a65a00", "lightgrey": "#5f6368"}


def verdict(report: Report) -> tuple[str, str]:
    """The message and the name of its colour. A part of the suite, asked or answered, earns no green."""
    status, counts = judging.status(report), report.counts
    if status == judging.FAULT:
        return f"{len(report.faults)} of {len(report.records)} fail", "red"
    if status == judging.BELOW_FLOOR:
        return "incomplete", "orange"
    refused = f", {counts['refused']} refused" if counts["refused"] else ""
    if report.header.get("partial"):
        return f"partial, {counts['pass']} pass{refused}", "lightgrey"
    own = coverage(report, claimed(report))
    said = f"{report.header['suite']}, {counts['pass']} pass{refused}"
    if report.required != TIERS:
        said += f", {' and '.join(report.required)} only"
    if not own.there:
        return said, "lightgrey"
    whole = coverage(report)
    said += f", {whole.percent} % of the suite"
    return said, "brightgreen" if own.percent >= GREEN and report.required == TIERS else "blue"


def badge_json(report: Report) -> str:
    """What https://shields.io/badges/endpoint-badge reads."""
    message, colour = verdict(report)
    return json.dumps({"schemaVersion": 1, "label": LABEL, "message": message, "color": colour}) + "\n"


def badge_svg(report: Report) -> str:
    """Text is squeezed or stretched to the width estimated here, so that no font can overflow it."""
    message, name = verdict(report)
    text = f"{LABEL}: {message} ({report.subject})"
    left, right = _width(LABEL), _width(message)
    label, said, colour = escape(LABEL), escape(message), COLOURS[name]
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" \
aria-label="{escape(text)}">
<title>{escape(text)}</title>
<clipPath id="r"><rect width="{left + right}" height="20" rx="3"/></clipPath>
<g clip-path="url(#r)">
<rect width="{left}" height="20" fill="#444"/>
<rect x="{left}" width="{right}" height="20" fill="{colour}"/>
</g>
<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="{left / 2}" y="14" textLength="{left - 12}" lengthAdjust="spacingAndGlyphs">{label}</text>
<text x="{left + right / 2}" y="14" textLength="{right - 12}" lengthAdjust="spacingAndGlyphs">{said}</text>
</g>
</svg>
"""


def _width(text: str) -> int:
    """Of a text in Verdana at 11 pixels, with 6 on either side."""
    narrow, wide = sum(c in " .,:;ijl'|tfr-" for c in text), sum(c in "mwMW%" for c in text)
    return round(12 + 4.4 * narrow + 10.3 * wide + 6.9 * (len(text) - narrow - wide))
