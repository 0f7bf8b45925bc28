# One target per image: docker build --target writer -t spy-smile-writer:dev .
#
# Each image is the base, a virtual environment with just its own extra of pyproject.toml, and the
# folders its entry point imports, in this order, so that a change of code rebuilds one small layer.
#
#   BASE_IMAGE   a Debian-like image with Python 3.11 and pip
#   TORCH_INDEX  where the CPU build of torch is found beside PyPI; empty: PyPI or pip's own settings
#   SMILE_GIT_COMMIT  the commit built, `$(git rev-parse HEAD)`: the trainer notes it with its models

ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS base
ENV HOME=/tmp \
    NUMBA_CACHE_DIR=/tmp/numba \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin smile
WORKDIR /app

# --- packages, pinned by constraints.txt ----------------------------------------------------------

FROM base AS packages
COPY pyproject.toml constraints.txt ./
# The project itself is installed without its code: its metadata name the extras. The packages' own
# tests are a quarter of what they weigh.
RUN python -m venv --without-pip /opt/venv && touch README.md
ENV INSTALL="python -m pip --python /opt/venv/bin/python install --no-cache-dir --constraint constraints.txt" \
    SLIM="find /opt/venv -type d -name tests -prune -exec rm -rf {} +"

FROM packages AS torch-packages
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN $INSTALL ${TORCH_INDEX:+--extra-index-url ${TORCH_INDEX}} torch

FROM packages AS ingest-packages
RUN $INSTALL '.[ingest]' && $SLIM

FROM packages AS simulator-packages
RUN $INSTALL '.[simulator]' && $SLIM

FROM packages AS writer-packages
RUN $INSTALL '.[writer]' && $SLIM

FROM packages AS features-packages
RUN $INSTALL '.[features]' && $SLIM

FROM packages AS predictor-packages
RUN $INSTALL '.[predictor]' && $SLIM

FROM packages AS monitor-packages
RUN $INSTALL '.[monitor]' && $SLIM

FROM packages AS migrations-packages
RUN $INSTALL '.[migrations]' && $SLIM

FROM torch-packages AS model-server-packages
RUN $INSTALL '.[model-server]' && $SLIM

FROM torch-packages AS trainer-packages
RUN $INSTALL '.[trainer]' && $SLIM

FROM packages AS dashboard-packages
RUN $INSTALL '.[dashboard]' && $SLIM

FROM packages AS mlflow-packages
RUN $INSTALL mlflow psycopg2-binary && $SLIM

# --- images ---------------------------------------------------------------------------------------

FROM base AS runtime
ENV PATH=/opt/venv/bin:$PATH

FROM runtime AS ingest
COPY --from=ingest-packages /opt/venv /opt/venv
COPY ml ml
COPY services/__init__.py services/
COPY services/common services/common
COPY services/ingest services/ingest
USER 10001:10001
EXPOSE 9100
CMD ["python", "-m", "services.ingest"]

FROM runtime AS simulator
COPY --from=simulator-packages /opt/venv /opt/venv
COPY ml ml
COPY services/__init__.py services/
COPY services/common services/common
COPY services/simulator services/simulator
USER 10001:10001
EXPOSE 4002 9100
ENTRYPOINT ["python", "-m", "services.simulator"]
CMD ["serve"]

FROM runtime AS writer
COPY --from=writer-packages /opt/venv /opt/venv
COPY services/__init__.py services/
COPY services/common services/common
COPY services/writer services/writer
USER 10001:10001
EXPOSE 9100
CMD ["python", "-m", "services.writer"]

FROM runtime AS features
COPY --from=features-packages /opt/venv /opt/venv
COPY ml ml
COPY services/__init__.py services/
COPY services/common services/common
COPY services/features services/features
USER 10001:10001
EXPOSE 9100
CMD ["python", "-m", "services.features"]

FROM runtime AS predictor
COPY --from=predictor-packages /opt/venv /opt/venv
COPY ml ml
COPY services/__init__.py services/
COPY services/common services/common
COPY services/predictor services/predictor
USER 10001:10001
EXPOSE 9100
CMD ["python", "-m", "services.predictor"]

FROM runtime AS monitor
COPY --from=monitor-packages /opt/venv /opt/venv
COPY ml ml
COPY services/__init__.py services/
COPY services/common services/common
COPY services/monitor services/monitor
USER 10001:10001
EXPOSE 9100
CMD ["python", "-m", "services.monitor"]

FROM runtime AS migrations
COPY --from=migrations-packages /opt/venv /opt/venv
COPY services/__init__.py services/
COPY services/common services/common
COPY sql sql
USER 10001:10001
CMD ["python", "-m", "sql.migrate"]

FROM runtime AS model-server
COPY --from=model-server-packages /opt/venv /opt/venv
COPY ml ml
COPY services/__init__.py services/
COPY services/common services/common
COPY services/model_server services/model_server
ENV BENTOML_HOME=/tmp/bentoml \
    BENTOML_DO_NOT_TRACK=True
USER 10001:10001
EXPOSE 3000
CMD ["python", "-m", "services.model_server"]

FROM runtime AS trainer
COPY --from=trainer-packages /opt/venv /opt/venv
COPY ml ml
ARG SMILE_GIT_COMMIT=unknown
ENV SMILE_GIT_COMMIT=${SMILE_GIT_COMMIT}
USER 10001:10001
ENTRYPOINT ["python", "-m", "ml.train"]

FROM runtime AS dashboard
COPY --from=dashboard-packages /opt/venv /opt/venv
COPY ml ml
COPY services/__init__.py services/
COPY services/common services/common
COPY .streamlit .streamlit
COPY dashboard dashboard
USER 10001:10001
EXPOSE 8501 9100
CMD ["python", "-m", "dashboard"]

FROM runtime AS mlflow
COPY --from=mlflow-packages /opt/venv /opt/venv
USER 10001:10001
EXPOSE 5000
ENTRYPOINT ["mlflow", "server", "--host", "0.0.0.0"]
