"""What each customer deserves of the slots at a moment: weighted max-min fairness.

Slots are dealt out in proportion to weights; whoever wants less than that gets what it wants, and what it leaves goes
to the others in the same way. Source: Bertsekas and Gallager, "Data Networks", 1992, section 6.5.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["Claim", "deserved"]


class Claim(NamedTuple):
    """What a customer may have."""

    weight: float
    wanted: int
    """Slots that it could use: what it runs and what waits, within its limit."""


def deserved(slots: int, claims: Mapping[str, Claim]) -> dict[str, float]:
    """How many slots each deserves; all together no more than there are."""
    shares = dict.fromkeys(claims, 0.0)
    left, open_claims = float(slots), {who: claim for who, claim in claims.items() if claim.wanted > 0}
    while open_claims:
        level = left / sum(claim.weight for claim in open_claims.values())
        content = [who for who, claim in open_claims.items() if claim.wanted <= level * claim.weight]
        if not content:
            return shares | {who: level * claim.weight for who, claim in open_claims.items()}
        for who in content:
            shares[who] = float(open_claims.pop(who).wanted)
            left -= shares[who]
    return shares
