# One target per image: docker build --target writer -t spy-smile-writer:dev .
#
# Each image is the base, a virtual environment with just its own extra of pyproject.toml, kernels
# that are compiled already, and the folders its entry point imports. What changes rarely and what
# several images have comes first: a change of code rebuilds one small layer.
#
#   BASE_IMAGE   a Debian-like image with Python 3.11
#   BUILD_IMAGE  the same with pip and whatever else builds need; by default BASE_IMAGE
#   TORCH_INDEX  where the CPU build of torch is found beside PyPI; empty: PyPI or pip's own settings
#   KERNELS_CPU  the processor that kernels are compiled for, as LLVM calls it; x86-64-v3 is any of
#                the last ten years, and `generic` any at all, at half the speed
#   SMILE_GIT_COMMIT  the commit built, `$(git rev-parse HEAD)`: the trainer notes it with its models

ARG BASE_IMAGE=python:3.11-slim
ARG BUILD_IMAGE=${BASE_IMAGE}

FROM ${BASE_IMAGE} AS base
# Numba writes beside what it reads: machine code is copied from the image into /tmp at the start.
ARG KERNELS_CPU=x86-64-v3
ENV HOME=/tmp \
    SMILE_KERNELS=/opt/kernels \
    NUMBA_CACHE_DIR=/tmp/numba \
    NUMBA_CPU_NAME=${KERNELS_CPU} \
    NUMBA_CPU_FEATURES="" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin smile
WORKDIR /app

# --- packages, pinned by constraints.txt ----------------------------------------------------------

FROM ${BUILD_IMAGE} AS packages
WORKDIR /app
COPY install-packages.sh /usr/local/bin/install-packages
COPY pyproject.toml constraints.txt ./
# The project itself is installed without its code: its metadata name the extras.
RUN python -m venv --without-pip /opt/venv && touch README.md

FROM packages AS ingest-packages
RUN install-packages '.[ingest]'

FROM packages AS writer-packages
RUN install-packages '.[writer]'

FROM packages AS migrations-packages
RUN install-packages '.[migrations]'

FROM packages AS monitor-packages
RUN install-packages '.[monitor]'

FROM packages AS dashboard-packages
RUN install-packages '.[dashboard]'

FROM packages AS mlflow-packages
# The server without the libraries of the models that it stores, but with buckets, PostgreSQL and
# logins. The bucket's client does not know the date parser of the constraints yet.
RUN sed -i '/^python-dateutil==/d' constraints.txt \
    && install-packages mlflow-skinny \
        aiohttp alembic cryptography Flask flask-cors graphene gunicorn huey pandas psycopg2-binary \
        SQLAlchemy Flask-WTF==1.3.0 WTForms==3.3.2 boto3==1.44.5 botocore==1.44.5 jmespath==1.1.0 \
        s3transfer==0.19.3 python-dateutil==2.9.0.post0 \
    && install-packages --no-deps mlflow

# What the following add to these is a layer of its own, so that images share the rest.
FROM packages AS smile-packages
RUN install-packages '.[smile]'

FROM smile-packages AS simulator-packages
RUN install-packages '.[simulator]'

FROM smile-packages AS features-packages
RUN install-packages '.[features]'

FROM smile-packages AS predictor-packages
RUN install-packages '.[predictor]'

FROM smile-packages AS torch-packages
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN install-packages ${TORCH_INDEX:+--extra-index-url ${TORCH_INDEX}} torch mlflow scikit-learn \
    && find /opt/venv /opt/added \( -path '*/torch/test' -o -path '*/torch/include' \
        -o -path '*/torch/bin/test_*' \) -prune -exec rm -rf {} +

FROM torch-packages AS model-server-packages
RUN install-packages '.[model-server]'

FROM torch-packages AS trainer-packages
RUN install-packages '.[trainer]'

# Of the code just what kernels are in, and what compiling them takes.
FROM base AS kernels
COPY --from=smile-packages /opt/venv /opt/venv
COPY ml/__init__.py ml/calendar.py ml/compiled.py ml/types.py ml/
COPY ml/pricing ml/pricing
COPY ml/smile ml/smile
RUN NUMBA_CACHE_DIR=/opt/kernels /opt/venv/bin/python -m ml.smile.warm_up

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
COPY --from=smile-packages /opt/venv /opt/venv
COPY --from=kernels /opt/kernels /opt/kernels
COPY --from=simulator-packages /opt/added /
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
COPY --from=smile-packages /opt/venv /opt/venv
COPY --from=kernels /opt/kernels /opt/kernels
COPY --from=features-packages /opt/added /
COPY ml ml
COPY services/__init__.py services/
COPY services/common services/common
COPY services/features services/features
USER 10001:10001
EXPOSE 9100
CMD ["python", "-m", "services.features"]

FROM runtime AS predictor
COPY --from=smile-packages /opt/venv /opt/venv
COPY --from=kernels /opt/kernels /opt/kernels
COPY --from=predictor-packages /opt/added /
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
COPY --from=smile-packages /opt/venv /opt/venv
COPY --from=kernels /opt/kernels /opt/kernels
COPY --from=torch-packages /opt/added /
COPY --from=model-server-packages /opt/added /
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
COPY --from=smile-packages /opt/venv /opt/venv
COPY --from=kernels /opt/kernels /opt/kernels
COPY --from=torch-packages /opt/added /
COPY --from=trainer-packages /opt/added /
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
