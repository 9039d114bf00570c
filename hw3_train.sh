#!/bin/bash
# usage: hw3_train.sh <train.csv>; PROFILE=quick trains in minutes
: "${1:?usage: hw3_train.sh <train.csv>}"
make -s -C "$(dirname "$0")" setup && exec "$(dirname "$0")/.venv/bin/fer-lib" train --profile "${PROFILE:-seed}" --data "$1"
