"""Roots of integers of any size, without floats: those are wrong for most perfect cubes already."""


def floor_root(value: int, degree: int) -> int:
    """The greatest integer whose `degree`-th power is at most `value`. Neither is negative, `degree` not 0.

    Newton's method from above, which never passes the root. It begins at the root of the leading half of the
    digits, rounded up, and so needs a step or two for each doubling of the digits.
    """
    if value < 1 << degree:
        return min(value, 1)
    digits = (value.bit_length() - 1) // degree + 1
    dropped = digits // 2
    root = (floor_root(value >> degree * dropped, degree) + 1) << dropped
    while True:
        lower = ((degree - 1) * root + value // root ** (degree - 1)) // degree
        if lower >= root:
            return root
        root = lower
