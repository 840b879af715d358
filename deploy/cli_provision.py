"""The command that makes InfluxDB and Grafana ready for a ward."""

from typing import Annotated

import typer

from deploy.options import DONE, FOUND_WRONG, AsJson, Config


def provision(
    *,
    config: Config = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    secrets: Annotated[
        bool, typer.Option("--secrets", help="Give Grafana its secrets again; it never shows those that it has.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Make InfluxDB and Grafana ready; twice changes nothing."""
    from deploy.output import progress, show_json, show_lines  # noqa: PLC0415
    from deploy.provision.both import provision_both  # noqa: PLC0415
    from deploy.provision.grafana_api import Conflict  # noqa: PLC0415
    from deploy.provision.plan import in_words  # noqa: PLC0415
    from deploy.settings import read_settings  # noqa: PLC0415

    try:
        steps = provision_both(read_settings(config), dry_run=dry_run, secrets=secrets)
    except Conflict as error:
        progress(f"wrong: {error}")
        return FOUND_WRONG
    if as_json:
        show_json({"dry_run": dry_run, "steps": steps})
    else:
        show_lines(in_words(steps))
    return DONE
