# make help says what there is. No target needs root but install and uninstall; none needs a compiler but EXTRAS=all.
PYTHON ?=
EXTRAS ?= test
PREFIX ?= /usr/local
LIBDIR ?= /opt/tayori
UNITDIR ?= /etc/systemd/system
LINKS ?=
DESTDIR ?=
VAR ?= var
WORKERS ?= 4
BIN := .venv/bin

.PHONY: help setup run test test-all lint bench install uninstall clean

help:
	@echo "make run        try a home server in the folder ./var (Ctrl-C stops it)"
	@echo "make test       run the tests; beside a real Postfix, as root, every eighth scenario"
	@echo "make test-all   all of them; a real peer that is not installed is a failure"
	@echo "make lint       ruff and mypy"
	@echo "make bench      measure it beside Postfix (as root)"
	@echo "make setup      only set up .venv; EXTRAS=all adds every optional back end"
	@echo "make install    as root: $(LIBDIR), $(PREFIX)/bin/tayori and systemd units"
	@echo "                LINKS=all also links sendmail, mailq, postconf, ... where no such file is yet"
	@echo "make uninstall  take that away again; /etc and the queue stay"

setup:
	@PYTHON="$(PYTHON)" EXTRAS="$(EXTRAS)" sh packaging/setup.sh

run: setup
	@$(BIN)/tayori home-server --var "$(VAR)"

test: setup
	$(BIN)/pytest -q -m "not long" -n $(WORKERS) --dist loadfile $(PYTEST_OPTIONS)

test-all:
	@TAYORI_REQUIRE_PEERS=1 $(MAKE) test

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python bench/run.py $(BENCH_OPTIONS)

install uninstall:
	@PYTHON="$(PYTHON)" PREFIX="$(PREFIX)" LIBDIR="$(LIBDIR)" UNITDIR="$(UNITDIR)" LINKS="$(LINKS)" \
	  DESTDIR="$(DESTDIR)" INSTALL_EXTRAS="$(INSTALL_EXTRAS)" sh packaging/$@.sh

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
