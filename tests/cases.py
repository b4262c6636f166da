"""Candidates for tests of gates: real tables on disk, a real graph, a real session."""

from __future__ import annotations

from datetime import UTC, datetime

from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import models
from endpoint import Endpoint, Stage, onnx_of
from modelmark.domain.version import ARTIFACT, SIGNATURE, Components, Lineage, Parity, Version
from modelmark.gates.case import Case
from modelmark.registry.convert import signature_bytes
from modelmark.seal.digests import digest_bytes, digest_file

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = digest_bytes(b"")


def _digest(path):
    return digest_file(path) if path.is_file() else DIGEST


def version(base, contract, **changes):
    usual = {
        "id": digest_bytes(b"candidate"),
        "model": contract.name,
        "number": 2,
        "components": Components(artifact=_digest(base / ARTIFACT), contract=DIGEST, preprocessing=DIGEST, lock=DIGEST),
        "lineage": Lineage(
            source="model.joblib",
            source_digest=_digest(base / contract.model.source),
            train_digest=digest_file(base / contract.data.train),
            holdout_digest=digest_file(base / contract.data.holdout),
            git_commit=None,
            validation_digest=digest_file(base / contract.data.validation) if contract.data.validation else None,
        ),
        "parity": Parity(rows=500, flipped=0, max_difference=1e-7),
        "reference": DIGEST,
        "created_at": NOW,
        "registered_by": "ada",
    }
    return Version(**{**usual, **changes})


def boosted(contract):
    names = [item.name for item in contract.inputs]
    text = [item.name for item in contract.textual()]
    kind = HistGradientBoostingClassifier if contract.outputs.classes else HistGradientBoostingRegressor
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), text), remainder="passthrough"
    )
    model = kind(max_iter=40, random_state=0)
    return make_pipeline(encode, model) if text else model, names


def case(base, contract=None, train=None, holdout=None, model=None, validation=None, **changes):
    """A case over fresh tables; by default a sound candidate on which every gate should pass."""
    contract = contract or models.contract()
    train = models.frame(1500, 1) if train is None else train
    holdout = models.frame(800, 2) if holdout is None else holdout
    models.write_tables(base, train, holdout)
    if validation is not None:
        validation.to_csv(base / contract.data.validation, index=False)
    if model is None:
        model, names = boosted(contract)
        known = train.dropna(subset=[contract.data.target])
        model.fit(known[names], known[contract.data.target])
    graph, signature = onnx_of(model, contract, holdout)
    (base / ARTIFACT).write_bytes(graph)
    (base / SIGNATURE).write_bytes(signature_bytes(signature))
    models.save(model, base, contract.model.source)
    endpoint = Endpoint(contract, graph, signature)
    usual = {
        "version": version(base, contract),
        "contract": contract,
        "base": base,
        "folder": base,
        "predictor": endpoint,
        "staging": Stage(endpoint),
        "clock": lambda: NOW,
    }
    return Case(**{**usual, **changes})
