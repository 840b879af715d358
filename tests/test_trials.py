"""Short trials on real stands: what takes minutes at full length, in seconds, with the same verdicts but for times."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import program
from msgspec.structs import replace
from outgoing import NS, SECOND, alarm, vitals

from dataflows.couriers.bodies import message_id
from deploy.problem import UserError
from deploy.siege.trials.aftermath import Case, Edges, cases, gaps, judge_fates, wrongly_marked
from deploy.siege.trials.broker_away import BrokerAbsence, BrokerAway
from deploy.siege.trials.clocks import ClockFigures, Clocks
from deploy.siege.trials.cluster import Cluster, Clustering
from deploy.siege.trials.command import TRIALS, trial
from deploy.siege.trials.flood import Flood, Flooding
from deploy.siege.trials.restart import Restart, Restarts
from deploy.siege.trials.sizes import Size, Sizes
from deploy.siege.trials.tape import Tape
from deploy.siege.trials.trial import Outcome, within
from ingest.codec import decode_packet, encode_packet

PATIENTS = 5


@pytest.fixture(scope="module")
def broker_away(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[Outcome]]:
    """Run the longest of them beside the others: it mostly waits."""
    program("mosquitto")
    one = BrokerAway(patients=4, seconds=45.0, begin_s=16.0, after_s=16.0)
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(one.run, tmp_path_factory.mktemp("broker-away"), print)


@pytest.mark.servers
@pytest.mark.long
def test_a_flow_that_is_killed_is_back_with_new_vitals(tmp_path: Path, broker_away: Future[Outcome]) -> None:
    del broker_away  # begins now
    figures = Restart(patients=PATIENTS, kills=2, settled_s=2.0).run(tmp_path, print).figures
    assert isinstance(figures, Restarts)
    assert len(figures.first_row_s) == 2
    assert figures.live_s_max >= figures.first_row_s_median > 0.0


@pytest.mark.servers
@pytest.mark.long
def test_what_a_ward_takes_is_counted_part_by_part(tmp_path: Path, broker_away: Future[Outcome]) -> None:
    del broker_away  # goes on meanwhile
    figures, wrong = Sizes(patients=PATIENTS, seconds=4.0, settled_s=1.0).run(tmp_path, print)
    assert isinstance(figures, Size)
    assert not wrong
    assert {"broker", "ingest", "flow", "couriers"} <= set(figures.cores) == set(figures.memory_mb)
    assert figures.packets_a_second > 2.0 * PATIENTS
    assert figures.network_kb_a_second > 3.0 * figures.packets_a_second
    assert figures.store_bytes_a_row["vitals"] > 50.0


@pytest.mark.servers
@pytest.mark.long
def test_devices_that_flood_are_throttled_and_told_of_and_the_ledger_balances(tmp_path: Path) -> None:
    program("mosquitto")
    figures = Flood(patients=PATIENTS, seconds=8.0, times=120.0, settled_s=2.0).run(tmp_path, print).figures
    assert isinstance(figures, Flooding)
    assert (figures.alarms, figures.alarms_ended) == (2, 2)
    assert figures.flood_quarantined > 0
    assert figures.flood_stored + figures.flood_quarantined == figures.flood_packets
    assert (figures.flood_lost, figures.ledger_balanced) == (0, True)


@pytest.mark.servers
@pytest.mark.long
def test_a_cluster_that_is_killed_gives_the_rows_of_one_process(tmp_path: Path) -> None:
    program("mosquitto")
    figures, wrong = Cluster(patients=4, seconds=4.0, quiet_s=2.0).run(tmp_path, print)
    assert wrong == []
    assert isinstance(figures, Clustering)
    assert (figures.processes, figures.ledger_balanced, figures.acknowledged_lost) == (2, True, 0)
    assert figures.kills >= 1


@pytest.mark.servers
@pytest.mark.long
def test_clocks_that_leap_leave_no_second_out_and_nothing_refused(tmp_path: Path) -> None:
    program("mosquitto")
    figures = Clocks(patients=2, seconds=6.0, settled_s=2.0).run(tmp_path, print).figures
    assert isinstance(figures, ClockFigures)
    assert not any(figures.seconds_missing.values())
    assert (figures.disordered, figures.conflicts, figures.late) == (0, 0, 0)
    assert (figures.refused, figures.ledger_balanced) == (0, True)


@pytest.mark.servers
@pytest.mark.long
def test_an_absence_of_the_broker_leaves_no_gap_and_pages_for_nothing_that_is_over(
    broker_away: Future[Outcome],
) -> None:
    figures, wrong = broker_away.result()
    assert wrong == []
    assert isinstance(figures, BrokerAbsence)
    assert figures.seconds_late > 0
    assert (figures.missed_recorded, figures.missed_said, figures.holding_paged) == (1, 1, 2)


def test_every_trial_can_be_made_and_none_of_another_name() -> None:
    assert [type(trial(name, patients=7)).__name__ for name in TRIALS] == [kind for _, kind in TRIALS.values()]
    assert {trial(name, patients=7, seed=None).patients for name in TRIALS} == {7}
    with pytest.raises(UserError, match="restarts"):
        trial("restarts")


def test_a_trial_that_would_prove_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="broker-away: need seconds=10"):
        trial("broker-away", seconds=10)


def test_a_figure_that_was_not_measured_keeps_no_limit() -> None:
    assert within("it", 5.0, 5.0, "s") == []
    assert within("it", float("nan"), 5.0, "s") == ["it is nan s: at most 5 s are promised"]


def test_a_tape_gives_packets_that_pass_under_any_name_and_follow_each_other() -> None:
    tape = Tape(1, seconds=1)
    birth = tape.birth("w7", "p7")
    for number in range(9):
        packet = tape.packet(5, number, "w7", "boot", 1000 + number)
        assert decode_packet(encode_packet(packet), "w7", birth) == packet
        assert packet.blocks[0].first_sample == number * birth.streams[0].block_len


def test_a_second_that_is_missing_is_counted_and_one_after_the_common_end_is_not() -> None:
    rows = [vitals("a", SECOND + k) for k in (0, 1, 3)] + [vitals("b", SECOND + k) for k in (1, 2, 3, 4)]
    assert gaps(rows) == (7, 1)


def test_late_marks_are_judged_by_when_the_data_could_come() -> None:
    edges = Edges(gone_ns=SECOND * NS, back_ns=(SECOND + 100) * NS, live_ns=(SECOND + 110) * NS)
    early, waited, young = SECOND - 20, SECOND + 20, SECOND + 95
    late = [replace(vitals(second=second), late=True) for second in (early, waited, young)]
    timely = [vitals(second=second) for second in (early, waited, young)]
    assert [row.second for row in wrongly_marked(late, edges)] == [early, young]
    assert [row.second for row in wrongly_marked(timely, edges)] == [waited]


def test_what_was_missed_must_be_said_and_must_not_page() -> None:
    case = Case("missed", "asystole")
    missed, active = alarm(state="missed"), alarm(state="active")
    assert judge_fates([("p1", case)], [missed], {message_id(missed)}).wrong == []
    assert judge_fates([("p1", case)], [missed], set()).said == 0
    assert len(judge_fates([("p1", case)], [active], {message_id(active)}).wrong) == 2
    assert judge_fates([("p1", Case("paged", "asystole"))], [active], {message_id(active)}).paged == 1


def test_a_short_absence_has_a_condition_of_each_fate() -> None:
    assert {case.fate for case in cases(16.0, 45.0, 16.0)} == {"quiet", "missed", "paged"}
