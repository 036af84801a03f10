# The agent, with the clients of PostgreSQL that it runs. From the top of the repository:
#
#     docker build -f docker/agent.Dockerfile -t strideiq-agent .
#
# It holds a bundle (tools/bundle.mjs) and no `npm ci --omit=dev`: that one installs some hundred packages of the whole
# workspace, takes two seconds to load instead of 0.4, and would bring npm along.

# To build with, and where `node` itself is taken from: Debian with Node.js 24 and npm.
ARG NODE=docker.io/library/node:24-trixie-slim
# What the image is made on: Debian, also of another release.
ARG BASE=docker.io/library/debian:trixie-slim

FROM ${NODE} AS build
WORKDIR /build
COPY . .
RUN npm ci --no-audit --no-fund
RUN npm run bundle -- agent /opt/strideiq

FROM ${BASE} AS base
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*

FROM base AS clients
# One client for each major: from 17 on, pg_dump writes a line into every dump that older servers do not know, and
# `psql -v ON_ERROR_STOP=1` stops there. The agent takes the server's own major, or the next newer one.
ARG PG_MAJORS="15 16 17 18"
# PostgreSQL's own packages for Debian. Empty: those of Debian itself, which has one major in each release (17 in trixie).
ARG PG_REPOSITORY=https://apt.postgresql.org/pub/repos/apt
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-common \
    && if [ -n "${PG_REPOSITORY}" ]; then \
        . /etc/os-release \
        && cp /usr/share/postgresql-common/pgdg/apt.postgresql.org.gpg /usr/share/keyrings/ \
        && echo "deb [signed-by=/usr/share/keyrings/apt.postgresql.org.gpg] ${PG_REPOSITORY} ${VERSION_CODENAME}-pgdg main" \
            > /etc/apt/sources.list.d/postgresql.list \
        && apt-get update; \
    fi \
    && for major in ${PG_MAJORS}; do \
        apt-get install --yes --no-install-recommends "postgresql-client-${major}" \
        && install -D --target-directory="/clients/${major}/bin" "/usr/lib/postgresql/${major}/bin/pg_dump" \
            "/usr/lib/postgresql/${major}/bin/pg_dumpall" \
        || exit 1; \
    done

FROM base
# Where the client library comes from is left in place, for whoever builds on this image.
COPY --from=clients /usr/share/keyrings/ /usr/share/keyrings/
COPY --from=clients /etc/apt/sources.list.d/ /etc/apt/sources.list.d/
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libpq5 libdeflate0 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
# Without Debian's wrapper /usr/bin/pg_dump, which needs perl and always takes the newest.
COPY --from=clients /clients/ /usr/lib/postgresql/
# A fixed number, so that a folder of the host can be made to belong to it.
RUN groupadd --gid 10001 strideiq \
    && useradd --uid 10001 --gid strideiq --home-dir /var/lib/strideiq-agent --shell /usr/sbin/nologin strideiq \
    && install -d -m 700 -o strideiq -g strideiq /var/lib/strideiq-agent /backups \
    && install -d -m 755 /etc/strideiq \
    && ln -s /opt/strideiq/strideiq-agent.js /usr/local/bin/strideiq-agent
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=build /opt/strideiq/ /opt/strideiq/
# Numbers, since an orchestrator that demands a user other than root cannot look up a name.
USER 10001:10001
ENV NODE_ENV=production
VOLUME /var/lib/strideiq-agent /backups
WORKDIR /var/lib/strideiq-agent
STOPSIGNAL SIGTERM
# The agent runs pg_dump and the host's hooks. What these leave behind falls to process 1, and Node.js would not reap it.
ENTRYPOINT ["tini", "--", "strideiq-agent"]
CMD ["run"]
