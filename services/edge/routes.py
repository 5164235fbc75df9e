"""The edge's routes: which path goes to which cluster, hashed on what, for how long, retried or not."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from services.edge.backends import ANYWHERE, COMBAT, Backend, grpc_path, is_read, is_signed, is_stream, roots
from services.edge.settings import EdgeSettings

# Of combat, whose sessions have an owner.
STREAMS = ("Play", "Spectate")
ANY_WORKER = ("ListSessions", "GetPlayerStats")
# Read the committed journal, which every worker can; they take as long as they take.
REPLAYS = ("GetReplay", "VerifyReplay")
SESSION_READS = ("GetSession", "GetState", "ListVerdicts", "GetVerdict", "GetSessionStats")

# Set by a worker on an answer that asserts: nothing was executed here, another worker may.
RETRY_ELSEWHERE = "x-retry-elsewhere"
# Nothing reached a worker, or it says that nothing came of it: safe for every call, a stream's opening too.
NOT_EXECUTED = "connect-failure,refused-stream,reset-before-request,retriable-headers"
# A read may be repeated whatever became of it.
REPEATABLE = f"unavailable,reset,{NOT_EXECUTED}"

# RE2 here refuses large repetition counts, so the id's length is the service's to check.
SESSION_IN_PATH = r"^/api/v1/combat/sessions/([A-Za-z0-9_-]+)(?:[/?].*)?$"

Route = dict[str, Any]


def routes(settings: EdgeSettings) -> list[Route]:
    """In order of matching. REST calls match their own path first, then the gRPC path they became."""
    return [
        *_combat(settings),
        *(route for backend in ANYWHERE for route in _anywhere(settings, backend)),
        # Until the transcoder has renamed the call or refused it. Not a direct response: those get no CORS.
        *(_route(settings, COMBAT, under(root)) for root in roots()),
        *(_admin(path) for path in ("/health", "/healthz", "/ready", "/metrics")),
        _without_transcoder(
            {"match": {"prefix": "/", "grpc": {}}, "direct_response": _not_found("no such service")}
        ),
        _page(settings),
    ]


def under(root: str) -> Route:
    """What matches the paths of a root."""
    return {"prefix" if root.endswith("/") else "path": root}


def _combat(settings: EdgeSettings) -> list[Route]:
    (contract,) = COMBAT.contracts

    def calls(*names: str, **how: Any) -> list[Route]:
        return [_call(settings, COMBAT, contract.methods_by_name[name], **how) for name in names]

    return [
        *calls("CreateSession", hash_policy=[_header("x-request-id")]),
        *calls(*ANY_WORKER, retry_on=REPEATABLE),
        *calls(*REPLAYS, retry_on=REPEATABLE, stream=True),
        *calls(*SESSION_READS, hash_policy=_by_session(), retry_on=REPEATABLE),
        *calls(*STREAMS, hash_policy=_by_session(), stream=True),
        _route(settings, COMBAT, _any_of(contract), hash_policy=_by_session()),
    ]


def _anywhere(settings: EdgeSettings, backend: Backend) -> list[Route]:
    """Reads may be repeated, streams have no limit of time; every other call is the last route's."""
    special = [
        _call(
            settings,
            backend,
            method,
            retry_on=REPEATABLE if is_read(method) else NOT_EXECUTED,
            stream=is_stream(method),
        )
        for method in backend.methods
        if is_read(method) or is_stream(method) or is_signed(method)
    ]
    return [*special, *(_route(settings, backend, _any_of(contract)) for contract in backend.contracts)]


def _call(settings: EdgeSettings, backend: Backend, method: MethodDescriptor, **how: Any) -> Route:
    # A path for each: one regular expression for many names is soon over Envoy's limit of its size.
    route = _route(settings, backend, {"path": grpc_path(method)}, **how)
    if is_signed(method):
        signed = {"@type": _type("filters.http.lua.v3.LuaPerRoute"), "name": "signed"}
        route["typed_per_filter_config"] = {"envoy.filters.http.lua": signed}
    return route


def _any_of(contract: ServiceDescriptor) -> Route:
    return {"prefix": f"/{contract.full_name}/"}


def _route(
    settings: EdgeSettings,
    backend: Backend,
    match: Route,
    *,
    hash_policy: list[Route] | None = None,
    retry_on: str = NOT_EXECUTED,
    stream: bool = False,
) -> Route:
    # `timeout` would answer UNAVAILABLE, which callers retry; the stream duration answers DEADLINE_EXCEEDED.
    route: Route = {"cluster": backend.cluster, "timeout": "0s"}
    if stream:
        route["idle_timeout"] = f"{settings.stream_idle_seconds}s"
    else:
        limit = f"{settings.unary_seconds}s"
        route["max_stream_duration"] = {"max_stream_duration": limit, "grpc_timeout_header_max": limit}
        route["idle_timeout"] = limit
    if hash_policy:
        route["hash_policy"] = hash_policy
    route["retry_policy"] = _retries(settings, retry_on)
    return {"match": match, "route": route}


def _retries(settings: EdgeSettings, retry_on: str) -> Route:
    """On a worker that has not been tried. A second wait is short: the first one told what is the matter."""
    return {
        "retry_on": retry_on,
        "retriable_headers": [{"name": RETRY_ELSEWHERE, "string_match": {"exact": "1"}}],
        "num_retries": settings.retries,
        "retry_back_off": {"base_interval": "0.01s", "max_interval": "0.1s"},
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {"@type": _type("retry.host.previous_hosts.v3.PreviousHostsPredicate")},
            }
        ],
        # Each attempt draws from the table anew; of two workers, half of the draws are the one that failed.
        "host_selection_retry_max_attempts": 16,
    }


def _by_session() -> list[Route]:
    """The URL is authoritative for REST: a forged `x-session-id` beside it changes nothing."""
    path = _header("x-envoy-original-path")
    path["header"]["regex_rewrite"] = {
        "pattern": {"regex": SESSION_IN_PATH},
        "substitution": r"\1",
    }
    return [path, _header("x-session-id")]


def _header(name: str) -> Route:
    return {"header": {"header_name": name}, "terminal": True}


def _admin(path: str) -> Route:
    return _without_transcoder(
        {"match": {"path": path}, "route": {"cluster": "combat_admin", "timeout": "5s"}}
    )


def _page(settings: EdgeSettings) -> Route:
    page = _without_transcoder({"match": {"prefix": "/"}, "route": {"cluster": "web", "timeout": "30s"}})
    page["response_headers_to_add"] = [
        {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        for key, value in settings.page_headers.items()
    ]
    return page


def _without_transcoder(route: Route) -> Route:
    # It rejects every path it does not know.
    route["typed_per_filter_config"] = {
        "envoy.filters.http.grpc_json_transcoder": {
            "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
            "disabled": True,
        }
    }
    return route


def _not_found(message: str) -> Route:
    return {"status": 404, "body": {"inline_string": message}}


def _type(name: str) -> str:
    return f"type.googleapis.com/envoy.extensions.{name}"
