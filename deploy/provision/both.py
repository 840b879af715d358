"""InfluxDB and Grafana, one after the other: all is looked at before anything is done."""

from deploy.problem import UserError
from deploy.provision import grafana
from deploy.provision.grafana_api import Conflict
from deploy.provision.plan import Step
from deploy.settings import Settings

__all__ = ["Conflict", "provision_both"]


def provision_both(settings: Settings, *, dry_run: bool, secrets: bool) -> list[Step]:
    """Provision what the settings name.

    Parameters
    ----------
    settings
        Of the ward.
    dry_run
        Look only.
    secrets
        Give Grafana its secrets again.

    Returns
    -------
    list of Step
        What was to do, InfluxDB first, and what was as it must be.

    Raises
    ------
    UserError
        The settings name nothing to provision, or a server cannot be asked or refuses.
    Conflict
        Someone else changed the same thing meanwhile.
    """
    if settings.influx is None:
        raise UserError("the settings name no InfluxDB: add a section [influx] (and [grafana] for its dashboards)")
    for_grafana = grafana.plan(settings.grafana, settings.influx, secrets=secrets) if settings.grafana else []
    if settings.grafana and not dry_run:
        grafana.apply(settings.grafana, settings.influx, for_grafana, secrets=secrets)
    return for_grafana
