#!/usr/bin/env bash
# All that needs a GPU, in under nine minutes: scripts/gpu_check.sh
#
# 1. The CUDA tests, among them that the host reads the device at most once in a step.
# 2. The rows of the benchmark suite that run on a GPU.
# 3. Figure 1's four runs of the paper's size, side by side, for the time that is left.
#
# OUT gets the logs, the tables, and of the runs only records and pictures. The whole ends after LIMIT
# seconds; a part that fails doesn't keep the next one from running, and the script then exits with 1.
# PARTS=bench runs one of them. To see it run on a CPU: DEVICE=cpu QUICK=1 LIMIT=300 scripts/gpu_check.sh
set -uo pipefail
cd "$(dirname "$0")/.."

DEVICE=${DEVICE:-cuda} QUICK=${QUICK:-} LIMIT=${LIMIT:-520} OUT=${OUT:-build/gpu_check}
PARTS=${PARTS:-tests bench dynamics}
PYTHON=${PYTHON:-$(test -x .venv/bin/python && echo .venv/bin/python || echo python3)}
export PYTHONPATH=$PWD CUBLAS_WORKSPACE_CONFIG=:4096:8
END=$((SECONDS + LIMIT))
FAILED=""
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
mkdir -p "$OUT"

wanted() { case " $PARTS " in *" $1 "*) ;; *) return 1 ;; esac; }
left() { echo $((END - SECONDS)); }

# part NAME MOST COMMAND...: run it for at most so many seconds, its output in OUT/NAME.log
part() {
    local name=$1 most=$2 code=0 begun=$SECONDS
    shift 2
    test "$(left)" -ge "$most" || most=$(left)
    if test "$most" -lt 5; then
        echo "$name: no time left" && FAILED="$FAILED $name"
        return
    fi
    timeout -k 5 "$most" "$@" >"$OUT/$name.log" 2>&1 || code=$?
    echo "$name: exit code $code after $((SECONDS - begun)) s; $(tail -n 1 "$OUT/$name.log")"
    test "$code" -eq 0 || FAILED="$FAILED $name"
}

# Without a GPU the CUDA tests would all be skipped, and nobody would notice.
if ! "$PYTHON" -c "import sys, torch; sys.exit('$DEVICE' == 'cuda' and not torch.cuda.is_available())"; then
    echo "torch finds no GPU here; DEVICE=cpu QUICK=1 shows the script at work" >&2
    exit 2
fi

TESTS="tests/clipping/test_host_reads.py"
test -n "$QUICK" || TESTS="$TESTS tests/clipping/test_norms.py tests/training/test_state_check.py"
# shellcheck disable=SC2086 # TESTS are several words
wanted tests && part tests 120 "$PYTHON" -m pytest -q -p no:cacheprovider $TESTS
ROWS=losses,training,clipping,evaluation.si_sdr,evaluation.separation,data.on_device
MORE=""
test -n "$QUICK" || MORE=,scaling.side_by_side
wanted bench && part bench 200 "$PYTHON" -m benchmarks "device=$DEVICE" "rows=$ROWS$MORE" \
    ${QUICK:+quick=true} "output=$OUT"

dynamics() {
    # The runs end at a checkpoint when they are asked to, 30 s before the end; small ones by themselves.
    local SIZE PIDS BEGUN STEPS code
    SIZE="experiment=training_dynamics trainer.epochs=1000 data.corpus.train=2000 data.corpus.valid=100"
    test -z "$QUICK" || SIZE="experiment=smoke"
    PIDS=""
    BEGUN=$SECONDS
    for loss in whitened_kmeans mask_inference; do
        for percentile in 10 100; do
            # shellcheck disable=SC2086 # SIZE is several words
            OMP_NUM_THREADS=1 timeout -s TERM -k 20 "$(($(left) > 45 ? $(left) - 30 : 15))" \
                "$PYTHON" train.py $SIZE "loss=$loss" "percentile=$percentile" "trainer.device=$DEVICE" \
                trainer.progress=false "data.root=$WORK/corpora" "data.store=$WORK/store" "runs=$WORK/runs" \
                >"$OUT/train-$loss-p$percentile.log" 2>&1 &
            PIDS="$PIDS $!"
        done
    done
    for pid in $PIDS; do
        code=0
        wait "$pid" || code=$?
        case $code in 0 | 124 | 143) ;; *) FAILED="$FAILED train($code)" ;; esac
    done
    (cd "$WORK" && find runs \( -name '*.csv' -o -name 'config.yaml' -o -name 'provenance.json' \) -print0 |
        tar -cf - --null -T -) | tar -xf - -C "$OUT"
    STEPS=$(find "$OUT/runs" -name dynamics.csv -exec wc -l {} + | awk '$2 != "total" { n++; s += $1 - 1 } END { print n + 0 " runs, " s + 0 " rows" }')
    echo "dynamics: $STEPS after $((SECONDS - BEGUN)) s"
    test "${STEPS%% *}" -eq 4 || FAILED="$FAILED dynamics"
    part figures "$(left)" "$PYTHON" scripts/draw_figures.py "runs=$OUT/runs" "output=$OUT/figures"
}
wanted dynamics && dynamics

echo "$SECONDS s in all; results in $OUT"
test -z "$FAILED" || { echo "failed:$FAILED" >&2 && exit 1; }
