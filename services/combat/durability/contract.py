"""The contract's messages and enumerations as rows, from which PostgreSQL reads the journal."""

from collections.abc import Iterator

import asyncpg
from arenamesh.combat.v1 import journal_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

_KINDS = {
    getattr(FieldDescriptor, name): name.removeprefix("TYPE_").lower()
    for name in dir(FieldDescriptor)
    if name.startswith("TYPE_")
}
FieldRow = tuple[str, int, str, str, str, bool, bool, str]
EnumRow = tuple[str, int, str]


def fields() -> list[FieldRow]:
    """Rows of `gameplay.protobuf_fields`: every message that a journal is made of."""
    return [_field_row(field) for message in _messages() for field in message.fields]


def enums() -> list[EnumRow]:
    """Rows of `gameplay.protobuf_enums`: every value of an enumeration that those messages use."""
    types: dict[str, EnumDescriptor] = {
        field.enum_type.full_name: field.enum_type
        for message in _messages()
        for field in message.fields
        if field.enum_type is not None
    }
    # Of names that share a number the first is the one that JSON has.
    return [
        (name, value.number, value.name)
        for name, type_ in types.items()
        for value in type_.values
        if value is type_.values_by_number[value.number]
    ]


async def write(connection: asyncpg.Connection) -> None:
    """Brings both tables to what the contract says, in one transaction."""
    async with connection.transaction():
        await connection.execute("LOCK gameplay.protobuf_fields, gameplay.protobuf_enums IN EXCLUSIVE MODE")
        await connection.execute("DELETE FROM gameplay.protobuf_fields")
        await connection.execute("DELETE FROM gameplay.protobuf_enums")
        await connection.copy_records_to_table("protobuf_fields", schema_name="gameplay", records=fields())
        await connection.copy_records_to_table("protobuf_enums", schema_name="gameplay", records=enums())


def _messages() -> Iterator[Descriptor]:
    """JournalSegment and what it consists of, each once."""
    todo = [journal_pb2.DESCRIPTOR.message_types_by_name["JournalSegment"]]
    seen: set[str] = set()
    while todo:
        message = todo.pop()
        if message.full_name in seen:
            continue
        seen.add(message.full_name)
        yield message
        todo += [field.message_type for field in message.fields if field.message_type is not None]


def _field_row(field: FieldDescriptor) -> FieldRow:
    type_ = field.message_type or field.enum_type
    assert field.containing_type is not None  # it is no extension
    return (
        field.containing_type.full_name,
        field.number,
        field.json_name,
        _KINDS[field.type],
        "" if type_ is None else type_.full_name,
        field.is_repeated,
        field.has_presence,
        "" if field.containing_oneof is None else field.containing_oneof.name,
    )
