"""What a process of this service works by, as the settings say."""

from services.progression.domain.curve import load_curves
from services.progression.domain.definition import Definitions, load_definitions
from services.progression.settings import ProgressionSettings


def installed(settings: ProgressionSettings) -> Definitions:
    """The definitions of `data_dir`. Raises ValueError, naming file and field, or DEFINITION."""
    found = load_definitions(settings.data_dir / "definitions", load_curves(settings.data_dir / "curves"))
    if settings.definition not in found:
        raise ValueError(f"DEFINITION: {settings.definition!r} is not one of {', '.join(sorted(found))}")
    return Definitions(found[settings.definition], found)
