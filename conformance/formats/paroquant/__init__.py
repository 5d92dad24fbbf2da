"""ParoQuant: AWQ's codes of a matrix whose inputs are scaled and turned in pairs."""

from .addresses import LAYOUT, SHAPES, constant
from .explain import explain
from .folders import LEGACY, SIDECAR, drawn, folders, leaving_out
from .grid import APART, OPTIONS, SMOKE, THREEFOLD, grid
from .notes import FLAG_NOTES, FOLDER_NOTES
from .options import BRIEF, COLUMNS, FILES, ID, LEAVES, MARKS, NOT_APPLICABLE, TITLE, domains, flags, names, said_width
from .packing import SLUG, WIDTHS, config, config_of, group_size, pack, parts
from .policies import disputed, settled, spellings
from .refusals import refusals

__all__ = [
    "APART",
    "BRIEF",
    "COLUMNS",
    "FILES",
    "FLAG_NOTES",
    "FOLDER_NOTES",
    "ID",
    "LAYOUT",
    "LEAVES",
    "LEGACY",
    "MARKS",
    "NOT_APPLICABLE",
    "OPTIONS",
    "SHAPES",
    "SIDECAR",
    "SLUG",
    "SMOKE",
    "THREEFOLD",
    "TITLE",
    "WIDTHS",
    "config",
    "config_of",
    "constant",
    "disputed",
    "domains",
    "drawn",
    "explain",
    "flags",
    "folders",
    "grid",
    "group_size",
    "leaving_out",
    "names",
    "pack",
    "parts",
    "refusals",
    "said_width",
    "settled",
    "spellings",
]
