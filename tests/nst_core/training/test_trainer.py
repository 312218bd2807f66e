"""The optimisation step, without Ray: what it adds up, what it keeps, when it refuses."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nst_core.errors import InputError, TrainingDiverged
from nst_core.networks.conditional_norm import MultiStyleGenerator
from nst_core.networks.generator import Generator
from nst_core.networks.lean import LeanNet
from nst_core.networks.texture import TextureNet
from nst_core.networks.transformer import TransformerNet
from nst_core.objectives.perceptual import Losses, PerceptualObjective
from nst_core.objectives.settings import ObjectiveSettings
from nst_core.training.learning_rate import learning_rate_at
from nst_core.training.photos import Batch, StepSampler
from nst_core.training.settings import TrainingSettings
from nst_core.training.trainer import LOSS_NAMES, GeneratorTrainer, uses_bfloat16
from tests.kit.random_vgg import random_vgg

_CPU = torch.device("cpu")
# The first block alone: a real loss network that takes milliseconds.
_OBJECTIVE = ObjectiveSettings(
    tv_weight=0.1, style_layers=("relu1_1", "relu1_2"), content_layers=("relu1_2",)
)
_SETTINGS = TrainingSettings(
    steps=40, batch_size=4, image_size=32, warmup_steps=4, precision="float32", seed=3
)
MANY_FEATURES: dict[str, Any] = {
    "average": 0.9,
    "schedule": "step",
    "decay_every": 2,
    "stability_weight": 2.0,
    "clip_norm": 0.05,
}


@cache
def _objective(styles: int) -> PerceptualObjective:
    torch.manual_seed(0)
    images = [torch.rand(1, 3, 48, 48) * (0.4 + 0.2 * n) for n in range(styles)]
    return PerceptualObjective(random_vgg("vgg19"), images, _OBJECTIVE)


def _trainer(
    *,
    styles: int = 1,
    network: Generator | None = None,
    objective: nn.Module | None = None,
    world_size: int = 1,
    samples_per_step: int | None = None,
    **changes: Any,
) -> GeneratorTrainer:
    torch.manual_seed(1)
    generator = network or TransformerNet(4)
    if styles > 1:
        generator = MultiStyleGenerator(generator, styles)
        for parameter in generator.style_parameters():
            nn.init.uniform_(parameter, 0.2, 1)
    return GeneratorTrainer(
        generator,
        objective or _objective(styles),
        replace(_SETTINGS, **changes),
        device=_CPU,
        world_size=world_size,
        samples_per_step=samples_per_step,
    )


def _batch(numbers: Sequence[int]) -> Batch:
    pictures = [
        torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(number)) for number in numbers
    ]
    large = nn.functional.interpolate(torch.stack(pictures), (32, 32), mode="bicubic")
    return Batch(tuple(numbers), large.clamp(0, 1))


def _step(trainer: GeneratorTrainer) -> dict[str, float]:
    """Take the step that is next, on samples of its own."""
    first = trainer.steps_done * trainer.samples_per_step
    return trainer.step([_batch(range(first, first + trainer.samples_per_step))])


def _gradient(trainer: GeneratorTrainer, batches: Sequence[Batch]) -> tuple[Tensor, Tensor]:
    """Return what a worker adds up, as one long vector, and the sum of its losses' shares."""
    trainer.optimizer.zero_grad(set_to_none=True)
    losses = torch.zeros(len(LOSS_NAMES))
    for batch in batches:
        part = trainer._backward(batch, synchronize=True)
        losses += part[: len(LOSS_NAMES)] / trainer.samples_per_step
    gradients = [p.grad for p in trainer.parameters if p.grad is not None]
    assert len(gradients) == len(trainer.parameters)
    return torch.cat([gradient.flatten() for gradient in gradients]), losses


def _assert_equal_to_1e5(found: Tensor, expected: Tensor) -> None:
    """The bar of the project for gradients in float32."""
    assert (found - expected).norm() <= 1e-5 * expected.norm()
    assert expected.norm() > 0


@pytest.mark.parametrize("styles", [1, 3])
@pytest.mark.parametrize("stability_weight", [0.0, 2.0])
def test_two_batches_that_are_added_up_equal_one_of_twice_the_size(
    styles: int, stability_weight: float
) -> None:
    more: dict[str, Any] = {"styles": styles, "stability_weight": stability_weight}
    whole = _trainer(batch_size=4, **more)
    parts = _trainer(batch_size=2, accumulate=2, **more)
    assert whole.samples_per_step == parts.samples_per_step == 4
    expected, losses = _gradient(whole, [_batch([5, 6, 7, 8])])
    found, same_losses = _gradient(parts, [_batch([5, 6]), _batch([7, 8])])
    _assert_equal_to_1e5(found, expected)
    torch.testing.assert_close(same_losses, losses, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("workers", "samples"), [(2, 4), (2, 3), (3, 5)])
@pytest.mark.parametrize("styles", [1, 3])
def test_workers_that_share_a_step_equal_one_that_has_all_of_it(
    workers: int, samples: int, styles: int
) -> None:
    more: dict[str, Any] = {
        "styles": styles,
        "samples_per_step": samples,
        "stability_weight": 2.0,
    }
    alone = _trainer(batch_size=samples, **more)
    expected, losses = _gradient(alone, [_batch(range(samples, 2 * samples))])
    gradients, sums = [], []
    for rank in range(workers):
        sampler = StepSampler(
            first_step=1,
            last_step=2,
            samples_per_step=samples,
            batch_size=2,
            rank=rank,
            world_size=workers,
        )
        worker = _trainer(batch_size=2, world_size=workers, **more)
        gradient, sum_of_losses = _gradient(worker, [_batch(numbers) for numbers in sampler])
        gradients.append(gradient)
        sums.append(sum_of_losses)
    _assert_equal_to_1e5(torch.stack(gradients).mean(dim=0), expected)  # as DDP averages them
    torch.testing.assert_close(torch.stack(sums).sum(dim=0), losses, rtol=1e-5, atol=1e-6)


def test_the_total_is_the_objective_and_the_weighted_stability() -> None:
    losses = _step(_trainer(stability_weight=2.0))
    assert tuple(losses) == LOSS_NAMES
    assert losses["stability"] > 0.01
    terms = losses["content"] + 5 * losses["style"] + 0.1 * losses["tv"]
    assert losses["total"] == pytest.approx(terms + 2 * losses["stability"], rel=1e-5)
    without = _step(_trainer())
    assert without["stability"] == 0
    for name in ("content", "style", "tv"):
        assert without[name] == pytest.approx(losses[name], rel=1e-5)


def test_the_objective_falls() -> None:
    trainer = _trainer(learning_rate=1e-2, stability_weight=1.0)
    losses = [trainer.step([_batch(range(4))])["total"] for _ in range(20)]
    assert losses[-1] < 0.8 * losses[0]


class _Recorder(nn.Module):
    """An objective that remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.styles: list[int] = []
        self.stylized: Tensor | None = None

    def forward(self, stylized: Tensor, target: Tensor, styles: Tensor, **_: object) -> Losses:
        self.styles += styles.tolist()
        self.stylized = stylized
        loss = (stylized - target).square().mean()
        return Losses(loss, loss.new_zeros(()), loss.new_zeros(()), loss)


def test_samples_take_the_styles_in_turn_and_are_judged_by_their_own() -> None:
    recorder = _Recorder()
    trainer = _trainer(styles=3, objective=recorder, stability_weight=1.0)
    before = copy.deepcopy(trainer.generator)
    batch = _batch([4, 5, 6, 7])
    trainer.step([batch])
    assert recorder.styles == [1, 2, 0, 1]
    with torch.no_grad():
        expected = before(batch.pictures, torch.eye(3)[[1, 2, 0, 1]])
    assert recorder.stylized is not None
    torch.testing.assert_close(recorder.stylized, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("styles", [1, 3])
def test_going_on_from_a_state_equals_never_having_stopped(styles: int) -> None:
    undisturbed = _trainer(styles=styles, **MANY_FEATURES)
    for _ in range(3):
        _step(undisturbed)
    undisturbed.rate_factor = 0.5
    file = io.BytesIO()
    torch.save(undisturbed.state_dict(), file)
    expected = [_step(undisturbed) for _ in range(3)]
    resumed = _trainer(styles=styles, **MANY_FEATURES)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert resumed.steps_done == 3
    assert [_step(resumed) for _ in range(3)] == expected
    assert resumed.learning_rate == undisturbed.learning_rate
    assert resumed._watch.state_dict() == undisturbed._watch.state_dict()
    _assert_same_weights(resumed.generator, undisturbed.generator)
    _assert_same_weights(resumed.trained, undisturbed.trained)
    assert not torch.equal(
        *(next(iter(n.parameters())) for n in (resumed.generator, resumed.trained))
    )


def _assert_same_weights(ours: nn.Module, theirs: nn.Module) -> None:
    first, second = ours.state_dict(), theirs.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("styles", [1, 2])
def test_noise_follows_from_the_sample_and_not_from_torchs_own_state(styles: int) -> None:
    losses = []
    for seed in (0, 1):
        trainer = _trainer(styles=styles, network=_texture_net())
        torch.manual_seed(seed)
        losses.append(trainer.step([_batch([0, 1])])["total"])
        other = _trainer(styles=styles, network=_texture_net()).step([_batch([2, 3])])
        assert other["total"] != losses[-1]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("batches", [([5, 6], [7, 8]), ([5], [6, 7, 8]), ([8, 5, 7, 6],)])
def test_noise_belongs_to_the_sample_however_a_step_is_cut(batches: Sequence[list[int]]) -> None:
    expected, losses = _gradient(_trainer(network=_texture_net()), [_batch([5, 6, 7, 8])])
    cut = _trainer(network=_texture_net())
    found, same_losses = _gradient(cut, [_batch(numbers) for numbers in batches])
    _assert_equal_to_1e5(found, expected)
    torch.testing.assert_close(same_losses, losses, rtol=1e-5, atol=1e-6)


def _texture_net() -> TextureNet:
    torch.manual_seed(2)
    return TextureNet(2, stylizes=True)


def test_the_average_is_an_exponential_one_that_forgets_faster_at_first() -> None:
    trainer = _trainer(average=0.5, learning_rate=1e-2)
    name = "encoder.0.0.weight"
    expected: Tensor | None = None
    for done in range(12):
        _step(trainer)
        weight = trainer.generator.state_dict()[name].double()
        # 2/11, 3/12, ... of what it was; from the tenth on, 0.5.
        decay = min(0.5, (1 + done) / (10 + done))
        expected = weight if expected is None else decay * expected + (1 - decay) * weight
        # Rounded to float32 at each step.
        found = trainer.trained.state_dict()[name].double()
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    assert expected is not None
    assert (expected - weight).abs().max() > 1e-4


def test_without_an_average_the_last_weights_are_kept() -> None:
    trainer = _trainer(average=0.0)
    for _ in range(3):
        _step(trainer)
        _assert_same_weights(trainer.trained, trainer.generator)


def test_the_average_has_the_running_statistics_of_batch_normalisation() -> None:
    trainer = _trainer(network=TransformerNet(4, norm="batch"), average=0.9)
    states = []
    for _ in range(2):
        _step(trainer)
        states.append(copy.deepcopy(trainer.generator.state_dict()))
    trained = trainer.trained.state_dict()
    names = [name for name in trained if name.endswith("running_mean")]
    assert names
    for name in names:  # the second update keeps 2/11
        expected = (2 * states[0][name] + 9 * states[1][name]) / 11
        torch.testing.assert_close(trained[name], expected, rtol=1e-5, atol=1e-7)
        assert not torch.equal(states[0][name], states[1][name])
    assert {int(v) for k, v in trained.items() if k.endswith("batches_tracked")} == {2}


@pytest.mark.parametrize("clip_norm", [1e-3, 1e3])
def test_a_long_gradient_is_shortened_to_its_bound(clip_norm: float) -> None:
    free, bound = _trainer(), _trainer(clip_norm=clip_norm)
    batch = _batch(range(4))
    free.step([batch])
    bound.step([batch])
    gradient, clipped = (
        torch.cat([p.grad.flatten() for p in t.parameters if p.grad is not None])
        for t in (free, bound)
    )
    assert 1e-2 < gradient.norm() < 1e2
    factor = min(1.0, clip_norm / gradient.norm().item())
    torch.testing.assert_close(clipped, factor * gradient, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_step_that_diverges_leaves_no_trace(what: str) -> None:
    trainer = _trainer(average=0.9)
    for _ in range(2):
        _step(trainer)
    before = copy.deepcopy(trainer.state_dict())
    batch = _batch(range(4))
    if what == "loss":
        batch.pictures[2, 0, 0, 0] = math.nan
    else:
        trainer.parameters[0].register_hook(lambda gradient: gradient * math.inf)  # type: ignore[no-untyped-call]
    with pytest.raises(TrainingDiverged, match="at step 2"):
        trainer.step([batch])
    after = trainer.state_dict()
    assert after["steps_done"] == 2
    for part in ("generator", "average", "trained"):
        assert all(torch.equal(before[part][name], after[part][name]) for name in before[part])
    for number, state in before["optimizer"]["state"].items():
        for name, value in state.items():
            assert torch.equal(after["optimizer"]["state"][number][name], value)


def test_a_loss_that_climbs_back_to_where_it_began_is_a_divergence() -> None:
    trainer = _trainer()
    for step in range(100):
        assert trainer._watch.accept_loss(10 * 0.97**step, 1.0)
    assert not all(trainer._watch.accept_loss(20.0, 1.0) for _ in range(200))
    with pytest.raises(TrainingDiverged):
        _step(trainer)
    assert trainer.steps_done == 0


def test_the_rate_is_the_schedules_times_the_factor() -> None:
    trainer = _trainer(schedule="step", decay_every=2, warmup_steps=2)
    used = []
    for step in range(5):
        trainer.rate_factor = 1.0 if step < 3 else 0.5
        _step(trainer)
        used.append(trainer.optimizer.param_groups[0]["lr"])
    rates = [learning_rate_at(step, trainer.settings) for step in range(5)]
    assert used == [*rates[:3], 0.5 * rates[3], 0.5 * rates[4]]
    assert len(set(rates)) == 4  # 0.5, 1, 0.8, 0.8, 0.64


def test_bfloat16_stays_near_float32() -> None:
    found = {}
    for precision in ("float32", "bfloat16"):
        trainer = _trainer(precision=precision, stability_weight=2.0)
        found[precision] = _gradient(trainer, [_batch(range(4))])
    (exact, losses), (rounded, rounded_losses) = found["float32"], found["bfloat16"]
    # 8 bits in each of 15 layers, forth and back.
    torch.testing.assert_close(rounded_losses, losses, rtol=0.03, atol=1e-3)
    assert not torch.equal(rounded, exact)
    assert nn.functional.cosine_similarity(rounded, exact, dim=0) > 0.97


def test_precision_is_what_was_asked_for_or_what_the_processor_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert uses_bfloat16("bfloat16", _CPU)
    assert not uses_bfloat16("float32", _CPU)
    for capabilities, expected in (({"avx2": True}, False), ({"avx512_bf16": True}, True)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found)
        assert uses_bfloat16("auto", _CPU) is expected


def test_fitting_a_new_style_leaves_the_network_bit_for_bit() -> None:
    torch.manual_seed(7)
    base = TransformerNet(4).state_dict()
    network = MultiStyleGenerator(TransformerNet(4), 2)
    network.start_from(base)
    started = copy.deepcopy(network)
    settings = replace(_SETTINGS, average=0.9, learning_rate=1e-2)
    trainer = GeneratorTrainer(network, _objective(2), settings, device=_CPU)
    for _ in range(4):
        _step(trainer)
    assert set(map(id, trainer.parameters)) == set(map(id, network.style_parameters()))
    fitted = {
        f"{name}.{key}"
        for name, module in network.generator.named_modules()
        if module in network.norms
        for key in ("weight", "bias")
    }
    trained = trainer.state_dict()["trained"]
    for state in (trained, network.generator.state_dict()):
        for name, tensor in state.items():
            unchanged = torch.equal(tensor, started.generator.state_dict()[name])
            assert unchanged is (name not in fitted), name
    for rows in (trained[name] for name in fitted):
        assert not torch.equal(rows[0], rows[1])  # each style goes its own way


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("steps", 0), ("batch_size", 0), ("accumulate", 0), ("decay_every", 0)),
        *(("image_size", 8), ("learning_rate", 0), ("learning_rate", 1.0), ("seed", -1)),
        *(("warmup_steps", -1), ("final_rate", 0), ("decay", 1.5), ("average", 1.0)),
        *(("average", -0.1), ("clip_norm", 0), ("clip_norm", math.inf)),
        *(("stability_weight", -1), ("stability_weight", math.nan)),
        *(("stability_from", 2.0), ("style_rate", 0), ("decay_from", 0)),
    ],
)
def test_impossible_settings_are_refused(field: str, value: float) -> None:
    with pytest.raises(InputError, match=f"^--{field.replace('_', '-')} "):
        TrainingSettings(**{field: value})  # type: ignore[arg-type]


def test_styles_own_parameters_learn_at_their_own_rate_beside_shared_ones() -> None:
    trainer = _trainer(styles=3, style_rate=5.0)
    _step(trainer)
    rates = [group["lr"] for group in trainer.optimizer.param_groups]
    assert rates[1] == pytest.approx(5 * rates[0])
    own = {id(p) for p in trainer.generator.style_parameters()}
    assert {id(p) for p in trainer.optimizer.param_groups[1]["params"]} == own
    alone = _trainer(styles=1, style_rate=5.0)
    assert [group["rate"] for group in alone.optimizer.param_groups] == [1.0]


@pytest.mark.parametrize("styles", [1, 2])
def test_a_networks_constraints_hold_after_every_step(styles: int) -> None:
    trainer = _trainer(styles=styles, network=LeanNet(4))
    for _ in range(3):
        _step(trainer)
    bias = trainer.generator.unwrapped.get_parameter("to_full.0.bias").view(3, 4)
    assert torch.equal(bias, bias[:, :1].expand(3, 4))
