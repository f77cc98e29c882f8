# The pages' packages, by npm; nothing of this stage but files is kept.
FROM node:20-bookworm-slim AS packages
WORKDIR /src/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-audit --no-fund --ignore-scripts

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
COPY --from=packages /src/web/node_modules web/node_modules
RUN go run ./web/build \
 && CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/portcullis ./cmd/portcullis \
 && mkdir -m 0700 /out/data

# Nothing but the binary, the roots of trust for an OpenID provider, and an
# empty data folder: no shell, no package manager, no root.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/portcullis /portcullis
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
VOLUME /data
EXPOSE 2022 8443 51820/udp
ENTRYPOINT ["/portcullis"]
CMD ["serve", "--config", "/etc/portcullis/portcullis.yaml"]
