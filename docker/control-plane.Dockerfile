# The control plane. From the top of the repository:
#
#     docker build -f docker/control-plane.Dockerfile -t strideiq-control-plane .
#
# Why a bundle, and what the arguments mean: see agent.Dockerfile, with which it shares its first layers.

ARG NODE=docker.io/library/node:24-trixie-slim
ARG BASE=docker.io/library/debian:trixie-slim

FROM ${NODE} AS build
WORKDIR /build
COPY . .
RUN npm ci --no-audit --no-fund
RUN npm run bundle -- control-plane /opt/strideiq

FROM ${BASE} AS base
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*

FROM base
RUN groupadd --gid 10001 strideiq \
    && useradd --uid 10001 --gid strideiq --home-dir /var/lib/strideiq-control-plane --shell /usr/sbin/nologin strideiq \
    && install -d -m 700 -o strideiq -g strideiq /var/lib/strideiq-control-plane \
    && ln -s /opt/strideiq/strideiq-control-plane.js /usr/local/bin/strideiq-control-plane
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY docker/healthcheck.js /opt/strideiq/healthcheck.js
COPY --from=build /opt/strideiq/ /opt/strideiq/
USER 10001:10001
# Beyond the container's own loopback it demands TLS, or STRIDEIQ_ALLOW_PLAIN_TEXT from whoever starts it.
ENV NODE_ENV=production \
    STRIDEIQ_DATA_DIR=/var/lib/strideiq-control-plane \
    STRIDEIQ_LISTEN=0.0.0.0:8080
EXPOSE 8080
VOLUME /var/lib/strideiq-control-plane
WORKDIR /var/lib/strideiq-control-plane
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["node", "/opt/strideiq/healthcheck.js"]
ENTRYPOINT ["tini", "--", "strideiq-control-plane"]
CMD ["serve"]
