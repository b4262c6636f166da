"""An experiment from what is agreed to its end: what each act writes, what it refuses, and who answers meanwhile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_releases import ONE, THREE, TWO
from test_rollout_acts import OPS, Way

from builders.domain import contract
from modelmark.app.usecases.audit_at import AuditAt
from modelmark.app.usecases.monitored_versions import MonitoredVersions
from modelmark.contract.after_release.experiment_file import load_plan, parse_plan, require_possible
from modelmark.domain.errors import ContractInvalid, Missing, NotPermitted
from modelmark.domain.experiments.plan import ExperimentArm, ExperimentPlan, Measure, Objective
from modelmark.domain.people import Permission, Principal
from modelmark.domain.release import State
from modelmark.domain.routes import Route
from modelmark.governance.audit import verify_chain
from modelmark.governance.experiments import Experiments, experiments_of, registered_digest
from modelmark.governance.rollouts import Hand
from modelmark.seal.digests import plain
from modelmark.seal.values import restore
from modelmark.serving.models import LiveArm, LiveRoute
from modelmark.serving.routing import by_request

PLAN = ExperimentPlan(
    name="trees", model="loans", hypothesis="More is more.",
    arms=(ExperimentArm(name="control", version="v1", share=0.5), ExperimentArm(name="b", version="v2", share=0.3)),
    objective=Objective(measure=Measure.ACCURACY, minimum_effect=0.1), holdback=0.2,
)  # fmt: skip
A_A = replace(PLAN, name="same", arms=(PLAN.arms[0], replace(PLAN.arms[1], version="v1")), a_a=True)


class Laboratory(Way):
    def __init__(self) -> None:
        super().__init__()
        self.experiments = Experiments(
            ledger=self.ledger, audit=self.audit, clock=self.clock, releases=self.desk, rollouts=self.rollouts,
            effects=self.desk._effects, people=self.desk._sign_off.people,
        )  # fmt: skip

    def start(self, plan: ExperimentPlan = PLAN, *versions: Any, hand: Hand = OPS) -> Any:
        return self.experiments.start(plan, dict(zip(("control", "b"), versions or (ONE, TWO), strict=True)), hand)

    def shares(self) -> list[tuple[str, str, float]]:
        labels = {version.id: version.label for version in self.ledger.versions()}
        return [(arm.name, labels[arm.version], arm.weight) for arm in self._route().arms]

    def _route(self) -> Route:
        route = self.published[-1].route("loans")
        assert route is not None
        return route


def test_what_is_agreed_stands_in_the_audit_before_any_arm_has_traffic():
    lab = Laboratory()
    lab.ready(TWO)
    before = len(lab.published)
    begun = lab.start()
    assert len(lab.published) == before + 1
    registered, began = lab.ledger.events()[-2:]
    assert (registered.act, registered.subject) == ("preregistered experiment", "experiment trees")
    assert began.act == "began experiment"
    assert "snapshot" not in registered.details
    assert registered.details["digest"] == begun.digest == registered_digest(PLAN, {"control": ONE.id, "b": TWO.id})
    assert restore(ExperimentPlan, registered.details["plan"]) == PLAN
    assert lab.shares() == [("champion", "v1", 0.2), ("trees.control", "v1", 0.5), ("trees.b", "v2", 0.3)]
    assert lab.state(TWO) is State.EXPERIMENT
    assert lab.state(ONE) is State.CHAMPION
    assert lab.marked[-1].id == TWO.id, "no mark, no traffic"
    assert list(began.details["files"]) == [f"{TWO.id.hex}/mark.dsse.json"]
    assert lab.desk.routes.seen("loans") == "v1+v2"
    verify_chain(lab.ledger.events())


def test_at_its_end_the_champion_answers_everything_and_the_arm_waits_staged_or_is_rolled_back():
    for harmed, state in ((False, State.STAGED), (True, State.ROLLED_BACK)):
        lab = Laboratory()
        lab.ready(TWO)
        ended = lab.experiments.stop(lab.start(), OPS, reason="enough", verdict="better. b is.", harmed=harmed)
        assert (ended.state, ended.reason, ended.verdict, ended.ended_by) == ("ended", "enough", "better. b is.", "ops")
        assert lab.shares() == [("champion", "v1", 1.0)]
        assert lab._route().salt == ""
        assert lab.state(TWO) is state
        assert lab.experiments.running() == ()
        assert experiments_of(lab.ledger.events())[0] == ended
        if not harmed:
            lab.desk.release(TWO, actor="ops")
            assert lab.arms() == [("champion", "v2", 1.0)]


def test_the_same_version_may_be_every_arm_of_an_a_a_experiment():
    lab = Laboratory()
    marks = len(lab.marked)
    begun = lab.start(A_A, ONE, ONE)
    assert lab.shares() == [("champion", "v1", 0.2), ("same.control", "v1", 0.5), ("same.b", "v1", 0.3)]
    assert lab.state(ONE) is State.CHAMPION
    assert len(lab.marked) == marks
    lab.experiments.stop(begun, OPS, reason="", verdict="")
    assert lab.state(ONE) is State.CHAMPION


def test_nothing_else_changes_who_answers_while_it_runs():
    lab = Laboratory()
    lab.ready(TWO)
    three = lab.ready(THREE)
    lab.start()
    for act in (
        lambda: lab.desk.release(three, actor="ops"), lambda: lab.desk.release(three, share=0.1, actor="ops"),
        lambda: lab.desk.rollback("loans", actor="ops"), lambda: lab.rollouts.shadow(three, OPS),
        lambda: lab.start(replace(PLAN, name="other"), ONE, THREE),
    ):  # fmt: skip
        with pytest.raises(NotPermitted) as refused:
            act()
        assert refused.value.code == "EXPERIMENT_RUNS"
        assert refused.value.hint == "modelmark experiment stop trees"
    assert lab.shares()[-1] == ("trees.b", "v2", 0.3)
    lab.rollouts.start(three, OPS)
    assert lab.state(THREE) is State.STAGED, "its turn comes when the experiment has ended"


@pytest.mark.parametrize(
    ("plan", "versions", "code"),
    [
        pytest.param(PLAN, (TWO, ONE), "CONTROL_NOT_CHAMPION", id="another control than the champion"),
        pytest.param(PLAN, (ONE, THREE), "NOT_RELEASABLE", id="an arm that nobody signed"),
    ],
)
def test_an_experiment_does_not_begin_with(plan, versions, code):
    lab = Laboratory()
    lab.ready(TWO)
    lab.register(THREE) if hasattr(lab, "register") else lab.desk.register(THREE, actor="ci")
    events = len(lab.ledger.events())
    with pytest.raises(NotPermitted) as refused:
        lab.start(plan, *versions)
    assert refused.value.code == code
    assert len(lab.ledger.events()) == events
    assert len(lab._route().arms) == 1


def test_a_name_is_used_once_and_a_rollout_comes_first_or_after():
    lab = Laboratory()
    two = lab.ready(TWO)
    lab.experiments.stop(lab.start(), OPS, reason="", verdict="")
    with pytest.raises(NotPermitted, match="cannot change") as refused:
        lab.start(replace(PLAN, hypothesis="Another belief."))
    assert refused.value.code == "EXPERIMENT_KNOWN"
    lab.rollouts.start(two, OPS)
    with pytest.raises(NotPermitted) as refused:
        lab.start(replace(PLAN, name="again"))
    assert refused.value.code == "ROLLOUT_RUNS"


def test_it_ends_once_and_only_as_it_was_seen():
    lab = Laboratory()
    lab.ready(TWO)
    begun = lab.start()
    lab.experiments.stop(begun, replace(OPS, event=begun.event), reason="", verdict="")
    with pytest.raises(NotPermitted) as refused:
        lab.experiments.stop(begun, OPS, reason="", verdict="")
    assert refused.value.code == "EXPERIMENT_ENDED"
    with pytest.raises(Missing, match="no experiment 'nobody'"):
        lab.experiments.named("nobody")


def test_whoever_may_not_release_begins_and_ends_none():
    from builders.people import principal
    from modelmark.domain.people import Role

    lab = Laboratory()
    lab.ready(TWO)
    begun = lab.start()
    people = lab.desk._sign_off.people
    principal(people, "root", "The Admin")
    bob: Principal = principal(people, "bob", "Bob Ray", Role.PRODUCT)
    assert not bob.may(Permission.RELEASE)
    with pytest.raises(NotPermitted):
        lab.experiments.stop(begun, Hand(actor="bob", by=bob), reason="", verdict="")
    with pytest.raises(NotPermitted):
        lab.start(replace(PLAN, name="other"), hand=Hand(actor="bob", by=bob))
    assert lab.experiments.running()[0].name == "trees"
    lab.experiments.stop(begun, Hand(actor="steward", itself=True), reason="harm", verdict="", harmed=True)


def test_who_met_one_experiments_arm_is_not_who_meets_the_nexts():
    class Known:
        pass

    arms = tuple(LiveArm(name, weight, Known()) for name, weight in (("champion", 0.0), ("a", 0.5), ("b", 0.5)))  # type: ignore[arg-type]
    routes = [LiveRoute("loans", arms, None, salt=salt) for salt in ("", "one", "two")]
    met = [[by_request(route, f"e{i}") for i in range(4_000)] for route in routes]
    assert all(set(arm) == {1, 2} for arm in met), "an arm without a share is never met"
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert 0.45 < sum(a == b for a, b in zip(met[one], met[other], strict=True)) / 4_000 < 0.55


FILE = """
name: more-trees
model: loans
hypothesis: More trees are nearer to the truth.
arms:
  - {name: control, version: v1, share: 0.5}
  - {name: trees, version: v2, share: 0.4}
holdback: 0.1
objective: {measure: accuracy, minimum_effect: 0.01}
guardrails:
  - {measure: latency_ms, margin: 20}
stop: {max_days: 14}
"""


def test_a_file_is_read_and_what_is_kept_of_it_reads_the_same(tmp_path: Path):
    (tmp_path / "e.yaml").write_text(FILE)
    found = load_plan(tmp_path / "e.yaml")
    assert (found.name, found.holdback, found.guardrails[0].margin, found.stop.max_days) == ("more-trees", 0.1, 20, 14)
    assert restore(ExperimentPlan, plain(found)) == found
    with pytest.raises(Missing, match="there is no file"):
        load_plan(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: more-trees", "name: More Trees", "e.yaml:2: name: found More Trees; allowed: a-z"),
        ("share: 0.4", "share: 0.6", "shares and holdback add up to 1.2; allowed: 1"),
        ("share: 0.4", "share: 0", "arms[1].share: found 0; allowed: 0.001 to below 1"),
        ("version: v2", "version: v1", "another version for each arm, or a_a: true"),
        ("holdback: 0.1", "holdback: 0.1\na_a: true", "one version for every arm of an A/A experiment"),
        ("name: trees", "name: control", "a name of its own"),
        ("accuracy", "outcome", "objective.direction: found nothing; allowed: higher or lower"),
        ("accuracy", "beauty", "objective.measure: found \"beauty\""),
        ("measure: accuracy", "measure: accuracy, class_name: x", "only class_share has one"),
        ("minimum_effect: 0.01", "minimum_effect: 0", "objective.minimum_effect: found 0; allowed: more than 0"),
        ("margin: 20", "margin: -1", "guardrails[0].margin: found -1; allowed: 0 or more"),
        ("max_days: 14", "max_days: 1000", "stop.max_days: found 1000; allowed: 0.0001 to 365"),
        ("max_days: 14", "max_day: 14", "the unknown field 'max_day'"),
        ("hypothesis: More trees are nearer to the truth.", 'hypothesis: " "', "hypothesis: found nothing"),
        ("holdback: 0.1", "holdback: 0.1\ncovariate: age\nbefore_days: 3", "one of covariate and before_days"),
        ("stop: {max_days: 14}", "stop: {max_days: ", "e.yaml"),
    ],
)  # fmt: skip
def test_a_file_that_agrees_to_nothing_says_where_and_what_is_allowed(old, new, said):
    with pytest.raises(ContractInvalid) as refused:
        parse_plan(FILE.replace(old, new, 1).encode(), Path("e.yaml"))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"strata": "nowhere"}, "strata: found nowhere; allowed: an input with categories: job"),
        ({"covariate": "job"}, "covariate: found job; allowed: a numeric input: age"),
        (
            {"objective": Objective(measure=Measure.CLASS_SHARE, minimum_effect=0.1, class_name="x")},
            "class_name: found x; allowed: 0, 1",
        ),
    ],
)
def test_what_the_champions_contract_makes_impossible_is_refused(changes, said):
    with pytest.raises(ContractInvalid) as refused:
        require_possible(replace(PLAN, **changes), contract())
    assert said in str(refused.value)
    require_possible(PLAN, contract())


def test_a_version_on_two_arms_is_watched_once_as_the_champion():
    lab = Laboratory()
    lab.ready(TWO)
    lab.start()
    watched = MonitoredVersions(
        workspace=None, ledger=lab.ledger, artifacts=None, contract_of=None, settings=None
    )._serving()  # type: ignore[arg-type]
    assert [(arm.name, arm.version) for arm in watched] == [("champion", ONE.id), ("trees.b", TWO.id)]


def test_an_audit_at_a_moment_names_the_arms_that_ran_then():
    lab = Laboratory()
    lab.ready(TWO)
    begun = lab.start()
    at = AuditAt(ledger=lab.ledger)
    then = lab.clock()
    said = [(live.arm, live.label, live.share) for live in at(then).live]
    assert said == [
        ("champion", "v1", 0.2),
        ("experiment trees: control", "v1", 0.5),
        ("experiment trees: b", "v2", 0.3),
    ]
    lab.experiments.stop(begun, OPS, reason="", verdict="")
    assert [(live.arm, live.share) for live in at(lab.clock()).live] == [("champion", 1.0)]
