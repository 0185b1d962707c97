"""Facts about the choice of a precision by trial."""

import pytest

from utils import runtime


@pytest.fixture
def trial(monkeypatch):
    """A trial whose calls take the given seconds, float32 and bfloat16 in turn."""

    def run(float32, bfloat16):
        seconds = iter([s for both in zip(float32, bfloat16, strict=True) for s in both])
        monkeypatch.setattr(runtime, "_seconds", lambda convolve: next(seconds))
        return runtime._gain.__wrapped__(rounds=len(float32))

    return run


def test_a_busy_machine_that_spares_one_call_does_not_turn_the_choice(trial):
    assert trial([3, 2, 2, 2, 2], [3.3, 2.2, 1.1, 2.2, 2.2]) < 1
    assert trial([4, 4, 1, 4, 4], [1, 1, 1, 1, 1]) == 4


def test_policy_takes_bfloat16_only_for_a_clear_gain(monkeypatch):
    for gain, expected in [(0, "float32"), (1.2, "float32"), (1.3, "mixed_bfloat16")]:
        monkeypatch.setattr(runtime, "_gain", lambda gain=gain: gain)
        assert runtime.policy("auto") == expected
    assert runtime.policy("bfloat16") == "mixed_bfloat16"
