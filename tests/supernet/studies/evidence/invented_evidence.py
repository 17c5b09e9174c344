"""An evidence.json whose medians and ranges can be checked by hand."""

from typing import Any

BEST = 0.4811
FREE = {"trainings": 0, "cpu_seconds": {"supernet": 0.0, "refine": 0.0}}


def cell(code: str, pgd_8: float, rank: int, params: int = 800_000) -> dict[str, Any]:
    ranks = {"clean": rank + 1, "pgd_8": rank, "autoattack": rank + 2}
    return {
        "code": code, "clean": 0.7, "pgd_8": pgd_8, "autoattack": 0.4, "ranks": ranks,
        "regret": BEST - pgd_8, "params": params,
    }  # fmt: skip


def run(row: str, seed: int, refined: Any, gains: Any, **more: Any) -> dict[str, Any]:
    return {
        "dataset": "cifar10", "row": row, "budget": None, "seed": seed, "flags": "",
        "chosen_by": "refined", "cells": {"alpha": gains, "gains": gains, "refined": refined},
        "proposals": {}, "path": [gains["code"], refined["code"]], "trainings": 10 * (seed + 1),
        "cpu_seconds": {"supernet": 600.0, "refine": 60.0 * seed}, "front": None, "seconds": 60.0,
        "machine": "CPU, 2 threads", "threads": 2, "impl": "native", "images": "some images",
        "versions": {"torch": "9.9"}, "commit": "abc", "config_hash": "0123456789ab", **more,
    }  # fmt: skip


def front(first: float, all_of_them: float, **compared: list[float]) -> dict[str, Any]:
    pair = [first, all_of_them]
    return {"picked_by": "menu", "per_size": 3, "hypervolume": pair, "compared": compared}


def row(name: str, seeds: list[int], **more: Any) -> dict[str, Any]:
    return {
        "name": name, "words": f"words of {name}", "flags": "", "seeds": seeds, "budgets": [],
        "images": ["cifar10"], "guides": ["answer"], **more,
    }  # fmt: skip


def evidence() -> dict[str, Any]:
    a, b, c = cell("333132", 0.45, 900), cell("333131", 0.46, 301), cell("222222", 0.44, 1500)
    runs = [
        run("main", 5, cell("333333", 0.48, 2), cell("333133", 0.47, 100)),
        run("main", 6, cell("333323", 0.46, 300), a),
        run("main", 7, b, b),
        run("free", 6, c, c, machine="a GPU", **FREE),
        run("within", 5, a, b, budget="0.4M", regret_within=0.02),
        run("within", 6, a, b, budget="0.4M", regret_within=0.03),
    ]
    return {
        "format": 3, "judge": "pgd_8", "base": "--robust --preset cpu",
        "images": [
            {"name": "cifar10", "words": "CIFAR-10", "flags": ""},
            {"name": "imagenet16-120", "words": "a stand-in", "flags": "--shrink 1"},
        ],
        "plan": [
            row("main", [5, 6, 7, 8], guides=["answer", "gains"]),
            row("free", [5, 6], images=["cifar10", "imagenet16-120"], flags="--epochs 0"),
            row("prior", [5]),
            row("within", [5, 6, 7], budgets=["0.4M", "0.8M"]),
        ],
        "without_search": {name: free_rows() for name in ("cifar10", "imagenet16-120")},
        "budgets": {
            name: {
                most: {"best": 0.47, "largest": 0.04, "prior": 0.01}
                for most in ("0.4M", "0.8M")
            }
            for name in ("cifar10", "imagenet16-120")
        },
        "note": None,
        "runs": runs,
    }  # fmt: skip


def free_rows() -> list[dict[str, Any]]:
    return [
        {"key": "all_3x3", "name": "all 3x3", **cell("333333", 0.4737, 34)},
        {"key": "best_of_50", "name": "best of 50", **cell("", 0.46, 181), "code": None},
        {"key": "prior", "name": "the prior's best", **cell("333123", 0.4773, 5)},
        {"key": "best", "name": "the best cell", **cell("323133", BEST, 1)},
    ]


def lines_of(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(start)]
