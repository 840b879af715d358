"""Provisioning of an InfluxDB 2.x, by influxdb-client: a bucket for each retention, tasks that thin vitals out."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import urllib3
from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.domain.authorization_post_request import AuthorizationPostRequest
from influxdb_client.domain.bucket import Bucket
from influxdb_client.domain.bucket_retention_rules import BucketRetentionRules
from influxdb_client.domain.permission import Permission
from influxdb_client.domain.permission_resource import PermissionResource
from influxdb_client.domain.task import Task
from influxdb_client.domain.task_create_request import TaskCreateRequest
from influxdb_client.domain.task_update_request import TaskUpdateRequest
from influxdb_client.rest import ApiException
from influxdb_client.service.authorizations_service import AuthorizationsService

from dataflows.couriers.influx_api import answer_of
from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.policies import POLICIES, Policy, lasting
from dataflows.couriers.secret import read_secret
from dataflows.couriers.tier_queries import GONE, THINNINGS, Thinning, task, task_name
from deploy.problem import UserError
from deploy.provision.plan import Step

_BUCKET, _TASK = "bucket", "task"
HOUR_S: Final = 3600
PAGE: Final = 100  # the server gives no more buckets at once


class Influx2:
    """One server of version 2.

    Parameters
    ----------
    options
        Where it is, and the token: one that may read and write buckets and tasks of the organisation.
    """

    def __init__(self, options: InfluxOptions) -> None:
        if options.api != "v2":
            raise UserError(f"{options.url} is InfluxDB 2: set influx.api = 'v2'")
        try:
            self._token = read_secret("influx", options.secret_env, options.secret_file)
        except ValueError as error:
            raise UserError(str(error)) from error
        self._prefix, self._org, self._thins = options.bucket, options.org, options.tiers == "server"
        self._client = InfluxDBClient(
            url=options.url.rstrip("/"), token=self._token, org=self._org, timeout=round(options.timeout_s * 1000)
        )
        self._buckets, self._tasks = self._client.buckets_api(), self._client.tasks_api()

    def plan(self) -> list[Step]:
        """Compare what it has with what it must have."""
        with self._asking("looking at buckets and tasks"):
            buckets, tasks = self._found()
        return [
            *(self._of_bucket(policy, buckets.get(self._name(policy))) for policy in POLICIES),
            *(self._of_task(thinning, tasks.get(task_name(thinning.name, self._prefix))) for thinning in THINNINGS),
            *(
                Step(_TASK, name, "change", "stopped, as a courier does it")
                for name in (task_name(one, self._prefix) for one in GONE)
                if name in tasks and tasks[name].status == "active"
            ),
        ]

    def do(self, step: Step) -> None:
        """Do one step of a plan."""
        with self._asking(f"{step.what} {step.name}"):
            buckets, tasks = self._found()
            if step.what == _BUCKET:
                policy = next(one for one in POLICIES if self._name(one) == step.name)
                self._do_bucket(policy, buckets.get(step.name))
            else:
                wanted = (one for one in THINNINGS if task_name(one.name, self._prefix) == step.name and self._thins)
                self._do_task(next(wanted, None), tasks.get(step.name))

    def authorise(self, description: str) -> str:
        """Make an authorisation that may read our buckets and nothing else, and return its token."""
        with self._asking(f"authorisation {description}"):
            there, _ = self._found()
            ours = [there[self._name(policy)] for policy in POLICIES]
            permissions = [_reading(one) for one in ours]
            request = AuthorizationPostRequest(  # type: ignore[no-untyped-call]
                org_id=ours[0].org_id, permissions=permissions, description=description
            )
            service = AuthorizationsService(self._client.api_client)  # type: ignore[no-untyped-call]
            return str(service.post_authorizations(request).token)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Close connections."""
        self._client.close()  # type: ignore[no-untyped-call]

    def _name(self, policy: Policy) -> str:
        return f"{self._prefix}/{policy.name}"

    def _found(self) -> tuple[dict[str, Bucket], dict[str, Task]]:
        """Every bucket and task of the organisation, by name; asked by name, some versions answer 404."""
        buckets = self._buckets.find_buckets_iter(org=self._org, limit=PAGE)  # type: ignore[no-untyped-call]
        tasks = self._tasks.find_tasks_iter(org=self._org, limit=PAGE)  # type: ignore[no-untyped-call]
        return {str(one.name): one for one in buckets}, {str(one.name): one for one in tasks}

    def _of_bucket(self, policy: Policy, found: Bucket | None) -> Step:
        name = self._name(policy)
        if found is None:
            return Step(_BUCKET, name, "create", policy.words)
        kept_s, wanted_s = _kept_s(found), policy.hours * HOUR_S
        if kept_s and (not wanted_s or kept_s < wanted_s):
            return Step(_BUCKET, name, "change", f"{policy.words}; {lasting(kept_s // HOUR_S)} is too short")
        if kept_s != wanted_s:
            return Step(_BUCKET, name, "same", f"{lasting(kept_s // HOUR_S)}, longer than needed: left so")
        return Step(_BUCKET, name, "same", policy.words)

    def _of_task(self, thinning: Thinning, found: Task | None) -> Step:
        name = task_name(thinning.name, self._prefix)
        runs = found is not None and found.status == "active"
        if not self._thins:
            if not runs:
                return Step(_TASK, name, "same", "none runs, as a courier does it")
            return Step(_TASK, name, "change", "stopped, as a courier does it")
        if found is None:
            return Step(_TASK, name, "create", thinning.words)
        alike = runs and str(found.flux).strip() == task(thinning, self._prefix).strip()
        return Step(_TASK, name, "same" if alike else "change", thinning.words)

    def _do_bucket(self, policy: Policy, found: Bucket | None) -> None:
        rules = BucketRetentionRules(  # type: ignore[no-untyped-call]
            type="expire",
            every_seconds=policy.hours * HOUR_S,
            shard_group_duration_seconds=policy.shard_hours * HOUR_S,
        )
        if found is None:
            self._buckets.create_bucket(
                bucket_name=self._name(policy), retention_rules=rules, description=policy.words, org=self._org
            )
        else:
            found.retention_rules = [rules]
            self._buckets.update_bucket(found)

    def _do_task(self, thinning: Thinning | None, found: Task | None) -> None:
        if thinning is None:
            if found is not None:
                self._tasks.update_task_request(found.id, TaskUpdateRequest(status="inactive"))  # type: ignore[no-untyped-call]
        elif found is None:
            request = TaskCreateRequest(  # type: ignore[no-untyped-call]
                org=self._org, flux=task(thinning, self._prefix), description=thinning.words, status="active"
            )
            self._tasks.create_task(task_create_request=request)
        else:
            change = TaskUpdateRequest(flux=task(thinning, self._prefix), status="active")  # type: ignore[no-untyped-call]
            self._tasks.update_task_request(found.id, change)

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Turn what the client raises into words without the token."""
        try:
            yield
        except ApiException as error:
            answer = answer_of(int(error.status or 0), str(error.body or error.reason), None, self._token)
            hint = _HINTS.get(answer.status, "")
            raise UserError(f"{what}: InfluxDB answers {answer.status}{hint}: {answer.text}") from None
        except (InfluxDBError, urllib3.exceptions.HTTPError) as error:
            raise UserError(f"{what}: InfluxDB cannot be asked: {error}".replace(self._token or "\0", "***")) from None


def _reading(bucket: Bucket) -> Permission:
    resource = PermissionResource(type="buckets", id=bucket.id, org_id=bucket.org_id)  # type: ignore[no-untyped-call]
    return Permission(action="read", resource=resource)  # type: ignore[no-untyped-call]


def _kept_s(bucket: Bucket) -> int:
    """For how long a bucket keeps its points (s); 0: for ever."""
    return sum(int(rule.every_seconds or 0) for rule in bucket.retention_rules or ())


_HINTS: Final = {
    401: " (the token is none: put one into what influx.secret_env or secret_file names)",
    403: " (the token may not do that: it needs read and write on buckets and tasks, for a reader on authorizations)",
    404: " (check influx.org: the name of the organisation)",
}
