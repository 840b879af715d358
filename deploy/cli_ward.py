"""The commands that look into a ward: alarms and devices."""

from typing import Annotated

import typer

from deploy.options import DONE, FOUND_WRONG, AsJson, Config, DataDir, PartitionName

alarms_app = typer.Typer(help="List alarms, and say what you make of one.", no_args_is_help=True, rich_markup_mode=None)
devices_app = typer.Typer(help="List devices, show one with its ledger.", no_args_is_help=True)


@alarms_app.command("list")
def alarms_list(
    *,
    every: Annotated[bool, typer.Option("--all", help="Those that have ended, too.")] = False,
    config: Config = None,
    data_dir: DataDir = None,
    partition: PartitionName = None,
    as_json: AsJson = False,
) -> int:
    """List alarms, oldest onset first."""
    from deploy import alarms  # noqa: PLC0415
    from deploy.output import show_json, show_lines  # noqa: PLC0415
    from deploy.rooms import reading, rooms, settings_of  # noqa: PLC0415

    found = []
    for room in rooms(settings_of(config, data_dir), partition):
        with reading(room) as store:
            those = alarms.listed(store, every=every)
            found.append((those, store.patients(), {event.id: alarms.answered(store, event) for event in those}))
    events = sorted((event for those, *_ in found for event in those), key=lambda event: event.onset_ns)
    patients = {place: info for _, those, _ in found for place, info in those.items()}
    answered = {id_: event for *_, those in found for id_, event in those.items()}
    if as_json:
        show_json({"alarms": [alarms.as_json(event) for event in events]})
    else:
        show_lines([alarms.line(event, patients, answered[event.id]) for event in events] or ["no alarms"])
    return DONE


@alarms_app.command("receipts")
def alarms_receipts(
    alarm: Annotated[str | None, typer.Argument(metavar="[ID]", help="Of this alarm only, by its id.")] = None,
    *,
    config: Config = None,
    data_dir: DataDir = None,
    partition: PartitionName = None,
    as_json: AsJson = False,
) -> int:
    """What became of each alarm event at each receiver: queued, delivered, seen, accepted."""
    from deploy import alarms, deliveries  # noqa: PLC0415
    from deploy.output import show_json, show_lines  # noqa: PLC0415
    from deploy.rooms import first_found, rooms, settings_of  # noqa: PLC0415

    here = rooms(settings_of(config, data_dir), partition)
    if alarm is not None:
        wanted = alarm
        here = [first_found(here, lambda store: alarms.find(store, wanted))[0]]
    found = [one for room in here for one in deliveries.deliveries(room, alarm)]
    if as_json:
        show_json({"deliveries": found})
    else:
        show_lines([deliveries.line(one) for one in found] or ["nothing has gone out, and nothing waits"])
    return FOUND_WRONG if any(one.state == "refused" for one in found) else DONE


@alarms_app.command("resend")
def alarms_resend(
    alarm: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="These alarms (default: all that was not taken).")
    ] = None,
    *,
    receiver: Annotated[
        str | None, typer.Option(metavar="NAME", help="To this receiver only (default: to all).")
    ] = None,
    config: Config = None,
    data_dir: DataDir = None,
    partition: PartitionName = None,
    as_json: AsJson = False,
) -> int:
    """Send alarm events again that a receiver did not take, or lost; under the ids that they had."""
    from deploy import alarms, deliveries  # noqa: PLC0415
    from deploy.output import show_json, show_lines  # noqa: PLC0415
    from deploy.rooms import first_found, rooms, settings_of  # noqa: PLC0415

    here = rooms(settings_of(config, data_dir), partition)
    named: dict[int, list[str]] = {}
    for id_ in alarm or ():
        room, _ = first_found(here, lambda store, id_=id_: alarms.find(store, id_))  # type: ignore[misc]
        named.setdefault(here.index(room), []).append(id_)
    asked: dict[str, int] = {}
    for index, room in enumerate(here):
        if index in named or not alarm:
            for name, count in deliveries.resend(room, receiver, named.get(index, [])).items():
                asked[name] = asked.get(name, 0) + count
    if as_json:
        show_json({"again": asked})
    else:
        show_lines(
            [f"{count} alarm events go to {name} again, as soon as the couriers run" for name, count in asked.items()]
            or ["every alarm event was taken: there is nothing to send again"]
        )
    return DONE


@devices_app.command("list")
def devices_list(
    *, config: Config = None, data_dir: DataDir = None, partition: PartitionName = None, as_json: AsJson = False
) -> int:
    """List devices, and names whose messages were all refused."""
    from deploy import devices  # noqa: PLC0415
    from deploy.output import show_json, show_lines  # noqa: PLC0415
    from deploy.rooms import reading, rooms, settings_of  # noqa: PLC0415

    found = devices.Devices([], [])
    for room in rooms(settings_of(config, data_dir), partition):
        with reading(room) as store:
            more = devices.devices(store)
        found = devices.Devices(found.known + more.known, found.strangers + more.strangers)
    if as_json:
        known, strangers = ([devices.as_json(one) for one in part] for part in found)
        show_json({"devices": known, "refused_only": strangers})
    else:
        show_lines(devices.listed(found) or ["no devices have spoken yet"])
    return DONE


@devices_app.command("show")
def devices_show(
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="Its name, or SITE/NAME.")],
    *,
    config: Config = None,
    data_dir: DataDir = None,
    partition: PartitionName = None,
    as_json: AsJson = False,
) -> int:
    """Show one device, its ledger by the hour, and why messages of its were refused."""
    from deploy import devices  # noqa: PLC0415
    from deploy.output import show_json, show_lines  # noqa: PLC0415
    from deploy.rooms import first_found, rooms, settings_of  # noqa: PLC0415

    _, found = first_found(rooms(settings_of(config, data_dir), partition), lambda store: devices.find(store, device))
    if as_json:
        show_json(devices.as_json(found))
    else:
        show_lines(devices.lines(found))
    return DONE
