# One broker that is its own controller, with its data on /data. ADVERTISED is its name for clients.
set -eu
cat > /tmp/server.properties <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:9094
listeners=PLAINTEXT://:9092,CONTROLLER://127.0.0.1:9094
advertised.listeners=PLAINTEXT://${ADVERTISED}:9092
controller.listener.names=CONTROLLER
log.dirs=/data/log
num.partitions=3
auto.create.topics.enable=true
message.max.bytes=8388608
replica.fetch.max.bytes=8388608
log.cleaner.dedupe.buffer.size=8388608
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
END
java() {
    /opt/kafka/java/bin/java -Xms96m -Xmx320m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xss512k \
        -XX:ReservedCodeCacheSize=96m -XX:MaxDirectMemorySize=128m -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
        --enable-native-access=ALL-UNNAMED -cp "/opt/kafka/libs/*" "$@"
}
[ -e /data/log/meta.properties ] ||
    java kafka.tools.StorageTool format -t c21pbGUtZTJlLXRlc3QtMQ -c /tmp/server.properties
trap 'kill -TERM "$broker"' TERM INT
java kafka.Kafka /tmp/server.properties &
broker=$!
# A signal ends the first wait; the broker ends after it.
while kill -0 "$broker" 2>/dev/null; do wait "$broker" || true; done
