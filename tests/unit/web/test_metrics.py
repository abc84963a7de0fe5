# SPDX-License-Identifier: Apache-2.0
"""Workers' metrics add up in one directory that belongs to this user and starts empty."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from signer.errors import Misconfigured
from signer.telemetry.metrics import Metrics, share_directory
from signer.web.operations import create_operations_app
from tests.unit.web.label_values import ALLOWED, strange_labels
from tests.unit.web.world import World

WORKER = """
import sys
from pathlib import Path
from prometheus_client import CollectorRegistry
from signer.telemetry.metrics import Metrics, StateCollector, exposition, forget_worker, share_directory
folder = Path(sys.argv[1])
share_directory(folder)
import os
for _ in range(2):
    pid = os.fork()
    if not pid:
        metrics = Metrics(CollectorRegistry())
        metrics.requests.labels("/v1/keys", "GET", "200").inc()
        metrics.request_seconds.labels("/v1/keys").observe(0.1)
        os._exit(0)
    os.waitpid(pid, 0)
    forget_worker(pid, folder)
state = StateCollector(lambda: [("signer_up", "Up.", 1.0)], version="1.2.3")
sys.stdout.buffer.write(exposition(folder, state))
"""


def test_the_counters_of_dead_workers_still_count(tmp_path: Path) -> None:
    # In a process of its own: the library decides once per process where values live.
    text = subprocess.run(
        [sys.executable, "-c", WORKER, str(tmp_path / "metrics")], capture_output=True, text=True, check=True
    ).stdout
    assert 'signer_http_requests_total{method="GET",route="/v1/keys",status="200"} 2.0' in text
    assert 'signer_http_request_duration_seconds_count{route="/v1/keys"} 2.0' in text
    assert "signer_up 1.0" in text
    assert 'signer_build_info{version="1.2.3"} 1.0' in text


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from prometheus_client import values  # noqa: PLC0415 - restored after the test

    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")


def test_the_directory_is_emptied_and_closed_to_others(environment: Any, tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir(mode=0o777)
    (folder / "counter_1.db").write_bytes(b"stale")
    share_directory(folder)
    assert list(folder.iterdir()) == []
    assert folder.stat().st_mode & 0o777 == 0o700
    assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == str(folder)


def test_a_directory_behind_a_link_is_refused(environment: Any, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "metrics").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Misconfigured) as refused:
        share_directory(tmp_path / "metrics")
    assert refused.value.code == "metrics-directory"


def test_the_operations_listener_exposes_the_state_of_this_instant(world: World) -> None:
    world.application.metrics_directory.mkdir()
    answer = create_operations_app(world.application).test_client().get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain; version=")
    assert b"signer_log_tree_size 4.0\n" in answer.data
    assert b"signer_halted 0.0\n" in answer.data
    assert b'signer_key_proved_timestamp_seconds{key="release"} 1.7954' in answer.data
    assert b'signer_key_probes{key="release"} 7.0\n' in answer.data
    assert b'signer_key_probes_failed{key="release"} 1.0\n' in answer.data
    assert b"signer_up 0.0\n" in answer.data  # there is no server certificate here


def test_health_on_the_operations_listener_gives_no_reasons(world: World) -> None:
    client = create_operations_app(world.application).test_client()
    assert client.get("/livez").status_code == 200
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "problems" not in answer.get_json()


def test_every_label_has_a_list_of_its_values() -> None:
    labels = {
        label
        for metric in vars(Metrics(CollectorRegistry())).values()
        if isinstance(metric, MetricWrapperBase)
        for label in metric._labelnames
    }
    assert labels
    assert labels - set(ALLOWED) == set()


def test_a_value_outside_its_list_is_told() -> None:
    text = 'a_total{route="/v1/keys",method="GET"} 1.0\na_total{route="/v1/x",method="BREW"} 1.0\nb{who="me"} 1.0\n'
    assert list(strange_labels(text)) == ["a_total: route='/v1/x'", "a_total: method='BREW'", "b: who='me'"]


def test_traffic_of_every_kind_makes_no_label_outside_its_list(world: World) -> None:
    client = world.client()
    client.post("/v1/signatures", json=world.body())
    client.post("/v1/checks", json=world.body([]))
    client.post("/v1/checks", json={"canary": 1})
    client.open("/canary", method="CANARY")
    text = generate_latest(world.registry).decode()
    assert "signer_sign_requests_total" in text
    assert list(strange_labels(text)) == []
