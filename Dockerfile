# SPDX-License-Identifier: Apache-2.0
# Targets: `authority` (default; keys in a network HSM whose module a derived image or a mount brings) and
# `softhsm` (the same with a software token, for one machine and for trying it out).
# Every package is pinned by hash; the final images hold no pip, no compiler and no build tool.
# Steps run without a shell, each cached by itself, so they stay apart:
# hadolint global ignore=DL3059

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
WORKDIR /src
RUN ["python3", "-m", "venv", "/opt/build"]
RUN ["python3", "-m", "venv", "--without-pip", "/opt/signer"]
COPY requirements/build.txt requirements/server.txt requirements/
RUN ["/opt/build/bin/python", "-m", "pip", "install", "--no-deps", "--require-hashes", "-r", "requirements/build.txt"]
RUN ["/opt/build/bin/python", "-m", "pip", "--python", "/opt/signer/bin/python", "install", "--no-deps", "--require-hashes", "--no-compile", "-r", "requirements/server.txt"]
COPY pyproject.toml README.md LICENSE ./
COPY policy policy
COPY signer signer
RUN ["/opt/build/bin/python", "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", "/opt/wheels", "."]
RUN ["/opt/build/bin/python", "-m", "pip", "--python", "/opt/signer/bin/python", "install", "--no-deps", "--no-index", "--find-links", "/opt/wheels", "signing-authority"]
RUN ["/opt/signer/bin/python", "-m", "compileall", "-q", "--invalidation-mode", "checked-hash", "/opt/signer/lib"]

FROM python:3.11-slim-bookworm AS runtime
LABEL org.opencontainers.image.title="Signing Authority" \
      org.opencontainers.image.description="Signs software artifacts only when it can later defend it" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/signer/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# web is 65532, the custodian 65531; both are in group 65532, which reads the ledger and reaches the socket.
# A new named volume takes over owner and mode of these folders.
RUN ["install", "--directory", "--owner=65531", "--group=65532", "--mode=2750", "/var/lib/signer", "/run/signer"]
RUN ["install", "--directory", "--owner=65531", "--group=65531", "--mode=0700", "/var/lib/signer-custodian"]
RUN ["install", "--directory", "--owner=65532", "--group=65532", "--mode=0750", "/var/lib/signer-spool"]
COPY --from=build /opt/signer /opt/signer
WORKDIR /
USER 65532:65532
ENTRYPOINT ["/opt/signer/bin/signer"]
CMD ["serve", "--config", "/etc/signer/signer.toml"]
EXPOSE 8443
# Web's operations listener (web.metrics_bind); the custodian has no listener and is watched through web's /readyz.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["/opt/signer/bin/python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9464/livez', timeout=3)"]

FROM runtime AS softhsm
USER 0:0
# hadolint ignore=DL3008
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends softhsm2 \
 && rm -rf /var/lib/apt/lists/*
USER 65532:65532

FROM runtime AS authority
