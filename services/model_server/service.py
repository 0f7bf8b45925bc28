"""The BentoML service: the one place that loads a model.

BentoML's supervisor imports this module too, only to start the worker: what is heavy is imported
by the worker when it makes the service.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import bentoml
import msgspec

from ml.errors import ModelContractError
from services.common import logs
from services.model_server import api
from services.model_server.settings import load

if TYPE_CHECKING:
    from ml.registry import LoadedModel


@bentoml.service(name="smile-forecaster", workers=1, threads=2, traffic={"timeout": 10},
                 logging={"access": {"enabled": False}})
class SmileForecaster:
    """Forecasts of the model that the alias points at."""

    def __init__(self) -> None:
        import torch

        from services.model_server.champion import Champion

        settings, uri = load()
        logs.set_up("model_server", settings.log_level)
        logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
        torch.set_num_threads(1)
        self._champion = Champion(settings.model_name, settings.model_alias, uri,
                                  settings.model_poll_seconds).start()

    @bentoml.api(output_spec=api.ForecastResponse)  # type: ignore[untyped-decorator]
    def forecast(self, request: api.ForecastRequest) -> Any:
        """Changes of the grid smile for a batch of windows."""
        return self._answer(lambda model: api.forecast(model, request))

    @bentoml.api  # type: ignore[untyped-decorator]
    def contract(self) -> dict[str, Any]:
        """What the model is trained for, and its version."""
        answer: dict[str, Any] = self._answer(lambda model: {
            **msgspec.to_builtins(model.contract), "model_version": model.version})
        return answer

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Follow the alias no longer."""
        self._champion.stop()

    def __is_alive__(self) -> bool:
        return self._champion.follows

    def __is_ready__(self) -> bool:
        return self._champion.model is not None

    def _answer(self, ask: "Callable[[LoadedModel], Any]") -> Any:
        """BentoML hides the text of an error behind a traceback in the log; a response it keeps."""
        model = self._champion.model
        if model is None:
            return api.refusal(503, "no model is loaded yet; the log says why")
        try:
            return ask(model)
        except ModelContractError as error:
            return api.refusal(400, str(error))
