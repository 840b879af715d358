"""Provisioning of an InfluxDB 1.x, by InfluxQL: a database, its retention policies, its continuous queries."""

from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.influxql import (
    InfluxQL,
    Kept,
    QueryRefused,
    alter_policy,
    create_database,
    create_policy,
    identity,
    policies,
)
from dataflows.couriers.policies import POLICIES, Policy, lasting
from dataflows.couriers.secret import read_secret
from dataflows.couriers.tier_queries import GONE, THINNINGS, Thinning, continuous_query, drop_query
from deploy.problem import UserError
from deploy.provision.plan import Action, Step

_DATABASE, _POLICY, _QUERY = "database", "retention policy", "continuous query"


class Influx1:
    """One server of version 1.

    Parameters
    ----------
    options
        Where it is, and as whom it is asked: an administrator, where it wants one.
    """

    def __init__(self, options: InfluxOptions) -> None:
        try:
            secret = read_secret("influx", options.secret_env, options.secret_file)
        except ValueError as error:
            raise UserError(str(error)) from error
        self._database, self._thins = options.bucket, options.tiers == "server"
        self._influxql = InfluxQL(options, identity(options, secret))

    def plan(self) -> list[Step]:
        """Compare what it has with what it must have."""
        try:
            names = {str(row[0]) for series in self._influxql.ask("SHOW DATABASES") for row in series.values}
            there = self._database in names
            kept = policies(self._influxql, self._database) if there else {}
            queries = self._queries() if there else {}
        except QueryRefused as error:
            raise UserError(f"{error}; need the rights of an administrator") from error
        return [
            Step(_DATABASE, self._database, "same" if there else "create"),
            *(_of_policy(policy, kept.get(policy.name)) for policy in POLICIES),
            *(self._of_query(thinning, queries.get(thinning.name)) for thinning in THINNINGS),
            *(Step(_QUERY, name, "change", "removed, as a courier does it") for name in GONE if name in queries),
        ]

    def do(self, step: Step) -> None:
        """Do one step of a plan."""
        try:
            for statement in self._statements(step):
                self._influxql.ask(statement)
        except QueryRefused as error:
            raise UserError(f"{step.what} {step.name}: {error}") from error

    def close(self) -> None:
        """Close connections."""
        self._influxql.close()

    def _statements(self, step: Step) -> list[str]:
        if step.what == _DATABASE:
            return [create_database(self._database)]
        if step.what == _POLICY:
            policy = next(one for one in POLICIES if one.name == step.name)
            make = create_policy if step.action == "create" else alter_policy
            return [make(self._database, policy)]
        drop = [drop_query(step.name, self._database)] if step.action == "change" else []
        wanted = [one for one in THINNINGS if one.name == step.name and self._thins]
        return [*drop, *(continuous_query(one, self._database) for one in wanted)]

    def _queries(self) -> dict[str, str]:
        """Continuous queries of the database, by name."""
        found = [series for series in self._influxql.ask("SHOW CONTINUOUS QUERIES") if series.name == self._database]
        return {str(record["name"]): str(record["query"]) for series in found for record in series.records()}

    def _of_query(self, thinning: Thinning, found: str | None) -> Step:
        if not self._thins:
            if found is None:
                return Step(_QUERY, thinning.name, "same", "none, as a courier does it")
            return Step(_QUERY, thinning.name, "change", "removed, as a courier does it")
        if found is None:
            return Step(_QUERY, thinning.name, "create", thinning.words)
        alike = _bare(found) == _bare(continuous_query(thinning, self._database))
        return Step(_QUERY, thinning.name, "same" if alike else "change", thinning.words)


def _of_policy(policy: Policy, found: Kept | None) -> Step:
    if found is None:
        return Step(_POLICY, policy.name, "create", policy.words)
    longer = found.hours == 0 or 0 < policy.hours <= found.hours
    wrong = [] if longer else [f"{lasting(found.hours)} is too short"]
    if policy.is_default and not found.is_default:
        wrong.append("queries without a policy do not ask it")
    action: Action = "change" if wrong else "same"
    if not wrong and found.hours != policy.hours:
        return Step(_POLICY, policy.name, action, f"{lasting(found.hours)}, longer than needed: left so")
    return Step(_POLICY, policy.name, action, "; ".join([policy.words, *wrong]))


def _bare(statement: str) -> str:
    """Return a statement without what a server adds or leaves out when it shows it: quotes and spaces."""
    return "".join(statement.replace('"', "").lower().split())
