#pragma once

/// Zipf-distributed numbers after Gray et al., "Quickly generating billion-record synthetic
/// databases" (SIGMOD 1994).

#include <cmath>
#include <cstdint>

namespace flink::benchmarks {

/// A bijection on 64-bit numbers that looks random (the finalizer of SplitMix64).
inline uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

/// Maps uniform numbers to ranks 0..items-1, rank 0 the most frequent.
class Zipf {
 public:
  Zipf(uint64_t items, double theta) : items_(items), theta_(theta) {
    double zeta = 0;
    for (uint64_t i = 1; i <= items; ++i) zeta += std::pow(1.0 / static_cast<double>(i), theta);
    zeta_ = zeta;
    alpha_ = 1.0 / (1.0 - theta);
    const double zeta2 = 1.0 + std::pow(0.5, theta);
    eta_ = (1.0 - std::pow(2.0 / static_cast<double>(items), 1.0 - theta)) / (1.0 - zeta2 / zeta);
  }
  uint64_t operator()(uint64_t random) const {
    const double u = static_cast<double>(random >> 11) * 0x1.0p-53;
    const double uz = u * zeta_;
    if (uz < 1.0) return 0;
    if (uz < 1.0 + std::pow(0.5, theta_)) return 1;
    const auto rank = static_cast<uint64_t>(static_cast<double>(items_) *
                                            std::pow(eta_ * u - eta_ + 1.0, alpha_));
    return rank < items_ ? rank : items_ - 1;
  }

 private:
  uint64_t items_;
  double theta_;
  double zeta_ = 0;
  double alpha_ = 0;
  double eta_ = 0;
};

/// The key of the i-th record of a benchmark; ranks are scattered so that neighbours in rank are
/// none in the key space.
inline int64_t UniformKey(uint64_t i, uint64_t keys) { return static_cast<int64_t>(Mix(i) % keys); }
inline int64_t ZipfKey(uint64_t i, uint64_t keys, const Zipf& zipf) {
  return static_cast<int64_t>(Mix(zipf(Mix(i)) ^ 0x5bd1e995) % keys);
}

}  // namespace flink::benchmarks
