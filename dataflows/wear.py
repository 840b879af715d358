"""How a device's sensor ages: its noise floor by the quarter of a day, kept with the device whoever wears it."""

import math
from typing import Final

import msgspec
import numpy as np

from anomaly.ageing import growth
from dataflows.events import NAN, SECOND_NS

BIN_NS: Final = 6 * 3600 * SECOND_NS
DAY_NS: Final = 24 * 3600 * SECOND_NS
KEPT: Final = 56  # bins: two weeks
FEWEST: Final = 8  # bins: two days
CLIP: Final = 0.3  # of the logarithm: a sensor that is out of order for a while does not age by it
AGES_A_DAY: Final = 0.01  # growth of the noise floor; from memory, a cell lasts for years
SURE: Final = 3.0  # standard uncertainties
OVER: Final = 1.5  # times the declared noise floor, for two bins


class Bin(msgspec.Struct, frozen=True, array_like=True):
    """Mean of the logarithm of the noise floor in a quarter of a day."""

    number: int  # of the quarter, since 1970
    level: float
    stay: int


class Wear(msgspec.Struct, array_like=True):
    """What is known of how a sensor ages."""

    bins: list[Bin] = []  # that are over, oldest first
    number: int = 0  # of the bin that is being gathered
    level: float = 0.0  # about which its values are gathered
    total: float = 0.0  # of their departures from it, each cut off
    count: int = 0
    stay: int = 0  # counts wearers
    declared: float = 0.0  # noise floor by the birth; 0: not stated
    a_day: float = NAN  # growth of the noise floor, share a day
    u: float = NAN  # its standard uncertainty
    ages: bool = False

    def moved(self) -> None:
        """Another wears the device: the noise of the place may be another."""
        self._close()
        self.stay += 1

    def take(self, noise_floor: float, declared: float, arrival_ns: int) -> None:
        """Take the noise floor of a packet whose sensor works.

        Parameters
        ----------
        noise_floor
            As the device measured it; 0: it did not.
        declared
            By its birth; 0: not stated.
        arrival_ns
            Of the packet.
        """
        if not 0.0 < noise_floor < math.inf:
            return
        number, value = arrival_ns // BIN_NS, math.log(noise_floor)
        if number != self.number:
            self._close()
            self.number, self.declared = number, declared
        if not self.count:
            fresh = not self.bins or self.bins[-1].stay != self.stay
            self.level = value if fresh else self.bins[-1].level
        self.total += min(max(value - self.level, -CLIP), CLIP)
        self.count += 1

    def _close(self) -> None:
        """End a bin, and judge what the bins show."""
        if not self.count:
            return
        self.bins = [*self.bins[1 - KEPT :], Bin(self.number, self.level + self.total / self.count, self.stay)]
        self.total, self.count = 0.0, 0
        day = np.array([[one.number * (BIN_NS / DAY_NS) for one in self.bins]])
        level = np.array([[one.level for one in self.bins]])
        slope, u = growth(day - day[:, -1:], level, np.array([[one.stay for one in self.bins]]))
        self.a_day, self.u = math.expm1(slope[0]), float(u[0])
        grows = len(self.bins) >= FEWEST and self.a_day - SURE * self.u > AGES_A_DAY
        floor = min(one.level for one in self.bins[-2:])
        loud = self.declared > 0.0 and floor > math.log(OVER * self.declared)
        self.ages = grows or (loud and len(self.bins) > 1)
