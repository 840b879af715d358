"""What Bytewax hands back from a snapshot: taken up, started anew with a warning, or refused with words."""

import pytest
from wire import Tape, birth_of

from dataflows.fold import Fold
from dataflows.logic import FoldLogic, ShardLogic, fold_builder
from dataflows.recovery import FlowError
from dataflows.shard import Shard

UNKNOWN = 99


def test_a_snapshot_is_a_version_and_bytes_and_is_taken_up_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    fold, shard = fold_builder(2)(None), ShardLogic(None)
    tape = Tape()
    tape.birth(birth_of("w", "p"))
    fold.on_batch(tape.records)
    for snapshot, version in ((fold.snapshot(), Fold.VERSION), (shard.snapshot(), Shard.VERSION)):
        assert snapshot[0] == version
        assert type(snapshot[1]) is bytes
    assert FoldLogic(2, fold.snapshot()).snapshot() == fold.snapshot()
    ShardLogic(shard.snapshot())
    assert caplog.text == ""


def test_a_snapshot_of_an_unknown_version_starts_anew_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    FoldLogic(2, (UNKNOWN, Fold(2).image()))
    ShardLogic((UNKNOWN, b"whatever it is"))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert all("does not fit and starts anew, settling" in line for line in said)


def test_a_registry_that_cannot_be_read_is_refused_with_words() -> None:
    with pytest.raises(FlowError, match="cannot be read"):
        FoldLogic(2, (UNKNOWN, b"\xff"))
