"""What panels ask: queries by their letters, and arithmetic on their answers."""

from collections.abc import Mapping
from typing import Literal

from deploy.grafana.influxql import Query
from deploy.grafana.model import EXPRESSION, INFLUX, Expression, Influx

Queries = Query | Mapping[str, Query]  # one, or several by their letters


def asked(queries: Queries, form: Literal["table", "time_series"], alias: str) -> tuple[Influx, ...]:
    """Queries of a panel."""
    named = {"A": queries} if isinstance(queries, Query) else queries
    return tuple(influx(letter, query, form, alias) for letter, query in named.items())


def influx(
    letter: str, query: Query, form: Literal["table", "time_series"], alias: str = "", *, hide: bool = False
) -> Influx:
    """One query of a panel."""
    return Influx(
        ref_id=letter,
        query=query.text,
        result_format=form,
        alias=alias,
        hide=hide,
        raw_query=True,
        datasource=INFLUX,
    )


def math(letter: str, expression: str, *, hide: bool = False) -> Expression:
    """Arithmetic on other queries, named by ``$A``."""
    return Expression(ref_id=letter, type="math", expression=expression, hide=hide, datasource=EXPRESSION)


def summed(letter: str, of: str) -> Expression:
    """Sum of each series of a query; hidden."""
    return Expression(ref_id=letter, type="reduce", expression=of, reducer="sum", hide=True, datasource=EXPRESSION)
