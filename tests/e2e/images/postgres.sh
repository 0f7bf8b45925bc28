# PostgreSQL as the official images start it: a new volume gets a cluster with POSTGRES_USER, whose
# password is POSTGRES_PASSWORD, and the database POSTGRES_DB.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    rm -rf "$PGDATA.new"
    echo "$POSTGRES_PASSWORD" > /tmp/password
    initdb -D "$PGDATA.new" -U "$POSTGRES_USER" --pwfile=/tmp/password --auth-local=trust \
        --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8
    rm /tmp/password
    echo 'host all all all scram-sha-256' >> "$PGDATA.new/pg_hba.conf"
    echo "CREATE DATABASE \"$POSTGRES_DB\"" | postgres --single -D "$PGDATA.new" postgres
    mv "$PGDATA.new" "$PGDATA"
fi
exec postgres -D "$PGDATA" -h '*' -k /var/run/postgresql \
    -c shared_preload_libraries=timescaledb -c "dynamic_library_path=/opt/timescaledb/lib:\$libdir" \
    -c "extension_control_path=/opt/timescaledb:\$system" -c timescaledb.telemetry_level=off \
    -c timescaledb.max_background_workers=8 -c max_worker_processes=16 -c max_connections=100 -c shared_buffers=64MB \
    -c max_wal_size=512MB -c jit=off -c timezone=UTC
