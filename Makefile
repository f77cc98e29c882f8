# Everything this repository can do. A fresh machine needs Go, Node with npm,
# and Debian's packages within reach; the targets fetch the rest themselves.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

GOLANGCI := v2.15.0
GOVULNCHECK := v1.1.4
# The later tags of h2spec are not what Go takes for versions of its module.
H2SPEC := v2.2.1+incompatible
TOOLS := $(CURDIR)/.tools

# CHECK=1 plays the demo's story without a person, and ends; NODES=3 has three
# nodes in it, with a PostgreSQL and a Redis of their own.
ARGS ?=
CHECK ?=
NODES ?=
DEMO_ARGS := $(ARGS) $(if $(NODES),--nodes $(NODES)) $(if $(CHECK),--check)
# WHAT names families of figures: make bench WHAT=ssh.aes (see e2e/bench/doc.go)
WHAT ?=
FUZZTIME ?= 30s
# SCRIPTS names some of OpenSSH's: make regress SCRIPTS='banner rekey'
SCRIPTS ?= all
SOAKTIME ?= 30m
# soak-gate draws its faults from SEED, which it prints.
SECONDS ?= 600
SEED ?=

# What the race detector does not look into: the arithmetic of curves and
# ciphers, and SQLite, which is C in Go's words. They share no memory of their
# own with our goroutines, and looked into they take half of the tests' time.
UNWATCHED := $(addprefix crypto/internal/fips140/,edwards25519/... nistec/... bigmod mlkem sha3) \
	$(addprefix golang.org/x/crypto/,chacha20 internal/poly1305 blowfish ssh/internal/bcrypt_pbkdf) \
	modernc.org/sqlite/lib modernc.org/libc/... modernc.org/memory
RACE := -race $(foreach p,$(UNWATCHED),-gcflags=$(p)=-race=false)

# The lock that is in place is kept beside it, once all of it is. A time would
# not do: a folder that was copied from elsewhere is new.
modules = cd $(1) && { cmp -s package-lock.json node_modules/.of.json || { npm ci --no-audit --no-fund && cp package-lock.json node_modules/.of.json; }; }

.PHONY: help build web demo test test-needs lint bench fuzz vuln soak soak-gate regress model clean

help: ## say what there is to do
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

web: ## bundle the pages' assets into web/dist
	$(call modules,web)
	go run ./web/build

build: web ## build bin/portcullis with the pages inside
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o bin/portcullis ./cmd/portcullis

demo: build ## build, then run the sample plant on loopback (NODES=3: on three nodes; CHECK=1: play the story and end)
	.ci/need sshd=openssh-server ssh=openssh-client $(if $(NODES),redis-server=redis-server pg_ctlcluster=postgresql)
	bin/portcullis demo --data demo-data $(DEMO_ARGS)

test-needs:
	.ci/need sshd=openssh-server ssh=openssh-client ssh-keygen=openssh-client chromium=chromium fc-list=fontconfig gcc=gcc dbclient=dropbear-bin plink=putty-tools pscp=putty-tools psftp=putty-tools lftp=lftp ansible-playbook=ansible-core /usr/lib/python3/dist-packages/paramiko=python3-paramiko ssh-audit=ssh-audit ip=iproute2 nsenter=util-linux setpriv=util-linux redis-server=redis-server redis-sentinel=redis-sentinel rsync=rsync git=git curl=curl scp=openssh-client sftp=openssh-client pg_ctlcluster=postgresql pebble=pebble prometheus=prometheus tshark=tshark capinfos=wireshark-common slowhttptest=slowhttptest testssl=testssl.sh wg-quick=wireguard-tools iperf3=iperf3 nmap=nmap dig=bind9-dnsutils ping=iputils-ping mbpoll=mbpoll xrdp=xrdp xfreerdp=freerdp2-x11 Xvfb=xvfb Xvnc=tigervnc-standalone-server xlogo=x11-apps
	@go version -m $(TOOLS)/h2spec 2>/dev/null | grep -qF "$(H2SPEC)" || GOBIN=$(TOOLS) go install github.com/summerwind/h2spec/cmd/h2spec@$(H2SPEC)
	go build -trimpath -o $(TOOLS)/wireguard golang.zx2c4.com/wireguard # the client, of the version that go.mod names
	$(call modules,e2e)

# The stories of e2e take half of the time and wait for most of it: they go
# beside all the rest. -p 1: the packages that hold real servers are heavy, and a
# timing promise (one second, P1 and P3) is not to be judged on a machine that is
# choking.
test: test-needs build ## install what the tests need, run all of them
	go build $(RACE) ./gateway/... # what both are made of, once
	@PORTCULLIS_BIN=$(CURDIR)/bin/portcullis go test $(RACE) -p 1 -timeout 30m ./e2e & stories=$$!; \
	go test $(RACE) -p 1 -timeout 30m $$(go list ./... | grep -v '/e2e$$') && rest=0 || rest=$$?; \
	wait $$stories && exit $$rest

lint: ## gofmt, go vet, golangci-lint
	@files=$$(find . -name '*.go' -not -path '*/node_modules/*' -not -path './.*' -exec gofmt -l {} +); if [ -n "$$files" ]; then echo "gofmt would change:"; echo "$$files"; exit 1; fi
	go vet ./...
	@$(TOOLS)/golangci-lint version 2>/dev/null | grep -q "version $(GOLANGCI:v%=%) " || \
		{ echo "building golangci-lint $(GOLANGCI), some minutes the first time"; GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI); }
	$(TOOLS)/golangci-lint run ./...

bench: build ## measure against plain OpenSSH, nginx, Caddy and wireguard-go; WHAT=ssh.aes runs one family
	.ci/need sshd=openssh-server ssh=openssh-client redis-server=redis-server pg_ctlcluster=postgresql nginx=nginx-light caddy ip=iproute2 iperf3=iperf3 wg=wireguard-tools
	@[ -x $(TOOLS)/wireguard ] || go build -trimpath -o $(TOOLS)/wireguard golang.zx2c4.com/wireguard
	PORTCULLIS_BIN=$(CURDIR)/bin/portcullis go run ./e2e/bench $(WHAT)

fuzz: ## run each fuzz target for FUZZTIME
	@for p in $$(go list ./...); do \
		for f in $$(go test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
			echo "== $$p $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p; \
		done; \
	done

vuln: ## look for known vulnerabilities; VULNDB=file:///path uses a local database
	@[ -x $(TOOLS)/govulncheck ] || GOBIN=$(TOOLS) go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK)
	@out=$$($(TOOLS)/govulncheck $(if $(VULNDB),-db $(VULNDB)) ./... 2>&1) && rc=0 || rc=$$?; echo "$$out"; \
	if [ $$rc -ne 0 ] && grep -qE 'fetching vulnerabilities|dial tcp|no such host|Forbidden|status code|404' <<<"$$out"; then \
		echo "vuln: no vulnerability database could be reached, so nothing was checked; give one with VULNDB=file:///path/to/vulndb"; fi; exit $$rc

soak: build ## repeat the end-to-end stories for SOAKTIME, and kill the gateway 200 times in each of two
	PORTCULLIS_BIN=$(CURDIR)/bin/portcullis PORTCULLIS_SOAK=$(SOAKTIME) go test $(RACE) -run '^Test(Soak|CrashDuring.*)$$' -timeout 0 -v ./e2e

soak-gate: build ## suspend vendors on three nodes while nodes and servers fail, for SECONDS; SEED= replays a run
	.ci/need sshd=openssh-server ssh=openssh-client redis-server=redis-server redis-sentinel=redis-sentinel pg_ctlcluster=postgresql mkfs.ext4=e2fsprogs fsfreeze=util-linux
	PORTCULLIS_BIN=$(CURDIR)/bin/portcullis PORTCULLIS_SOAK_GATE=$(SECONDS)s $(if $(SEED),PORTCULLIS_SEED=$(SEED)) go test -run '^TestSoakGate$$' -count 1 -timeout 1h -v ./e2e

regress: build ## compare OpenSSH's own scripts without the gateway and through it; SCRIPTS names some
	.ci/need sshd=openssh-server ssh=openssh-client plink=putty-tools puttygen=putty-tools /usr/lib/openssh/regress/test-exec.sh=openssh-tests
	PORTCULLIS_BIN=$(CURDIR)/bin/portcullis PORTCULLIS_REGRESS='$(SCRIPTS)' go test -run '^TestRegress$$' -count 1 -timeout 2h -v ./e2e

model: ## check the gate's protocol with spin, and that each rule of it is needed
	.ci/need spin=spin gcc=gcc
	gateway/killswitch/model/check

clean: ## remove what was built; demo-data stays
	rm -rf bin web/node_modules e2e/node_modules bench.txt
	find web/dist -mindepth 1 ! -name README.md -delete 2>/dev/null || true
