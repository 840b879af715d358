"""Tokens of the HTTP API: made by command, taken back by hand, looked at by the doctor."""

from pathlib import Path

import pytest
from commandline import Run, refused
from servers import free_port

from deploy.api.tokens import Keyring, make
from deploy.grounds import grounds
from deploy.problem import UserError
from deploy.settings import parse_settings, read_settings
from deploy.wiring import api_options


def test_a_token_is_taken_back_at_once_and_a_file_in_the_making_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    (one, first), (two, second) = make("one", "view"), make("two", "admin")
    file.write_text(first + second)
    keyring = Keyring("", str(file))
    assert keyring.whose(one) is not None
    assert one.removeprefix("fwd_") not in file.read_text()
    file.write_text("[[token]")
    assert keyring.whose(one) is not None
    file.write_text(second + "\n\n")
    assert (keyring.whose(one), keyring.whose(two) is not None) == (None, True)
    with pytest.raises(UserError, match="is no name of a token"):
        make("a b", "view")
    file.write_text(first + first)
    with pytest.raises(UserError, match="are not all different"):
        Keyring("", str(file))
    with pytest.raises(ValueError, match="`femtoward token NAME` makes one"):
        Keyring("", str(tmp_path / "none"))


@pytest.mark.parametrize("how", ["emptied", "deleted"])
def test_an_empty_or_deleted_file_lets_nobody_in(tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "tokens.toml"
    text, entry = make("one", "admin")
    file.write_text(entry)
    keyring = Keyring("", str(file))
    assert keyring.whose(text) is not None
    if how == "emptied":
        file.write_text("\n")
    else:
        file.unlink()
    assert keyring.whose(text) is keyring.whose(text) is None
    assert caplog.text.count("no token of the API is good") == 1
    file.write_text(entry)
    assert keyring.whose(text) is not None


def test_a_malformed_file_lets_the_tokens_before_it_in_for_ten_seconds(tmp_path: Path) -> None:
    file, now_s = tmp_path / "tokens.toml", [0.0]
    text, entry = make("one", "admin")
    file.write_text(entry)
    keyring = Keyring("", str(file), lambda: now_s[0])
    for malformed, at_s, is_in in (("[[token]", 5.0, True), ("[[tok", 14.9, True), ("[[", 15.0, False)):
        file.write_text(malformed)
        now_s[0] = at_s
        assert (keyring.whose(text) is not None) is is_in
    file.write_text(entry)
    assert keyring.whose(text) is not None
    file.write_text("[[token]")
    assert keyring.whose(text) is not None


def test_a_token_is_shown_once_and_its_hash_kept_where_the_settings_say(femtoward: Run, tmp_path: Path) -> None:
    config = tmp_path / "ward.toml"
    config.write_text(f'[api]\nport = {free_port()}\ntokens_file = "tokens.toml"\n')
    for name, role in (("nurses", "acknowledge"), ("wall", "view")):
        made = femtoward("token", name, "--role", role, "--config", config)
        assert made.status == 0
        assert role in made.err
        token = Keyring("", str(tmp_path / "tokens.toml")).whose(made.out.strip())
        assert token is not None
        assert (token.name, token.role) == (name, role)
    refused(femtoward("token", "wall", "--config", config), "has a token 'wall'", "choose another name")
    assert (tmp_path / "tokens.toml").stat().st_mode & 0o027 == 0
    [said] = [one for one in grounds(read_settings(config)) if one.name == "api"]
    assert said.verdict == "ok"
    assert "2 tokens" in said.said
    elsewhere = femtoward("token", "wall")
    assert "[[token]]" in elsewhere.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "name the file of tokens with tokens_file"),
        ('tokens_file = "a"\ntokens_env = "B"', "name the file of tokens with tokens_file"),
        ('tokens_file = "a"\nport = 9465', "api.port = 9465 is a health port, too"),
        ('tokens_file = "a"\nport = 8080\n[page]', "api.port = 8080 is that of the page, too"),
        ('tokens_file = "a"\nport = 0', "api.port = 0: expected `int` >= 1"),
    ],
)
def test_settings_that_open_no_door_or_a_taken_one_are_refused(text: str, said: str) -> None:
    with pytest.raises(UserError) as refusal:
        parse_settings(f"[api]\n{text}\n")
    assert said in str(refusal.value)


def test_the_doctor_says_what_is_wrong_with_the_api(tmp_path: Path) -> None:
    file, port = tmp_path / "tokens.toml", free_port()

    def said(more: str = "") -> tuple[str, str]:
        settings = parse_settings(f'[api]\nport = {port}\ntokens_file = "{file}"\n{more}')
        [found] = [one for one in grounds(settings) if one.name == "api"]
        return found.verdict, found.said

    assert said() == ("problem", said()[1])
    assert "`femtoward token NAME` makes one" in said()[1]
    file.write_text("# nobody yet\n")
    assert "lets nobody in" in said()[1]
    file.write_text(make("one", "view")[1])
    assert said('host = "0.0.0.0"') == ("warning", said('host = "0.0.0.0"')[1])
    assert "in the clear" in said('host = "0.0.0.0"')[1]
    assert said('[links]\nurl = "http://x/"')[0] == "ok"
    file.chmod(0o666)
    assert "others may write" in said()[1]
    assert api_options(parse_settings("")) is None
