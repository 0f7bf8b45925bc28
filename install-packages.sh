#!/bin/sh
# install-packages WHAT...: install into /opt/venv in an image's build, without what never runs there.
# What came is in /opt/added too, by its full path, for a layer of its own.
set -eu
# Compiled modules tell their source by its digest, not its date: a layer is the same at each build.
export SOURCE_DATE_EPOCH=0
rm -rf /opt/added
mkdir /opt/added
touch /opt/mark
python -m pip --python /opt/venv/bin/python install --no-cache-dir --constraint constraints.txt "$@"
# A third of what packages weigh is their own tests, and parts of Arrow and others that nothing here
# calls.
find /opt/venv \( -name tests -o -name 'libarrow_flight*' -o -name '_flight.*.so' \
    -o -path '*/pyarrow/include' -o -path '*/kubernetes/aio' -o -path '*/pydeck/nbextension' \) \
    -prune -exec rm -rf {} +
find /opt/venv -cnewer /opt/mark ! -type d -print0 | tar --null --files-from - -cf - -P |
    tar -xf - -C /opt/added
