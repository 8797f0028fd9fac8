// What the keyed benchmarks must have added up, computed with a plain array.
//
//   expected_sum RECORDS KEYS uniform|zipf [preload]

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "benchmarks/zipf.h"

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const uint64_t records = std::strtoull(argv[1], nullptr, 10);
  const uint64_t keys = std::strtoull(argv[2], nullptr, 10);
  const bool is_zipf = std::strcmp(argv[3], "zipf") == 0;
  const flink::benchmarks::Zipf zipf(is_zipf ? keys : 2, 0.99);
  std::vector<uint64_t> sums(keys);
  uint64_t total = 0;
  if (argc > 4) {
    for (uint64_t& sum : sums) total += ++sum;
  }
  for (uint64_t i = 0; i < records; ++i) {
    const auto key = static_cast<size_t>(is_zipf ? flink::benchmarks::ZipfKey(i, keys, zipf)
                                                 : flink::benchmarks::UniformKey(i, keys));
    total += ++sums[key];
  }
  const unsigned long long counted = records + (argc > 4 ? keys : 0);
  std::printf("%llu %llu\n", counted, static_cast<unsigned long long>(total));
  return 0;
}
