#!/bin/bash
# generate.sh [RELEASE…]: lets releases of Apache Flink (as 1.8.3; default: all) write the savepoints of GoldenJob into
# ../<minor release>.tgz. See README.md.
#
# Works in $GOLDEN_DIR (default /srv/golden), whose path gets into the savepoints. Needs mvn, a JDK 17, and root.
set -euo pipefail
here=$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
base=${GOLDEN_DIR:-/srv/golden}
out=${GOLDEN_OUTPUT:-$here/..}
releases=("$@")
((${#releases[@]} > 0)) || releases=(1.8.3 1.9.3 1.10.2 1.11.6 1.12.7 1.13.6 1.14.6 1.15.4 1.16.3 1.17.2 1.18.1 1.19.3
  1.20.3 2.0.1 2.1.1)

# The jars of a release and the program, compiled against them.
prepare() { # release number lib
  local release=$1 number=$2 lib=$3 suffix= java=8 # Until 1.14 the modules have a suffix of Scala.
  ((number > 114)) || suffix=_2.12
  local modules=("flink-clients$suffix" "flink-statebackend-rocksdb$suffix")
  ((number >= 200)) || modules+=("flink-streaming-java$suffix")
  mkdir -p "$lib/src" "$lib/classes"
  if [ ! -d "$lib/jars" ]; then
    {
      echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
      echo '<groupId>golden</groupId><artifactId>golden</artifactId><version>1</version>'
      echo '<packaging>pom</packaging><dependencies>'
      for module in "${modules[@]}"; do
        echo "<dependency><groupId>org.apache.flink</groupId><artifactId>$module</artifactId>"
        echo "<version>$release</version></dependency>"
      done
      echo '<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId>'
      echo '<version>1.7.36</version></dependency></dependencies></project>'
    } >"$lib/pom.xml"
    (cd "$lib" && mvn -q -B dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=jars)
  fi
  cp "$here/GoldenJob.java" "$lib/src"
  ((number < 112)) || cp "$here/Sequence.java" "$lib/src"
  if ((number >= 200)); then
    java=17
    sed -i 's/functions\.source\.RichParallel/functions.source.legacy.RichParallel/' "$lib/src/GoldenJob.java"
  fi
  javac -nowarn -Xlint:-options --release $java -cp "$lib/jars/*" -d "$lib/classes" "$lib"/src/*.java
}

opens=(--add-exports=java.base/sun.net.util=ALL-UNNAMED --add-opens=java.base/sun.nio.ch=ALL-UNNAMED)
for package in lang lang.reflect net io nio text time util util.concurrent util.concurrent.atomic; do
  opens+=("--add-opens=java.base/java.$package=ALL-UNNAMED")
done

savepoint() { # target lib backend format threshold [snappy]
  local work=$base/run target=$1 lib=$2
  shift 2
  rm -rf "$work" "$target"
  mkdir -p "$work/target" "$work/tmp" "$target"
  # RocksDB writes the name of the host into its files, Akka wants to resolve it.
  # shellcheck disable=SC2016
  unshare --uts bash -c 'hostname localhost; exec "$@"' as-localhost env -C "$work" java -Xmx1g "${opens[@]}" \
    -Dorg.slf4j.simpleLogger.defaultLogLevel=off -Duser.home="$work" \
    -cp "$lib/classes:$lib/jars/*" golden.GoldenJob "$1" "$2" "$3" "$work" "${4:-plain}"
  cp "$work"/target/savepoint-*/* "$target"
}

for release in "${releases[@]}"; do
  minor=$(cut -d. -f1,2 <<<"$release")
  number=$((${minor%.*} * 100 + ${minor#*.}))
  lib=$base/lib/$minor
  prepare "$release" $number "$lib"
  # Before 1.11 metadata names files by their whole path: everything has to stand in it.
  inline=1048576 files=1 heap=hashmap
  ((number > 110)) || files=$inline
  ((number > 112)) || heap=filesystem
  target=$base/out/$minor
  rm -rf "$target"
  savepoint "$target/heap" "$lib" $heap canonical $files
  savepoint "$target/heap-snappy" "$lib" $heap canonical $inline snappy
  savepoint "$target/rocksdb" "$lib" rocksdb canonical $inline
  savepoint "$target/rocksdb-snappy" "$lib" rocksdb canonical $inline snappy
  if ((number >= 115)); then
    savepoint "$target/heap-native" "$lib" $heap native $inline
    savepoint "$target/heap-native-snappy" "$lib" $heap native $inline snappy
    savepoint "$target/rocksdb-native" "$lib" rocksdb native $inline
  fi
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$target" -c . | gzip -9n >"$out/$minor.tgz"
done
