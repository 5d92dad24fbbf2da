"""AWQ as AutoAWQ writes it, version gemv_fast, and llm-awq."""

from .addresses import LAYOUT, SHAPES, constant
from .explain import explain
from .folders import LEGACY, SIDECAR, drawn, folders, leaving_out
from .grid import APART, OPTIONS, SMOKE, THREEFOLD, grid
from .notes import FLAG_NOTES, FOLDER_NOTES
from .options import BRIEF, COLUMNS, FILES, ID, LEAVES, NOT_APPLICABLE, SLUG, TITLE, domains, flags, names, said_width
from .packing import WIDTHS, config, config_of, group_size, pack, parts
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
