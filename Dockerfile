# One image for every mode: agent, proxy, serve, keys, config, doctor. The stages `example` and `gateway` are for
# docker-compose.yml alone; the last stage is the product.

FROM node:24.21.0-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
COPY deploy/node/package.json deploy/node/
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .

FROM build AS example
RUN npx vite build spa-example/app --outDir /build/dist-spa --emptyOutDir
USER 1000:1000
ENV NODE_ENV=production
CMD ["node", "deploy/compose/api.ts"]

FROM nginx:1.28.0-bookworm AS gateway
COPY deploy/compose/nginx.conf /etc/nginx/nginx.conf
COPY --from=example /build/dist-spa /srv/spa
USER 101:101
EXPOSE 8443

FROM build AS program
# For scanners, which look for packages in vain: all of them are in the few files of the program.
RUN npm run --silent sbom > sbom.cdx.json \
 && install -d -o 1000 -g 1000 /app/dist
# Node looks compiled code up by path and user: both are those of the last stage.
USER 1000:1000
RUN node deploy/bundle.ts /app/dist

FROM node:24.21.0-bookworm-slim
LABEL org.opencontainers.image.title="Token Handler" \
      org.opencontainers.image.description="OAuth agent and OAuth proxy that keep OAuth tokens out of browser apps" \
      org.opencontainers.image.licenses="Apache-2.0"
# A package manager in a running container serves only an intruder.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /opt/yarn* \
      /usr/local/bin/yarn /usr/local/bin/yarnpkg \
 && install -d -o 1000 -g 1000 -m 0700 /keys/agent /keys/proxy
WORKDIR /app
COPY --from=program --chown=0:0 /app/dist ./dist
COPY --from=program --chown=0:0 /build/sbom.cdx.json ./
ENV NODE_ENV=production NODE_COMPILE_CACHE=/app/dist/compiled
USER 1000:1000
EXPOSE 8081 8082 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9090/livez').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# Room for what lives no longer than a request, which then is collected less often (docs/operations.md, Scaling and capacity).
ENTRYPOINT ["node", "--min-semi-space-size=16", "--max-semi-space-size=32", "dist/bin/token-handler.js"]
CMD ["serve"]
