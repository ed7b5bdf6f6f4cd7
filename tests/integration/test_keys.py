"""Keys rotate under whatever is sealed, while the work goes on; what no key opens is named."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import LargeBinary

from tests.harness import Rosterd
from worker.adapters.db import bulk, rows
from worker.adapters.db.foreign import _keep
from worker.adapters.key_file import KEY_FILE
from worker.adapters.vault import SealError, Vault, new_key

pytestmark = pytest.mark.every_database

#: How everything begins that the vault sealed.
SEALED = b"rs1:"


def sealed_values(rosterd: Rosterd) -> list[tuple[str, bytes]]:
    """Whatever looks sealed, in whichever table it is: none has to be listed here."""
    found = []
    for table in rows.metadata.sorted_tables:
        columns = [column.name for column in table.c if isinstance(column.type, LargeBinary)]
        for row in rosterd.table(table) if columns else []:
            found += [
                (f"{table.name}.{name}", bytes(row[name]))
                for name in columns
                if row[name] and bytes(row[name]).startswith(SEALED)
            ]
    return found


def add_key(rosterd: Rosterd) -> str:
    """A new first key, as an operator adds it to the file; the new key."""
    file = Path(rosterd.settings.data_dir) / KEY_FILE
    key = new_key()
    file.write_text(f"{key}\n{file.read_text()}")
    return key


def everything_sealed(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    rosterd.tell(feed, "user.suspended", {"id": "u2"}, drain=False)
    _keep(rosterd.parts.database, rosterd.parts.vault, b"who knows")


def test_after_a_rotation_the_first_key_opens_everything_alone(rosterd: Rosterd) -> None:
    everything_sealed(rosterd)
    before = sealed_values(rosterd)
    assert {name for name, _ in before} == {
        "feed_secrets.ciphertext",
        "deliveries.headers",
        "deliveries.body",
        "dead_letters.payload",
        "notices.secret",
    }
    plain = sorted((name, rosterd.parts.vault.open(value)) for name, value in before)
    key = add_key(rosterd)
    done = rosterd.cli("keys", "rotate")
    assert done.returncode == 0, done.stderr
    assert "feed_secrets 1" in done.stdout
    alone = Vault([key])
    assert sorted((name, alone.open(value)) for name, value in sealed_values(rosterd)) == plain
    again = rosterd.cli("keys", "rotate", "--json")
    assert '"feed_secrets": 0' in again.stdout, "what the first key sealed stays as it is"
    assert [row["action"] for row in rosterd.table(rows.audit)].count("keys.rotate") == 2


def test_what_no_key_opens_is_named_and_hinders_nothing_else(rosterd: Rosterd) -> None:
    everything_sealed(rosterd)
    gone = Vault([new_key()]).seal(b"lost")
    (secret,) = rosterd.table(rows.feed_secrets)
    with rosterd.parts.database.begin() as connection:
        bulk.update(connection, rows.feed_secrets, [{"id": secret["id"], "ciphertext": gone}])
        connection.commit()
    key = add_key(rosterd)
    done = rosterd.cli("keys", "rotate")
    assert done.returncode == 1
    assert f"no key here opens feed_secrets {secret['id']}" in done.stderr
    values = dict(sealed_values(rosterd))
    assert values["feed_secrets.ciphertext"] == gone
    assert Vault([key]).open(values["deliveries.body"])
    with pytest.raises(SealError):
        rosterd.parts.vault.open(values["deliveries.body"])


def test_keys_rotate_while_events_come_and_are_applied(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u0")
    # First every process learns the new key, then it becomes the first.
    key = add_key(rosterd)
    rosterd.parts.__dict__.pop("vault")
    for name in ("drain", "works", "notify"):
        rosterd.parts.__dict__.pop(name, None)
    rotated: list[int] = []
    rotating = threading.Thread(
        target=lambda: rotated.append(rosterd.cli("keys", "rotate").returncode)
    )
    rotating.start()
    number = 0
    while rotating.is_alive():
        number += 1
        rosterd.hire(feed, f"u{number}")
    rotating.join()
    assert rotated == [0]
    assert rosterd.dead() == []
    assert len(rosterd.users()) == number + 1
    assert rosterd.cli("keys", "rotate").returncode == 0
    for name, value in sealed_values(rosterd):
        assert Vault([key]).open(value), name


def test_a_key_is_made_by_a_command(rosterd: Rosterd) -> None:
    done = rosterd.cli("keys", "new")
    assert Vault([done.stdout.strip()]).open(Vault([done.stdout.strip()]).seal(b"x")) == b"x"
