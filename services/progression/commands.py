"""What callers change, as commands of the ledger."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.chassis.auth import Principal
from services.chassis.idempotency import IdempotencyKey
from services.chassis.write_through import WriteThrough
from services.progression.access import check_version, permitted
from services.progression.domain.award import Award, award
from services.progression.domain.character import Character, applied
from services.progression.domain.definition import Definition, Definitions
from services.progression.domain.events import Event
from services.progression.ledger import Command, Decide, Ledger, Recorded


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for a change, and on what terms. `expected_version` None: whatever it is."""

    caller: Principal
    key: IdempotencyKey | None
    expected_version: int | None = None

    @property
    def actor(self) -> str:
        return f"{self.caller.role.value}:{self.caller.subject}"


class Commands:
    """Every one is durable, and what anybody reads, when it returns. What `answer` made of it is what a
    repetition gets."""

    def __init__(self, ledger: Ledger, definitions: Definitions, writing: WriteThrough[Character]) -> None:
        self._ledger = ledger
        self._definitions = definitions
        self._writing = writing

    async def change(
        self,
        character_id: str,
        rule: Callable[[Definition, Character], Sequence[Event]],
        asked: Asked,
        answer: Callable[[Character, Sequence[Recorded]], bytes],
    ) -> bytes:
        """One character, by a rule of the domain.

        Raises:
            NotFound, PermissionDenied, Conflict: see `access.py`.
            DomainError: what the rule says.
        """

        def decide(characters: Mapping[str, Character | None], _now: datetime) -> list[tuple[str, Event]]:
            character = permitted(characters[character_id], character_id, asked.caller)
            check_version(character, asked.expected_version)
            return [(character_id, event) for event in rule(self._definitions.of(character), character)]

        def answered(characters: Mapping[str, Character], recorded: Sequence[Recorded]) -> bytes:
            return answer(characters[character_id], recorded)

        return await self._run(Command((character_id,), decide, asked.actor, answered, key=asked.key))

    async def award(
        self, awards: Sequence[Award], asked: Asked, answer: Callable[[Sequence[Recorded]], bytes]
    ) -> bytes:
        """All of them, in order, or none. Raises DomainError: what the rules say of one of them."""
        return await self._run(
            Command(
                tuple(dict.fromkeys(each.character_id for each in awards)),
                awarding(self._definitions, awards),
                asked.actor,
                lambda _characters, recorded: answer(recorded),
                key=asked.key,
            )
        )

    async def _run(self, command: Command) -> bytes:
        answer = await self._ledger.run(command)
        await self._writing.flushed()
        return answer


def awarding(definitions: Definitions, awards: Sequence[Award]) -> Decide:
    """Each award on the state that those before it left: states are made only for awards that follow."""

    def decide(characters: Mapping[str, Character | None], now: datetime) -> list[tuple[str, Event]]:
        states = dict(characters)
        following = Counter(each.character_id for each in awards)
        decided: list[tuple[str, Event]] = []
        for each in awards:
            id_ = each.character_id
            following[id_] -= 1
            for event in award(definitions.of(states[id_]), states[id_], each):
                if following[id_]:
                    states[id_] = applied(states[id_], id_, event, now)
                decided.append((id_, event))
        return decided

    return decide
