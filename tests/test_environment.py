"""environment.yml, pyproject.toml and the requirement files name the same packages."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def requirements() -> set[str]:
    groups = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    groups += PROJECT["dependency-groups"].values()
    return {entry.replace(" ", "") for group in groups for entry in group}


def test_conda_environment_has_the_packages_and_bounds_of_pyproject() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    conda = {entry.replace(" ", "") for entry in environment["dependencies"]}
    python = {f"python{PROJECT['project']['requires-python']}"}
    assert conda == requirements() | python


def pinned(name: str) -> dict[str, list[str]]:
    """Name and hashes of each pinned package of a requirement file."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        entry = re.match(r"([a-z0-9._-]+)==", line)
        if entry:
            latest = found.setdefault(entry[1], [])
        elif "--hash=sha256:" in line:
            latest.append(line)
    return found


def test_requirement_files_are_hashed_and_hold_no_address() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "://" not in text
        assert "index-url" not in text
        assert all(pinned(name).values()), f"{name} has a package without a hash"


def test_requirement_files_cover_the_dependencies() -> None:
    bare = {re.split(r"[<>=!~]", entry)[0].lower() for entry in requirements()} - {"pysal"}
    assert bare <= pinned("requirements-dev.txt").keys()
    run = {re.split(r"[<>=!~]", entry)[0] for entry in PROJECT["project"]["dependencies"]}
    assert run <= pinned("requirements.txt").keys()
