"""The documents name what is there: every setting, and no metric that is not declared."""

import importlib
import re
from pathlib import Path

import msgspec
import pytest

from services.common import metrics, settings

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
MODULES = ["dashboard.settings", *(f"services.{file.parent.name}.settings"
                                   for file in sorted((ROOT / "services").glob("*/settings.py"))
                                   if file.parent.name != "common")]


@pytest.mark.parametrize("module", MODULES)
def test_every_setting_is_documented(module):
    kinds = [kind for kind in vars(importlib.import_module(module)).values()
             if isinstance(kind, type) and issubclass(kind, settings.Settings)]
    names = {f"SMILE_{field.name.upper()}" for kind in kinds
             for field in msgspec.structs.fields(kind)}

    assert {name for name in names if f"`{name}`" not in OPERATIONS} == set()


def test_every_metric_named_is_declared():
    declared = {value._name for value in vars(metrics).values() if hasattr(value, "_name")}
    named = {name.removesuffix("_total") for name in re.findall(r"`(smile_\w+)", OPERATIONS)}

    assert named <= declared


@pytest.mark.parametrize("page", [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md"],
                         ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_make_target_of_the_readme_is_there():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    named = re.findall(r"^make ([a-z]+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)

    assert set(named) <= set(targets)
    assert named
