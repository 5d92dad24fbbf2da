"""For processes under test: no torch, which most users lack, and which transformers imports for seconds."""

import sys

sys.modules["torch"] = None  # type: ignore[assignment]
