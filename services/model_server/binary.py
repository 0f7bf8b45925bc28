"""The fast way in: windows and changes as raw numbers, see `services.common.forecast_wire`."""

from typing import TYPE_CHECKING, Protocol

import bentoml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ml.types import Floats
from services.common import forecast_wire as wire
from services.common.messages import Role
from services.model_server.api import checked

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml.registry import LoadedModel
    from services.model_server.models import Pair

MOUNT, _, ROUTE = wire.PATH.rpartition("/")


class Answering(Protocol):
    """The service that the app is mounted on."""

    def answer(self, ask: "Callable[[Pair], Response]") -> Response:
        """What `ask` makes of the models, or a refusal."""


async def forecast(request: Request) -> Response:
    """The answer to a request on the wire.

    On the event loop itself: handing it to another thread takes as long as the network does.
    """
    service: Answering = bentoml.get_current_service()
    body = await request.body()
    return service.answer(lambda pair: Response(answer(pair, body), media_type=wire.MEDIA_TYPE))


def answer(pair: "Pair", body: bytes) -> bytes:
    """The models' answer to a request's bytes.

    Raises:
        Unreadable: it is no request.
        ModelContractError: step, grid, features or the windows' shape are not the model's.
        NoForecast: the champion's answer is not finite.
    """
    request = wire.decode(body, wire.Request)
    contract = pair.champion.contract
    contract.check(request.step_s, request.grid_z, request.feature_names)
    windows = checked(wire.unpack(request.windows, 3), contract)
    changes = pair.changes(windows)
    return wire.encode(wire.Answer(champion=_said(pair.champion, changes, "champion"),
                                   shadow=_shadow(pair, windows)))


def _shadow(pair: "Pair", windows: Floats) -> wire.Said | None:
    changes = pair.shadow_changes(windows)
    if pair.shadow is None or changes is None:
        return None
    return _said(pair.shadow, changes, "shadow")


def _said(model: "LoadedModel", changes: Floats, role: Role) -> wire.Said:
    contract = model.contract
    return wire.Said(
        model_name=contract.name, model_version=model.version, role=role,
        horizons_s=contract.horizons_s, quantiles=contract.quantiles,
        change=wire.pack(changes))


app = Starlette(routes=[Route(f"/{ROUTE}", forecast, methods=["POST"])])
