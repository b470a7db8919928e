"""Look through the files of this repository for keys and passwords: python -m script.find_secrets

Asks no network. What looks like a secret and is none stands in KNOWN with its reason; what stands
there and is found no more is told as well, so that the list does not become a hiding place.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import default_settings

CHECKOUT = Path(__file__).resolve().parent.parent

OWN_PATH = "script/find_secrets.py"
# (text, reason)
KNOWN = (
    ("only-good-for-a-desk-", "the SECRET_KEY without any environment; production refuses it"),
    ("correct horse battery", "the password of everybody in the tests"),
    ("a long and quiet password", "what a person of the tests chooses"),
    ("wrong", "a password that is refused"),
    ("true", "on a form of the back office: yes, there is a password"),
    ("argon2", "the beginning of a hash that nobody may ask for"),
    ("secret", "the password of a database that is not there"),
    ("zX7echo", "stands in requests to see that no answer repeats it"),
    ("0192f0c17d3a7c3e9b1a0242ac120002", "an event's id without its dashes"),
    ("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", "the app of the person in the tests of the log-in"),
    ("old", "the password that a test changes"),
    (
        "01026b315e190e172f21a12940344a86052b175598ab51b2450956095284f62cb3258dd5",
        "a value sealed with the key of the bytes 0 to 31, written down once",
    ),
    ("83d2e7bd19e233f2d8a0f5ebb639b234", "the index of a number with the same key"),
    ("hidden", "the password of a database that is not there"),
)


class Finding(NamedTuple):
    """Something that looks like a secret."""

    path: str
    line_number: int
    kind: str
    text: str

    def __str__(self) -> str:
        # Not the text: what is printed here ends up in the logs of a build.
        return f"{self.path}:{self.line_number}: {self.kind}"


def main() -> int:
    """Print what was found; returns 0 for nothing, 1 else."""
    found = list(find_secrets(list_files()))
    known = {text for text, _ in KNOWN}
    unknown = [finding for finding in found if finding.text not in known]
    idle = known - {finding.text for finding in found if finding.path != OWN_PATH}
    for finding in unknown:
        print(f"{finding}: take it out and make a new one; if it is none, say why in KNOWN.")
    for text in sorted(idle):
        print(f"{OWN_PATH}: {text!r} is in KNOWN and in no file.")
    return 1 if unknown or idle else 0


def list_files() -> list[str]:
    """Every file that is or could be committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    paths = sorted(set(filter(None, listed.stdout.split("\0"))))
    return [path for path in paths if (CHECKOUT / path).is_file()]


def find_secrets(paths: Iterable[str]) -> Iterator[Finding]:
    """What looks like a secret in these files of the checkout."""
    secrets = SecretsCollection(root=str(CHECKOUT))
    with default_settings():
        secrets.scan_files(*paths)
    for path, secret in secrets:
        yield Finding(path, secret.line_number, secret.type, str(secret.secret_value))


if __name__ == "__main__":
    sys.exit(main())
