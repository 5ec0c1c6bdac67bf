"""The quota of control groups, read from folders as the kernel of Linux shows them."""

import math

import pytest

from fastce._dispatch import cgroup as _cgroup
from fastce._dispatch import threads as _threads

V2 = "30 23 0:26 {root} {point} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "32 31 0:29 {root} {point} rw,relatime shared:9 - cgroup cgroup rw,{controllers}\n"


def mount(form: str, point: str, root: str = "/", controllers: str = "cpu") -> str:
    return form.format(point=point, root=root, controllers=controllers)


@pytest.fixture
def system(tmp_path):
    """Return a function that writes files beneath a root and reads the quota there."""

    def quota(cgroup: str, mountinfo: str, **files: str) -> float:
        files = {"proc/self/cgroup": cgroup, "proc/self/mountinfo": mountinfo, **files}
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return _cgroup.quota(tmp_path)

    return quota


def v1(folder: str, quota: int, period: int = 100_000) -> dict[str, str]:
    return {
        f"{folder}/cpu.cfs_quota_us": f"{quota}\n",
        f"{folder}/cpu.cfs_period_us": f"{period}\n",
    }


UNIFIED = mount(V2, "/sys/fs/cgroup")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50000 100000\n", 0.5),
        ("150000 100000\n", 1.5),
        ("max 100000\n", math.inf),
        ("max\n", math.inf),
        ("", math.inf),
        ("0 100000\n", math.inf),
        ("50000 0\n", math.inf),
        ("many few\n", math.inf),
    ],
)
def test_version_2(system, text, expected) -> None:
    assert system("0::/\n", UNIFIED, **{"sys/fs/cgroup/cpu.max": text}) == expected


def test_version_2_nested(system) -> None:
    """The least quota of the group and of all above it counts; others do not."""
    folder = "sys/fs/cgroup/user.slice/job"
    files = {
        f"{folder}/cpu.max": "300000 100000\n",
        "sys/fs/cgroup/user.slice/cpu.max": "200000 100000\n",
        "sys/fs/cgroup/user.slice/job/deeper/cpu.max": "10000 100000\n",
        "sys/fs/cgroup/system.slice/cpu.max": "10000 100000\n",
    }
    assert system("0::/user.slice/job\n", UNIFIED, **files) == 2
    files["sys/fs/cgroup/user.slice/cpu.max"] = "max 100000\n"
    assert system("0::/user.slice/job\n", UNIFIED, **files) == 3


def test_version_1(system) -> None:
    mounts = mount(V1, "/sys/fs/cgroup/memory", controllers="memory")
    mounts += mount(V1, "/sys/fs/cgroup/cpu,cpuacct", controllers="cpu,cpuacct")
    mounts += mount(V2, "/sys/fs/cgroup/unified")
    groups = "12:memory:/other\n4:cpu,cpuacct:/docker/abc\n3:cpuset:/\n0::/\n"
    files = {
        **v1("sys/fs/cgroup/cpu,cpuacct/docker/abc", 250_000),
        **v1("sys/fs/cgroup/cpu,cpuacct", -1),
        **v1("sys/fs/cgroup/memory/other", 10_000),
    }
    assert system(groups, mounts, **files) == 2.5
    assert (
        system(groups, mounts, **{**files, **v1("sys/fs/cgroup/cpu,cpuacct/docker", 120_000)})
        == 1.2
    )


def test_a_container_that_sees_its_own_part_alone(system) -> None:
    """The path is that of the host; what is mounted begins there."""
    mounts = mount(V1, "/sys/fs/cgroup/cpu", root="/docker/abc")
    files = v1("sys/fs/cgroup/cpu", 300_000)
    assert system("4:cpu:/docker/abc\n", mounts, **files) == 3
    files |= v1("sys/fs/cgroup/cpu/inner", 100_000)
    assert system("4:cpu:/docker/abc/inner\n", mounts, **files) == 1
    assert system("4:cpu:/elsewhere\n", mounts, **files) == 3


@pytest.mark.parametrize("path", ["/../../outside", "/gone", "/with:colon", "/"])
def test_a_group_that_cannot_be_seen(system, path) -> None:
    files = {"sys/fs/cgroup/cpu.max": "200000 100000\n", "outside/cpu.max": "10000 100000\n"}
    assert system(f"0::{path}\n", UNIFIED, **files) == 2


def test_mount_points_with_spaces(system) -> None:
    mounts = mount(V2, r"/my\040groups")
    assert system("0::/\n", mounts, **{"my groups/cpu.max": "100000 100000\n"}) == 1


@pytest.mark.parametrize(
    ("cgroup", "mountinfo"),
    [
        ("", ""),
        ("0::/\n", ""),
        ("", UNIFIED),
        ("nonsense\n", "nonsense - - -\n"),
        ("1:cpu:/\n", UNIFIED),
    ],
)
def test_no_group(system, cgroup, mountinfo) -> None:
    assert system(cgroup, mountinfo) == math.inf


def test_no_proc(tmp_path) -> None:
    assert _cgroup.quota(tmp_path) == math.inf


@pytest.mark.parametrize(
    ("quota", "expected"),
    [(0.1, 1), (1.0, 1), (1.5, 2), (2.5, 3), (7.0, 7), (64.0, 8), (math.inf, 8)],
)
def test_threads_of_a_quota(monkeypatch, quota, expected) -> None:
    monkeypatch.setattr(_threads, "_quota", lambda: quota)
    monkeypatch.setattr(_threads, "_processors", lambda: 8)
    monkeypatch.setattr(_threads._kernels.active, "max_threads", lambda: 20)
    assert _threads.max_threads() == expected
