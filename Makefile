# make        build, lint and test
# make up     run the demo herd

TOOL := go tool -modfile=tools.mod
TAGS := attack,compose,engine,kill,mutants,numbers,page,peers,prometheus,shots
FUZZ ?= 80# thousand executions of each fuzz target
SLOW := FuzzGeoJSON FuzzIdentityURI FuzzLegacy FuzzLoad FuzzMessage FuzzNew FuzzOverpass FuzzOverpassPage FuzzRepair FuzzScan# which do a fortieth of that

.PHONY: all build test test-compose test-engine test-prometheus test-page screenshots race fuzz attack kill mutants soak numbers bench bench-peers bench-metrics performance lint up clean

all: build lint test

build:
	CGO_ENABLED=0 go build -trimpath -o bin/herd ./cmd/herd

test:
	go test ./...

# Needs a container engine: your own, on which no project herd runs, or that of .ci/engine make test-compose.
test-compose:
	go test -tags compose -run '^TestCompose$$' -count=1 -v -timeout 10m .

# What .ci/engine leaves behind when it is ended half-way: nothing.
test-engine:
	go test -tags engine -run '^TestEngineEnds$$' -count=1 -timeout 10m .

# Debian's Prometheus scrapes a herd, and its tool checks metrics and alerts.
test-prometheus:
	@command -v promtool >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus; }
	go test -tags prometheus -run '^(TestPromtool|TestPrometheus)$$' -count=1 -timeout 5m ./cmd/herd

race:
	go test -race ./...

CHROMIUM := command -v chromium >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; }

# The status page in a real browser, without a window: two minutes.
test-page:
	@$(CHROMIUM)
	go test -tags page -count=1 -timeout 10m -v ./node/status/page

# The pictures of the status page in docs/: two minutes.
screenshots:
	@$(CHROMIUM)
	go test -tags page,shots -run '^TestScreenshots$$' -count=1 -timeout 10m -v ./node/status/page -shots $(CURDIR)/docs

# Each fuzz target in turn. They are counted, not timed: before Go 1.27 a target whose time is up may fail (go.dev/issue/75804).
fuzz:
	@set -e; for target in $$(grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9]*' . | tr -d ' '); do \
	  folder=$$(dirname "$${target%%:*}"); name=$${target##*func}; \
	  case ' $(SLOW) ' in *" $$name "*) count=$$(($(FUZZ) * 25)) ;; *) count=$$(($(FUZZ) * 1000)) ;; esac; \
	  echo "$$folder $$name"; \
	  go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $${count}x -fuzzminimizetime 10x "$$folder"; \
	done

# Eight minutes of attacks on herd up with the hardened sample; prints the table of SECURITY.md.
attack:
	go test -tags attack -run '^TestAttack$$' -count 1 -timeout 20m -v ./cmd/herd

# A minute of kill -9 on herd up in both modes of the store, while clients record what was acknowledged.
kill:
	go test -tags kill -run '^TestKill$$' -count 1 -timeout 5m -v ./cmd/herd

# What ARCHITECTURE.md says of repair, measured: five minutes.
numbers:
	HERD_CLIENTS=1000000 go test -run '^TestRepairBytes$$' -count 1 -v ./node/flood
	go test -run '^$$' -bench Memory ./node/flood
	go test -tags numbers -run '^(TestHealTime|TestStalledNeighbour|TestCold|TestIdle)$$' -count 1 -v ./node ./cmd/herd
	go test -run 'OnSockets|PromptReturn' -count 1 -v ./bus
	go test -run '^TestBusyHerd$$' -count 1 -v ./node/flood/simulate
	time go run ./cmd/herd topology simulate --shape regular --nodes 1000 --reports 10000

# Breaks the flood in many ways, one after the other, and expects its tests to notice; prints the table.
mutants:
	go test -tags mutants -run '^TestMutants$$' -count 1 -timeout 20m -v .

SOAK ?= 4h# of chaos

# Chaos for hours, and all states of small herds as far as a machine of 16 GB can go.
soak:
	go test -run '^TestChaos$$' -count 1 -timeout 0 -v ./node/flood/simulate -soak $(SOAK)
	go test -run '^TestExhaustive$$' -count 1 -timeout 0 -v ./node/flood -deep

bench:
	go test -run '^$$' -bench . -benchmem ./...

PEERS ?=# -rows 'pipelined|five', -runs 7, -out FILE, -quick

# Herd beside what people would use instead, with the same load: the table of PERFORMANCE.md, in a quarter of an hour on an idle machine.
bench-peers:
	@command -v redis-server >/dev/null || { apt-get update -qq && apt-get install -y -qq redis-server; }
	go test -tags peers -run '^TestPeers$$' -count 1 -timeout 60m -v ./cmd/herd $(PEERS)

BEFORE ?=# another herd, to be compared with

# What metrics cost, scraped each second and not scraped, and beside BEFORE=herd-of-another-commit: five minutes on an idle machine.
bench-metrics:
	go test -tags peers -run '^TestMetricsCost$$' -count 1 -timeout 60m -v ./cmd/herd $(if $(BEFORE),-before $(abspath $(BEFORE)))

# What bench-peers does, and rewrites PERFORMANCE.md and docs/ for the rows that ran.
performance:
	$(MAKE) bench-peers PEERS="$(PEERS) -write"

lint:
	@unformatted=$$($(TOOL) gofumpt -l .); test -z "$$unformatted" || { echo "not formatted by gofumpt:"; echo "$$unformatted"; exit 1; }
	go vet -tags $(TAGS) ./...
	go fix -tags $(TAGS) -diff ./...
	$(TOOL) staticcheck -tags $(TAGS) -checks=all ./...
	go mod tidy -diff

up:
	go run ./cmd/herd up

clean:
	rm -rf bin
