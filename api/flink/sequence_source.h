#pragma once

/// Sources without outside input: a range of numbers, and a list of elements in the program.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "flink/source.h"

namespace flink {

/// The numbers from `from` to `to`, both inclusive, in as many splits as the source has subtasks at
/// its first start. Splits have Apache Flink's form (NumberSequenceSource).
class NumberSequenceSource {
 public:
  using Record = int64_t;
  struct Split {
    std::string id;
    int64_t next = 0;
    int64_t last = -1;
  };
  static constexpr int32_t kSplitVersion = 1;
  static constexpr int32_t kEnumeratorVersion = 1;

  NumberSequenceSource(int64_t from, int64_t to, SourceOptions options = {})
      : from_(from), to_(to), options_(options) {}

  static void WriteSplit(BufferWriter& out, const Split& split) {
    internal::PutUtf(out, split.id);
    out.Put<int64_t>(split.next);
    out.Put<int64_t>(split.last);
  }
  static Split ReadSplit(BufferReader& in, int32_t version) {
    if (version != kSplitVersion) {
      throw DecodeError("a number sequence split has version " + std::to_string(version) +
                        ", which this build does not know");
    }
    Split split;
    split.id = in.GetBytes(in.Get<uint16_t>());
    split.next = in.Get<int64_t>();
    split.last = in.Get<int64_t>();
    return split;
  }

  std::vector<Split> MakeSplits(int parallelism) const {
    std::vector<Split> splits;
    if (from_ > to_) return splits;
    // The range may hold 2^64 numbers; so one number less is counted.
    const uint64_t span = static_cast<uint64_t>(to_) - static_cast<uint64_t>(from_);
    const auto parts = static_cast<uint64_t>(parallelism);
    const uint64_t base = span / parts + (span % parts == parts - 1 ? 1 : 0);
    const uint64_t longer = span % parts == parts - 1 ? 0 : span % parts + 1;
    uint64_t next = static_cast<uint64_t>(from_);
    for (uint64_t i = 0; i < parts; ++i) {
      const uint64_t size = base + (i < longer ? 1 : 0);
      if (size == 0) break;
      splits.push_back({std::to_string(i + 1), static_cast<int64_t>(next),
                        static_cast<int64_t>(next + size - 1)});
      next += size;
    }
    return splits;
  }

  class Reader {
   public:
    explicit Reader(const NumberSequenceSource&) {}
    void Open(const Split& split) {
      split_ = split;
      done_ = split.next > split.last;
    }
    bool Read(Batch<int64_t>& out, size_t limit) {
      if (done_) return false;
      const uint64_t left = static_cast<uint64_t>(split_.last) - static_cast<uint64_t>(split_.next);
      const size_t n = left < limit ? static_cast<size_t>(left) + 1 : limit;
      const size_t begin = out.records.size();
      out.records.resize(begin + n);
      int64_t* const at = out.records.data() + begin;
      const int64_t next = split_.next;
      for (size_t i = 0; i < n; ++i) at[i] = next + static_cast<int64_t>(i);
      done_ = left < n;
      // Past the largest number there is no next one.
      if (!done_) split_.next = next + static_cast<int64_t>(n);
      return !done_;
    }
    Split Position() const { return split_; }

   private:
    Split split_;
    bool done_ = true;
  };

  double rate() const { return options_.records_per_second; }

 private:
  int64_t from_;
  int64_t to_;
  SourceOptions options_;
};

/// A list of elements that the program holds; one subtask reads it.
template <class T>
class ElementsSource {
 public:
  using Record = T;
  struct Split {
    int64_t next = 0;
  };
  static constexpr int32_t kSplitVersion = 1;
  static constexpr int32_t kEnumeratorVersion = 1;

  explicit ElementsSource(std::vector<T> elements)
      : elements_(std::make_shared<const std::vector<T>>(std::move(elements))) {}

  static void WriteSplit(BufferWriter& out, const Split& split) { out.Put<int64_t>(split.next); }
  static Split ReadSplit(BufferReader& in, int32_t /*version*/) { return {in.Get<int64_t>()}; }
  std::vector<Split> MakeSplits(int /*parallelism*/) const { return {Split{}}; }

  class Reader {
   public:
    explicit Reader(const ElementsSource& source) : elements_(source.elements_) {}
    void Open(const Split& split) { next_ = static_cast<size_t>(split.next); }
    bool Read(Batch<T>& out, size_t limit) {
      for (; limit != 0 && next_ < elements_->size(); --limit)
        out.records.push_back((*elements_)[next_++]);
      return next_ < elements_->size();
    }
    Split Position() const { return {static_cast<int64_t>(next_)}; }

   private:
    std::shared_ptr<const std::vector<T>> elements_;
    size_t next_ = 0;
  };

  double rate() const { return 0; }

 private:
  std::shared_ptr<const std::vector<T>> elements_;
};

}  // namespace flink
