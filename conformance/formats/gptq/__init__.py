"""GPTQ, versions 1 and 2, as AutoGPTQ and GPTQModel write it."""

from .addresses import SHAPES, code_places, constant, stored, zero_places
from .explain import code_place, zero_place
from .folders import LEGACY, SIDECAR, drawn, folders, leaving_out
from .grid import SMOKE, grid
from .notes import FLAG_NOTES, FOLDER_NOTES
from .options import BRIEF, COLUMNS, FILES, ID, MARK, SLUG, TITLE, flags, names
from .packing import WIDTHS, config, config_of, group_size, pack, parts
from .policies import disputed, settled, spellings
from .refusals import refusals
from .strategy import strategies

__all__ = [
    "BRIEF",
    "COLUMNS",
    "FILES",
    "FLAG_NOTES",
    "FOLDER_NOTES",
    "ID",
    "LEGACY",
    "MARK",
    "SHAPES",
    "SIDECAR",
    "SLUG",
    "SMOKE",
    "TITLE",
    "WIDTHS",
    "code_place",
    "code_places",
    "config",
    "config_of",
    "constant",
    "disputed",
    "drawn",
    "flags",
    "folders",
    "grid",
    "group_size",
    "leaving_out",
    "names",
    "pack",
    "parts",
    "refusals",
    "settled",
    "spellings",
    "stored",
    "strategies",
    "zero_place",
    "zero_places",
]
