"""The BentoML service: the one place that loads a model.

BentoML's supervisor imports this module too, only to start the worker: what is heavy is imported
by the worker when it makes the service.
"""

import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import bentoml
import msgspec

from ml.errors import ModelContractError
from services.common import logs
from services.common.forecast_wire import Unreadable
from services.model_server import api, binary
from services.model_server.settings import load

if TYPE_CHECKING:
    from services.model_server.models import Pair

SWITCH_S = 5e-4
"""How long a thread that loads a model may keep one that answers waiting, each time it asks."""


@bentoml.asgi_app(binary.app, path=binary.MOUNT)
# Nobody collects traces, and making them takes longer than the rest of a request's way in.
@bentoml.service(name="smile-forecaster", workers=1, threads=2, traffic={"timeout": 10},
                 logging={"access": {"enabled": False}}, tracing={"excluded_urls": ".*"})
class SmileForecaster:
    """Forecasts of the model that the alias points at, and of its challenger."""

    def __init__(self) -> None:
        import torch

        from services.model_server.models import Models

        settings, uri = load()
        logs.set_up("model_server", settings.log_level)
        logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
        torch.set_num_threads(1)
        sys.setswitchinterval(SWITCH_S)
        self._models = Models(settings.model_name, settings.model_alias, uri,
                              settings.model_poll_seconds,
                              settings.model_shadow_seconds).start()

    @bentoml.api(output_spec=api.ForecastResponse)  # type: ignore[untyped-decorator]
    def forecast(self, request: api.ForecastRequest) -> Any:
        """Changes of the grid smile for a batch of windows."""
        return self.answer(lambda pair: api.forecast(pair, request))

    @bentoml.api  # type: ignore[untyped-decorator]
    def contract(self) -> dict[str, Any]:
        """What the champion is trained for, its version, and the shadow's."""
        answer: dict[str, Any] = self.answer(lambda pair: {
            **msgspec.to_builtins(pair.champion.contract),
            "model_version": pair.champion.version,
            "shadow_version": None if pair.shadow is None else pair.shadow.version})
        return answer

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Follow the aliases no longer."""
        self._models.stop()

    def answer(self, ask: "Callable[[Pair], Any]") -> Any:
        """What `ask` makes of the models, or a refusal.

        BentoML hides the text of an error behind a traceback in the log; a response it keeps.
        """
        from services.model_server.models import NoForecast

        pair = self._models.pair
        if pair is None:
            return api.refusal(503, "no model is loaded yet; the log says why")
        try:
            return ask(pair)
        except (ModelContractError, Unreadable) as error:
            return api.refusal(400, str(error))
        except NoForecast as error:
            return api.refusal(500, str(error))

    def __is_alive__(self) -> bool:
        return self._models.follows

    def __is_ready__(self) -> bool:
        return self._models.pair is not None
