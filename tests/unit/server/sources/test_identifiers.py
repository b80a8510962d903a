"""Ids on the one node of a source."""

from homeport.model import Instance
from homeport.server.sources.identifiers import Identifiers, Original


def instance(service: str, node: str, service_id: str = "x") -> Instance:
    return Instance(id=service_id, service=service, node=node, address="10.0.0.1")


def test_the_first_keeps_its_id_and_the_others_are_told_apart_by_node_or_service() -> None:
    ids = Identifiers()
    web = [instance("web", "a"), instance("web", "b")]
    assert [ids.id_of(one, among=web) for one in web] == ["x", "x@b"]
    api = [instance("api", "a"), instance("api", "b", "X")]
    db = [instance("db", ""), instance("db", "b")]
    assert ids.id_of(api[0], among=api) == "x@a"
    assert ids.id_of(db[0], among=db) == "x@db"
    assert ids.id_of(api[1], among=api) == "X@api"
    assert ids.id_of(db[1], among=db) == "x@db@b"
    assert ids.id_of(web[1], among=web) == "x@b", "it stays the same"


def test_one_that_moves_to_another_node_keeps_its_id() -> None:
    ids = Identifiers()
    before, after, other = instance("web", "a"), instance("web", "b"), instance("web", "c", "y")
    assert ids.id_of(before, among=[before, other]) == "x"
    assert ids.id_of(after, among=[after, other]) == "x"
    assert ids.id_of(before, among=[after, before, other]) == "x@a", "now there are two of them"
    assert ids.id_of(after, among=[after, before, other]) == "x"
    ids.release("x")
    assert ids.id_of(after, among=[after, before, other]) == "x"


def test_one_that_looks_like_another_that_was_told_apart_is_told_apart_as_well() -> None:
    ids = Identifiers()
    web = [instance("web", "a", "x@b"), instance("web", "a"), instance("web", "b")]
    assert [ids.id_of(one, among=web) for one in web] == ["x@b", "x", "x@web"]


def test_an_id_that_is_released_can_be_given_again() -> None:
    ids = Identifiers()
    ids.keep(Original("web", "a", "x"), "x@old")
    web = instance("web", "a")
    assert ids.id_of(web, among=[web]) == "x@old"
    ids.release("X@OLD")
    assert ids.id_of(web, among=[web]) == "x"
