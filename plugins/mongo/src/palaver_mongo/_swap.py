"""Compare-and-swap as one statement for each session, which the server answers one by one even in a batch.

For a batch of updates MongoDB before 8.0 only answers how many documents matched in all. It does name each statement
that *failed*. So every statement here is an upsert with a pipeline that stores the record, leaves it as it is (when
it is stored already), or fails on purpose: with one error number for "refused", another for "damaged".

A swap that is alone is a replacement by a filter first, which is what nearly all need, and costs client and server
less. Of one that finds nothing only the statement can tell why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import bson
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from pymongo import UpdateOne

from palaver.contract.record import ABSENT

if TYPE_CHECKING:
    from palaver.contract.record import Absent
    from palaver_mongo._client import Document

__all__ = ("DAMAGED", "REFUSED", "has_version", "swap_filter", "swap_statement")

REFUSED: Final = 66
"""The error number of a document whose `_id` would change: ImmutableField."""

DAMAGED: Final = 241
"""The error number of text that is no number: ConversionFailure."""

_FAIL_REFUSED: Final = {"_id": "refused"}
_FAIL_DAMAGED: Final = {"$toInt": {"$type": "$_id"}}

# Encoded once, because it goes with every swap.
_IS_WHOLE: Final = RawBSONDocument(
    bson.encode(
        {
            "$and": [
                {"$eq": [{"$type": "$payload"}, "binData"]},
                {"$eq": [{"$type": "$version"}, "string"]},
                {"$in": [{"$type": "$expires_at"}, ["null", "int", "long"]]},
            ]
        }
    )
)

# Of an array, a query would compare every element.
_NO_ARRAY: Final = {"$not": {"$type": "array"}}


def swap_statement(document: Document, expected: str | Absent, now: int) -> UpdateOne:
    """Return the statement that stores `document` only if the live one has the version `expected`."""
    store = {"$literal": document}
    is_gone = {"$or": [_is_new(document), {"$and": [_IS_WHOLE, _is_expired(now)]}]}
    branches = [
        _case(is_gone, store if expected is ABSENT else _FAIL_REFUSED),
        _case({"$not": [_IS_WHOLE]}, _FAIL_DAMAGED),
        _case(_version_is(document["version"]), "$$ROOT"),
    ]
    if expected is not ABSENT:
        branches.append(_case(_version_is(expected), store))
    decision = {"$switch": {"branches": branches, "default": _FAIL_REFUSED}}
    return UpdateOne({"_id": document["_id"]}, [{"$replaceWith": decision}], upsert=True)


def swap_filter(document: Document, expected: str, now: int) -> Document:
    """Return what finds the live document that `document` shall replace, if it has the version `expected`.

    By operators of queries, which the server compares faster than expressions; for the same reason it finds only a
    document that expires if the new one does, and only one that never expires if the new one never does.
    """
    is_live = {"$type": "null"} if document["expires_at"] is None else {"$gt": Int64(now), "$type": ["int", "long"]}
    return {
        "_id": document["_id"],
        "version": has_version(expected),
        "payload": {"$type": "binData", **_NO_ARRAY},
        "expires_at": {**is_live, **_NO_ARRAY},
    }


def has_version(version: str) -> Document:
    """Return the condition of a query that a version is this one."""
    return {"$eq": version, **_NO_ARRAY}


def _is_new(document: Document) -> Document:
    # An upsert of what is not there begins with a document that has its key alone.
    return {"$eq": ["$$ROOT", {"$literal": {"_id": document["_id"]}}]}


def _is_expired(now: int) -> Document:
    # Null is before all numbers.
    return {"$and": [{"$ne": ["$expires_at", None]}, {"$lte": ["$expires_at", Int64(now)]}]}


def _version_is(version: str | Absent) -> Document:
    return {"$eq": ["$version", {"$literal": version}]}


def _case(case: Document, then: Any) -> Document:
    return {"case": case, "then": then}
