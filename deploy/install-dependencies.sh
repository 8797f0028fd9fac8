#!/usr/bin/env bash
# Installs the Debian 12 packages that building and testing need and that are missing, and those named as arguments. Asks
# apt only when one is; needs root or sudo only then.
set -euo pipefail

packages=(
  # Tools.
  build-essential g++ cmake ninja-build ccache mold pkg-config python3
  # Control plane.
  libgrpc++-dev protobuf-compiler-grpc protobuf-compiler libprotobuf-dev libabsl-dev
  # REST.
  libcpp-httplib-dev libssl-dev zlib1g-dev nlohmann-json3-dev
  # State, records, configuration, logging.
  librocksdb-dev libasio-dev libxxhash-dev libmurmurhash-dev libyaml-cpp-dev libspdlog-dev libfmt-dev
  # Tests and benchmarks.
  libgtest-dev libgmock-dev libbenchmark-dev
  "$@"
)

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2> /dev/null || true)
  [[ $status == installed ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  exit 0
fi

as_root=()
if ((EUID != 0)); then
  if ! command -v sudo > /dev/null; then
    echo "These packages are missing and installing them needs root or sudo: ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "Installing ${#missing[@]} Debian packages: ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
