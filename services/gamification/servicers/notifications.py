"""NotificationService between the contract and the feed: only translation."""

from arenamesh.gamification.v1 import notification_service_pb2

from services.chassis.auth import principal
from services.chassis.method import Context
from services.gamification.access import user_of
from services.gamification.feed import Feed


class NotificationServicer:
    """Subscribe writes bytes itself; see the chassis."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    async def Subscribe(self, request: notification_service_pb2.SubscribeRequest, context: Context) -> None:
        caller = principal()
        after = request.after_sequence if request.HasField("after_sequence") else None
        await self._feed.serve(user_of(request.user_id, caller), after, context, caller)
