"""What a fresh Debian gets of this machine's way to the packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.distros import MOST_LINES, furnish, pip_variables, taken_along, unlike_the_picture

RIGHT = """rebound: starting control-plane
rebound: child (pid 2) killed by signal 11 (SIGSEGV), restarting (1)
the database still runs
rebound: asking adopted processes to stop
shut down clean
"""


def test_settings_of_pip_become_variables() -> None:
    """In the order of pip: an environment variable counts before a file."""
    settings = [
        ":env:.find-links='/from/environment'",
        "global.constraint='/x/constraints.txt'",
        "global.find-links='/from/file'",
        "global.timeout='60'",
        "install.timeout='90'",
        "download.timeout='120'",
        "",
    ]
    assert pip_variables(settings) == {
        "PIP_CONSTRAINT": "/x/constraints.txt",
        "PIP_FIND_LINKS": "/from/environment",
        "PIP_TIMEOUT": "90",
    }


def test_values_of_settings_are_as_python_writes_them() -> None:
    settings = [r"global.extra-index-url='\nfile:///a\nfile:///b'", 'global.cert="/it\'s/a=b"']
    assert pip_variables(settings) == {
        "PIP_EXTRA_INDEX_URL": "\nfile:///a\nfile:///b",
        "PIP_CERT": "/it's/a=b",
    }


def test_what_the_configuration_names_is_taken_along() -> None:
    variables = {
        "PIP_CONSTRAINT": "/x/constraints.txt https://example.org/constraints.txt",
        "PIP_BUILD_CONSTRAINT": "/x/build.txt",
        "PIP_REQUIREMENT": "file:///x/a%20blank.txt",
        "PIP_CERT": "/certificates/with a blank.pem",
        "PIP_CLIENT_CERT": "/certificates/client.pem",
        "SSL_CERT_FILE": "/certificates/ssl.pem",
        "PIP_FIND_LINKS": "/wheels file:///more/wheels https://example.org/wheels relative",
        "PIP_TIMEOUT": "60",
    }
    assert taken_along(variables) == [
        "/certificates/client.pem",
        "/certificates/ssl.pem",
        "/certificates/with a blank.pem",
        "/more/wheels",
        "/wheels",
        "/x/a blank.txt",
        "/x/build.txt",
        "/x/constraints.txt",
    ]
    assert taken_along({}) == []


def test_what_a_local_index_links_to_is_taken_along() -> None:
    variables = {
        "PIP_INDEX_URL": "https://example.org/simple",
        "PIP_EXTRA_INDEX_URL": "\nfile:///a/simple\nfile:///b/simple/\nfile:///simple",
    }
    assert taken_along(variables) == ["/a", "/b"]


def test_files_are_copied_and_directories_mounted(tmp_path: Path) -> None:
    here, root = tmp_path / "here", tmp_path / "root"
    (here / "wheels/inner").mkdir(parents=True)
    (here / "constraints.txt").write_text("pytest<99\n")
    (here / "wheels/inner/constraints.txt").write_text("pytest<98\n")
    variables = {
        "PIP_CONSTRAINT": f"{here}/constraints.txt {here}/wheels/inner/constraints.txt",
        "PIP_FIND_LINKS": f"{here}/wheels {here}/missing /etc",
    }
    (root / "etc").mkdir(parents=True)  # the machine's own is not hidden
    assert furnish(root, variables) == [f"{here}/wheels"]
    assert (root / f"{here}/constraints.txt".lstrip("/")).read_text() == "pytest<99\n"
    assert (root / f"{here}/wheels".lstrip("/")).is_dir()
    assert not (root / f"{here}/missing".lstrip("/")).exists()
    assert (root / "root/rebound/pyproject.toml").exists()


@pytest.mark.parametrize(
    ("output", "wrong"),
    [
        (RIGHT, ""),
        ("warning\n" * MOST_LINES + RIGHT, ""),
        ("warning\n" * (MOST_LINES + 1) + RIGHT, "21 lines"),
        ("E: no such package\n", "did not start"),
        (RIGHT.replace("shut down clean", "killed"), "shut down clean"),
    ],
)
def test_the_first_command_shows_what_the_picture_does(output: str, wrong: str) -> None:
    said = unlike_the_picture(output)
    assert wrong in said
    assert bool(said) == bool(wrong)
