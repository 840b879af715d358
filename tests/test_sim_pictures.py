"""`femtoward simulate` without a broker: the list, the picture, the witness, days of vitals."""

import json
from pathlib import Path

import numpy as np
import pytest
from commandline import Run, refused
from matplotlib.image import imread

from device_sim.days import DayBlock, DayOptions, days
from device_sim.devices import DEVICES
from device_sim.events import ACTIVITIES, BREATHS, RHYTHMS
from device_sim.faults import FAULTS
from device_sim.fleet import FleetOptions
from device_sim.scenario import names
from device_sim.script import EVENT_LISTS
from device_sim.witness import witnessed


def test_the_list_says_what_each_scenario_is_about(femtoward: Run) -> None:
    outcome = femtoward("simulate", "--list")
    assert outcome.status == 0
    scenarios, devices, words = (part.splitlines()[1:] for part in outcome.out.split("\n\n"))
    assert [line.split()[0] for line in scenarios] == names()
    assert [line.split()[0] for line in devices] == list(DEVICES)
    said = {word for line in words for word in line.replace(",", " ").split()}
    assert {*RHYTHMS, *FAULTS, *BREATHS, *ACTIVITIES, *EVENT_LISTS} <= said
    listed = json.loads(femtoward("simulate", "--list", "--json").out)
    assert [row["name"] for row in listed["scenarios"]] == names()
    (code,) = [row for row in listed["scenarios"] if row["name"] == "code-blue"]
    assert {"ventricular-fibrillation", "compressions", "apnoea"} <= set(code["happens"])
    (cap,) = [row for row in listed["devices"] if row["name"] == "meg-cap"]
    assert (cap["channels"], cap["references"], cap["rate_hz"], cap["room"]) == (16, 3, 1000, "shielded-room")
    assert set(listed["words"]) == set(EVENT_LISTS), "a script has no other list"


@pytest.mark.parametrize(("name", "seconds"), [("code-blue", "12"), ("ward", "6"), ("deterioration", "0")])
def test_a_scenario_can_be_drawn(femtoward: Run, tmp_path: Path, name: str, seconds: str) -> None:
    path = tmp_path / "one.png"
    outcome = femtoward("simulate", "--scenario", name, "--seconds", seconds, "--plot", str(path))
    assert outcome.status == 0, outcome.err
    pixels = imread(path)
    assert pixels.shape[1] > 1000
    ink = (pixels[..., :3].min(axis=-1) < 0.9).mean()
    assert 0.01 < ink < 0.6, "something is drawn, and it can be told apart"


def test_a_picture_that_cannot_be_written_is_refused(femtoward: Run, tmp_path: Path) -> None:
    refused(femtoward("simulate", "--plot", str(tmp_path / "one.bmp")), "ends in .png")
    nowhere = tmp_path / "no" / "one.png"
    refused(femtoward("simulate", "--seconds", "2", "--plot", str(nowhere)), "cannot be written")
    refused(femtoward("simulate", "--scenario", "wrad", "--plot", "a.png"), "'wrad' is unknown")
    refused(femtoward("simulate", "--list", "--witness"), "give one of them")


def test_scenario_and_seed_give_the_same_bytes_and_others_do_not(femtoward: Run) -> None:
    options = FleetOptions(patients=2, scenario="code-blue", seed=7, seconds=8.0)
    first = witnessed(options)
    assert first == witnessed(options)
    assert first.sha256 != witnessed(FleetOptions(patients=2, scenario="code-blue", seed=8, seconds=8.0)).sha256
    args = ("--scenario", "code-blue", "--seed", "7", "--patients", "2", "--seconds", "8", "--witness", "--json")
    said = json.loads(femtoward("simulate", *args).out)
    assert (said["sha256"], said["seed"], said["scenario"]) == (first.sha256, 7, "code-blue")
    assert (said["patients"], said["seconds"], said["site"], said["wfdb"]) == (2, 8.0, "demo", [])


def test_a_witness_says_all_that_it_takes_to_run_it_again(femtoward: Run, tmp_path: Path) -> None:
    path, kept = tmp_path / "own.toml", tmp_path / "witness.json"
    path.write_text('about = "own"\n[[patients]]\nrate_bpm = 60.0\n')
    args = ("--scenario", str(path), "--patients", "2", "--seconds", "3", "--site", "here", "--witness", "--json")
    kept.write_text(femtoward("simulate", *args).out)
    again = femtoward("simulate", "--from", str(kept))
    assert (again.status, again.out.splitlines()[-1]) == (0, "the same bytes")
    path.write_text('about = "own"\n[[patients]]\nrate_bpm = 61.0\n')
    other = femtoward("simulate", "--from", str(kept), "--json")
    assert other.status == 1
    said = json.loads(other.out)
    assert not said["same"]
    assert said["differences"][0] == f"the scenario '{path}' is not what it was"
    assert said["differences"][1].startswith("the bytes differ: ")


def test_what_holds_no_witness_is_refused(femtoward: Run, tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    refused(femtoward("simulate", "--from", str(path)), "cannot be read: No such file")
    path.write_text('{"type":"beat","patient":"p","time_ns":1,"class":"N"}\n')
    refused(femtoward("simulate", "--from", str(path)), "no witness in it; need a truth file of a run that came to its")
    path.write_text('{"type":"witness","scenario":"ward","seed":1,"version":"1","from_ns":1,"sha256":"00"}\n')
    refused(femtoward("simulate", "--from", str(path)), "only a whole run can be run again")


def whole(options: DayOptions) -> DayBlock:
    blocks = list(days(options))
    parts = [np.concatenate([block[k] for block in blocks], axis=-1) for k in range(len(DayBlock._fields))]
    return DayBlock(*parts)


def test_days_of_vitals_follow_the_hour_and_the_course() -> None:
    made = whole(DayOptions(patients=40, scenario="deterioration", days=1.0, every_s=60.0))
    assert made.hr.shape == (40, 1440)
    assert np.nanmean(made.hr[1::4, 600:]) > 1.6 * np.nanmean(made.hr[1::4, :60]), "a bleeding"
    assert np.nanmean(made.spo2[2::4, 600:]) < np.nanmean(made.spo2[2::4, :60]) - 10.0, "failing lungs"
    assert np.nanmean(made.skin_cel[::4, 700:]) > np.nanmean(made.skin_cel[::4, :60]) + 1.0, "an infection"
    healthy = np.nanmean(made.hr[3::4], axis=0)
    night, noon = healthy[6 * 60 : 9 * 60].mean(), healthy[16 * 60 : 19 * 60].mean()
    assert night < 0.93 * noon
    assert not made.ill[3::4].any()
    assert made.ill[:3, 600:].all()
    assert 0.001 < np.isnan(made.hr).mean() < 0.05
    assert np.all(made.spo2[~np.isnan(made.spo2)] <= 100.0)


def test_a_patients_days_depend_neither_on_the_others_nor_on_how_many_days() -> None:
    few = whole(DayOptions(patients=3, scenario="deterioration", days=1.5, every_s=60.0))
    many = whole(DayOptions(patients=7, scenario="deterioration", days=3.0, every_s=60.0))
    np.testing.assert_array_equal(few.hr, many.hr[:3, : few.hr.shape[1]])
    other = whole(DayOptions(patients=3, scenario="deterioration", days=1.5, every_s=60.0, seed=2))
    assert np.nanmean(np.abs(few.hr - other.hr)) > 0.5


def test_patients_and_their_minutes_differ_by_as_much_as_is_known() -> None:
    made = whole(DayOptions(patients=200, scenario="quiet", days=1.0, every_s=300.0))
    means = np.nanmean(made.hr[::5], axis=1)
    assert 0.06 < means.std() / means.mean() < 0.14
    still = np.where(made.moving, np.nan, made.hr)
    assert 0.02 < np.nanmedian(np.nanstd(still, axis=1) / np.nanmean(still, axis=1)) < 0.10


def test_the_vitals_of_days_are_those_of_the_ventricles_and_of_blood_that_moves(tmp_path: Path) -> None:
    path = tmp_path / "rhythms.toml"
    rhythms = ("wenckebach", "mobitz", "pulseless", "ventricular-fibrillation")
    path.write_text(
        'about = "rhythms"\n'
        + "".join(
            f'[[patients]]\nrate_bpm = 80.0\nrhythms = [{{ rhythm = "{one}", from_s = 1800.0, for_s = 1800.0 }}]\n'
            for one in rhythms
        )
    )
    made = whole(DayOptions(patients=4, scenario=str(path), days=1.0 / 24.0, every_s=10.0))
    first, then = (np.nanmedian(made.hr[:2, part], axis=1) for part in (slice(0, 179), slice(180, 360)))
    np.testing.assert_allclose(then / first, [3.0 / 4.0, 2.0 / 3.0], rtol=0.12)
    assert np.isnan(made.spo2[2:, 180:]).all(), "no pulse, no oxygen to be told"
    assert np.isfinite(made.spo2[:2, 180:]).any()
    assert np.isnan(made.hr[3, 180:]).all()
    assert np.isfinite(made.hr[2, 180:]).any(), "electrical activity goes on"
    assert (made.breath[2:, 200:][np.isfinite(made.breath[2:, 200:])] == 0.0).all()


def test_days_are_measured_and_written(femtoward: Run, tmp_path: Path) -> None:
    path = tmp_path / "days.npz"
    args = ("--days", "2", "--patients", "5", "--scenario", "deterioration", "--vitals", str(path), "--json")
    said = json.loads(femtoward("simulate", *args).out)
    assert said["rows"] == 5 * 2 * 1440
    assert said["times_real_time"] > 0.0
    with np.load(path) as kept:
        assert set(kept) == set(DayBlock._fields)
        assert kept["hr"].shape == (5, 2880)
    refused(femtoward("simulate", "--days", "1", "--every", "0.5"), "every_s=0.5")
