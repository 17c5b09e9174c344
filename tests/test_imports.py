"""Arrows of import point down: no room of supernet/ imports from one above it."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]

LAYERS = (
    ("errors", "invocation", "quiet"),
    ("files", "finite", "text", "settings", "shapes", "processes", "progress", "threads",
     "precision", "on_ray", "distributed"),
    ("randomness", "shared_batches", "torchrun", "flags", "cli"),
    ("cells", "data", "attacks"), ("nets", "benchmark"), ("proxies",), ("report",), ("train",),
    ("search",), ("runs",), ("studies",),
    ("commands",), ("__main__",),
)  # fmt: skip
"""From the ground up. A room may import what stands below it; a room's files one another."""
HEIGHT = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}
PACKAGES = ("cuda_ext", "ops", "supernet", "scripts")


def imported(path: Path) -> set[str]:
    """The modules that a file imports anywhere, functions and type checks included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_rooms_import_only_what_stands_below_them() -> None:
    up = []
    for path in sorted((ROOT / "supernet").rglob("*.py")):
        room = path.relative_to(ROOT / "supernet").parts[0].removesuffix(".py")
        if room == "__init__":
            assert not imported(path), "supernet/__init__.py imports nothing"
            continue
        for name in imported(path):
            package, _, rest = name.partition(".")
            other = rest.split(".")[0]
            if package == "supernet" and other != room and HEIGHT[other] >= HEIGHT[room]:
                up.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not up, "\n".join(up)


def test_packages_import_only_what_stands_below_them() -> None:
    up = []
    for height, package in enumerate(PACKAGES):
        for path in sorted((ROOT / package).rglob("*.py")):
            for name in imported(path):
                other = name.split(".")[0]
                if other in PACKAGES and PACKAGES.index(other) > height:
                    up.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not up, "\n".join(up)


def test_no_two_files_import_each_other() -> None:
    """Nor any longer circle: every file can be imported first."""
    arrows: dict[str, set[str]] = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            module = ".".join(parts).removesuffix(".__init__")
            arrows[module] = imported(path)
    known = {
        module: {
            target
            for name in names
            for target in (name, name.rpartition(".")[0])
            if target in arrows and target != module
        }
        for module, names in arrows.items()
    }
    open_: list[str] = []
    done: set[str] = set()

    def visit(module: str) -> None:
        assert module not in open_, " -> ".join([*open_[open_.index(module) :], module])
        if module in done:
            return
        open_.append(module)
        for target in sorted(known[module]):
            visit(target)
        done.add(open_.pop())

    for module in sorted(known):
        visit(module)
