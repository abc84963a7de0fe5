# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import delete, select

from signer.db.engine import open_engine
from signer.ledger.persons import Persons, person


def test_a_person_has_one_random_pseudonym_for_ever(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/persons.db"
    engine = open_engine(url, read_only=False)
    persons = Persons(engine)
    names = {each: persons.pseudonym(each) for each in ("alice", "bob", "alice")}
    assert all(re.fullmatch(r"person:[0-9a-f]{32}", name) for name in names.values())
    assert names["alice"] != names["bob"]
    engine.dispose()
    again = Persons(open_engine(url, read_only=False))
    assert {each: again.pseudonym(each) for each in names} == names


def test_a_pseudonym_is_durable_before_it_is_used(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/persons.db"
    name = Persons(open_engine(url, read_only=False)).pseudonym("alice")
    with open_engine(url, read_only=True).connect() as connection:
        assert connection.scalar(select(person.c.pseudonym).where(person.c.id == "alice")) == name


def test_a_forgotten_person_gets_another_pseudonym(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/persons.db", read_only=False)
    before = Persons(engine).pseudonym("alice")
    with engine.begin() as connection:
        connection.execute(delete(person))
    assert Persons(engine).pseudonym("alice") != before
