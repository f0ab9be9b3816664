"""The time of nested stages, by hand and of a real profile."""

import time
from types import SimpleNamespace

import pytest
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, record_function

from vlpt_d2.engine.profile import Profile, stage_seconds


def event(name, start, end, kernels=(), device=DeviceType.CPU, annotation=False):
    span = SimpleNamespace(start=start, end=end, elapsed_us=lambda: end - start)
    durations = [SimpleNamespace(duration=d) for d in kernels]
    return SimpleNamespace(
        name=name,
        time_range=span,
        kernels=durations,
        device_type=device,
        is_user_annotation=annotation,
    )


def test_inner_stages_are_no_part_of_the_outer():
    events = [
        event("outer", 10, 60),
        event("Optimizer.step", 11, 15, [200], annotation=True),
        event("op", 12, 14, [100, 50]),
        event("inner", 20, 35),
        event("op", 21, 22, [7]),  # on whatever thread
        event("outer", 25, 90, device=DeviceType.CUDA),
        event("op", 40, 41, [1000]),
        event("op", 65, 66, [5000]),  # of no stage
        event("inner", 70, 75),
    ]
    expected = {"outer": (35e-6, 1150e-6), "inner": (20e-6, 7e-6)}
    assert stage_seconds(events[::-1], {"outer", "inner"}) == {
        name: pytest.approx(value) for name, value in expected.items()
    }


def test_stages_of_a_real_profile():
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(2):
            with record_function("outer"):
                time.sleep(0.02)
                with record_function("inner"):
                    time.sleep(0.05)
    found = stage_seconds(profiler.events(), ("outer", "inner"))
    assert found["outer"][0] >= 0.04 and found["inner"][0] >= 0.1
    assert found["outer"][0] < found["inner"][0]


def test_rates_by_hand():
    stages = {"data": (0.1, 0.0), "backbone": (0.3, 0.2)}
    text = Profile("step", 4, 0.5, stages, 3 << 20, 8 * 10**12, 64e12).table()
    assert "8.00 images/s, peak memory 3 MiB, 2000.00 GFLOP an image, 16 TFLOP/s" in text
    assert "MFU 25.0%" in text
    rows = [line.split() for line in text.splitlines()[3:]]
    assert rows[1] == ["backbone", "300.0", "60.0", "200.0"]
    assert rows[-1] == ["all", "500.0", "100.0", "200.0"]
