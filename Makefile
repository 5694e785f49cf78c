# make        build, lint and test
# make up     run the demo herd

TOOL := go tool -modfile=tools.mod
TAGS := lab,page
LAB := go test -tags lab -count 1 -v ./cmd/herd/internal/lab
FUZZ ?= 80# thousand executions of each fuzz target
SLOW := FuzzGeoJSON FuzzIdentityURI FuzzLegacy FuzzLoad FuzzMessage FuzzNew FuzzOverpass FuzzOverpassPage FuzzScan FuzzSync# which do a fortieth of that

.PHONY: all build test test-compose test-engine test-prometheus test-page screenshots race fuzz attack chaos kill mutants numbers check-all check-links check-nats check-links-quick flakes soak bench bench-peers bench-metrics performance lint lint-openapi up clean

all: build lint test

build:
	CGO_ENABLED=0 go build -trimpath -o bin/herd ./cmd/herd

test:
	go test ./...

# Needs a container engine: your own, on which no project herd runs, or that of .ci/engine make test-compose.
test-compose:
	$(LAB) -run '^TestCompose$$' -timeout 10m

# What .ci/engine leaves behind when it is ended half-way: nothing.
test-engine:
	$(LAB) -run '^TestEngineEnds$$' -timeout 10m

# Debian's Prometheus scrapes a herd, and its tool checks metrics and alerts.
test-prometheus:
	@command -v promtool >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus; }
	$(LAB) -run '^(TestPromtool|TestPrometheus)$$' -timeout 5m

race:
	go test -race ./...

NPM := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/herd/npm# of the linters of openapi.json

# openapi.json in the eyes of Stoplight's and Redocly's linters.
lint-openapi:
	@command -v npm >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm; }
	npm install --silent --no-audit --no-fund --prefix $(NPM) @stoplight/spectral-cli@6.16.3 @redocly/cli@1.34.5
	$(NPM)/node_modules/.bin/spectral lint --fail-severity warn --ruleset .ci/spectral.yaml node/status/openapi.json
	REDOCLY_TELEMETRY=off $(NPM)/node_modules/.bin/redocly lint --skip-rule info-license node/status/openapi.json

CHROMIUM := command -v chromium >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; }

# The status page in a real browser, without a window: two minutes.
test-page:
	@$(CHROMIUM)
	go test -tags page -count=1 -timeout 10m -v ./node/status/page

# The pictures of the status page in docs/: two minutes.
screenshots:
	@$(CHROMIUM)
	go test -tags page -run '^TestScreenshots$$' -count=1 -timeout 10m -v ./node/status/page -shots $(CURDIR)/docs

# Each fuzz target in turn. They are counted, not timed: before Go 1.27 a target whose time is up may fail (go.dev/issue/75804).
fuzz:
	@set -e; for target in $$(grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9]*' . | tr -d ' '); do \
	  folder=$$(dirname "$${target%%:*}"); name=$${target##*func}; \
	  case ' $(SLOW) ' in *" $$name "*) count=$$(($(FUZZ) * 25)) ;; *) count=$$(($(FUZZ) * 1000)) ;; esac; \
	  echo "$$folder $$name"; \
	  go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $${count}x -fuzzminimizetime 10x "$$folder"; \
	done

# Eight minutes of attacks on herd up with the hardened sample; prints the table of PERFORMANCE.md.
attack:
	$(LAB) -run '^TestAttack$$' -timeout 20m

# A minute of kill -9 on herd up in both modes of the store, while clients record what was acknowledged.
kill:
	$(LAB) -run '^TestKill$$' -timeout 5m

# What PERFORMANCE.md says of single parts, measured: ten minutes.
numbers:
	HERD_CLIENTS=1000000 go test -run '^TestReturnBytes$$' -count 1 -v ./node/flood
	go test -run '^$$' -bench Memory ./node/flood
	go test -tags lab -run '^(TestHealTime|TestStalledNeighbour)$$' -count 1 -v ./node
	$(LAB) -run '^(TestCold|TestHub|TestIdle)$$' -timeout 15m
	go test -run '^(TestSilentCutOnSockets|TestPromptReturn)$$' -count 1 -v ./bus
	go test -run '^TestBusyHerd$$' -count 1 -v ./node/flood/simulate
	time go run ./cmd/herd topology simulate --shape regular --nodes 1000 --reports 10000

MUTANTS ?=# a regular expression: break only packages whose path matches it

# Breaks each package that has testdata/mutants.txt in the ways that stand there, and expects its tests to notice; prints the table.
mutants:
	$(LAB) -run '^TestMutants$$' -timeout 40m -mutants '$(MUTANTS)'

# What .ci/run leaves out, in less than an hour: attacks (8 minutes), mutants (half an hour), and what documents say in numbers (10 minutes).
check-all: attack chaos mutants numbers

REDIS := command -v redis-server >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server; }
LINKS ?=# -cells '64k', -systems 'herd|redis', -cut 20s, -overload 0, -at-once 1, -congestion reno, -write

# Herds and Redis behind shaped links between two network namespaces, as root: what was seen to break, and links of many rates, round trips and
# losses, of which it prints the table of PERFORMANCE.md. An hour on an idle machine; docs/design/testing.md says how one link is measured.
check-links:
	@$(REDIS)
	$(LAB) -run '^(TestConditions|TestUplink|TestUplinkFaults|TestUplinkMatrix)$$' -timeout 90m $(LINKS)

# Five servers on NATS servers of ten versions, joined in several ways; prints the table of docs/closed-bus.md. Five minutes, and the module proxy.
check-nats:
	$(LAB) -run '^TestNATSVersions$$' -timeout 20m

# A corner of check-links: a minute and a half.
check-links-quick:
	$(LAB) -run '^(TestConditions|TestUplink|TestUplinkMatrix)$$' -timeout 5m \
	  -cells '^(64k 40ms 0%|256k 600ms 2%)$$' -systems 'herd|restart' -cut 20s -overload 0 -at-once 2

# The tests of each package many times, on one core with 1, 2 and 8 threads and with the race detector; interrupted, it goes on when started again.
flakes:
	.ci/repeat

# Chaos in 3,000 herds: some minutes.
chaos:
	go test -run '^TestChaos$$' -count 1 -timeout 1h ./node/flood/simulate -herds 3000

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
	@$(REDIS)
	$(LAB) -run '^TestPeers$$' -timeout 60m $(PEERS)

BEFORE ?=# another herd, to be compared with

# What metrics cost, scraped each second and not scraped, and beside BEFORE=herd-of-another-commit: five minutes on an idle machine.
bench-metrics:
	$(LAB) -run '^TestMetricsCost$$' -timeout 60m $(if $(BEFORE),-before $(abspath $(BEFORE)))

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
