"""The parts of the product as a CycloneDX 1.5 document, read from the pinned requirements.

These are exactly what script/bootstrap installs: names, versions and the hashes pip insists on.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
_PIN = re.compile(r"^([\w.-]+)==([\w.!+]+)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def main() -> None:
    """Write the document to standard output."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    document = describe(project, (CHECKOUT / "requirements.txt").read_text())
    json.dump(document, sys.stdout, indent=1)
    sys.stdout.write("\n")


def describe(project: dict[str, Any], requirements: str) -> dict[str, Any]:
    """The document of a project whose pinned requirements are this text."""
    pins = list(_PIN.finditer(requirements))
    ends = [pin.start() for pin in pins[1:]] + [len(requirements)]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application", "name": project["name"], "version": project["version"]
            }
        },
        "components": [
            _describe_part(pin[1], pin[2], _HASH.findall(requirements, pin.end(), end))
            for pin, end in zip(pins, ends, strict=True)
        ],
    }  # fmt: skip


def _describe_part(name: str, version: str, hashes: list[str]) -> dict[str, Any]:
    # One hash for each file of a version; pip installs the one that fits the machine.
    files = [
        {"type": "distribution", "url": f"pkg:pypi/{name}@{version}",
         "hashes": [{"alg": "SHA-256", "content": found}]}
        for found in hashes
    ]  # fmt: skip
    return {
        "type": "library",
        "bom-ref": f"pkg:pypi/{name}@{version}",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name}@{version}",
        "externalReferences": files,
    }


if __name__ == "__main__":
    main()
