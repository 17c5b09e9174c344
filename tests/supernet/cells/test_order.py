"""The published order of cells, computed and from files, against facts published with it."""

import hashlib
import json
from pathlib import Path

import pytest

from supernet.cells import order as module
from supernet.cells.genotype import Genotype, all_genotypes
from supernet.cells.order import (
    ORDER_MD5,
    IndexOrder,
    find_index_order,
    published_order,
    resolve,
)
from supernet.errors import UserError


def test_the_published_order_needs_no_file() -> None:
    order = find_index_order(None)
    strings = [order.genotype(index).arch for index in range(15_625)]
    digest = hashlib.md5("\n".join(strings).encode()).hexdigest()
    assert digest == "1985aacc268bf045d31ddeecaaac0dc0"
    assert hashlib.md5("\n".join(order.codes).encode()).hexdigest() == ORDER_MD5
    landmarks = {0: "421211", 11: "334034", 284: "111020", 1462: "333333", 4317: "222222",
                 1835: "111111", 7581: "444444", 1651: "000000", 9930: "333133"}  # fmt: skip
    for index, code in landmarks.items():
        assert order.genotype(index).code == code
        assert order.index(Genotype.parse(code)) == index
        assert resolve(str(index)).code == code
    with pytest.raises(UserError, match=r"index 15625 is outside 0\.\.15624"):
        order.genotype(15_625)


def test_it_is_the_order_of_the_published_file(data_root: Path) -> None:
    order = find_index_order(data_root)
    assert order is not published_order() and order.codes == published_order().codes


def test_another_shuffle_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ORDER_SEED", 87)
    with pytest.raises(RuntimeError, match="draws other random numbers"):
        published_order.__wrapped__()


def test_an_order_file_may_be_bare_json_or_an_assignment(tmp_path: Path) -> None:
    codes = [cell.code for cell in all_genotypes()]
    for text in (json.dumps(codes), f"arch={json.dumps(codes)};"):
        (tmp_path / "ops.json").write_text(text)
        order = IndexOrder.load(tmp_path / "ops.json", verify=False)
        assert order.genotype(15_624).code == "444444"
        assert resolve("15624", order).code == "444444" != resolve("15624").code


@pytest.mark.parametrize(
    ("text", "message"),
    [("<!DOCTYPE html><html>", "an HTML page"), ('arch=["000000","00', "cut short or changed")],
)
def test_a_bad_order_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "ops.json").write_text(text)
    with pytest.raises(UserError, match=rf"ops\.json is not.*{message}"):
        IndexOrder.load(tmp_path / "ops.json")


def test_an_order_that_is_not_the_published_one_is_refused(tmp_path: Path) -> None:
    codes = list(published_order().codes)
    path = tmp_path / "robbench201" / "ops.json"
    path.parent.mkdir()
    path.write_text(json.dumps(codes))
    assert find_index_order(tmp_path).codes == tuple(codes)  # another file, the same order
    codes[17], codes[18] = codes[18], codes[17]
    path.write_text(json.dumps(codes))
    with pytest.raises(UserError, match=r"ops\.json has the cells in another order.*download it"):
        find_index_order(tmp_path)
    assert find_index_order(tmp_path, verify=False).codes == tuple(codes)
    path.write_text(json.dumps([*codes, codes[0]]))
    with pytest.raises(UserError, match=r"ops\.json is not.*cut short or changed"):
        find_index_order(tmp_path, verify=False)
