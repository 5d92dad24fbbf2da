"""Takes the Python sources of llama.cpp's converter out of an sdist of llama-cpp-python.

python unpack_llama_cpp.py SDIST FOLDER
"""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path, PurePosixPath

WANTED = ("conversion", "gguf-py")


def main() -> None:
    sdist, folder = sys.argv[1], Path(sys.argv[2])
    with tarfile.open(sdist) as archive:
        for member in archive:
            parts = PurePosixPath(member.name).parts
            if member.isfile() and parts[1:3] == ("vendor", "llama.cpp") and parts[3] in WANTED and ".." not in parts:
                file = folder.joinpath(*parts[3:])
                file.parent.mkdir(parents=True, exist_ok=True)
                source = archive.extractfile(member)
                assert source is not None
                file.write_bytes(source.read())


if __name__ == "__main__":
    main()
