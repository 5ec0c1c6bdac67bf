"""What `show_config` and `fastce config` tell."""

from __future__ import annotations

import os
import re
import sys

import pytest
from commands import run
from threadpoolctl import threadpool_info, threadpool_limits

import fastce


def test_dict_and_text_tell_the_same(capsys):
    config = fastce.show_config(mode="dict")
    assert fastce.show_config() is None
    text = capsys.readouterr().out
    shown = dict(re.split(r"  +", line, maxsplit=1) for line in text.splitlines())
    assert shown == {
        name.replace("_", " "): " ".join(value) if isinstance(value, list) else str(value)
        for name, value in config.items()
    }
    assert run(capsys, "config") == (0, text, "")


def test_values():
    config = fastce.show_config(mode="dict")
    built, supported, available = (
        config[f"instruction_sets_{name}"] for name in ("built", "supported", "available")
    )
    assert config["version"] == fastce.__version__
    assert available == [name for name in built if name in supported]
    assert config["instruction_set"] in available
    assert config["vector_bytes"] in (16, 32, 64)
    assert config["openmp"] == "none" or float(config["openmp"]) >= 3
    assert (config["openmp"] == "none") == (config["openmp_runtime"] == "none")
    assert config["threads"] >= 1
    assert re.search(r"\d", config["compiler"])


@pytest.mark.skipif(sys.platform != "linux", reason="the name of a file of Linux")
def test_the_runtime_is_one_of_those_that_are_loaded():
    if (found := fastce.show_config(mode="dict")["openmp_runtime"]) != "none":
        loaded = [i["filepath"] for i in threadpool_info() if i["user_api"] == "openmp"]
        assert os.path.realpath(found) in map(os.path.realpath, loaded)


def test_threads_are_asked_for_anew():
    with threadpool_limits(1, "openmp"):
        assert fastce.show_config(mode="dict")["threads"] == 1


def test_unknown_mode():
    with pytest.raises(ValueError, match="mode is 'json', accepted are 'stdout' and 'dict'"):
        fastce.show_config(mode="json")
