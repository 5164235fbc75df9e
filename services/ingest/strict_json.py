"""JSON that means one thing only.

Refused beyond what the format refuses: a name twice in one object, NaN and Infinity, numbers that would not
be the same for whoever reads them next, text that is no Unicode (half of a surrogate pair) or that PostgreSQL
cannot keep (U+0000), and whatever is deeper or has more values than the limits, which are there because a
hundred kilobytes of brackets are cheap to send.
"""

import json
import math
from collections.abc import Iterable

from services.chassis.errors import FieldViolation
from services.ingest.domain.event import Json
from services.ingest.domain.refusals import malformed

MAX_DEPTH = 16
MAX_VALUES = 1000
"""In one payload, names not counted."""
MAX_NUMBER = 2**53 - 1
"""Up to it a double, which is what others read JSON's numbers as, tells every whole number from the next."""


class _Refused(ValueError):
    """The text says why."""


def read(body: bytes) -> Json:
    """What the body says. Raises InvalidArgument: MALFORMED_JSON."""
    try:
        return _DECODER.decode(body.decode())
    except UnicodeDecodeError as error:
        raise malformed(f"byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise malformed(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise malformed("it is nested too deeply") from None
    except _Refused as error:
        raise malformed(str(error)) from None
    except ValueError:
        # The decoder's own limit, of some thousands: what is longer takes a time that grows with its square.
        raise malformed("a whole number has too many digits") from None


def problems(value: Json, field: str, depth: int = MAX_DEPTH) -> list[FieldViolation]:
    """What is wrong with a value that is passed on as it is. `depth`: levels that it may have."""
    found: list[FieldViolation] = []
    waiting: list[tuple[Json, str, int]] = [(value, field, 0)]
    seen = 0
    while waiting:
        each, path, level = waiting.pop()
        seen += 1
        if level > depth:
            return [FieldViolation(field, f"must be at most {depth} levels deep")]
        if seen + len(waiting) + (len(each) if isinstance(each, dict | list) else 0) > MAX_VALUES:
            return [FieldViolation(field, f"must have at most {MAX_VALUES} values")]
        if isinstance(each, dict):
            waiting += ((child, f"{path}.{name}", level + 1) for name, child in each.items())
            rules = [f"has a name that {rule}" for name in each for rule in _text(name)]
        elif isinstance(each, list):
            waiting += ((child, f"{path}[{at}]", level + 1) for at, child in enumerate(each))
            rules = []
        else:
            rules = list(_scalar(each))
        found += (FieldViolation(shown(path), rule) for rule in rules)
    return found


def shown(path: str) -> str:
    """A path that any error may carry, whatever names a caller has made up."""
    return path.encode("unicode_escape").decode()[:200]


def _scalar(value: Json) -> Iterable[str]:
    if isinstance(value, str):
        yield from _text(value)
    elif isinstance(value, float) and not math.isfinite(value):
        yield "must be a finite number"
    elif isinstance(value, int) and not -MAX_NUMBER <= value <= MAX_NUMBER:
        yield f"must be from -{MAX_NUMBER} to {MAX_NUMBER}, or a text"


def _text(value: str) -> Iterable[str]:
    if "\0" in value:
        yield "must not hold U+0000"
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        yield "must not hold half of a surrogate pair"


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Refused(f"{shown(twice)!r} is twice in one object")
    return members


def _constant(text: str) -> float:
    raise _Refused(f"{text} is no number of JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
