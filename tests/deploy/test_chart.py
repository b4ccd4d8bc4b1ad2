"""The Helm chart: what it renders is valid, safe, and what the bridge takes."""

import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import kubernetes_validate
import pytest
import yaml
from kubernetes_validate.utils import all_versions
from pydantic import BaseModel, SecretStr
from typer.testing import CliRunner

from bridge import __version__, settings
from bridge.cli import app
from bridge.evidence.archive.write import CLOSED_AFTER
from tests.certificates import Authority
from tests.evidence_parts import key_file
from tests.tools.required import require_tool

DEPLOY = Path(__file__).parents[2] / "deploy"
CHART = DEPLOY / "helm" / "cometd-kafka-bridge"
VALUES = sorted(path.name.removesuffix("-values.yaml") for path in CHART.glob("ci/*-values.yaml"))
VERSIONS = sorted({text for text in all_versions() if tuple(map(int, text.split("."))) >= (1, 29)})
OF_THE_PROMETHEUS_OPERATOR = {"ServiceMonitor", "PrometheusRule"}
MOUNTED = "/etc/bridge/"
POD = "east-cometd-kafka-bridge-6d5f7c9b8-x2x4z"
FLEETS = {"fleet", "full"}
"""The sets of values that make a fleet."""
SETTLED = 10
"""Seconds after a takeover in which readiness ignores that a session is not connected (`web_services.max_interval`)."""
STOP_LIMIT = 10
"""Seconds that a planned stop may take."""

every_set_of_values = pytest.mark.parametrize("values", VALUES)


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([require_tool("helm"), *arguments], capture_output=True, text=True, timeout=60, check=False)


def template(chart: Path, values: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Render a release named east for the oldest Kubernetes."""
    return helm(
        "template", "east", str(chart), "--kube-version", VERSIONS[0], "--values", values_file(values), *arguments
    )


def values_file(values: str) -> str:
    return str(CHART / "ci" / f"{values}-values.yaml")


@functools.cache
def rendered(values: str) -> dict[str, Any]:
    """The objects of a release, by kind: each kind comes once."""
    done = template(CHART, values)
    assert done.returncode == 0, done.stderr
    objects = [one for one in yaml.safe_load_all(done.stdout) if one]
    by_kind = {one["kind"]: one for one in objects}
    assert len(by_kind) == len(objects)
    return by_kind


ACCOUNTS = "\n".join(
    f"[[accounts]]\nname = '{name}'\nusername = '{name}'\npassword = 'the content of {name}'\n"
    for name in ("east", "west")
)


def pod(values: str) -> Any:
    return rendered(values)["Deployment"]["spec"]["template"]["spec"]


def archive_pod() -> Any:
    """The pod of the CronJob, which only the full set of values has."""
    return rendered("full")["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]


def container(values: str) -> Any:
    [only] = pod(values)["containers"]
    return only


@every_set_of_values
def test_lint(values: str) -> None:
    """The chart has no fault that helm knows of."""
    done = helm("lint", "--strict", str(CHART), "--values", values_file(values))
    assert done.returncode == 0, done.stdout


@every_set_of_values
def test_objects_are_valid(values: str) -> None:
    """Each object is valid in Kubernetes 1.29 and every later version that the schemas know, without unknown fields."""
    assert len(VERSIONS) > 5
    for version in VERSIONS:
        for kind, one in rendered(values).items():
            if kind not in OF_THE_PROMETHEUS_OPERATOR:
                kubernetes_validate.validate(one, version, strict=True)


@every_set_of_values
def test_the_bridge_takes_its_settings(values: str, tmp_path: Path) -> None:
    """With the files mounted that the pod names, the bridge's settings are whole, and none of them is unknown."""
    certificate = Authority(tmp_path).certificate.read_text()
    for volume in pod(values)["volumes"]:
        for source in volume.get("projected", {}).get("sources", []):
            for item in next(iter(source.values()))["items"]:
                known = {
                    "ca.crt": certificate,
                    "accounts.toml": ACCOUNTS,
                    "evidence.pem": key_file(tmp_path).read_text(),
                }
                content = known.get(item["key"], f"the content of {item['key']}")
                (tmp_path / item["path"]).write_text(content)
    environment = variables(values)
    environment = {name: value.replace(MOUNTED, f"{tmp_path}/") for name, value in environment.items()}
    loaded = settings.load(environment=environment)
    assert loaded.http.port == port(values, "http")
    assert loaded.http.management_port == port(values, "management")
    assert all(account.password.get_secret_value().startswith("the content of") for account in loaded.accounts)
    assert (loaded.fleet.enabled, loaded.fleet.replica) == ((True, POD) if values in FLEETS else (False, None))
    if values in {"accounts", "accounts-file", "fleet"}:
        assert [account.name for account in loaded.accounts] == ["east", "west"]
    if values == "at-least-once":
        assert loaded.kafka.delivery is settings.Delivery.AT_LEAST_ONCE
        assert str(loaded.state_dir) in {mount["mountPath"] for mount in container(values)["volumeMounts"]}
    hosts = {"east-cometd-kafka-bridge", "east-cometd-kafka-bridge.default.svc.cluster.local"}
    if loaded.http.authentication.method == "none":
        assert set(loaded.http.allowed_hosts) >= hosts
    else:
        assert loaded.http.allowed_hosts == ()
    if values == "full":
        assert (loaded.operations.acknowledgement_timeout, loaded.operations.view_limit) == (2.5, 1_000_000)
        assert loaded.kafka.create_topics is False


def variables(values: str) -> dict[str, str]:
    """The container's variables; each comes once."""
    env = container(values)["env"]
    found = {one["name"]: one["value"] if "value" in one else from_pod(one["valueFrom"]) for one in env}
    assert len(found) == len(env)
    return found


def from_pod(source: dict[str, Any]) -> str:
    assert source == {"fieldRef": {"fieldPath": "metadata.name"}}
    return POD


def port(values: str, name: str) -> Any:
    """The container's port, to which service, probes and policy come by its name."""
    [number] = [one["containerPort"] for one in container(values)["ports"] if one["name"] == name]
    return number


@every_set_of_values
def test_a_rolling_update_hands_over(values: str) -> None:
    """Pods are replaced one by one; each successor comes first, and the predecessor has time for its stop."""
    spec = rendered(values)["Deployment"]["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert pod(values)["terminationGracePeriodSeconds"] > STOP_LIMIT


@pytest.mark.parametrize("values", sorted(FLEETS))
def test_a_fleet_is_updated_only_as_fast_as_its_replicas_prove_themselves(values: str) -> None:
    """A new replica must be ready for longer than readiness is lenient, and a fenced replica need not linger."""
    assert rendered(values)["Deployment"]["spec"]["minReadySeconds"] > SETTLED
    assert container(values)["args"] == ["run"]


def test_a_long_max_interval_slows_the_update() -> None:
    """The time that a new replica must be ready follows `web_services.max_interval`."""
    done = template(CHART, "fleet", "--set", "config.web_services.max_interval=29.5")
    assert "minReadySeconds: 35\n" in done.stdout


@pytest.mark.parametrize("values", sorted(set(VALUES) - FLEETS))
def test_without_a_fleet_the_predecessor_stays_until_it_is_told(values: str) -> None:
    """There is one bridge, and after its successor has taken over it lingers."""
    spec = rendered(values)["Deployment"]["spec"]
    assert (spec["replicas"], "minReadySeconds" in spec) == (1, False)
    command, option, seconds = container(values)["args"]
    assert (command, option) == ("run", "--linger")
    assert float(seconds) > 0
    assert CliRunner().invoke(app, [command, option, seconds, "--help"]).exit_code == 0


@every_set_of_values
def test_probes(values: str) -> None:
    """Start and liveness ask whether the bridge is alive, readiness whether it relays, all on the management port."""
    probes = {name: container(values)[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {probe["port"] for probe in probes.values()} == {"management"}
    assert [probe["path"] for probe in probes.values()] == ["/health/live", "/health/live", "/health/ready"]


@every_set_of_values
def test_restricted_profile(values: str) -> None:
    """The pod obeys the restricted Pod Security Standard, writes to its volumes alone, and has no token."""
    assert pod(values)["securityContext"]["runAsNonRoot"] is True
    assert pod(values)["securityContext"]["runAsUser"] > 0
    assert pod(values)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(values)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    kinds = {kind for volume in pod(values)["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"emptyDir", "projected", "persistentVolumeClaim"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod(values).keys()
    assert pod(values)["automountServiceAccountToken"] is False
    assert rendered(values)["ServiceAccount"]["automountServiceAccountToken"] is False


@every_set_of_values
def test_selectors_find_the_pod(values: str) -> None:
    """Service, disruption budget and network policy choose the pod by labels that it has."""
    labels = rendered(values)["Deployment"]["spec"]["template"]["metadata"]["labels"]
    chosen = [
        rendered(values)["Service"]["spec"]["selector"],
        rendered(values)["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        rendered(values)["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        rendered(values)["Deployment"]["spec"]["selector"]["matchLabels"],
    ]
    assert all(one and one.items() <= labels.items() for one in chosen)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("config.web_services.username=null", "the account is missing"),
        ("config.web_services.url=", "url"),
        ("config.http.authentication.method=none", "callers must authenticate"),
        ("terminationGracePeriodSeconds=5", "terminationGracePeriodSeconds"),
        ("replicas=0", "replicas"),
        ("replicas=2,config.fleet.enabled=false", "several replicas need a fleet"),
        ("config.fleet.replica=same", "replica"),
        ("autoscaling.minReplicas=9", "autoscaling.minReplicas is greater"),
        ("autoscaling.targetCPU=70%", "targetCPU"),
        ("linger=60", "linger"),
        ("evidenceArchive.enabled=true", "the archive must be signed"),
        ("evidenceArchive.enabled=true,files.evidence\\.key_file.secret=a,files.evidence\\.key_file.key=b", "since"),
        ("evidenceArchive.since=yesterday", "since"),
        ("files.kafka\\.ssl_cafile.secret=kafka", "key"),
    ],
)
def test_wrong_values_are_refused(change: str, reason: str) -> None:
    """What is left open, and what is no value at all, stop helm with the reason."""
    done = template(CHART, "minimal", "--set", change)
    assert (done.returncode, done.stdout) == (1, "")
    assert reason in done.stderr


def test_a_fleet_of_several_replicas() -> None:
    """One of several replicas may be evicted, but none while all hold their sessions for Kafka; they run far apart."""
    budget = rendered("fleet")["PodDisruptionBudget"]["spec"]
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "IfHealthyBudget")
    assert rendered("fleet")["Deployment"]["spec"]["replicas"] == 3
    labels = rendered("fleet")["Deployment"]["spec"]["selector"]["matchLabels"]
    spread = pod("fleet")["topologySpreadConstraints"]
    assert [one["topologyKey"] for one in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    assert all(one["labelSelector"]["matchLabels"] == labels for one in spread)
    assert all(one["whenUnsatisfiable"] == "ScheduleAnyway" for one in spread)


@pytest.mark.parametrize("change", ["replicas=1", "config.fleet.enabled=true"])
def test_the_only_replica_is_not_evicted(change: str) -> None:
    """With one replica, also of a fleet, nobody continues the sessions of an evicted pod, so a drain waits."""
    done = template(CHART, "minimal", "--set", change)
    [budget] = [one for one in yaml.safe_load_all(done.stdout) if one and one["kind"] == "PodDisruptionBudget"]
    assert budget["spec"]["maxUnavailable"] == 0
    assert ('"--linger"' in done.stdout) == (change == "replicas=1")


def test_a_budget_of_the_site_counts() -> None:
    """A number that the site sets replaces the chart's choice, also the number 0."""
    for values, number in (("fleet", 0), ("minimal", 1)):
        done = template(CHART, values, "--set", f"podDisruptionBudget.maxUnavailable={number}")
        [budget] = [one for one in yaml.safe_load_all(done.stdout) if one and one["kind"] == "PodDisruptionBudget"]
        assert budget["spec"]["maxUnavailable"] == number


def test_the_number_of_replicas_may_follow_their_cpu() -> None:
    """With autoscaling the Deployment names no number, because each upgrade would undo the autoscaler's choice."""
    assert "replicas" not in rendered("full")["Deployment"]["spec"]
    scaler = rendered("full")["HorizontalPodAutoscaler"]["spec"]
    assert scaler["scaleTargetRef"]["name"] == rendered("full")["Deployment"]["metadata"]["name"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 4)
    [metric] = scaler["metrics"]
    assert metric["resource"] == {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "500m"}}
    steps = [policy["value"] for way in ("scaleUp", "scaleDown") for policy in scaler["behavior"][way]["policies"]]
    assert steps == [1, 1]
    assert "HorizontalPodAutoscaler" not in rendered("fleet")


def test_the_archive_is_off_unless_it_is_asked_for() -> None:
    """Only the set of values that switches the archive on has the CronJob."""
    assert [values for values in VALUES if "CronJob" in rendered(values)] == ["full"]


def test_an_archive_needs_a_volume() -> None:
    """Without a volume the archive would be lost with its pod, so helm refuses it."""
    key = "files.evidence\\.key_file.secret=a,files.evidence\\.key_file.key=b"
    changes = f"evidenceArchive.enabled=true,evidenceArchive.since=2026-11-01,{key}"
    done = template(CHART, "minimal", "--set", changes)
    assert done.returncode == 1
    assert "evidenceArchive.volume" in done.stderr


def test_the_archive_runs_the_command_with_the_settings_of_the_bridge() -> None:
    """The CronJob has the bridge's settings and files, among them the signing key, and a command that the CLI takes."""
    spec = archive_pod()["spec"]
    [only] = spec["containers"]
    assert only["image"] == container("full")["image"]
    own = {"BRIDGE_FLEET__ENABLED", "BRIDGE_FLEET__REPLICA", "BRIDGE_STATE_DIR"}
    env = {one["name"]: one["value"] for one in only["env"]}
    assert env == {name: value for name, value in variables("full").items() if name not in own}
    assert env["BRIDGE_EVIDENCE__KEY_FILE"] == f"{MOUNTED}evidence.key_file"
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert volumes["files"] == next(volume for volume in pod("full")["volumes"] if volume["name"] == "files")
    assert {mount["name"] for mount in only["volumeMounts"]} == volumes.keys()
    [place] = [mount["mountPath"] for mount in only["volumeMounts"] if mount["name"] == "archive"]
    assert only["args"][:2] == ["evidence", "archive"]
    options = dict(zip(only["args"][2::2], only["args"][3::2], strict=True))
    assert options == {"--since": "2026-11-01", "--output": f"{place}/east"}
    assert CliRunner().invoke(app, [*only["args"], "--help"]).exit_code == 0


def test_one_archive_at_a_time_after_the_day_is_over() -> None:
    """Two runs never write at once, and the default hour is after the command archives a day (01:00 UTC)."""
    cron = rendered("full")["CronJob"]["spec"]
    assert (cron["concurrencyPolicy"], cron["timeZone"], cron["schedule"]) == ("Forbid", "Etc/UTC", "15 2 * * *")
    minute, hour, *_ = yaml.safe_load((CHART / "values.yaml").read_text())["evidenceArchive"]["schedule"].split()
    assert int(hour) * 3600 + int(minute) * 60 > CLOSED_AFTER


def test_the_archive_is_as_restricted_as_the_bridge_and_gets_no_callers() -> None:
    """The archive's pod obeys the restricted profile and the network policy, and the Service does not choose it."""
    spec, labels = archive_pod()["spec"], archive_pod()["metadata"]["labels"]
    assert spec["securityContext"] == pod("full")["securityContext"]
    assert spec["containers"][0]["securityContext"] == container("full")["securityContext"]
    assert spec["automountServiceAccountToken"] is False
    assert rendered("full")["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    for selector in (
        rendered("full")["Service"]["spec"]["selector"],
        rendered("full")["Deployment"]["spec"]["selector"]["matchLabels"],
        rendered("full")["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert not selector.items() <= labels.items()


def secrets(section: type[BaseModel], under: str = "") -> Iterator[str]:
    """The settings that are secrets, by their dotted names."""
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from secrets(field.annotation, f"{under}{name}.")
        elif field.annotation is SecretStr or SecretStr in get_args(field.annotation):
            yield f"{under}{name}"


@pytest.mark.parametrize("secret", [*secrets(settings.Settings)])
def test_no_secret_among_the_values(secret: str) -> None:
    """No secret of the bridge's settings can be given in the values, and helm does not repeat one that was."""
    done = template(CHART, "minimal", "--set", f"config.{secret}=hunter2")
    assert (done.returncode, done.stdout) == (1, "")
    assert secret.rpartition(".")[2] in done.stderr
    assert "hunter2" not in done.stderr


def test_versions() -> None:
    """The chart installs the bridge's own version."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_alerts_are_those_of_the_repository() -> None:
    """The PrometheusRule has every rule of deploy/prometheus, with the runbook at the site's own address."""
    rules = (DEPLOY / "prometheus" / "bridge.rules.yaml").read_text()
    assert "https://cometd-kafka-bridge.example/runbook/" in rules
    moved = rules.replace("https://cometd-kafka-bridge.example/runbook/", "https://wiki.example.com/bridge/")
    assert rendered("full")["PrometheusRule"]["spec"] == yaml.safe_load(moved)


def test_optional_objects() -> None:
    """What needs the Prometheus operator is off unless it is asked for."""
    assert not OF_THE_PROMETHEUS_OPERATOR & rendered("minimal").keys()
    assert rendered("full").keys() >= OF_THE_PROMETHEUS_OPERATOR
    [endpoint] = rendered("full")["ServiceMonitor"]["spec"]["endpoints"]
    assert endpoint["port"] in {one["name"] for one in rendered("full")["Service"]["spec"]["ports"]}


def test_packaging_takes_the_alerts_along(tmp_path: Path) -> None:
    """A packaged chart holds the rules themselves, not a link to them."""
    assert helm("package", str(CHART), "--destination", str(tmp_path)).returncode == 0
    [package] = tmp_path.iterdir()
    assert "BridgeDown" in template(package, "full").stdout
