# One image for every role: code location (the default command), web server, daemon, run, scheduled `dvd-rental run`.
# For reproducible builds, pin the base by digest: --build-arg BASE=python@sha256:...
ARG BASE=python:3.11.14-slim-bookworm

# hadolint ignore=DL3006
FROM ${BASE} AS build
WORKDIR /app
RUN python3 -m venv /venv
# Install the dependencies first, with an empty package, in a layer that changes only with them.
COPY constraints.txt pyproject.toml setup.py README.md LICENSE ./
RUN mkdir dvd_rental_pipeline && touch dvd_rental_pipeline/__init__.py
# Dagster+ needs `production,plus`.
ARG EXTRAS=production
# Without the tests that numpy, pandas and pyarrow ship, 70 MB.
RUN /venv/bin/pip install --no-cache-dir --compile -c constraints.txt -e ".[${EXTRAS}]" \
    && find /venv -type d -regex '.*/\(numpy\|pandas\|pyarrow\)\(/.*\)?/tests' -prune -exec rm -r {} + \
    && /venv/bin/pip uninstall --yes --quiet pip

# hadolint ignore=DL3006
FROM ${BASE}
# The folders of volumes must exist: Docker would create them for root.
RUN useradd --uid 10001 --create-home dagster \
    && install -d -o dagster -g dagster /var/lib/dagster /var/lib/dvd-rental \
        /var/lib/dvd-rental/site /var/lib/dvd-rental/lake /var/lib/dvd-rental/sales_files
WORKDIR /app
COPY --from=build /venv /venv
COPY --from=build /app/dvd_rental_pipeline.egg-info ./dvd_rental_pipeline.egg-info
COPY pyproject.toml README.md LICENSE ./
COPY dvd_rental_pipeline ./dvd_rental_pipeline
COPY dbt ./dbt
# The check report quotes the runbook.
COPY docs/runbook.md ./docs/runbook.md
COPY deploy/ecs/dagster.yaml deploy/ecs/workspace.yaml ./deploy/ecs/
COPY deploy/scheduled/dagster.yaml ./deploy/scheduled/
COPY deploy/compose/dagster.yaml deploy/compose/workspace.yaml ./deploy/compose/
# Branch deployments need `branch`: dbt's manifest is prepared for one deployment.
ARG DEPLOYMENT=production
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DAGSTER_HOME=/app/deploy/ecs \
    DVD_RENTAL_HOME=/var/lib/dvd-rental \
    DVD_RENTAL_DEPLOYMENT=${DEPLOYMENT}
RUN python -m compileall -q dvd_rental_pipeline
USER 10001
RUN python -m dvd_rental_pipeline.transform.parsing
EXPOSE 4000
HEALTHCHECK --interval=30s --timeout=20s --start-period=90s \
    CMD ["dagster", "api", "grpc-health-check", "-p", "4000"]
CMD ["dagster", "api", "grpc", "-h", "0.0.0.0", "-p", "4000", "-m", "dvd_rental_pipeline.definitions", "--log-format", "json"]
