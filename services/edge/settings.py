"""Every limit of the edge, by name, with what happens above it."""

from __future__ import annotations

from dataclasses import dataclass, field

# Same origin for everything; the page draws on a canvas and speaks gRPC-Web to where it came from.
PAGE_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
# Pages served from this machine by another port, as a development server does.
DEVELOPMENT_ORIGINS = (r"^https?://(?:localhost|127\.0\.0\.1)(?::\d+)?$",)


@dataclass(frozen=True, kw_only=True)
class EdgeSettings:
    """What both renderings share.

    Attributes:
        cors_origins: regular expressions of origins that browsers may call from, besides the edge's own.
        access_log: a file, or `/dev/stdout`.
        max_connections: above it a new connection is closed.
        max_streams_per_connection: above it a client waits: open another connection.
        max_requests: open requests and streams to all combat workers; above it UNAVAILABLE.
        max_retries: calls and streams that are being tried again at one time; above it the caller gets the
            first answer.
        retries: of one call, each on another worker; then the caller gets the last answer.
        max_rest_body_bytes: of a REST body, held while it is translated; above it 413. The worker's own limit
            of a message is lower and answers 429.
        max_rest_reply_bytes: a larger REST reply gets 500.
        unary_seconds: an unary call without a shorter deadline ends then with DEADLINE_EXCEEDED.
        stream_idle_seconds: a stream without a message in either direction is reset after this.
        player_requests_per_second: of one player, with a burst of twice that; above it RESOURCE_EXHAUSTED.
        requests_per_second: of everybody, likewise.
    """

    address: str = "127.0.0.1"
    port: int = 8080
    admin_port: int = 9901
    access_log: str = "/dev/stdout"
    cors_origins: tuple[str, ...] = ()
    page_headers: dict[str, str] = field(default_factory=lambda: dict(PAGE_HEADERS))
    max_connections: int = 20_000
    max_streams_per_connection: int = 1_024
    max_requests: int = 20_000
    max_retries: int = 4_096
    retries: int = 3
    max_rest_body_bytes: int = 1 << 20
    max_rest_reply_bytes: int = 8 << 20
    unary_seconds: int = 10
    stream_idle_seconds: int = 300
    player_requests_per_second: int = 500
    requests_per_second: int = 20_000
