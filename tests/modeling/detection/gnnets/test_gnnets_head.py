"""GNNets' neck, maps and losses: by hand, and on the batches that break naive ones."""

import math

import pytest
import torch
import torch.nn.functional as F
from detectron2.layers import ShapeSpec

from vlpt_d2.config import get_cfg
from vlpt_d2.modeling.detection import build_text_head

SHAPES = {f"res{i}": ShapeSpec(channels=4 * i, stride=2**i) for i in (2, 3, 4, 5)}
SIZE = (72, 104)
GRIDS = {4: (18, 26), 8: (9, 13)}


@pytest.fixture(scope="module")
def head():
    cfg = get_cfg()
    cfg.MODEL.TEXT_HEAD.NAME = "GNNetsHead"
    cfg.MODEL.EAST.NECK_CHANNELS = (8, 8, 8)
    cfg.MODEL.EAST.SCORE_LOSS = "hard_bce"
    torch.manual_seed(0)
    return build_text_head(cfg, SHAPES)


def features(size=SIZE):
    return {
        name: torch.randn(2, s.channels, -(-size[0] // s.stride), -(-size[1] // s.stride))
        for name, s in SHAPES.items()
    }


def targets(case="no text"):
    maps = {}
    for stride, grid in GRIDS.items():
        maps[f"text_{stride}"] = torch.zeros(2, *grid, dtype=torch.uint8)
        maps[f"text_mask_{stride}"] = torch.ones(2, *grid, dtype=torch.uint8)
        maps[f"geometry_{stride}"] = torch.zeros(2, 5, *grid)
        if case == "all ignored":
            maps[f"text_mask_{stride}"].zero_()
        if case != "no text":
            maps[f"text_{stride}"][0, 3, 4] = 1
            numbers = [10.0, 30.0, 14.0, 20.0, 0.3]
            maps[f"geometry_{stride}"][0, :, 3, 4] = torch.tensor(numbers)
    return maps


def test_sizes_and_ranges_of_the_maps(head):
    maps = head.eval()(features((65, 97)))
    assert {name: tuple(m.shape) for name, m in maps.items()} == {
        "score_4": (2, 4, 17, 25), "geometry_4": (2, 20, 17, 25),
        "score_8": (2, 4, 9, 13), "geometry_8": (2, 20, 9, 13),
    }  # fmt: skip
    assert {head.target_stride[name] for name in targets()} == {4, 8}
    output, head.output = head.output, torch.nn.Identity()
    for value, share in ((-1e4, 0.0), (1e4, 1.0)):
        maps = head.predict([torch.full((8, 6, *grid), value) for grid in GRIDS.values()])
        assert (maps["score_4"] == share).all()
        geometry = maps["geometry_8"].unflatten(1, (4, 5))
        assert (geometry[:, :, :4] == 512 * share).all()
        # At 0 the ends of the ranges on the side of what is least in the branch.
        ends = ((-5, 5, -95, 95), (50, -50, -40, 40))[int(share)]
        for branch, end in enumerate(ends):
            assert math.degrees(geometry[0, branch, 4, 0, 0]) == pytest.approx(end, abs=1e-3)
    head.output = output


def test_orientation_units_turn_their_kernels(head):
    """To turn a map, convolve it and turn it back is to convolve it with the kernel turned."""
    x = torch.randn(1, 8, 7, 9)
    kernels = {
        1: lambda w: w.flip(-2),
        2: lambda w: torch.rot90(w, 1, (-2, -1)),
        3: lambda w: torch.rot90(w.flip(-2), 1, (-2, -1)),
    }
    head.eval()
    for units in (head.neck.full_units, head.neck.half_units):
        torch.testing.assert_close(units[0](x), units[0].reduce(x))
        for number, turned in kernels.items():
            conv, norm, relu = units[number].fuse
            reduced = units[number].reduce(x)
            wanted = relu(norm(F.conv2d(reduced, turned(conv.weight), padding=1)))
            torch.testing.assert_close(units[number](x), wanted, rtol=1e-4, atol=1e-5)


def test_one_output_convolution_for_all_branches(head):
    """The maps of a size are those of its branches, images within a branch in their order."""
    x = head.eval().neck(list(features().values()))
    assert [tuple(level.shape) for level in x] == [(8, 8, *grid) for grid in GRIDS.values()]
    score = head.predict(x)["score_8"]
    for branch in range(4):
        for image in range(2):
            wanted = head.output(x[1][2 * branch + image][None])[0, 0].sigmoid()
            torch.testing.assert_close(score[image, branch], wanted)


@pytest.mark.parametrize("case", ["no text", "all ignored", "text"])
@pytest.mark.parametrize("score_loss", ["dice", "balanced_bce", "hard_bce"])
@pytest.mark.parametrize("autocast", [False, True])
def test_losses_are_finite(head, case, score_loss, autocast):
    head.train().zero_grad()
    head.score_loss = score_loss
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        losses = head(features(), targets(case))
    assert losses.keys() == {"loss_score", "loss_iou", "loss_angle"}
    total = sum(losses.values())
    total.backward()
    assert total.dtype == torch.float32 and torch.isfinite(total)
    assert all(p.grad.isfinite().all() for p in head.parameters())
    assert (losses["loss_iou"] + losses["loss_angle"] > 0) == (case == "text")
    head.score_loss = "hard_bce"


def test_losses_by_hand(head):
    """A word of 24 px at 2 degrees in two branches at full size, one of 60 px upright at half."""
    maps = {}
    for stride, grid in ((4, (2, 2)), (8, (1, 1))):
        maps[f"text_{stride}"] = torch.zeros(1, *grid, dtype=torch.uint8)
        maps[f"text_mask_{stride}"] = torch.ones(1, *grid, dtype=torch.uint8)
        maps[f"geometry_{stride}"] = torch.zeros(1, 5, *grid)
    maps["text_4"][0, 0, 0] = maps["text_8"][0, 0, 0] = 1
    maps["geometry_4"][0, :, 0, 0] = torch.tensor([10.0, 40.0, 14.0, 20.0, math.radians(2)])
    # Angle 88: in the branch O_r it is -92, named by the opposite corner.
    maps["geometry_8"][0, :, 0, 0] = torch.tensor([12.0, 50.0, 18.0, 30.0, math.radians(88)])
    maps["text_mask_4"][0, 1, 1] = 0
    levels = [torch.randn(4, 6, 2, 2), torch.randn(4, 6, 1, 1)]
    output, head.output = head.output, torch.nn.Identity()
    losses = {name: loss.item() for name, loss in head.losses(levels, maps).items()}
    head.output = output

    def sigmoid(x):
        return 1 / (1 + math.exp(-x))

    # Per learnt cell: logits, target's distances in the branch's names, angle in the branch.
    learnt = [
        (levels[0][0, :, 0, 0], (10, 40, 14, 20), 2),  # O
        (levels[0][1, :, 0, 0], (14, 40, 10, 20), -2),  # O_f: top and bottom change places
        (levels[1][2, :, 0, 0], (18, 30, 12, 50), -2),  # O_r: -92 + 90
        (levels[1][3, :, 0, 0], (12, 30, 18, 50), 2),  # O_rf: left and right change places
    ]
    iou, angle, positive = [], [], []
    for logits, target, degrees in learnt:
        score, *sides, share = logits.tolist()
        sides = [512 * sigmoid(s) for s in sides]
        low = [min(pair) for pair in zip(sides, target)]
        common = (low[0] + low[2]) * (low[1] + low[3])
        areas = [(s[0] + s[2]) * (s[1] + s[3]) for s in (sides, target)]
        iou.append(math.log((sum(areas) - common + 1) / (common + 1)))
        angle.append(1 - math.cos(math.radians(-5 + 55 * sigmoid(share) - degrees)))
        positive.append(-math.log(sigmoid(score)))
    assert losses["loss_iou"] == pytest.approx(sum(iou) / 4, rel=1e-4)
    assert losses["loss_angle"] == pytest.approx(10 * sum(angle) / 4, rel=1e-4)
    # Neither the two other branches' text cells nor the ignored cells are ground.
    ground = levels[0][:, 0, [0, 1], [1, 0]].flatten().tolist()
    negative = [math.log(1 + math.exp(score)) for score in ground]
    assert len(negative) == 8 <= 3 * 4
    expected = (sum(positive) + sum(negative)) / 12
    assert losses["loss_score"] == pytest.approx(expected, rel=1e-4)


def test_it_checks_its_config():
    cfg = get_cfg()
    cfg.MODEL.TEXT_HEAD.NAME = "GNNetsHead"
    cfg.MODEL.TEXT_HEAD.IN_FEATURES = ["res3", "res4", "res5"]
    cfg.MODEL.EAST.NECK_CHANNELS = (8, 8)
    with pytest.raises(ValueError, match="works at stride 4"):
        build_text_head(cfg, SHAPES)
