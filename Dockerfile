# A server of a bundle: embedkit-onnx[cpu,serve] on a slim Python, without a compiler, torch or root.
#   docker build -t embedkit .
#   docker run --read-only --tmpfs /tmp -v "$PWD/bundle:/bundle:ro" -v embedkit-cache:/cache -p 8080:8080 embedkit
ARG PYTHON=3.11-slim
FROM python:${PYTHON} AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY embedkit ./embedkit
COPY export ./export
COPY plugins ./plugins
RUN python -m venv /opt/embedkit \
    && /opt/embedkit/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt '.[cpu,serve]'

FROM python:${PYTHON}
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin embedkit \
    && install -d -o 10001 -g 10001 /cache
COPY --from=build /opt/embedkit /opt/embedkit
ENV PATH=/opt/embedkit/bin:$PATH \
    EMBEDKIT_CACHE=/cache \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
VOLUME /cache
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/ready', timeout=2)"]
ENTRYPOINT ["embedkit"]
CMD ["serve", "/bundle", "--host", "0.0.0.0", "--port", "8080"]
