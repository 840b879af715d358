"""InfluxDB and Grafana, one after the other: both are looked at before anything is done."""

from deploy.problem import UserError
from deploy.provision import grafana, influx, reader
from deploy.provision.plan import Step, due
from deploy.settings import Settings


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
        What was to do and what was as it must be, InfluxDB first.

    Raises
    ------
    UserError
        The settings name nothing to provision, or a server cannot be asked or refuses.
    Conflict
        Someone else changed the same thing in Grafana meanwhile.
    """
    if settings.influx is None:
        raise UserError("the settings name no InfluxDB: add a section [influx] (and [grafana] for its dashboards)")
    if settings.grafana and settings.influx.tiers == "none":
        raise UserError(
            "influx.tiers = 'none' puts everything into one bucket, where the dashboards would find nothing: set "
            "influx.tiers, or leave out [grafana]"
        )
    of_influx = influx.plan(settings.influx)
    of_reader = reader.plan(settings.grafana, settings.influx) if settings.grafana else []
    secrets = secrets or bool(due(of_reader))  # Grafana has to hear of a new one
    of_grafana = grafana.plan(settings.grafana, settings.influx, secrets=secrets) if settings.grafana else []
    if not dry_run:
        influx.apply(settings.influx, of_influx)
        if settings.grafana:
            reader.apply(settings.grafana, settings.influx, of_reader)
            grafana.apply(settings.grafana, settings.influx, of_grafana, secrets=secrets)
    return [*of_influx, *of_reader, *of_grafana]
