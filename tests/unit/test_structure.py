"""Imports go one way: ml knows no service, services not each other, the dashboard no Kafka."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAGES = sorted(folder.name for folder in (ROOT / "services").iterdir()
                if folder.is_dir() and folder.name not in ("common", "__pycache__"))


def imports(folder):
    """(file, module) for every import in a folder, wherever in the file it stands."""
    for file in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((file.relative_to(ROOT), alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((file.relative_to(ROOT), f"{node.module}.{alias.name}")
                            for alias in node.names)


def breaches(folder, *forbidden):
    return [(str(file), module) for file, module in imports(folder)
            if any(module == name or module.startswith(name + ".") for name in forbidden)]


def test_ml_imports_no_service():
    assert breaches("ml", "services", "dashboard", "local", "confluent_kafka") == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_no_other_stage(stage):
    others = [f"services.{other}" for other in STAGES if other != stage]

    assert breaches(f"services/{stage}", *others, "dashboard", "local") == []


def test_common_imports_no_stage():
    assert breaches("services/common", *(f"services.{stage}" for stage in STAGES)) == []


def test_dashboard_imports_neither_kafka_nor_torch():
    assert breaches("dashboard", "confluent_kafka", "torch", "mlflow", "services.common.produce",
                    "services.common.consume") == []


def test_torch_is_loaded_by_the_model_server_and_the_trainer_only():
    torch = {file.parts[1] for file, module in imports("services") if module.startswith("torch")}

    assert torch <= {"model_server"}


def test_only_the_ibkr_folder_knows_ib_insync():
    knowing = [str(file) for file, module in imports("services")
               if module.split(".")[0] in ("ib_insync", "ib_async", "ibapi")]

    assert all(file.startswith("services/ingest/ibkr/") for file in knowing)
