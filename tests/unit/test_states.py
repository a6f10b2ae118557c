"""The states, by the names that `--status` shows."""

from __future__ import annotations

import ast
import inspect

from rebound.core import states


def test_each_state_is_its_name_and_one_of_the_type() -> None:
    constants = {name: value for name, value in vars(states).items() if name.isupper()}
    del constants["TYPE_CHECKING"]
    assert all(name == value for name, value in constants.items())
    [literal] = [
        node.value
        for node in ast.walk(ast.parse(inspect.getsource(states)))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "State"
    ]
    assert isinstance(literal, ast.Subscript)
    assert set(ast.literal_eval(literal.slice)) == set(constants)
