"""JSON values as Protobuf's Struct has them, and back. A Struct may hold what JSON cannot: numbers that are
not finite, and values of no kind, which are null."""

from google.protobuf.struct_pb2 import Struct, Value

from services.ingest.domain.event import Json


def plain(struct: Struct) -> dict[str, Json]:
    """Every number is a float."""
    return {name: _plain(value) for name, value in struct.fields.items()}


def packed(document: dict[str, Json]) -> Struct:
    """Whole numbers beyond 2**53 lose their end."""
    struct = Struct()
    struct.update(document)
    return struct


def _plain(value: Value) -> Json:
    match value.WhichOneof("kind"):
        case "number_value":
            return value.number_value
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return plain(value.struct_value)
        case "list_value":
            return [_plain(each) for each in value.list_value.values]
        case _:
            return None
