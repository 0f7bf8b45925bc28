"""What goes over HTTP: requests checked against the model's contract, and answers."""

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from ml.errors import ModelContractError
from ml.types import Floats

if TYPE_CHECKING:
    from ml.registry import LoadedModel  # brings torch, which BentoML's supervisor needs not

Finite = Annotated[float, Field(allow_inf_nan=False)]


class ForecastRequest(BaseModel):
    """Windows of one batch, with what the caller thinks the model is trained on."""

    step_s: Finite
    grid_z: list[Finite]
    feature_names: list[str]
    windows: list[list[list[Finite]]]
    """(B, W, F), finite."""


class ForecastResponse(BaseModel):
    """The change of each grid smile against its filtered smile, by horizon and quantile."""

    model_name: str
    model_version: str
    role: str = "champion"
    horizons_s: list[int]
    quantiles: list[float]
    change: list[list[list[list[float]]]]
    """(B, H, Q, 17) in volatility."""


def forecast(model: "LoadedModel", request: ForecastRequest) -> ForecastResponse:
    """The model's answer.

    Raises:
        ModelContractError: step, grid, features or the windows' shape are not the model's.
    """
    contract = model.contract
    contract.check(request.step_s, request.grid_z, request.feature_names)
    windows = _windows(request.windows, (contract.window, len(contract.feature_names)))
    return ForecastResponse(
        model_name=contract.name, model_version=model.version,
        horizons_s=list(contract.horizons_s), quantiles=list(contract.quantiles),
        change=model.predict(windows).tolist())


def _windows(given: list[list[list[float]]], shape: tuple[int, int]) -> Floats:
    rows, columns = shape
    ragged = any(len(window) != rows or any(len(row) != columns for row in window)
                 for window in given)
    if ragged or not given:
        raise ModelContractError(f"`windows` must be one or more windows of {rows} rows of "
                                 f"{columns} numbers")
    return np.array(given, dtype=np.float64)


def refusal(status: int, sentence: str) -> JSONResponse:
    """An error as BentoML words its own."""
    return JSONResponse({"error": sentence}, status_code=status)
