"""What is new in a store: from its beginning, or from how things stand."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from outgoing import SECOND, alarm, one_of_each, vitals

from dataflows.events import AlarmEvent, PatientInfo, Vitals
from dataflows.store import Store
from deploy import watcher
from deploy.watcher import Watcher


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store.sqlite") as one:
        yield one


def test_a_store_that_is_not_there_yet_has_nothing_new(tmp_path: Path) -> None:
    late = Watcher(tmp_path / "store.sqlite")
    assert (late.open(), late.rows()) == (False, [])
    with Store(tmp_path / "store.sqlite") as store:
        store.put([vitals()])
        assert len(late.rows()) == 1
        late.close()


def test_each_row_comes_once(store: Store) -> None:
    store.put(one_of_each())
    whole = Watcher(store.path)
    assert len(whole.rows()) == len(one_of_each())
    assert whole.rows() == []
    store.put([vitals(second=SECOND + 1)])
    assert [row.second for row in whole.rows() if isinstance(row, Vitals)] == [SECOND + 1]
    whole.close()


def test_it_may_begin_with_how_things_stand(store: Store) -> None:
    store.put([*one_of_each(), *(vitals(second=SECOND + i) for i in range(1, 9))])
    store.put([alarm("a2"), alarm("a2", 1, "acknowledged"), alarm("a3"), alarm("a3", 1, "ended")])
    standing = Watcher(store.path, whole=False)
    rows = standing.rows()
    assert isinstance(rows[0], PatientInfo)
    assert [row.second for row in rows if isinstance(row, Vitals)] == [SECOND + 8]
    told = [(row.id, row.state) for row in rows if isinstance(row, AlarmEvent)]
    assert told == [("a1", "active"), ("a2", "acknowledged"), ("a3", "ended")]
    store.put([alarm("a1", 1, "ended")])
    assert [row.state for row in standing.rows() if isinstance(row, AlarmEvent)] == ["ended"]
    standing.close()


def test_one_that_is_far_behind_begins_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "FAR_BEHIND", 5)
    whole, standing = Watcher(store.path), Watcher(store.path, whole=False)
    standing.rows()
    store.put([vitals(second=SECOND + i) for i in range(20)])
    assert (len(whole.rows()), len(standing.rows())) == (20, 1)
    whole.close()
    standing.close()
