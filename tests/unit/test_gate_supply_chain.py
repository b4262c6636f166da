"""Formats, tripwires, graphs and vulnerabilities. Every payload here would only set a marker, and never gets to."""

import dataclasses
import gzip
import json
import os
import pickle
import pickletools
import shutil
import zipfile
import zlib

import joblib
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

import cases
import models
from modelmark.domain.catalogue.gate_settings import SupplyChainGate, Vulnerabilities
from modelmark.domain.errors import Rejected, Unmeasured
from modelmark.domain.evidence import Verdict
from modelmark.gates.runner import run_gate
from modelmark.gates.supply_chain import onnx_rules, osv, packages, pickled, scanners
from modelmark.gates.supply_chain.formats import Format, content
from modelmark.gates.supply_chain.gate import SupplyChain
from modelmark.seal.digests import digest_bytes, digest_file
from modelmark.testing.gates import check_gate

MARKER = "modelmark-marker-of-a-test"
X = np.random.default_rng(0).normal(size=(200, 4))
Y = X[:, 0] > 0


class Payload:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def touch():
    return Payload(os.system, f"touch {MARKER}")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return cases.case(tmp_path_factory.mktemp("supply"), models.contract())


@pytest.fixture(autouse=True)
def never_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / MARKER).exists(), "a payload ran"


def with_source(case, base, data):
    """The case with another source file, registered as it is."""
    (base / "model.joblib").write_bytes(data)
    for name in ("train.csv", "holdout.csv", "model.onnx"):
        (base / name).write_bytes((case.base / name).read_bytes())
    line = dataclasses.replace(case.version.lineage, source_digest=digest_file(base / "model.joblib"))
    return dataclasses.replace(case, base=base, folder=base, version=dataclasses.replace(case.version, lineage=line))


def gate(**settings):
    return SupplyChain(SupplyChainGate(**settings))


def failing(evidence):
    return {c.name: c.sentence for c in evidence.checks if c.decides and c.verdict is not Verdict.PASS}


def test_the_gate_conforms(sound, tmp_path):
    evidence = check_gate(gate, sound, with_source(sound, tmp_path, pickle.dumps(touch())))
    assert {"source", "artifact", "sbom"} <= set(evidence.looked_at)
    assert any(not c.decides and "Nobody looked" in c.sentence for c in evidence.checks)


def test_a_command_behind_joblibs_arrays_is_named_by_every_scanner(sound, tmp_path):
    joblib.dump([RandomForestClassifier(3).fit(X, Y), touch()], tmp_path / "x.joblib")
    found = failing(run_gate(gate(), with_source(sound, tmp_path, (tmp_path / "x.joblib").read_bytes())))
    assert set(found) == {"picklescan", "modelscan", "fickling"}
    assert all("system" in sentence for sentence in found.values())


def words(count):
    """The pickle of a vocabulary of so many words, each remembered, as a pickler writes it."""
    return pickle.dumps({f"word{i}": i for i in range(count)})


def laughs():
    """A pickle that reads one small thing a hundred times, again and again: a bomb for whoever follows it."""
    line = b"(" + b"h\x00" * 100 + b"t0"
    return b"\x80\x02]q\x00" + 50 * line + b"."


def test_a_large_vocabulary_is_no_bomb_and_a_bomb_is_one():
    """fickling's own limits are passed by 100,000 words."""
    assert scanners.scan("fickling", [words(101_000)], 60) == []
    assert any("xhaust" in hit for hit in scanners.scan("fickling", [laughs()], 60))


@pytest.mark.parametrize("compress", [0, ("gzip", 3), ("zlib", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)])
def test_honest_models_pass_however_they_are_packed(sound, tmp_path, compress):
    joblib.dump(RandomForestClassifier(3).fit(X, Y), tmp_path / "x.joblib", compress=compress)
    kind, packing, data = content(tmp_path / "x.joblib")
    assert (kind, packing) == (Format.PICKLE, {"bz2": "bzip2"}.get(compress[0], compress[0]) if compress else "")
    assert "RandomForestClassifier" in {n.name for n in pickled.read(data).names}


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_is_read_and_its_names_are_found(tmp_path, protocol):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps([LogisticRegression().fit(X, Y), touch()], protocol=protocol))
    kind, _, data = content(tmp_path / "x.pkl")
    assert kind is Format.PICKLE
    assert "system" in {name.name for name in pickled.read(data).names}


HAND_MADE = {
    "GLOBAL and REDUCE": b"cos\nsystem\n(S'touch x'\ntR.",
    "INST": b"(S'touch x'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'touch x'\no.",
    "STACK_GLOBAL by memo": b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94h\x00h\x01\x93\x8c\x01x\x85R.",
    "NEWOBJ": b"\x80\x02cos\nsystem\n(X\x01\x00\x00\x00xt\x81.",
    "NEWOBJ_EX": b"\x80\x04cos\nsystem\n\x8c\x01x\x85}\x92.",
    "BUILD": b"\x80\x02cos\nsystem\n)\x81}X\x01\x00\x00\x00aK\x01sb.",
}


@pytest.mark.parametrize("data", HAND_MADE.values(), ids=HAND_MADE.keys())
def test_hand_made_operations_show_their_imports(data):
    assert ("os", "system") in {(name.module, name.name) for name in pickled.read(data).names}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(pickle.dumps(1) + pickle.dumps(2), id="two pickles in one file"),
        pytest.param(pickle.dumps(1) + b"x", id="bytes after the end"),
        pytest.param(pickle.dumps(list(range(1000)))[:-20], id="cut off"),
        pytest.param(b"\x80\x02\x82\x01.", id="an extension code"),
        pytest.param(b"\x80\x02U\x01aQ.", id="a persistent id"),
        pytest.param(b"\x80\x02\xff.", id="an unknown operation"),
    ],
)
def test_a_pickle_that_cannot_be_followed_is_refused(data):
    with pytest.raises(Rejected) as refusal:
        pickled.read(data)
    assert refusal.value.code == "NOT_A_PICKLE"


@pytest.mark.parametrize("call", [("builtins", "eval"), ("operator", "attrgetter"), ("builtins", "getattr")])
def test_indirect_calls_are_tripped_over(sound, tmp_path, call):
    import importlib

    function = getattr(importlib.import_module(call[0]), call[1])
    data = pickle.dumps(
        Payload(function, "1" if call[1] == "eval" else "real", *(["x"] if call[1] == "getattr" else []))
    )
    assert failing(run_gate(gate(), with_source(sound, tmp_path, data)))


def zipped():
    import io

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.pkl", pickle.dumps(touch()))
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(zipped(), "zip archive", id="zip"),
        pytest.param(b"\x89HDF\r\n\x1a\n", "HDF5", id="hdf5"),
        pytest.param(b"\x7fELF\x02", "a program", id="program"),
        pytest.param(b"import os", "no format we take", id="source text"),
        pytest.param(gzip.compress(b"hello there"), "no format we take", id="something in gzip"),
        pytest.param(zlib.compress(pickle.dumps(1))[:-3], "cut off", id="a stream cut off"),
        pytest.param(b"", "starts with nothing", id="nothing"),
    ],
)
def test_other_formats_are_refused_by_their_first_bytes(sound, tmp_path, data, words):
    found = failing(run_gate(gate(scanners=()), with_source(sound, tmp_path, data)))
    assert words in found["format of the source"]


def test_a_scanner_that_cannot_run_is_no_pass(sound, tmp_path):
    assert run_gate(gate(scanners=("nobodys",)), sound).verdict is Verdict.CANNOT_TELL
    late = run_gate(gate(scanners=("picklescan",), scan_seconds=0.001), sound)
    assert "was not done within" in failing(late)["picklescan"]


def test_a_source_in_mlflow_is_fetched_and_looked_at_like_a_file(sound):
    class Kept:
        asked = ""

        def download(self, address, target):
            self.asked = address
            return shutil.copy(sound.base / sound.contract.model.source, target / "model.joblib")

    kept, address = Kept(), "runs:/1/model"
    contract = dataclasses.replace(sound.contract, model=dataclasses.replace(sound.contract.model, source=address))
    case = dataclasses.replace(sound, contract=contract, sources=kept)
    evidence = run_gate(gate(scanners=("picklescan",)), case)
    assert evidence.verdict is Verdict.PASS
    assert kept.asked == address
    assert {"operations of the pickle", "picklescan"} <= {c.name for c in evidence.checks}
    untold = run_gate(gate(scanners=("picklescan",)), dataclasses.replace(case, sources=None))
    assert untold.verdict is Verdict.CANNOT_TELL
    assert "nobody looked at it" in failing(untold)["format of the source"]


def test_a_source_in_mlflow_that_is_harmful_or_another_one_is_no_pass(sound, tmp_path):
    class Kept:
        def __init__(self, data):
            self.data = data

        def download(self, address, target):
            (target / "model.pkl").write_bytes(self.data)
            return target / "model.pkl"

    bad = b"cos\nsystem\n(S'true'\ntR."
    source = dataclasses.replace(sound.contract.model, source="models:/loans/1")
    case = dataclasses.replace(sound, contract=dataclasses.replace(sound.contract, model=source), sources=Kept(bad))
    assert run_gate(gate(scanners=()), case).verdict is Verdict.CANNOT_TELL  # not the registered one
    line = dataclasses.replace(sound.version.lineage, source_digest=digest_bytes(bad))
    planted = dataclasses.replace(case, version=dataclasses.replace(sound.version, lineage=line))
    assert "picklescan" in failing(run_gate(gate(scanners=("picklescan",)), planted))


def test_another_graph_than_the_registered_one_cannot_be_told(sound):
    parts = dataclasses.replace(sound.version.components, artifact=cases.DIGEST)
    other = dataclasses.replace(sound, version=dataclasses.replace(sound.version, components=parts))
    assert "is not the one" in failing(run_gate(gate(), other))["converted graph"]


# ONNX graphs: external data and custom operators wherever they can hide.


def outside(tensor, how):
    tensor.ClearField("raw_data")
    if how != "flag only":
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", {"plain": "w.bin", "up": "../w.bin", "absolute": "/etc/hostname"}[how]
    if how != "entries only":
        tensor.data_location = TensorProto.EXTERNAL
    return tensor


def weight(how):
    return outside(numpy_helper.from_array(np.ones(2, np.float32), "w"), how)


def sparse(how):
    indices = numpy_helper.from_array(np.array([0], np.int64), "i")
    return helper.make_sparse_tensor(weight(how), indices, [2])


def plain_graph(nodes=None, **more):
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    made = [helper.make_node("Identity", ["x"], ["y"])] if nodes is None else nodes
    return helper.make_graph(made, "g", [value], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])], **more)


def constant(how, sparsely=False):
    return helper.make_node(
        "Constant", [], ["y"], **({"sparse_value": sparse(how)} if sparsely else {"value": weight(how)})
    )


def subgraph(node):
    return helper.make_node("If", ["c"], ["y"], then_branch=plain_graph([node]), else_branch=plain_graph())


def as_function(node):
    return helper.make_function("ours", "f", ["x"], ["y"], [node], [helper.make_opsetid("", 17)])


def trained(graph):
    model = helper.make_model(plain_graph())
    model.training_info.add().algorithm.CopyFrom(graph)
    return model


PLACES = {
    "initializer": lambda how: helper.make_model(plain_graph(initializer=[weight(how)])),
    "sparse initializer": lambda how: helper.make_model(plain_graph(sparse_initializer=[sparse(how)])),
    "attribute": lambda how: helper.make_model(plain_graph([constant(how)])),
    "sparse attribute": lambda how: helper.make_model(plain_graph([constant(how, True)])),
    "subgraph": lambda how: helper.make_model(plain_graph([subgraph(constant(how))])),
    "function": lambda how: helper.make_model(plain_graph(), functions=[as_function(constant(how))]),
    "training": lambda how: trained(plain_graph(initializer=[weight(how)])),
    "list of tensors": lambda how: helper.make_model(
        plain_graph([helper.make_node("Identity", ["x"], ["y"], extra=[weight(how)])])
    ),
}


@pytest.mark.parametrize("how", ["plain", "up", "absolute", "flag only"])
@pytest.mark.parametrize("place", PLACES)
def test_external_data_is_refused_wherever_it_hides(place, how):
    (fault,) = set(onnx_rules.faults(PLACES[place](how).SerializeToString()))
    assert "is kept in another file" in fault


CUSTOM = helper.make_node("Shell", ["x"], ["y"], domain="evil")
HIDDEN = {
    "graph": helper.make_model(plain_graph([CUSTOM])),
    "subgraph": helper.make_model(plain_graph([subgraph(CUSTOM)])),
    "function": helper.make_model(plain_graph(), functions=[as_function(CUSTOM)]),
    "training": trained(plain_graph([CUSTOM])),
    "the runtime's own domain": helper.make_model(
        plain_graph([helper.make_node("PythonOp", ["x"], ["y"], domain="com.microsoft")])
    ),
    "a function's domain": helper.make_model(
        plain_graph([helper.make_node("Shell", ["x"], ["y"], domain="ours")]),
        functions=[as_function(constant("plain"))],
    ),
}


@pytest.mark.parametrize("model", HIDDEN.values(), ids=HIDDEN.keys())
def test_custom_operators_are_refused_wherever_they_hide(model):
    assert any("is custom" in fault for fault in onnx_rules.faults(model.SerializeToString()))


def test_sound_and_damaged_graphs_are_told_apart(sound):
    assert list(onnx_rules.faults((sound.folder / "model.onnx").read_bytes())) == []
    assert list(onnx_rules.faults(onnx.ModelProto().SerializeToString())) == ["the graph has no nodes"]
    assert "not an ONNX model" in next(onnx_rules.faults(b"\x08\xff\xff"))


def test_a_planted_graph_fails_the_gate(sound, tmp_path):
    graph = PLACES["attribute"]("up").SerializeToString()
    case = with_source(sound, tmp_path, graph)
    assert "another file" in failing(run_gate(gate(), case))["graph of model.joblib"]


# Vulnerabilities.


def record(name, fixed="999", id="PYSEC-1", **more):
    span = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}
    return {"id": id, "affected": [{"package": {"name": name, "ecosystem": "PyPI"}, "ranges": [span]}], **more}


@pytest.mark.parametrize("kind", ["json", "jsonl", "zip"])
def test_a_vulnerable_package_is_found_in_every_kind_of_file(sound, tmp_path, kind):
    path = tmp_path / f"osv.{kind}"
    listed = [record("NumPy", aliases=["CVE-1"]), record("nobody-has-this"), record("scipy", withdrawn="2020-01-01")]
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for place, item in enumerate(listed):
                archive.writestr(f"{place}.json", json.dumps(item))
    else:
        path.write_text(json.dumps(listed) if kind == "json" else "\n".join(map(json.dumps, listed)))
    case = with_source(sound, tmp_path, (sound.base / "model.joblib").read_bytes())
    found = failing(run_gate(gate(osv=path.name, scanners=()), case))
    assert "PYSEC-1 in numpy" in found["known vulnerabilities"]
    assert "3 records" in found["known vulnerabilities"]
    assert failing(run_gate(gate(osv=path.name, scanners=(), accepted=("CVE-1",)), case)) == {}


def test_a_file_that_is_no_osv_file_cannot_be_told(sound, tmp_path):
    case = with_source(sound, tmp_path, (sound.base / "model.joblib").read_bytes())
    for text in ("not json", '{"hello": 1}'):
        (tmp_path / "osv.json").write_text(text)
        assert run_gate(gate(osv="osv.json", scanners=()), case).verdict is Verdict.CANNOT_TELL
    assert run_gate(gate(osv="absent.json", scanners=()), case).verdict is Verdict.CANNOT_TELL


@pytest.mark.parametrize(
    ("version", "events", "affected"),
    [
        ("1.0", [{"introduced": "0"}], True),
        ("1.10", [{"introduced": "1.2"}, {"fixed": "1.9"}], False),
        ("1.8", [{"introduced": "1.2"}, {"fixed": "1.9"}], True),
        ("1.9", [{"introduced": "1.2"}, {"last_affected": "1.9"}], True),
        ("1.9.1", [{"introduced": "1.2"}, {"last_affected": "1.9"}], False),
        ("3.1", [{"fixed": "2"}, {"introduced": "3"}, {"introduced": "1"}], True),
        ("2.5", [{"introduced": "1"}, {"fixed": "2"}, {"introduced": "3"}], False),
    ],
)
def test_ranges_are_read_as_the_schema_says(version, events, affected):
    assert osv.is_affected(version, {"ranges": [{"type": "ECOSYSTEM", "events": events}]}) is affected
    assert osv.is_affected("4.0", {"versions": ["4.0.0"]})


def test_a_package_pip_audit_skips_is_a_package_nobody_looked_up(monkeypatch):
    import subprocess

    def answers(*words, **how):
        report = {"dependencies": [{"name": "numpy", "skip_reason": "not found"}]}
        return subprocess.CompletedProcess(words, 0, json.dumps(report), "")

    monkeypatch.setattr(packages.subprocess, "run", answers)
    with pytest.raises(Unmeasured, match="skipped 1 of 1"):
        packages.audit({"numpy": "1"}, 5)


def test_pip_audit_that_cannot_look_a_package_up_is_no_pass():
    """The tool itself, with or without a network: nobody publishes this package."""
    with pytest.raises(Unmeasured):
        packages.audit({"modelmark-package-nobody-published": "1.0"}, 30)


def test_off_says_off(sound):
    evidence = run_gate(gate(vulnerabilities=Vulnerabilities.OFF), sound)
    assert "says off" in next(c.sentence for c in evidence.checks if c.name == "known vulnerabilities")


def test_the_bill_of_materials_is_the_same_each_time_and_complete():
    here = packages.installed()
    document = packages.bill(here)
    assert document == packages.bill(here)
    assert {c["name"] for c in json.loads(document)["components"]} == set(here)


def test_the_bill_of_materials_is_written_again_from_the_evidence_byte_for_byte(tmp_path):
    evidence = run_gate(SupplyChain(SupplyChainGate(scanners=())), cases.case(tmp_path))
    made = packages.bill_of([evidence])
    assert made is not None
    assert digest_bytes(made) == evidence.looked_at["sbom"]
    document = json.loads(made)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert {"numpy", "onnxruntime"} <= {item["name"] for item in document["components"]}
    assert packages.bill_of([]) is None


def test_a_byte_array_is_shown_to_scanners_as_bytes_of_the_same_length():
    """fickling ends at the operation itself, and whatever came after it nobody looked at."""
    data = pickle.dumps([bytearray(b"x" * 300), touch()], protocol=5)
    found = pickled.read(data)
    shown = list(pickletools.genops(found.streams[0]))
    assert "BYTEARRAY8" not in {operation.name for operation, *_ in shown}
    assert b"x" * 300 in [argument for _, argument, _ in shown]
    assert len(found.streams[0]) == len(data)
    assert scanners.scan("fickling", found.streams, 60.0)
