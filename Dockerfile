# Images for the Docker work pool of prefect.yaml, and for GPU workers:
#   docker build --target cpu  -t relevance-cookbook:cpu --build-arg TORCH_INDEX=<index of CPU builds> .
#   docker build --target cuda -t relevance-cookbook:cuda .
# Written against the documentation of Docker and of the packages; no image was built where this
# project was built, since no Docker was at hand.

FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false HF_HUB_OFFLINE=1
# gcc is for numba's and torch's rare compilations; tini passes SIGTERM on and reaps children.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev tini \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY pyproject.toml constraints.txt README.md ./
COPY flows flows
COPY tasks tasks
COPY policy policy
# A domain's files and the store are mounted; nothing personal is baked in.
RUN useradd --create-home --uid 10001 cookbook && mkdir /store && chown cookbook /store /app
ENTRYPOINT ["tini", "--"]
CMD ["cookbook", "--help"]

FROM base AS cpu
# PyTorch publishes builds without CUDA on an index of its own; without it the image works and is
# some gigabytes larger. That index has torch, but not every version that constraints.txt pins of
# what torch needs: those come with the second line.
ARG TORCH_INDEX=""
RUN pip install --no-cache-dir --constraint constraints.txt \
        ${TORCH_INDEX:+--index-url "$TORCH_INDEX" --no-deps} torch==2.13.0 \
    && pip install --no-cache-dir --constraint constraints.txt --editable '.[embedded]'
USER cookbook

FROM base AS cuda
# The usual build of torch carries the CUDA libraries; the host brings the driver.
RUN pip install --no-cache-dir --constraint constraints.txt torch==2.13.0 \
    && pip install --no-cache-dir --constraint constraints.txt --editable '.[embedded,gpu]'
ENV HF_HUB_OFFLINE=0
USER cookbook
