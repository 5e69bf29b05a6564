#!/usr/bin/env bash
# Trains a shipped model anew, from the public data to a scored ONNX file:
#
#     recipes/train.sh fetalseg-s data run
#
# data/ holds hc18/ and nt/, as `fetalseg data import hc18` and `fetalseg data import fetus-framework` write them.
# Needs the extras cpu, eval and train. A run that was stopped goes on where it stood.
set -euo pipefail
variant=${1:?which model: fetalseg-s or fetalseg-m}
data=${2:?folder with hc18/ and nt/}
run=${3:?folder of the run}

case $variant in
fetalseg-s) recipe=(--steps 4000 --init "$run/synthetic/$variant.safetensors") ;;
fetalseg-m) recipe=(--steps 1200 --lr 5e-4 --init "$(dirname "$0")/../models/fetalseg-s.safetensors") ;;
*) echo "no recipe for $variant; there are fetalseg-s and fetalseg-m" >&2 && exit 2 ;;
esac

# Nothing is chosen on the held-out tenth of each set: the weights are those of the end of a run.
train() {
  local out=$1 resume=()
  [ -e "$out/$variant.safetensors" ] && return
  [ -e "$out/state.safetensors" ] && resume=(--resume)
  fetalseg train --variant "$variant" --out "$out" --seed 0 --ship last "${@:2}" "${resume[@]}" \
    --postprocess nms=greedy --postprocess box_voting=0.7
}

[ -e "$data/phantom/instances.json" ] || fetalseg phantom --out "$data/phantom" --frames 4500 --seed 1
if [ "$variant" = fetalseg-s ]; then
  # Synthetic frames alone come first: what this network finds in real frames says how real they are.
  train "$run/synthetic" --steps 1800 --data "$data/phantom" --licence Apache-2.0
fi
train "$run" "${recipe[@]}" --data "$data/hc18:0.2" --data "$data/nt:0.4" --data "$data/phantom:0.4" \
  --licence "Apache-2.0, trained on data under CC BY 4.0" \
  --attribution "HC18: van den Heuvel et al., PLoS ONE 2018;13(8):e0200412, CC BY 4.0" \
  --attribution "Dataset for Fetus Framework: Cui, Dong 2022; Lin et al., CMPB 2022;226:107170, CC BY 4.0"
fetalseg export "$run/$variant.safetensors" --out "$run/$variant.onnx"
for set in hc18 nt phantom; do
  fetalseg eval --data "$run/holdout/$set" --model "$run/$variant.onnx" --out "$run/eval-$set"
done
