# One image for every process; docker-compose.yml and deploy choose the command.
FROM python:3.11-slim AS build
WORKDIR /app
COPY requirements-run.lock ./
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements-run.lock

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /app fleet
WORKDIR /app
COPY --from=build /venv /venv
COPY config config
COPY console console
COPY migrations migrations
COPY admission admission
COPY campaigns campaigns
COPY outbox outbox
COPY providers providers
COPY scheduler scheduler
COPY simulator simulator
COPY workers workers
# The tree is run as it stands; PYTHONPATH precedes whatever else has packages of these names.
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 LOG_FORMAT=json
USER fleet
CMD ["python", "-m", "scheduler"]
