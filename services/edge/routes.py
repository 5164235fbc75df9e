"""The edge's routes: which path goes to which cluster, hashed on what, for how long, retried or not."""

from __future__ import annotations

from typing import Any

from services.edge.settings import EdgeSettings

COMBAT = "/arenamesh.combat.v1.CombatService/"

STREAMS = ("Play", "Spectate", "GetReplay", "VerifyReplay")
ANY_WORKER = ("ListSessions", "GetPlayerStats")
SESSION_READS = ("GetSession", "GetState", "ListVerdicts", "GetVerdict", "GetSessionStats")

# RE2 here refuses large repetition counts, so the id's length is the service's to check.
SESSION_IN_PATH = r"^/api/v1/combat/sessions/([A-Za-z0-9_-]+)(?:[/?].*)?$"

Route = dict[str, Any]


def routes(settings: EdgeSettings) -> list[Route]:
    """In order of matching. REST calls match `/api/` first, then the gRPC path they became."""
    return [
        _combat(settings, {"path": f"{COMBAT}CreateSession"}, hash_policy=[_header("x-request-id")]),
        _combat(settings, _methods(ANY_WORKER), retried=True),
        _combat(settings, _methods(SESSION_READS), hash_policy=_by_session(), retried=True),
        _combat(settings, _methods(STREAMS), hash_policy=_by_session(), stream=True),
        _combat(settings, {"prefix": COMBAT}, hash_policy=_by_session()),
        # Until the transcoder has renamed the call or refused it. Not a direct response: those get no CORS.
        _combat(settings, {"prefix": "/api/"}),
        *(_admin(path) for path in ("/health", "/ready", "/metrics")),
        _without_transcoder(
            {"match": {"prefix": "/", "grpc": {}}, "direct_response": _not_found("no such service")}
        ),
        _page(settings),
    ]


def _methods(names: tuple[str, ...]) -> Route:
    return {"safe_regex": {"regex": f"{COMBAT}(?:{'|'.join(names)})".replace(".", r"\.")}}


def _combat(
    settings: EdgeSettings,
    match: Route,
    *,
    hash_policy: list[Route] | None = None,
    retried: bool = False,
    stream: bool = False,
) -> Route:
    # `timeout` would answer UNAVAILABLE, which callers retry; the stream duration answers DEADLINE_EXCEEDED.
    route: Route = {"cluster": "combat", "timeout": "0s"}
    if stream:
        route["idle_timeout"] = f"{settings.stream_idle_seconds}s"
    else:
        limit = f"{settings.unary_seconds}s"
        route["max_stream_duration"] = {"max_stream_duration": limit, "grpc_timeout_header_max": limit}
        route["idle_timeout"] = limit
    if hash_policy:
        route["hash_policy"] = hash_policy
    if retried:
        route["retry_policy"] = {
            "retry_on": "unavailable,reset-before-request,connect-failure,refused-stream",
            "num_retries": 2,
            "retry_host_predicate": [
                {
                    "name": "envoy.retry_host_predicates.previous_hosts",
                    "typed_config": {
                        "@type": _type("retry.host.previous_hosts.v3.PreviousHostsPredicate"),
                    },
                }
            ],
            "host_selection_retry_max_attempts": 8,
        }
    return {"match": match, "route": route}


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
