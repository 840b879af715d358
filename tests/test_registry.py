"""Who wears what: hints, admissions, discharges, each command once; the same messages give the same registry."""

import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import commands, wearable

from ingest.command import Acknowledge, Admit, Command, Discharge, Shelve, Transfer
from ingest.packet import BadPacket
from ingest.profile import Birth, Status
from ingest.registry import MAX_COMMANDS, Binding, Change, Outcome, Registry, Wearer


def born(registry: Registry, birth: Birth) -> Change:
    """Change by a birth that is taken."""
    change = registry.apply_birth("s", birth)
    assert isinstance(change, Change)
    return change


def do(registry: Registry, command: Command) -> Outcome:
    """Outcome of a command of a nurse."""
    return registry.apply_command("s", "nurse", command)


def test_a_birth_is_in_force_and_its_hint_binds() -> None:
    registry = Registry()
    change = born(registry, wearable("w1", patient="p1"))
    assert change == Change(
        birth=True,
        bindings=(Binding("w1", None, "p1"),),
        patients=(Wearer("p1", "", ("w1",), admitted=True, revision=1),),
    )
    assert registry.birth_of("s", "w1") == wearable("w1", patient="p1")
    assert registry.patient_of("s", "w1") == "p1"


def test_the_same_birth_again_changes_nothing() -> None:
    registry = Registry()
    born(registry, wearable("w1", patient="p1"))
    before = registry.encode()
    assert born(registry, wearable("w1", patient="p1")) == Change()
    assert registry.encode() == before


def test_the_same_birth_number_with_other_content_is_refused() -> None:
    registry = Registry()
    born(registry, wearable("w1", patient="p1"))
    bad = registry.apply_birth("s", wearable("w1", patient="p2"))
    assert isinstance(bad, BadPacket)
    assert bad.reason == "bad-birth"
    assert (
        "birth 0 of device 'w1' came with other content than before (patient): count the birth number up" in bad.detail
    )
    assert registry.patient_of("s", "w1") == "p1"


def test_a_lower_birth_number_is_in_force_because_a_reset_device_counts_anew() -> None:
    registry = Registry()
    born(registry, wearable("w1", birth=7))
    assert born(registry, wearable("w1", birth=0)).birth
    birth = registry.birth_of("s", "w1")
    assert birth is not None
    assert birth.birth == 0


def test_a_new_hint_moves_a_device_that_no_command_bound() -> None:
    registry = Registry()
    born(registry, wearable("w1", patient="p1"))
    change = born(registry, wearable("w1", birth=1, patient="p2"))
    assert change.bindings == (Binding("w1", "p1", "p2"),)
    assert [(wearer.patient, wearer.devices) for wearer in change.patients] == [("p1", ()), ("p2", ("w1",))]
    assert born(registry, wearable("w1", birth=2)).bindings == (Binding("w1", "p2", None),)


def test_an_admission_outranks_the_hint_before_and_after() -> None:
    registry = Registry()
    born(registry, wearable("w1", patient="p1"))
    outcome = do(registry, Admit(id="c1", patient="p2", device="w1", bed="bed-1"))
    assert outcome.done
    assert outcome.change.bindings == (Binding("w1", "p1", "p2"),)
    assert outcome.detail == "nurse: p2 wears w1, which p1 wore before"
    assert born(registry, wearable("w1", birth=1, patient="p3")) == Change(birth=True)
    assert registry.patient_of("s", "w1") == "p2"


def test_a_device_may_be_admitted_before_it_is_born() -> None:
    registry = Registry()
    assert "has not been heard of yet" in do(registry, Admit(id="c1", patient="p1", device="w1")).detail
    assert born(registry, wearable("w1", patient="p9")) == Change(birth=True)
    assert registry.patient_of("s", "w1") == "p1"


def test_a_discharge_frees_all_devices_and_a_retained_birth_does_not_bind_again() -> None:
    registry = Registry()
    born(registry, wearable("w1", patient="p1"))
    born(registry, wearable("w2", patient="p1"))
    do(registry, Admit(id="c1", patient="p1", device="w3", bed="bed-1"))
    outcome = do(registry, Discharge(id="c2", patient="p1"))
    assert outcome.change.bindings == tuple(Binding(name, "p1", None) for name in ("w1", "w2", "w3"))
    assert outcome.change.patients == (Wearer("p1", "", (), admitted=False, revision=4),)
    born(registry, wearable("w1", patient="p1"))
    born(registry, wearable("w2", birth=1, patient="p1"))
    assert [registry.patient_of("s", name) for name in ("w1", "w2", "w3")] == [None, None, None]
    born(registry, wearable("w1", birth=1, patient="p4"))
    assert registry.patient_of("s", "w1") == "p4"


def test_a_bed_holds_one_patient_at_a_time() -> None:
    registry = Registry()
    do(registry, Admit(id="c1", patient="p1", device="w1", bed="bed-1"))
    for command in (
        Admit(id="c2", patient="p2", device="w2", bed="bed-1"),
        Admit(id="c3", patient="p2", device="w2"),
        Transfer(id="c4", patient="p2", bed="bed-1"),
    ):
        outcome = do(registry, command)
        assert outcome.done == (command.id == "c3")
        assert outcome.done or "bed bed-1 is taken by p1: transfer or discharge p1 first" in outcome.detail
    do(registry, Discharge(id="c5", patient="p1"))
    moved = do(registry, Transfer(id="c6", patient="p2", bed="bed-1"))
    assert moved.change.patients == (Wearer("p2", "bed-1", ("w2",), admitted=True, revision=4),)


def test_a_bed_is_one_of_its_ward_and_stays_behind_when_the_ward_changes() -> None:
    registry = Registry()
    do(registry, Admit(id="c1", patient="p1", device="w1", bed="bed-1", ward="icu"))
    assert do(registry, Admit(id="c2", patient="p2", device="w2", bed="bed-1", ward="surgery")).done
    assert registry.patients("s") == (
        Wearer("p1", "bed-1", ("w1",), admitted=True, revision=1, ward="icu"),
        Wearer("p2", "bed-1", ("w2",), admitted=True, revision=2, ward="surgery"),
    )
    refused = do(registry, Transfer(id="c3", patient="p2", bed="bed-1", ward="icu"))
    assert not refused.done
    assert "bed bed-1 of icu is taken by p1" in refused.detail
    moved = do(registry, Transfer(id="c4", patient="p2", bed="bed-2", ward="icu"))
    assert moved.detail == "nurse: p2 lies in bed-2 of icu, before in bed-1 of surgery"
    again = do(registry, Admit(id="c5", patient="p1", device="w3", ward="surgery")).change.patients
    assert [(one.ward, one.bed) for one in again] == [("surgery", "")]
    assert do(registry, Admit(id="c6", patient="p1", device="w3")).change == Change()


def test_a_registry_from_before_there_were_wards_is_taken_up() -> None:
    registry = Registry()
    do(registry, Admit(id="c1", patient="p1", device="w1", bed="bed-1"))
    version, body = msgspec.msgpack.decode(registry.encode())
    sites, *others = msgspec.msgpack.decode(zlib.decompress(body))
    without = [[devices, {name: entry[:4] for name, entry in patients.items()}] for devices, patients in sites.values()]
    older = zlib.compress(msgspec.msgpack.encode([dict(zip(sites, without, strict=True)), *others]))
    assert Registry.decode(msgspec.msgpack.encode([version, older])).patients("s") == registry.patients("s")


@pytest.mark.parametrize("command", [Discharge(id="c1", patient="p1"), Transfer(id="c1", patient="p1", bed="b")])
def test_a_command_about_a_patient_who_is_not_there_is_answered_so(command: Command) -> None:
    outcome = do(Registry(), command)
    assert (outcome.done, "p1 is not admitted here" in outcome.detail) == (False, True)


def test_a_command_that_comes_twice_under_one_id_is_done_once() -> None:
    registry = Registry()
    admit = Admit(id="c1", patient="p1", device="w1")
    first = do(registry, admit)
    do(registry, Discharge(id="c2", patient="p1"))
    again = do(registry, admit)
    assert (again.repeated, again.done, again.detail, again.change) == (True, True, first.detail, Change())
    assert registry.patient_of("s", "w1") is None


def test_an_id_that_was_used_for_another_command_is_refused() -> None:
    registry = Registry()
    do(registry, Admit(id="c1", patient="p1", device="w1"))
    outcome = do(registry, Discharge(id="c1", patient="p1"))
    assert (outcome.mine, outcome.done, outcome.repeated) == (True, False, False)
    assert "give each command an id of its own" in outcome.detail


@pytest.mark.parametrize(
    "command",
    [
        Acknowledge(id="c1", patient="p1", alarm="a1"),
        Shelve(id="c1", patient="p1", condition="asystole", seconds=60),
    ],
)
def test_alarm_commands_are_not_the_registrys_but_it_tells_repeats(command: Command) -> None:
    registry = Registry()
    assert do(registry, command) == Outcome(mine=False, done=False, detail="")
    assert do(registry, command) == Outcome(mine=False, done=False, detail="", repeated=True)


def test_command_ids_are_remembered_per_site_and_up_to_a_bound() -> None:
    registry = Registry()
    admit = Admit(id="first", patient="p1", device="w1")
    do(registry, admit)
    assert not registry.apply_command("other", "nurse", admit).repeated
    for number in range(MAX_COMMANDS):
        do(registry, Acknowledge(id=f"c{number}", patient="p1", alarm="a"))
    assert not do(registry, admit).repeated


def test_a_status_is_kept_and_only_news_is_news() -> None:
    registry = Registry()
    assert registry.apply_status("s", "w1", Status(state="online"))
    assert not registry.apply_status("s", "w1", Status(state="online"))
    assert registry.apply_status("s", "w1", Status(state="offline", reason="last will"))
    assert registry.status_of("s", "w1") == Status(state="offline", reason="last will")


def test_sites_are_worlds_apart() -> None:
    registry = Registry()
    born(registry, wearable("w1", patient="p1"))
    assert registry.birth_of("other", "w1") is None
    assert registry.patient_of("other", "w1") is None
    assert registry.patients("other") == ()
    assert registry.devices("other") == ()
    assert registry.sites() == ("s",)


def test_bytes_of_another_version_are_refused() -> None:
    with pytest.raises(ValueError, match="a registry of version 1 came, need version 2"):
        Registry.decode(msgspec.msgpack.encode([1, "anything"]))


def test_a_forgotten_device_takes_its_patient_with_it_unless_a_command_admitted_the_patient() -> None:
    registry = Registry()
    born(registry, wearable("w1", patient="p1"))
    do(registry, Admit(id="c1", patient="p2", device="w2"))
    gone = registry.forget("s", "w1")
    assert gone.bindings == (Binding("w1", "p1", None),)
    assert gone.patients == (Wearer("p1", "", (), admitted=False, revision=3),)
    assert registry.forget("s", "w2").patients == (Wearer("p2", "", (), admitted=True, revision=4),)
    assert registry.devices("s") == ()
    assert registry.forget("s", "w2") == Change()
    do(registry, Discharge(id="c2", patient="p2"))
    assert registry.sites() == ()


def test_a_patient_who_comes_back_has_a_higher_revision_than_before() -> None:
    registry = Registry()
    first = born(registry, wearable("w1", patient="p1")).patients[0]
    registry.forget("s", "w1")
    assert born(registry, wearable("w1", patient="p1")).patients[0].revision > first.revision


def test_no_more_patients_are_admitted_than_can_be_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.registry.MAX_PATIENTS", 2)
    registry = Registry()
    done = [do(registry, Admit(id=f"c{n}", patient=f"p{n}", device="w1")).done for n in range(3)]
    assert done == [True, True, False]
    assert do(registry, Admit(id="c9", patient="p1", device="w2")).done


few = st.sampled_from(["p1", "p2", "p3"])
steps = st.one_of(
    st.builds(wearable, device=st.sampled_from(["w1", "w2", "w3"]), birth=st.integers(0, 2), patient=st.none() | few),
    commands(
        patient=few,
        device=st.sampled_from(["w1", "w2", "w3"]),
        bed=st.sampled_from(["b1", "b2"]),
        id=st.sampled_from([f"c{number}" for number in range(30)]),
    ),
)


@given(st.lists(steps, max_size=40), st.integers(0, 40))
def test_bindings_stay_consistent_and_the_registry_survives_encoding_in_the_middle(
    happenings: list[Birth | Command], stop: int
) -> None:
    registry, other = Registry(), Registry()
    for number, happening in enumerate(happenings):
        if number == stop:
            other = Registry.decode(other.encode())
        revisions = {wearer.patient: wearer for wearer in registry.patients("s")}
        if isinstance(happening, Birth):
            assert registry.apply_birth("s", happening) == other.apply_birth("s", happening)
        else:
            assert do(registry, happening) == do(other, happening)
        wearers = registry.patients("s")
        worn = [(device, wearer.patient) for wearer in wearers for device in wearer.devices]
        bound = [(device, registry.patient_of("s", device)) for device in registry.devices("s")]
        assert sorted(worn) == [(device, patient) for device, patient in bound if patient is not None]
        beds = [(wearer.ward, wearer.bed) for wearer in wearers if wearer.bed]
        assert len(beds) == len(set(beds))
        assert all(wearer.admitted or not (wearer.devices or wearer.bed) for wearer in wearers)
        newest = max((wearer.revision for wearer in revisions.values()), default=0)
        for wearer in wearers:
            assert wearer == revisions.get(wearer.patient) or wearer.revision > newest
    assert registry.encode() == other.encode()
