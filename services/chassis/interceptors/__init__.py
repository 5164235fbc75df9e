"""What happens around every RPC, outermost first. This list is the order.

An interceptor is a plain function `(method, behaviour) -> behaviour`, applied once at start-up, so it
costs a call only what it does. One form serves unary and streaming methods because every behaviour is
a coroutine: streams read and write through the context.
"""

from collections.abc import Mapping, Sequence

from services.chassis.auth import Verifier
from services.chassis.interceptors.auth import auth
from services.chassis.interceptors.codec import codec
from services.chassis.interceptors.deadline import deadline
from services.chassis.interceptors.errors import errors
from services.chassis.interceptors.metrics import metrics
from services.chassis.method import Behaviour, Interceptor, Method
from services.chassis.metrics import ServiceMetrics
from services.chassis.settings import Settings


def standard(
    settings: Settings,
    *,
    error_domain: str,
    service_metrics: ServiceMetrics,
    longer_s: Mapping[str, float] | None = None,
) -> tuple[Interceptor, ...]:
    """The interceptors of every service, outermost first. `longer_s`: limits of single unary methods."""
    return (
        errors(error_domain),
        metrics(service_metrics),
        auth(Verifier(settings.jwt_secret.get_secret_value())),
        deadline(settings.request_timeout_s, longer_s or {}),
        codec,
    )


def wrap(method: Method, behaviour: Behaviour, interceptors: Sequence[Interceptor]) -> Behaviour:
    """`behaviour` inside all `interceptors`, the first one outermost."""
    for interceptor in reversed(interceptors):
        behaviour = interceptor(method, behaviour)
    return behaviour
