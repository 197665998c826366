# The code location as a gRPC server, for Dagster's own webserver and daemon to talk to.
FROM python:3.11-slim-bookworm AS build
WORKDIR /app
RUN python -m venv /venv
COPY constraints.txt pyproject.toml setup.py README.md ./
COPY dvd_rental_pipeline ./dvd_rental_pipeline
RUN /venv/bin/pip install --no-cache-dir --compile -c constraints.txt -e ".[production]"

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --create-home dagster
WORKDIR /app
COPY --from=build /venv /venv
COPY --from=build --chown=dagster:dagster /app /app
COPY --chown=dagster:dagster dbt ./dbt
# The report on the checks quotes it.
COPY --chown=dagster:dagster docs/runbook.md ./docs/runbook.md
COPY --chown=dagster:dagster dagster.yaml workspace.yaml ./
ENV PATH=/venv/bin:$PATH DVD_RENTAL_HOME=/home/dagster/dvd_rental
USER dagster
# Parsing needs no credentials; done here, the server starts sooner.
RUN dagster definitions validate
EXPOSE 4000
HEALTHCHECK --interval=30s --start-period=60s CMD ["dagster", "api", "grpc-health-check", "-p", "4000"]
CMD ["dagster", "api", "grpc", "-h", "0.0.0.0", "-p", "4000", "-m", "dvd_rental_pipeline.definitions"]
