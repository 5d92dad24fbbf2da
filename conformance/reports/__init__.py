"""Reports for people and machines, each a pure function of what :mod:`..records` reads back."""

from .badges import badge_json, badge_svg
from .junit_xml import junit
from .page import html
from .table import markdown

__all__ = ["badge_json", "badge_svg", "html", "junit", "markdown"]
