"""Make the lock file anew: ``python -m manyheads.infra.broker.relock [version]``.

Resolves Apache Kafka and its dependencies with jgo, downloads every jar and writes names and digests. Look at the
difference before you commit it: from then on these digests are what everybody's machine accepts.
"""

import hashlib
import sys
import tempfile
from pathlib import Path

import jgo
from jgo.maven import MavenContext

from manyheads.infra.broker.jars import LOCK_FILE

KAFKA = "org.apache.kafka:kafka_2.13"
KAFKA_VERSION = "4.3.1"
# Kafka logs through slf4j 1.7, and leaves the choice of what is behind it to the distribution.
LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"


def lock(version: str = KAFKA_VERSION) -> str:
    """The text of the lock file for one version of Kafka."""
    lines = [f"# The jars of Apache Kafka {version}, made by manyheads.infra.broker.relock: sha256, then coordinate."]
    # One after the other: resolved together, either would change the versions that the other asks for.
    resolved = {(jar.groupId, jar.artifactId): jar for jar in jgo.resolve(LOGGING)}
    resolved |= {(jar.groupId, jar.artifactId): jar for jar in jgo.resolve(f"{KAFKA}:{version}")}
    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder))
        for (group, artifact), jar in sorted(resolved.items()):
            if jar.classifier or jar.packaging != "jar":
                raise ValueError(f"{jar} is no plain jar, and the lock file has no way to say so")
            path = context.project(group, artifact).at_version(jar.version).artifact().resolve()
            sha256 = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            lines.append(f"{sha256}  {group}:{artifact}:{jar.version}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name(LOCK_FILE).write_text(lock(*sys.argv[1:2]), "utf-8")
