# fetalseg as a service on CPU cores: docker build -t fetalseg . ; how to run it: docker/compose.yaml
# The user inside is nobody on the host, the file system may be read-only, nothing is written but a mounted audit log.
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY fetalseg fetalseg
COPY server server
COPY models models
RUN python -m venv /opt/fetalseg \
 && /opt/fetalseg/bin/pip install --no-cache-dir --no-compile --constraint constraints.txt ".[cpu,server]" \
 && /opt/fetalseg/bin/python -m compileall -q /opt/fetalseg/lib

FROM python:3.11-slim
COPY --from=build /opt/fetalseg /opt/fetalseg
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin fetalseg
USER 10001
ENV PATH=/opt/fetalseg/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    FETALSEG_HOST=0.0.0.0 \
    FETALSEG_LOG_FORMAT=json
EXPOSE 8420
STOPSIGNAL SIGTERM
# Alive and able to serve. It doesn't check the certificate of its own machine; with mutual TLS give a check of your own.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-m", "fetalseg_server.health"]
ENTRYPOINT ["fetalseg", "serve"]
