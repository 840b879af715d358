"""The topic tree: what each topic means, and what is none of ours."""

import pytest
from hypothesis import given
from strategies import names

from ingest.packet import BadPacket
from ingest.topics import SUBSCRIPTIONS, Topic, bundle_topic, command_topic, parse_topic, topic_of


@given(names, names)
def test_topics_that_are_made_are_taken_apart_again(site: str, name: str) -> None:
    assert parse_topic(command_topic(site, name)) == Topic(site, name, "command")
    assert parse_topic(bundle_topic(site, name)) == Topic(site, name, "bundle")
    if name not in ("ward", "gateway"):
        assert parse_topic(topic_of(site, name, "birth")) == Topic(site, name, "birth")
        assert parse_topic(topic_of(site, name, "status")) == Topic(site, name, "status")
        assert parse_topic(topic_of(site, name, "data")) == Topic(site, name, "data")
        assert parse_topic(topic_of(site, name, "truth")) == Topic(site, name, "truth")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "femtoward",
        "femtoward/v1/s/d",
        "femtoward/v2/s/d/data",
        "femtoward/v1/s/d/data/more",
        "femtoward/v1/s/d/data\n",
        "femtoward/v1/s//data",
        "femtoward/v1/s/d e/data",
        "femtoward/v1/s/ward/data",
        "femtoward/v1/s/gateway/data",
        "femtoward/v1/s/" + "d" * 65 + "/data",
        "femtoward/v1/s/ward/cmd/",
        "$SYS/broker/uptime",
    ],
)
def test_a_topic_that_is_none_of_ours_is_refused_and_told_what_ours_are(topic: str) -> None:
    bad = parse_topic(topic)
    assert isinstance(bad, BadPacket)
    assert bad.reason == "unknown-topic"
    assert "femtoward/v1/SITE/DEVICE/(birth|status|data)" in bad.detail


def test_truth_is_never_subscribed_to() -> None:
    assert not any(topic.endswith(("truth", "#")) for topic in SUBSCRIPTIONS)
