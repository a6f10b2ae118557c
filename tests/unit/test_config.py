"""Settings: their defaults, and which of them exclude each other."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from rebound.core import config
from rebound.core.config import Config
from rebound.core.exitstatus import StatusSet
from rebound.core.values import parse_statuses
from rebound.options import spelling_of


def test_the_defaults_are_the_documented_ones() -> None:
    """Each of them."""
    assert vars(Config()) == {}
    assert Config() == Config(
        restart="on-failure",
        max_restarts=0,
        max_restarts_window=None,
        restart_delay=0,
        burst=5,
        max_delay=60,
        reset_after=10,
        success=StatusSet(),
        no_restart=StatusSet(),
        own_group=False,
        signal_group=False,
        kill_group=False,
        rewrite=(),
        drain_signal=None,
        stop_timeout=None,
        parent_death_signal=None,
        verbosity="normal",
    )


@pytest.mark.parametrize("field", ["own_group", "signal_group", "kill_group"])
def test_each_group_option_gives_the_command_its_own_group(field: str) -> None:
    """-G and -k imply -g."""
    settings: dict[str, Any] = {field: True}
    assert Config(**settings).in_own_group
    assert not Config().in_own_group


def test_a_value_is_checked_however_it_is_given() -> None:
    """In order, too."""
    with pytest.raises(ValueError, match=r"^max_restarts must be .+, not '3'$"):
        Config("always", "3")  # type: ignore[arg-type]


EXCLUSIVE: list[tuple[dict[str, Any], str]] = [
    ({"force_restart": "3,4,TERM", "no_restart": "4,TERM,3"}, "no_restart both have 3, 4, SIGTERM"),
    ({"force_restart": "TERM", "success": "0,TERM"}, "success both have SIGTERM"),
    ({"force_restart": "143", "success": "TERM"}, ""),
    ({"force_restart": "TERM", "no_restart": "143"}, ""),
    ({"no_restart": "3", "success": "3"}, ""),
]


@pytest.mark.parametrize(("lists", "conflict"), EXCLUSIVE)
def test_lists_that_overlap_are_refused(lists: dict[str, str], conflict: str) -> None:
    """A name and a number do not: the name is more special."""
    settings: dict[str, Any] = {field: parse_statuses(text) for field, text in lists.items()}
    text = f"force_restart and {conflict}" if conflict else ""
    assert config.conflict_in(settings) == text
    if text:
        with pytest.raises(ValueError, match=f"^{text}$"):
            Config(**settings)
    else:
        Config(**settings)


def test_there_is_one_kind_of_health_check() -> None:
    """And any of the three is one."""
    checks: dict[str, Any] = {
        "health_command": "true",
        "health_http": "http://[::1]",
        "health_tcp": "[::1]:80",
    }
    assert all(Config(**{field: value}).checks_health for field, value in checks.items())
    assert not Config().checks_health
    with pytest.raises(ValueError, match=r"^health_command and health_http and health_tcp exclude"):
        Config(**checks)
    text = "--health-cmd and --health-tcp exclude each other"
    checks.pop("health_http")
    assert config.conflict_in(checks, spelling_of) == text


def test_the_defaults_are_allowed() -> None:
    """They are not checked when a Config is made; nor is any field without its rule."""
    given = {name: getattr(Config, name) for name in Config._fields}
    assert Config(**given) == Config()


def test_an_unknown_field_is_refused() -> None:
    """With all that there are, among them the one that was meant."""
    with pytest.raises(TypeError, match=r"^Config has no field 'max_restart' \(.* max_restarts,"):
        Config(max_restart=3)  # type: ignore[call-arg]


def test_each_field_is_documented() -> None:
    """With its type and default, in order, and with a meaning; `help` shows it."""
    text = inspect.getdoc(Config) or ""
    documented = re.findall(r"^(\w+): (.+) = (.+)\n    \S", text, re.MULTILINE)
    assert documented == [
        (name, kind, repr(getattr(Config, name))) for name, kind in Config.__annotations__.items()
    ]
    times = [name for name, kind in Config.__annotations__.items() if "float" in kind]
    assert re.findall(r"^(\w+): .+\n    Seconds\b", text, re.MULTILINE) == times


def test_the_signature_is_the_fields() -> None:
    """As `help` and editors show it."""
    signature = inspect.signature(Config)
    assert [*signature.parameters] == [*Config._fields]
    assert signature.bind(max_restarts=3).arguments == {"max_restarts": 3}
    assert all(
        parameter.default == getattr(Config, name)
        for name, parameter in signature.parameters.items()
    )
