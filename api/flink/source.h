#pragma once

// clang-format off
/// Sources that are divided into splits. A coordinator (one per job) makes the splits and hands
/// them out to reader subtasks as they ask; a snapshot holds the splits that are not handed out,
/// and of every split being read the position.
///
/// A source is a copyable class:
///
///     class MySource {
///      public:
///       using Record = std::string;
///       using Split = MySplit;                          // copyable, default-constructible
///       static constexpr int32_t kSplitVersion = 1;     // of the form that WriteSplit writes
///       static constexpr int32_t kEnumeratorVersion = 1;
///       static void WriteSplit(BufferWriter& out, const Split& split);
///       static Split ReadSplit(BufferReader& in, int32_t version);
///       std::vector<Split> MakeSplits(int parallelism) const;  // once, at a fresh start of the job
///
///       class Reader {                                  // one per subtask
///        public:
///         explicit Reader(const MySource& source);
///         void Open(const Split& split);                // starts a split or goes on with it
///         bool Read(Batch<Record>& out, size_t limit);  // appends up to `limit`, also none;
///                                                       // false: the split is done
///         Split Position() const;                       // what is left of the open split
///       };
///
///       double rate() const;                            // records/s per subtask; 0: unlimited
///     };
///
/// It may have more:
///
///       // An order that a subtask keeps, also after a restore has mixed the splits.
///       static bool ReadBefore(const Split& a, const Split& b);
///       // The form of the splits that are not handed out; otherwise an i32 count and the splits.
///       static void WriteEnumerator(BufferWriter& out, const std::deque<Split>& splits);
///       static std::deque<Split> ReadEnumerator(BufferReader& in);
///
/// Records are read again exactly from Position() on: Read must be repeatable. Methods may throw,
/// the static ones that read a DecodeError; the message should name the input and what to do.
// clang-format on

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flink/operator.h"
#include "flink/type_serializer.h"

namespace flink {

/// How fast a source goes.
struct SourceOptions {
  /// Per subtask; 0: as fast as the job takes records.
  double records_per_second = 0;
};

namespace internal {

/// Lets `rate` records per second through, in steps of at most 10 ms; what was not used is kept for
/// one second.
class RateLimiter {
 public:
  explicit RateLimiter(double rate) : rate_(rate) {}

  /// How many records may go now, at most `wanted`.
  size_t Take(size_t wanted, int64_t now_ms) {
    if (rate_ <= 0) return wanted;
    if (last_ms_ == 0 || now_ms < last_ms_) last_ms_ = now_ms;
    tokens_ = std::min(tokens_ + rate_ * static_cast<double>(now_ms - last_ms_) / 1000,
                       std::max(rate_, 1.0));
    last_ms_ = now_ms;
    if (tokens_ < 1) return 0;
    return std::min(wanted, static_cast<size_t>(tokens_));
  }
  void Used(size_t n) { tokens_ -= rate_ > 0 ? static_cast<double>(n) : 0; }
  /// When to ask again after Take gave nothing.
  int64_t NextMs() const {
    const double wanted = std::max(1.0, rate_ / 100);
    return last_ms_ + 1 + static_cast<int64_t>((wanted - tokens_) * 1000 / rate_);
  }

 private:
  double rate_;
  double tokens_ = 0;
  int64_t last_ms_ = 0;
};

// What readers and coordinators send each other: one letter, then its data.
inline constexpr char kRequestSplit = 'R';
inline constexpr char kAssignSplit = 'S';
inline constexpr char kNoMoreSplits = 'E';

/// i32 version, i32 length, split.
template <class Source>
std::string EncodeSplit(const typename Source::Split& split) {
  BufferWriter body;
  Source::WriteSplit(body, split);
  BufferWriter out;
  out.Put<int32_t>(Source::kSplitVersion);
  out.Put<int32_t>(static_cast<int32_t>(body.size()));
  out.PutBytes(body.view());
  return out.TakeString();
}
template <class Source>
typename Source::Split DecodeSplit(std::string_view bytes) {
  BufferReader in(bytes);
  const int32_t version = in.Get<int32_t>();
  const int32_t length = in.Get<int32_t>();
  if (length < 0) throw DecodeError("a source split has a negative length");
  BufferReader body(in.GetBytes(static_cast<size_t>(length)));
  return Source::ReadSplit(body, version);
}
}  // namespace internal

/// Reads splits. Its list state "SourceReaderState" has one element per split that it has not
/// finished.
template <class Source>
class SplitSourceOperator final : public SourceOperator {
  using Record = typename Source::Record;
  using Split = typename Source::Split;

 public:
  explicit SplitSourceOperator(const Source& source) : source_(source), limiter_(source.rate()) {}

  OutputBase* output() override { return &output_; }

  void Open(OperatorContext& context) override {
    context_ = &context;
    for (const std::string& element : context.RestoredListState(kStateName)) {
      BufferReader in(element);
      Bytes bytes;
      TypeSerializer<Bytes>::Read(in, bytes);
      splits_.push_back(internal::DecodeSplit<Source>(bytes.data));
    }
    if constexpr (requires(const Split& s) { Source::ReadBefore(s, s); }) {
      std::stable_sort(splits_.begin(), splits_.end(), &Source::ReadBefore);
    }
    reader_.emplace(source_);
  }

  SourceStatus Produce() override {
    if (!reading_ && !OpenNextSplit())
      return no_more_ ? SourceStatus::kEnd : SourceStatus::kWaiting;
    size_t limit = kBatchCapacity;
    if (source_.rate() > 0) {
      limit = limiter_.Take(limit, context_->time_service().NowMs());
      if (limit == 0) {
        WakeUpAt(limiter_.NextMs());
        return SourceStatus::kWaiting;
      }
    }
    batch_.records.reserve(kBatchCapacity);
    reading_ = reader_->Read(batch_, limit);
    limiter_.Used(batch_.records.size());
    output_.EmitBatch(batch_);
    batch_.Clear();
    return SourceStatus::kMore;
  }

  void HandleCoordinatorEvent(std::string_view payload) override {
    requested_ = false;
    if (payload.empty() || payload[0] == internal::kNoMoreSplits) {
      no_more_ = true;
      return;
    }
    splits_.push_back(internal::DecodeSplit<Source>(payload.substr(1)));
  }

  void SnapshotState(SnapshotContext& context) override {
    OperatorListState state;
    state.name = kStateName;
    state.element_serializer_snapshot = TypeSerializer<Bytes>::Snapshot();
    if (reading_) Append(state, reader_->Position());
    for (const Split& s : splits_) Append(state, s);
    context.list_states.push_back(std::move(state));
  }

  void Close() override { reader_.reset(); }

 private:
  static constexpr char kStateName[] = "SourceReaderState";

  static void Append(OperatorListState& state, const Split& split) {
    BufferWriter out;
    TypeSerializer<Bytes>::Write(out, Bytes{internal::EncodeSplit<Source>(split)});
    state.elements.push_back(out.TakeString());
  }

  bool OpenNextSplit() {
    if (splits_.empty()) {
      if (!no_more_ && !requested_) {
        requested_ = true;
        context_->SendToCoordinator(std::string(1, internal::kRequestSplit));
      }
      return false;
    }
    reader_->Open(splits_.front());
    splits_.pop_front();
    reading_ = true;
    return true;
  }

  /// The task asks again after any timer; one wake-up at a time is enough.
  void WakeUpAt(int64_t time_ms) {
    if (wake_up_pending_) return;
    wake_up_pending_ = true;
    std::weak_ptr<int> alive = alive_;
    context_->time_service().RegisterTimer(time_ms, [this, alive] {
      if (!alive.expired()) wake_up_pending_ = false;
    });
  }

  const Source source_;
  internal::RateLimiter limiter_;
  OperatorContext* context_ = nullptr;
  Output<Record> output_;
  Batch<Record> batch_;
  std::deque<Split> splits_;  // Waiting.
  std::optional<typename Source::Reader> reader_;
  bool reading_ = false;
  bool requested_ = false;
  bool no_more_ = false;
  bool wake_up_pending_ = false;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

/// Hands splits out, one per request. Its snapshot holds those that are left.
template <class Source>
class SplitSourceCoordinator final : public SourceCoordinator {
  using Split = typename Source::Split;

 public:
  explicit SplitSourceCoordinator(const Source& source) : source_(source) {}

  void Start(Context& context, bool restored, std::string_view state) override {
    context_ = &context;
    if (restored && !state.empty()) {
      Restore(state);
      return;
    }
    const std::vector<Split> splits = source_.MakeSplits(context.parallelism());
    splits_.assign(splits.begin(), splits.end());
  }

  void HandleEvent(int subtask, std::string_view payload) override {
    if (payload.empty() || payload[0] != internal::kRequestSplit) return;
    if (splits_.empty()) {
      context_->SendToReader(subtask, std::string(1, internal::kNoMoreSplits));
      return;
    }
    context_->SendToReader(subtask,
                           internal::kAssignSplit + internal::EncodeSplit<Source>(splits_.front()));
    splits_.pop_front();
  }

  std::string Snapshot(int64_t /*checkpoint_id*/) override {
    BufferWriter body;
    if constexpr (requires { Source::WriteEnumerator(body, splits_); }) {
      Source::WriteEnumerator(body, splits_);
    } else {
      body.Put<int32_t>(static_cast<int32_t>(splits_.size()));
      for (const Split& s : splits_) Source::WriteSplit(body, s);
    }
    BufferWriter out;
    out.Put<int32_t>(kFrameVersion);
    out.Put<int32_t>(Source::kEnumeratorVersion);
    out.Put<int32_t>(static_cast<int32_t>(body.size()));
    out.PutBytes(body.view());
    return out.TakeString();
  }

 private:
  static constexpr int32_t kFrameVersion = 1;

  void Restore(std::string_view state) {
    BufferReader in(state);
    const int32_t frame = in.Get<int32_t>();
    const int32_t version = in.Get<int32_t>();
    const int32_t length = in.Get<int32_t>();
    if (frame != kFrameVersion || version != Source::kEnumeratorVersion || length < 0) {
      throw DecodeError("the snapshot's source coordinator has version " + std::to_string(frame) +
                        "." + std::to_string(version) + ", which this build does not know");
    }
    BufferReader body(in.GetBytes(static_cast<size_t>(length)));
    if constexpr (requires { Source::ReadEnumerator(body); }) {
      splits_ = Source::ReadEnumerator(body);
    } else {
      const int32_t n = body.Get<int32_t>();
      for (int32_t i = 0; i < n; ++i)
        splits_.push_back(Source::ReadSplit(body, Source::kSplitVersion));
    }
  }

  const Source source_;
  Context* context_ = nullptr;
  std::deque<Split> splits_;
};

}  // namespace flink
