// What the keyed benchmarks must have added up, computed with a plain array.
//
//   expected_sum RECORDS KEYS uniform|zipf [preload]
//   expected_sum VALUE_BYTES KEYS state              (the words of all values behind the counters)

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "benchmarks/state_value.h"
#include "benchmarks/zipf.h"

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const uint64_t records = std::strtoull(argv[1], nullptr, 10);
  const uint64_t keys = std::strtoull(argv[2], nullptr, 10);
  if (std::strcmp(argv[3], "state") == 0) {
    std::string value;
    uint64_t sum = 0;
    for (uint64_t key = 0; key < keys; ++key) {
      flink::benchmarks::FillStateValue(key, records, value);
      sum += flink::benchmarks::FillSum(value);
    }
    std::printf("%llu\n", static_cast<unsigned long long>(sum));
    return 0;
  }
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
