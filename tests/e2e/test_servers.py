"""The servers that every other e2e test relies on come up, answer, survive a kill, and are gone afterwards."""

from __future__ import annotations

import os
import queue
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.mqtt import Client
from tests.e2e.servers import PATIENCE_S, InfluxServer, MosquittoServer, ServerFailed, accepts, wait_until


def write_line(influx: InfluxServer, line: str) -> None:
    url = f"{influx.url}/write?db=probe&precision=ms"
    with urllib.request.urlopen(url, data=line.encode(), timeout=PATIENCE_S) as answer:
        assert answer.status == 204


def stored(influx: InfluxServer) -> object:
    return influx.query("SELECT volume_m3 FROM water_meter", database="probe")[0]["values"]


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_message_published_to_the_test_broker_is_heard_by_a_subscriber(mosquitto: MosquittoServer) -> None:
    client = Client(port=mosquitto.port)
    assert client.answer() == "Success"
    client.subscribe("lg/v1/+/data")
    client.publish("lg/v1/gw-1/data", b"one reading")
    assert client.heard.get(timeout=PATIENCE_S) == ("lg/v1/gw-1/data", b"one reading")
    client.close()


def test_a_killed_broker_comes_back_on_the_port_that_its_clients_know(mosquitto: MosquittoServer) -> None:
    port, first = mosquitto.port, mosquitto.pid
    mosquitto.kill()
    assert is_gone(first)
    assert not accepts(port)
    mosquitto.start()
    assert (mosquitto.port, accepts(port)) == (port, True)
    assert mosquitto.pid != first


def test_a_paused_broker_says_nothing_until_it_is_resumed(mosquitto: MosquittoServer) -> None:
    mosquitto.pause()
    client = Client(port=mosquitto.port)
    with pytest.raises(queue.Empty):
        client.answers.get(timeout=0.3)
    mosquitto.resume()
    assert client.answer() == "Success"
    client.close()


def test_a_broker_with_passwords_and_an_acl_keeps_strangers_and_neighbours_out(tmp_path: Path) -> None:
    acl = "user gw-1\ntopic readwrite mine/#\n"
    with MosquittoServer(folder=tmp_path, password_file="gw-1:open-sesame", acl_file=acl) as server:
        stranger = Client(port=server.port, user="gw-1", password="wrong")
        assert stranger.answer() == "Not authorized"
        stranger.close()
        gateway = Client(port=server.port, user="gw-1", password="open-sesame")
        assert gateway.answer() == "Success"
        gateway.subscribe("#")
        gateway.publish("yours/data", b"refused, yet acknowledged")
        gateway.publish("mine/data", b"allowed")
        assert gateway.heard.get(timeout=PATIENCE_S) == ("mine/data", b"allowed")
        assert gateway.answers.empty(), "the refusal cost the gateway its connection"
        gateway.close()


def test_a_config_that_the_broker_refuses_is_reported_in_its_own_words(tmp_path: Path) -> None:
    with (
        pytest.raises(ServerFailed, match="no_such_option"),
        MosquittoServer(folder=tmp_path, config="no_such_option 1"),
    ):
        pass


def test_a_point_survives_the_kill_of_the_database_and_its_restart_on_the_same_port(influx: InfluxServer) -> None:
    influx.create_database("probe")
    url, point = influx.url, "water_meter,device=feed,gateway=gw-1 volume_m3=12.5 1700000000000"
    write_line(influx, point)
    assert stored(influx) == [[1700000000000, 12.5]]
    influx.kill()
    influx.start()
    assert influx.url == url
    assert stored(influx) == [[1700000000000, 12.5]]


def test_no_server_outlives_its_test(tmp_path: Path) -> None:
    with MosquittoServer(folder=tmp_path / "broker") as broker, InfluxServer(folder=tmp_path / "store") as store:
        pids = [broker.pid, store.pid]
        ports = [broker.port, store.port]
        broker.pause()
    assert wait_until(lambda: all(is_gone(pid) for pid in pids))
    assert not any(accepts(port) for port in ports)
