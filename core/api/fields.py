"""Fields of request bodies that take their own JSON type and no other.

REST framework's own would take "7" for 7, 1 for true and 5 for "5", which hides mistakes of the
calling program.
"""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class Text(serializers.CharField):
    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Whole(serializers.IntegerField):
    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return super().to_internal_value(data)


class Number(serializers.FloatField):
    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return super().to_internal_value(data)


class Flag(serializers.BooleanField):
    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Choice(serializers.ChoiceField):
    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid_choice", input=data)
        return super().to_internal_value(data)


class Object(serializers.DictField):
    """Any JSON object."""


class Input(serializers.Serializer[Any]):
    """A body: fields that it does not know are refused, for they are mostly misspelt."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = sorted(str(name) for name in set(data) - set(self.fields))
            if unknown:
                raise serializers.ValidationError(
                    {key: ["There is no such field."] for key in unknown}
                )
        return super().to_internal_value(data)


def several(
    row: serializers.Serializer[Any], *, least: int = 1, most: int
) -> serializers.ListSerializer[Any]:
    """A list of objects of bounded length."""
    return serializers.ListSerializer(child=row, min_length=least, max_length=most)
