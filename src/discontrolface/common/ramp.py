"""A straight way from 0 to 1."""


def ramp(value: float, ends: tuple[float, float]) -> float:
    """0 at the first end and beyond, 1 at the second, linear between; the first may be the larger one."""
    first, second = ends
    return min(1.0, max(0.0, (value - first) / (second - first)))
