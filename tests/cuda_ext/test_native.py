"""The loader: what it says, and that everything works without the extension."""

import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import torch

from cuda_ext import _native

ROOT = Path(__file__).parents[2]

WITHOUT_EXTENSION = """
import importlib.util, pkgutil, sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name in ("cuda_ext._C", "cuda_ext._emulated"):
            raise ImportError("hidden for this test")

sys.meta_path.insert(0, Hidden())
LEFT_OUT = ["cuda_ext._C", "cuda_ext._emulated"]
if importlib.util.find_spec("triton") is None:
    LEFT_OUT += ["cuda_ext.triton_kernels", "cuda_ext.triton_offline"]
import cuda_ext, ops, supernet, torch
for package in (cuda_ext, ops, supernet):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if module.name not in LEFT_OUT:
            importlib.import_module(module.name)

from cuda_ext import _native
from cuda_ext.mixed_op import attack_node
from ops.mixed import MixedCell
assert not _native.available() and "hidden for this test" in _native.why_unavailable()
x = torch.rand(2, 3, 4, 4)
out = MixedCell(3).train()(x, torch.rand(6, 5))
assert out.shape == x.shape and out.abs().max() > 0
try:
    attack_node([x], [x], torch.rand(1, 2), torch.rand(3), impl="native")
except RuntimeError as error:
    assert "did not load: hidden for this test" in str(error), error
else:
    raise AssertionError("impl='native' ran without the extension")
print("all imported")
"""


@pytest.mark.slow
def test_every_package_imports_and_runs_with_the_extension_hidden() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTENSION], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("all imported")


def test_unknown_impl_is_refused_with_the_names() -> None:
    with pytest.raises(ValueError, match="impl 'fast' is unknown; choose auto, reference or nati"):
        _native.choose("fast", "cpu")


def test_reference_never_takes_the_native_path() -> None:
    assert _native.choose("reference", "cpu") is False


def test_why_unavailable_is_empty_exactly_when_available() -> None:
    assert (_native.why_unavailable() == "") is _native.available()


@pytest.mark.skipif(not _native.available(), reason="nothing is built")
def test_native_refuses_a_device_without_kernels() -> None:
    with pytest.raises(RuntimeError, match="built without kernels for meta"):
        _native.choose("native", "meta")


def test_auto_takes_the_reference_for_a_dtype_that_cuda_kernels_lack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_native, "_DEVICES", ("cpu", "cuda"))
    monkeypatch.setattr(_native, "_ERROR", "")
    for dtype in (torch.float32, torch.bfloat16):
        assert _native.choose("auto", "cuda", dtype) and _native.choose("native", "cuda", dtype)
    assert _native.choose("native", "cpu", torch.float64)
    assert not _native.choose("auto", "cuda", torch.float64)
    with pytest.raises(RuntimeError, match="on cuda take float32 and bfloat16, not float64"):
        _native.choose("native", "cuda", torch.float64)


def spec_in(folder: Path) -> ModuleSpec:
    return ModuleSpec("cuda_ext._C", None, origin=str(folder / "_C.so"))


def test_the_kernels_of_another_checkout_are_refused(tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    (tmp_path / "link").symlink_to(here)
    _native._refuse_from_elsewhere(spec_in(here), here)
    _native._refuse_from_elsewhere(spec_in(tmp_path / "link"), here)
    _native._refuse_from_elsewhere(None, here)
    with pytest.raises(ImportError, match=r"elsewhere/_C\.so belongs to another checkout than"):
        _native._refuse_from_elsewhere(spec_in(elsewhere), here)


def test_kernels_of_other_sources_are_refused() -> None:
    _native._refuse_other_sources("a", "a")
    _native._refuse_other_sources("a", None)  # installed, without sources
    for built_from in ("b", None):
        with pytest.raises(ImportError, match="is built from other sources than those in cuda_ex"):
            _native._refuse_other_sources(built_from, "a")


OTHER_CHECKOUT = """
import importlib.machinery, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "cuda_ext._C":
            return importlib.machinery.ModuleSpec(name, self, origin=ELSEWHERE)
    def create_module(self, spec):
        raise AssertionError("it is loaded")

sys.meta_path.insert(0, Finder())
from cuda_ext import _native
assert not _native.available()
assert "belongs to another checkout" in _native.why_unavailable(), _native.why_unavailable()
print("refused")
"""


@pytest.mark.slow
def test_an_editable_install_elsewhere_lends_no_kernels(tmp_path: Path) -> None:
    code = OTHER_CHECKOUT.replace("ELSEWHERE", repr(str(tmp_path / "_C.so")))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "refused", done.stderr
