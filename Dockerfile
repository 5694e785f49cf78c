# The program and, beside it, only the certificates that web services prove themselves with.
FROM golang:1.26-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /out/herd ./cmd/herd
WORKDIR /out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/herd /herd
# A volume mounted here belongs to the user.
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 CMD ["/herd", "health", "--addr", "127.0.0.1:8125"]
ENTRYPOINT ["/herd"]
