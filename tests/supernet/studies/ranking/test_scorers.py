"""One cell's scores: seeded, independent of what came before, and those of the functions named."""

import dataclasses
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from supernet.cells.genotype import Genotype
from supernet.data import load_dataset
from supernet.errors import UserError
from supernet.nets.derived import DerivedNetwork
from supernet.proxies.az_nas import az_nas
from supernet.proxies.ntk import ntk_kernels
from supernet.proxies.ntk_scores import kernel_scores
from supernet.proxies.registry import NTK_NAMES, PROXIES
from supernet.search.gains import gain_of, operator_gains
from supernet.studies.ranking import scorers
from supernet.studies.ranking.config import RankConfig, search_config
from supernet.studies.ranking.scorers import (
    balanced_batch,
    cell_seeds,
    check_names,
    load_search,
    make_scorer,
    score_names,
    supernet_steps,
)

CELL, OTHER = Genotype.parse("342120"), Genotype.parse("333133")


@pytest.mark.slow
def test_scores_are_those_of_the_named_functions(config: RankConfig) -> None:
    names = ("params", "croze", "snip", "robust_snip", "ntk")
    config = dataclasses.replace(config, proxies=names)
    scorer, source = make_scorer(config)
    found = scorer(CELL)
    assert list(found) == score_names(config) == [*names[:4], *NTK_NAMES]
    assert "on 4 training images" in source
    data = load_dataset("digits", limit=1000, test_limit=0)
    images, labels = balanced_batch(data, 4, 0)
    torch.manual_seed(cell_seeds(config, CELL)[0])
    network = DerivedNetwork(CELL, C=4, N=1, mean=data.mean, std=data.std)
    network.use_layout(torch.channels_last)
    assert found["snip"] == PROXIES["snip"](network, images, labels)
    assert found["params"] == CELL.params(10, 4, 1)
    # The digits' own radius, 32/255, goes into every attack.
    assert found["robust_snip"] != PROXIES["robust_snip"](network, images, labels)
    config = dataclasses.replace(config, eps=8 / 255)
    at_8 = make_scorer(config)[0](CELL)
    assert at_8["robust_snip"] == PROXIES["robust_snip"](network, images, labels)
    assert at_8["croze"] == PROXIES["croze"](network, images, labels)
    kernels = ntk_kernels(network, images, labels)
    assert {n: at_8[n] for n in NTK_NAMES} == kernel_scores(kernels)


def test_az_nas_takes_one_pass_and_signs_of_its_own(
    config: RankConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PGD draws its start from the cell's generator; the signs of az_trainability do not move."""
    passes = []

    def counted(*arguments: Any) -> dict[str, float]:
        passes.append(arguments)
        return az_nas(*arguments)

    monkeypatch.setattr(scorers, "az_nas", counted)
    alone = dataclasses.replace(config, proxies=("az_trainability",), attack="pgd")
    names = ("robust_snip", "az_progressivity", "az_trainability")
    score, together = (
        make_scorer(c)[0](CELL) for c in (alone, dataclasses.replace(alone, proxies=names))
    )
    assert list(together) == list(names) and len(passes) == 2
    assert together["az_trainability"] == score["az_trainability"]


@pytest.mark.slow
def test_kernels_are_those_asked_for_whatever_memory_they_may_take(config: RankConfig) -> None:
    config = dataclasses.replace(config, proxies=("ntk",), batch=3)
    data = load_dataset("digits", limit=1000, test_limit=0)
    images, labels = balanced_batch(data, 3, 0)
    seed = cell_seeds(config, CELL)[0]

    def expected(**settings: Any) -> dict[str, float]:
        torch.manual_seed(seed)
        network = DerivedNetwork(CELL, C=4, N=1, mean=data.mean, std=data.std)
        network.use_layout(torch.channels_last)
        generator = torch.Generator().manual_seed(seed)
        kernels = ntk_kernels(network, images, labels, generator, eps=data.eps, **settings)
        return kernel_scores(kernels)

    trace = dataclasses.replace(config, ntk_outputs="trace")
    sketched = dataclasses.replace(trace, ntk_sketches=2)
    found = [make_scorer(c)[0](CELL) for c in (config, trace, sketched)]
    assert found[0] == expected()
    assert found[1] == expected(outputs="trace")
    assert found[2] == expected(outputs="trace", sketches=2)
    assert len({f["ntk_clean_trace"] for f in found}) == 3
    # 3 images attacked twice, 12 bytes a number: 1 MiB holds less than the network at once.
    wide = dataclasses.replace(config, C=16)
    assert CELL.params(10, 16, 1) * 9 * 12 > 1 << 20
    assert make_scorer(wide)[0](CELL) == make_scorer(dataclasses.replace(wide, ntk_memory=1))[0](
        CELL
    )


def test_a_cell_has_its_own_seed_whatever_was_scored_before(config: RankConfig) -> None:
    state = torch.get_rng_state()
    scorer, _ = make_scorer(config)
    first = scorer(CELL)
    scorer(OTHER)
    assert scorer(CELL) == first
    assert torch.equal(torch.get_rng_state(), state)
    reseeded = make_scorer(dataclasses.replace(config, seed=1))[0]
    assert reseeded(CELL)["gradnorm"] != first["gradnorm"]
    assert cell_seeds(config, CELL) != cell_seeds(config, OTHER)


def test_repeats_are_averaged(config: RankConfig) -> None:
    twice = dataclasses.replace(config, repeats=2)
    seeds = cell_seeds(twice, CELL)
    assert len(set(seeds)) == 2 and seeds[0] == cell_seeds(config, CELL)[0]
    data = load_dataset("digits", limit=1000, test_limit=0)
    images, labels = balanced_batch(data, 4, 0)
    scores = []
    for seed in seeds:
        torch.manual_seed(seed)
        network = DerivedNetwork(CELL, C=4, N=1, mean=data.mean, std=data.std)
        network.use_layout(torch.channels_last)
        scores.append(PROXIES["naswot"](network, images, labels))
    assert make_scorer(twice)[0](CELL)["naswot"] == pytest.approx(sum(scores) / 2, rel=1e-12)


def test_batches_are_balanced_in_turn() -> None:
    data = load_dataset("digits", limit=1000, test_limit=0)
    images, labels = balanced_batch(data, 25, 0)
    assert images.dtype == torch.float32 and images.min() >= 0 and images.max() <= 1
    assert set(Counter(labels.tolist()).values()) <= {2, 3}
    assert len(set(labels[:8].tolist())) == 8, "the released CRoZe reads the first eight"
    assert torch.equal(balanced_batch(data, 25, 0)[0], images)
    assert not torch.equal(balanced_batch(data, 25, 1)[0], images)
    with pytest.raises(UserError, match="--batch 5000: only 1000 training images were read"):
        balanced_batch(data, 5000, 0)


def test_unknown_score_and_nothing_to_score(config: RankConfig) -> None:
    with pytest.raises(UserError, match="unknown score 'zen'; choose from params, flops"):
        check_names(("snip", "zen"))
    with pytest.raises(UserError, match="nothing to score"):
        make_scorer(dataclasses.replace(config, proxies=()))


@pytest.mark.slow
def test_supernet_scores_are_of_the_held_out_half(trained: Path, quick: dict[str, Any]) -> None:
    config = RankConfig(**quick | {"proxies": ("snip",)}, supernet=str(trained), images=50, steps=3)
    scorer, source = make_scorer(config)
    found = scorer(CELL)
    names = ["supernet_clean", "supernet_robust", "supernet_clean_loss", "supernet_robust_loss"]
    names += ["supernet_gains", "supernet_gains_inner"]
    assert list(found) == [*names, "snip"]
    search = load_search(trained, config, torch.device("cpu"))
    gains = operator_gains(search.net, search.images.for_gains(search.config.seed))
    assert found["supernet_gains"] == pytest.approx(gain_of(CELL, gains.whole))
    assert found["supernet_gains_inner"] == pytest.approx(gain_of(CELL, gains.inner))
    assert found["supernet_gains"] != found["supernet_gains_inner"]
    assert found["supernet_robust_loss"] > found["supernet_clean_loss"] > 0
    assert "on 50 held-out training images, gains on 100" in source
    for name in ("supernet_clean", "supernet_robust"):
        assert 0 <= found[name] <= 1 and found[name] * 50 == pytest.approx(round(found[name] * 50))
    scorer(OTHER)
    assert scorer(CELL) == found
    without = make_scorer(dataclasses.replace(config, eps=0.0, proxies=()))[0](CELL)
    assert without["supernet_robust"] == without["supernet_clean"] == found["supernet_clean"]


@pytest.mark.slow
def test_scores_of_an_epoch_that_was_kept(trained: Path, quick: dict[str, Any]) -> None:
    config = RankConfig(**quick | {"proxies": ()}, supernet=str(trained), images=50, steps=3)
    end, first, last = (
        load_search(trained, dataclasses.replace(config, epoch=epoch), torch.device("cpu"))
        for epoch in (None, 1, 2)
    )
    assert all(map(torch.equal, last.net.state_dict().values(), end.net.state_dict().values()))
    assert not torch.equal(first.net.classifier.weight, last.net.classifier.weight)
    for search in (first, last):  # on the same images
        assert torch.equal(search.images.held_out(50)[0], end.images.held_out(50)[0])
    epochs = [dataclasses.replace(config, epoch=epoch) for epoch in (None, 1, 2)]
    assert [supernet_steps(c) for c in epochs] == [end.step, end.step // 2, end.step]
    assert make_scorer(epochs[2])[0](CELL) == make_scorer(epochs[0])[0](CELL)
    with pytest.raises(UserError, match=r"kept no epoch 7 \(it has 1, 2\); search with --keep-ep"):
        make_scorer(dataclasses.replace(config, epoch=7))


@pytest.mark.slow
def test_a_search_with_kernels_is_ranked_where_there_are_none(
    trained: Path,
    quick: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The form of the mixed cell changes rounding alone, and a ranking has no --impl."""
    folder = Path(shutil.copytree(trained, tmp_path / "run"))
    description = json.loads((folder / "config.json").read_text())
    description["config"]["impl"] = "native"
    (folder / "config.json").write_text(json.dumps(description))
    path = folder / "checkpoint.pt"
    content = torch.load(path, weights_only=True)
    torch.save({**content, "config_hash": search_config(folder).hash()}, path)
    monkeypatch.setattr(
        "cuda_ext._native.choose", lambda impl, *given: _missing() if impl == "native" else False
    )
    config = RankConfig(**quick | {"proxies": ()}, supernet=str(folder), images=50, steps=3)
    search = load_search(folder, config, torch.device("cpu"))
    assert search.net.impl == "auto"
    said = capsys.readouterr().err
    assert said.startswith(f"warning: {folder} searched with --impl native, which cannot run here")
    assert said.count("\n") == 1


def _missing() -> bool:
    raise RuntimeError("there are no kernels")


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"net": {}}, {"net": 3}, {"step": "many"}, {"net": None}])
def test_kept_weights_that_are_no_weights(
    trained: Path, quick: dict[str, Any], tmp_path: Path, change: dict[str, Any]
) -> None:
    folder = Path(shutil.copytree(trained, tmp_path / "run"))
    path = folder / "epoch-0001.pt"
    torch.save({**torch.load(path, weights_only=True), **change}, path)
    config = RankConfig(**quick | {"proxies": ()}, supernet=str(folder), epoch=1, images=50)
    with pytest.raises(UserError, match=r"epoch-0001\.pt does not hold the weights of its search"):
        load_search(folder, config, torch.device("cpu"))


def test_scores_that_are_not_finite_are_named(
    config: RankConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROXIES, "gradnorm", lambda *given, **more: float("nan"))
    with pytest.raises(UserError, match=r"gradnorm of cell \d+ came out as not finite; leave them"):
        make_scorer(config)[0](CELL)


def test_a_folder_that_is_no_run(config: RankConfig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not a run directory \(it has no config.json\)"):
        make_scorer(dataclasses.replace(config, supernet=str(tmp_path)))
