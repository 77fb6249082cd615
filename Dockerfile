# One image for the tracking server, the scheduler and the web app; docker-compose.yml says which is which.
#   docker compose build                      for the CPU
#   docker compose build --build-arg TORCH=cuda
FROM python:3.11.13-slim-bookworm

# pg_dump and pg_restore for backups, of the same major version as the server
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends postgresql-client-15 \
    && rm -rf /var/lib/apt/lists/*

ARG TORCH=cpu
ARG TORCH_VERSION=2.13.0
# --no-deps: only PyTorch itself comes from PyTorch's own index; the CUDA packages are gigabytes.
RUN if [ "$TORCH" = cuda ]; then pip install --no-cache-dir "torch==$TORCH_VERSION"; \
    else pip install --no-cache-dir --no-deps "torch==$TORCH_VERSION+cpu" \
        --extra-index-url https://download.pytorch.org/whl/cpu; fi

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY trainer trainer
COPY platform platform
COPY dash_app dash_app
RUN pip install --no-cache-dir --constraint constraints.txt .

# Volumes take their owner from here when they are first used.
RUN useradd --create-home --uid 1000 minimind \
    && install -d -o minimind -g minimind /data /data/dataset /data/mlruns /data/mlruns/artifacts /data/out
USER minimind
WORKDIR /data
ENV MINIMIND_HOME=/data MINIMIND_IN_CONTAINER=true PYTHONUNBUFFERED=1
EXPOSE 8050 5000
CMD ["python", "-m", "dash_app"]
