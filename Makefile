# Everything that one does with a checkout. The recipes are in scripts/; each does its own set-up.

.DEFAULT_GOAL := help
.PHONY: help run dev test chaos storm-test attack-test rolling-test k8s-test pictures fuzz sbom check tsan valgrind bench bench-quick bench-scale bench-instructions build images compose compose-test docs clean

# Recipes may only use what a fresh Debian has.
SHELL := /bin/bash

help: ## this list
	@echo 'usage: make TARGET [PORT=3000]'
	@echo
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r target what; do \
		printf '  %-18s %s\n' "$$target" "$$what"; done

run: ## runs all of Parley here: two gateways on PORT and PORT+1 (3000 and 3001); Ctrl-C ends it
	@scripts/setup run
	@scripts/build release parley-gateway parley-store
	@exec setpriv --pdeathsig TERM -- scripts/run

dev: ## as run, but builds and starts again at every save
	@scripts/setup run dev
	@exec setpriv --pdeathsig TERM -- scripts/dev

test: ## builds with sanitizers and runs all tests: units, integration, browser
	@scripts/setup run test
	@scripts/test

storm-test: ## 15,000 clients of a killed gateway come back at once, and nobody else notices
	@scripts/setup run test
	@scripts/build release
	@PARLEY_TEST_STORM=15000 node --test tests/integration/storm.test.mjs

attack-test: ## 1,000 attackers of all kinds at once, and 200 people who go on talking
	@scripts/setup run test
	@scripts/build release
	@PARLEY_TEST_ATTACKERS=1000 node --test --test-reporter=spec tests/integration/attack.test.mjs

rolling-test: ## rolls from the last release to this checkout and back, while people talk
	@scripts/setup run
	@scripts/build release parley-gateway parley-store
	@scripts/rolling-test

chaos: ## three minutes of real faults on the real system, and a verdict: DURATION=180 SEED=1
	@scripts/setup run chaos
	@scripts/build failpoints parley-gateway parley-store
	@scripts/chaos $(if $(DURATION),--duration $(DURATION)) $(if $(SEED),--seed $(SEED))

pictures: ## the pictures of the page in docs/images, made anew
	@scripts/setup run test
	@scripts/build release parley-gateway parley-store
	@PARLEY_PICTURES=docs/images node --test tests/integration/page_pictures.test.mjs

fuzz: ## every parser, and whole connections, under libFuzzer: SECONDS=600 for each
	@scripts/setup run fuzz
	@scripts/fuzz $(or $(SECONDS),600)

sbom: ## a bill of materials of what the programs and the page are made of, in build/sbom.spdx.json
	@scripts/setup run
	@scripts/build release parley-gateway parley-store
	@scripts/sbom build/sbom.spdx.json

check: ## format, clang-tidy, cppcheck, gcc -fanalyzer, direction of includes, scripts, YAML, Kubernetes manifests, generated pages
	@scripts/setup run check
	@scripts/check

k8s-test: ## the same promises in the cluster of the current kubectl context: chat, scale, roll, autoscale
	@scripts/setup run k8s
	@scripts/k8s-test

tsan: ## the integration tests on services under ThreadSanitizer, in 20 minutes
	@scripts/setup run test
	@scripts/tsan

valgrind: ## some integration tests on services under valgrind
	@scripts/setup run test valgrind
	@scripts/valgrind

bench: ## measures this checkout on this machine against its goals, in half an hour [PARTS=fanout,idle]
	@scripts/setup run bench
	@bench/run

bench-quick: ## the main parts of it in two minutes
	@scripts/setup run bench
	@bench/run quick

bench-scale: ## 100,000 connections to several gateways
	@scripts/setup run bench
	@bench/scale

bench-instructions: ## counts instructions of a delivery, an append, …, and compares with what is recorded
	@scripts/setup run instructions
	@bench/instructions

build: ## builds the programs into build/bin
	@scripts/setup run
	@scripts/build release parley-gateway parley-store

images: ## builds the images parley/gateway:dev and parley/store-service:dev, with or without Docker Hub
	@scripts/setup run docker
	@scripts/with-docker scripts/images

compose: ## brings all of Parley up in containers, on PORT: secrets, images, and docker compose up
	@scripts/setup run docker
	@scripts/images
	@scripts/compose-env
	@scripts/compose-up

compose-test: ## brings a stack of containers up, runs the tests against it, and takes it down
	@scripts/setup run test docker
	@scripts/with-docker scripts/compose-test

docs: build ## writes the generated pages again
	@scripts/configuration-page >docs/configuration.md
	@scripts/operations-page >docs/operations.md.new && mv docs/operations.md.new docs/operations.md

clean: ## removes what was built; what was said in make run stays in .run/
	@rm -rf build .cache
