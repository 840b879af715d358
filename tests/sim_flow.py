"""A scenario run through the whole flow without servers, under the names that the tests know it by."""

from deploy.evaluate.played import Played as Found
from deploy.evaluate.played import played as flowed

__all__ = ["Found", "flowed"]
