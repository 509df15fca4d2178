# Needs python3 (3.11 to 3.13) and make; everything else comes from requirements/dev.txt, by hash.
PYTHON ?= python3
VENV ?= .venv
# An idle worker takes tests from a busy one: the long ones come late.
PYTEST_FLAGS ?= -n auto --dist worksteal -q
SEEDS ?= 10000
FIRST ?= 0
JOBS ?= 2
BIN := $(VENV)/bin
# The tests start hundreds of processes: each would compile the whole package again if Python may not keep bytecode.
export PYTHONDONTWRITEBYTECODE =
READY := $(VENV)/.installed-by-make
# Modules without I/O: their branches are all covered.
PURE := syncer/accounts.py,syncer/api/backoff.py,syncer/api/base_url.py,syncer/api/errors_body.py,syncer/api/pacing.py,syncer/api/protocol.py,syncer/api/redact.py,syncer/api/retry_after.py,syncer/bulk/plan.py,syncer/config.py,syncer/crawl/page_size.py,syncer/crawl/plan.py,syncer/crawl/probe.py,syncer/crawl/proof.py,syncer/crawl/repeats.py,syncer/crawl/stretch.py,syncer/crawl/walk.py,syncer/credentials.py,syncer/durations.py,syncer/guards.py,syncer/load/plan.py,syncer/load/source.py,syncer/load/statements.py,syncer/load/target.py,syncer/load/vendor_sql.py,syncer/options.py,syncer/snapshot/diff.py,syncer/snapshot/erased_ids.py,syncer/snapshot/hash_tree.py,syncer/snapshot/layout.py,syncer/snapshot/manifest.py,syncer/snapshot/manifest_json.py,syncer/snapshot/proof_check.py,syncer/snapshot/proof_file.py,syncer/snapshot/retention.py,syncer/snapshot/shape.py,syncer/snapshot/sshsig.py,syncer/snapshot/windows.py,syncer/suggestions.py,syncer/summary.py,syncer/api/attempts.py,syncer/api/endings.py,syncer/snapshot/columns.py,syncer/snapshot/payload.py,syncer/snapshot/rejects.py,syncer/snapshot/exact.py,syncer/snapshot/page_cover.py,syncer/snapshot/page_text.py,syncer/snapshot/times.py

.DEFAULT_GOAL := help
.PHONY: help demo test check lint format coverage bitflips campaign campaign-limits simulate simulate-twice simulate-offsets simulate-campaigns simulate-million bench bench-peers bench-long bench-diff bench-parallel bench-load bench-stores profile debian-packages crash crash-erase crash-load readme lock clean

help: ## print these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## export 100,000 users of a local emulator, verify, and ask DuckDB about them
	@$(BIN)/python tools/demo.py

test: $(READY) ## run the tests
	@$(BIN)/python -m pytest $(PYTEST_FLAGS)

check: $(READY) lint ## everything that CI runs: format, lint, types, layers, tests
	@$(BIN)/python -m pytest $(PYTEST_FLAGS)

lint: $(READY) ## format, lint and types only
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(READY) ## rewrite the code in the one format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

coverage: $(READY) ## run the tests and demand every branch of the pure modules
	@$(BIN)/python -m pytest -n auto --dist worksteal -q --cov --cov-branch --cov-report=
	@$(BIN)/python -m coverage report --include='$(PURE)' --fail-under=100

bitflips: $(READY) ## flip 2,000 bits of kept snapshots, one at a time: verify must find each
	@$(BIN)/python -m tests.bitflips

campaign: $(READY) ## fetch and delete 10,000 users through faults and five kills: each id ends once
	@$(BIN)/python -m tests.bulk_campaign 10000

campaign-limits: $(READY) ## fetch and delete under limits they do not know: at most 1 % refused after ten seconds
	@$(BIN)/python -m tests.limits_campaign

simulate: $(READY) ## simulated crawls with faults, in virtual time; SEEDS=10000 FIRST=0 JOBS=2
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --first $(FIRST) --jobs $(JOBS)

simulate-twice: $(READY) ## 1,000 seeds twice, by processes with sets in different orders: requests and bytes must be the same
	@$(BIN)/python -m tests.simulation --seeds 1000 --jobs $(JOBS) --twice

simulate-offsets: $(READY) ## 5,000 seeds of lists whose page tokens are offsets: refused by name, or whole
	@$(BIN)/python -m tests.simulation --seeds 5000 --jobs $(JOBS) --campaign offsets

simulate-campaigns: $(READY) ## one trouble over its whole range: expiring tokens, outages, clocks, churn, departures, page sizes; minutes
	@$(BIN)/python -m tests.simulation --jobs $(JOBS) --seeds 2000 --campaign expiry
	@$(BIN)/python -m tests.simulation --jobs $(JOBS) --seeds 2000 --campaign outage
	@$(BIN)/python -m tests.simulation --jobs $(JOBS) --seeds 1100 --campaign clock
	@$(BIN)/python -m tests.simulation --jobs $(JOBS) --seeds 500 --campaign departures
	@$(BIN)/python -m tests.simulation --jobs $(JOBS) --seeds 500 --campaign sizes
	@$(BIN)/python -m tests.simulation --jobs $(JOBS) --seeds 5000 --campaign changes

simulate-million: $(READY) ## a million simulated crawls, two for each seed: some hours; FIRST=… goes on after an interruption
	@nice -n 19 $(BIN)/python -m tests.simulation --first $(FIRST) --seeds $$((502000 - $(FIRST))) --jobs $(JOBS)

bench-diff: $(READY) ## compare two snapshots of ten million users: time, memory, and whether the counts are right
	@$(BIN)/python -m benchmarks.diff

bench-parallel: $(READY) ## many walkers against one: 400 pages at 100 ms, and a million users at 50 ms
	@$(BIN)/python -m benchmarks.parallel --latency 100 --pages 400 --page-size 50 --walkers 4,16,64
	@$(BIN)/python -m benchmarks.parallel --latency 50 --pages 1000 --page-size 1000 --walkers 64

bench-load: $(READY) ## load 100,000, 1 and 5 million users into each target: rows a second, checksum, memory
	@$(BIN)/python -m benchmarks.load

bench-stores: $(READY) ## peak memory of publishing 100,000 and 5 million users to S3 and Azure, against a local disk
	@$(BIN)/python -m benchmarks.stores

debian-packages: ## what the tests need beside Python packages: PostgreSQL's server, if it is missing; needs root
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null; }

crash: $(READY) ## kill an export before every step on the disk; start it twice at once, 200 times
	@work=$$(mktemp -d) && $(BIN)/python -m tests.crash_export $$work; code=$$?; rm -rf $$work; exit $$code
	@$(BIN)/python -m tests.locking 200

crash-erase: $(READY) ## kill an erasure before every step on the disk; afterwards no file names an erased user
	@work=$$(mktemp -d) && $(BIN)/python -m tests.crash_erase $$work; code=$$?; rm -rf $$work; exit $$code

crash-load: $(READY) ## kill loads into DuckDB, Delta and Iceberg before every step, and at 40 instants
	@work=$$(mktemp -d) && $(BIN)/python -W ignore -m tests.load_crash $$work 100 40; code=$$?; rm -rf $$work; exit $$code

readme: $(READY) ## put the commands' help into README.md and docs/commands.md
	@$(BIN)/python tools/readme.py

lock: ## renew requirements/dev.txt from pyproject.toml; needs uv
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command "make lock" --extra dev --output-file requirements/dev.txt pyproject.toml

bench: $(READY) ## measure the product against the floor, over sizes, latencies and rate limits (needs nginx)
	@$(BIN)/python -m benchmarks product

bench-peers: $(READY) ## measure other tools beside it, each in its own environment: minutes
	@$(BIN)/python -m benchmarks peers

profile: $(READY) ## sample an export of a million users, and draw where its processor time goes
	@$(BIN)/python -m benchmarks.profile

bench-long: $(READY) ## up to 10,000,000 users
	@$(BIN)/python -m benchmarks long

clean: ## remove what the targets above made, but not the environment
	rm -rf demo build dist .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find syncer tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

# The lock names every package, so nothing is left to resolve: pip before 23.3 forgets the pin of a package asked for with an extra.
$(READY): requirements/dev.txt pyproject.toml
	@echo "making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pip --disable-pip-version-check check >/dev/null
	@touch $@
