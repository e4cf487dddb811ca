"""What each customer deserves of the slots at a moment: weighted max-min fairness.

Slots are dealt out in proportion to weights; whoever wants less than that gets what it wants, and what it leaves goes
to the others in the same way. Source: Bertsekas and Gallager, "Data Networks", 1992, section 6.5.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["Wish", "deserved"]


class Wish(NamedTuple):
    """What a customer may have."""

    weight: float
    wanted: int
    """Slots that it could use: what it runs and what waits, within its limit."""


def deserved(slots: int, wishes: Mapping[str, Wish]) -> dict[str, float]:
    """How many slots each deserves; all together no more than there are."""
    shares = dict.fromkeys(wishes, 0.0)
    left, open_wishes = float(slots), {who: wish for who, wish in wishes.items() if wish.wanted > 0}
    while open_wishes:
        level = left / sum(wish.weight for wish in open_wishes.values())
        content = [who for who, wish in open_wishes.items() if wish.wanted <= level * wish.weight]
        if not content:
            return shares | {who: level * wish.weight for who, wish in open_wishes.items()}
        for who in content:
            shares[who] = float(open_wishes.pop(who).wanted)
            left -= shares[who]
    return shares
