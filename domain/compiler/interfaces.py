"""Interfaces: what each kind of node takes and gives (ref §3.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LaunchPlanInterface:
    """A launch plan as its callers see it; fixed inputs are not among the inputs.

    `inputs` is a core.ParameterMap, `outputs` a core.VariableMap, as an
    admin.LaunchPlanClosure holds them (expected_inputs, expected_outputs).
    """

    inputs: Any
    outputs: Any
