"""Training pairs of an album and of drawn portraits, one after another without end, in given shares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from discontrolface.common.errors import UserError
from discontrolface.synthetic.portraits import HELD_OUT
from discontrolface.training.album import Album
from discontrolface.training.pairs import EncodedPair, PairDrawer, encode
from discontrolface.training.real_pairs import PairSettings, real_pairs, return_pairs

SHARES = ("real", "return", "drawn")  # in this order in a config's stream_shares
IN_VAIN = 500  # photos one after the other that may give no pair
PHOTOS = 3  # of a person that are paired at one go: what a photo needs (its head off the wall) is then made once for four pairs


@dataclass(frozen=True)
class MadePair:
    """one_way: it runs from a to b only; kind: of SHARES."""

    pair: EncodedPair
    one_way: bool
    kind: str


class PairMaker:
    """Makes pairs; what it makes follows from the seed."""

    def __init__(self, album: Album, size: int, shares: tuple[float, ...], seed: tuple[int, ...]) -> None:
        self.album, self.rng = album, np.random.default_rng(seed)
        self.settings = PairSettings(size=size)
        self.shares = {kind: share / sum(shares) for kind, share in zip(SHARES, shares, strict=True) if share}
        self.several = [name for name, photos in album.people.items() if len(photos) > 1]
        self.single = [name for name, photos in album.people.items() if len(photos) == 1] or self.several
        if "real" in self.shares and not self.several:
            raise UserError(f"{album.path} has nobody with two photos, which real pairs need; set the first of stream_shares to 0")
        self._drawer: PairDrawer | None = None

    def endless(self) -> Iterator[MadePair]:
        """Always of the kind that is furthest behind its share; the first kind is drawn, so that processes begin with different ones."""
        made = {kind: float(self.rng.random()) for kind in self.shares}
        in_vain = 0
        while True:
            kind = min(self.shares, key=lambda k: made[k] / self.shares[k])
            before = made[kind]
            with suppress(UserError):  # of one photo; the others go on
                for pair in self.some(kind):
                    made[kind] += 1
                    yield pair
            in_vain = in_vain + 1 if made[kind] == before else 0
            if in_vain > IN_VAIN:
                raise UserError(f"{self.album.path} gives no {kind} pairs ({IN_VAIN} tries); set its share in stream_shares to 0")

    def some(self, kind: str) -> Iterator[MadePair]:
        """A few pairs of a kind."""
        if kind == "drawn":
            self._drawer = self._drawer or PairDrawer(self.settings.size)
            yield MadePair(self._drawer.pair(int(self.rng.integers(HELD_OUT))), False, kind)
        elif kind == "return":
            number = self.rng.choice(self.album.people[str(self.rng.choice(self.single))])
            for maps in return_pairs(self.album.person(int(number), self.settings.size), self.rng, self.settings):
                yield MadePair(encode(maps), True, kind)
        else:
            photos = self.album.people[str(self.rng.choice(self.several))]
            chosen = self.rng.choice(photos, min(PHOTOS, len(photos)), replace=False)
            people = [self.album.person(int(number), self.settings.size) for number in chosen]
            for maps in real_pairs(people, self.rng, self.settings):
                yield MadePair(encode(maps), False, kind)
