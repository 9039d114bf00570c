#!/bin/bash
# usage: hw3_test.sh <test.csv> <prediction.csv>; RUN=<id> chooses the model, else the newest CNN that learned from photographs answers, or the package's models
: "${2:?usage: hw3_test.sh <test.csv> <prediction.csv>}"
make -s -C "$(dirname "$0")" setup && exec "$(dirname "$0")/.venv/bin/fer-lib" predict --data "$1" --out "$2" --run "${RUN:-newest}"
