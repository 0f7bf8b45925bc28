"""What goes over HTTP as JSON: requests checked against the model's contract, and answers."""

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from ml.contract import ModelContract
from ml.errors import ModelContractError
from ml.types import Floats
from services.common.messages import Role

if TYPE_CHECKING:  # they bring torch, which BentoML's supervisor needs not
    from ml.registry import LoadedModel
    from services.model_server.models import Pair

Finite = Annotated[float, Field(allow_inf_nan=False)]


class ForecastRequest(BaseModel):
    """Windows of one batch, with what the caller thinks the model is trained on."""

    step_s: Finite
    grid_z: list[Finite]
    feature_names: list[str]
    windows: list[list[list[Finite]]]
    """(B, W, F), finite."""


class ModelForecast(BaseModel):
    """The change of each grid smile against its filtered smile, by horizon and quantile."""

    model_name: str
    model_version: str
    role: Role
    horizons_s: list[int]
    quantiles: list[float]
    change: list[list[list[list[float]]]]
    """(B, H, Q, 17) in volatility."""


class ForecastResponse(ModelForecast):
    """The champion's forecast, and beside it the challenger's where there is one."""

    shadow: ModelForecast | None = None


def forecast(pair: "Pair", request: ForecastRequest) -> ForecastResponse:
    """The models' answer.

    Raises:
        ModelContractError: step, grid, features or the windows' shape are not the model's.
        NoForecast: the champion's answer is not finite.
    """
    contract = pair.champion.contract
    contract.check(request.step_s, request.grid_z, request.feature_names)
    windows = _windows(request.windows, contract)
    changes = pair.changes(windows)
    return ForecastResponse(**_said(pair.champion, changes, "champion"),
                            shadow=_shadow(pair, windows))


def _shadow(pair: "Pair", windows: Floats) -> ModelForecast | None:
    changes = pair.shadow_changes(windows)
    if pair.shadow is None or changes is None:
        return None
    return ModelForecast(**_said(pair.shadow, changes, "shadow"))


def _said(model: "LoadedModel", changes: Floats, role: Role) -> dict[str, Any]:
    contract = model.contract
    return {"model_name": contract.name, "model_version": model.version, "role": role,
            "horizons_s": list(contract.horizons_s), "quantiles": list(contract.quantiles),
            "change": changes.tolist()}


def _windows(given: list[list[list[float]]], contract: ModelContract) -> Floats:
    rows, columns = shape = contract.window, len(contract.feature_names)
    if any(len(window) != rows or any(len(row) != columns for row in window)
           for window in given):
        raise unlike(shape)
    return checked(np.array(given, dtype=np.float64), contract)


def checked(windows: Floats, contract: ModelContract) -> Floats:
    """The windows, if they are one or more of the contract's shape.

    Raises:
        ModelContractError: they are not.
    """
    shape = contract.window, len(contract.feature_names)
    if not len(windows) or windows.shape[1:] != shape:
        raise unlike(shape)
    return windows


def unlike(shape: tuple[int, int]) -> ModelContractError:
    """What is said of windows of another shape."""
    return ModelContractError(f"`windows` must be one or more windows of {shape[0]} rows of "
                              f"{shape[1]} numbers")


def refusal(status: int, sentence: str) -> JSONResponse:
    """An error as BentoML words its own."""
    return JSONResponse({"error": sentence}, status_code=status)
