// The job of the failure and backpressure tests.
//
//   --case misbehave --mode throw|segfault|exit|loop|none --after N --count C --output DIR [--rate
//   R] [--once FILE] [--slow-while FILE]
//       numbers 0..C-1 -> keyed running count of each number modulo 100 -> exactly-once files
//       "key,count"; the map in front misbehaves at its N-th record (with --once only while FILE
//       does not exist, and it makes FILE); the source gives few hundred numbers per second while
//       the file of --slow-while exists
//       (with --persistent-checkpoints DIR --checkpoint-ms N and --periodic-savepoints DIR
//       --savepoint-ms N it asks for both; the two newest savepoints are retained)
//   --case slow --count C --output DIR --bytes B --pause-us P
//       numbers as lines of B bytes -> a step that sleeps P microseconds after every 1000 records
//       -> files
//   --case backpressure --count C --output DIR --slow-step-while FILE
//       as misbehave, but the lines go through a step that sleeps half a millisecond for each one
//       while FILE exists
//   --case two-sources --count C --output DIR --rate R
//       as misbehave, but half of the numbers come at once from a source that ends then
//   --case open --message TEXT
//       throws when its operator is opened

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "flink/connector/file_sink.h"
#include "flink/data_stream.h"
#include "flink/job.h"
#include "flink/parameter_tool.h"
#include "flink/stream_execution_environment.h"

namespace {

struct KeyCount {
  std::string key;
  int32_t count = 0;
};
FLINK_FIELDS(KeyCount, key, count)

/// A sequence that trickles while a file exists, and then goes as fast as it can.
class HeldSequence {
 public:
  using Record = int64_t;
  using Split = flink::NumberSequenceSource::Split;
  static constexpr int32_t kSplitVersion = flink::NumberSequenceSource::kSplitVersion;
  static constexpr int32_t kEnumeratorVersion = flink::NumberSequenceSource::kEnumeratorVersion;

  HeldSequence(int64_t count, std::string hold) : all_(0, count - 1), hold_(std::move(hold)) {}

  static void WriteSplit(flink::BufferWriter& out, const Split& split) {
    flink::NumberSequenceSource::WriteSplit(out, split);
  }
  static Split ReadSplit(flink::BufferReader& in, int32_t version) {
    return flink::NumberSequenceSource::ReadSplit(in, version);
  }
  std::vector<Split> MakeSplits(int parallelism) const { return all_.MakeSplits(parallelism); }

  class Reader {
   public:
    explicit Reader(const HeldSequence& source) : reader_(source.all_), hold_(source.hold_) {}
    void Open(const Split& split) { reader_.Open(split); }
    bool Read(flink::Batch<int64_t>& out, size_t limit) {
      if (std::FILE* f = std::fopen(hold_.c_str(), "r")) {
        std::fclose(f);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        limit = 1;
      }
      return reader_.Read(out, limit);
    }
    Split Position() const { return reader_.Position(); }

   private:
    flink::NumberSequenceSource::Reader reader_;
    std::string hold_;
  };

  double rate() const { return 0; }

 private:
  flink::NumberSequenceSource all_;
  std::string hold_;
};

class Misbehave final : public flink::ProcessFunction<int64_t, int64_t> {
 public:
  Misbehave(std::string mode, int64_t after, std::string once)
      : mode_(std::move(mode)), after_(after), once_(std::move(once)) {}
  void ProcessElement(int64_t& number, Context&, flink::Collector<int64_t>& out) override {
    if (++seen_ == after_ && FirstTime()) Act();
    out.Collect(number);
  }

 private:
  bool FirstTime() const {
    if (once_.empty()) return true;
    if (std::FILE* f = std::fopen(once_.c_str(), "r")) {
      std::fclose(f);
      return false;
    }
    if (std::FILE* f = std::fopen(once_.c_str(), "w")) std::fclose(f);
    return true;
  }
  void Act() const {
    if (mode_ == "throw") throw std::runtime_error("thrown by the test job, as asked");
    if (mode_ == "segfault") std::raise(SIGSEGV);
    if (mode_ == "exit") std::exit(3);
    if (mode_ == "loop") {
      for (volatile bool forever = true; forever;) {
      }
    }
  }
  std::string mode_;
  int64_t after_;
  std::string once_;
  int64_t seen_ = 0;
};

class Sleepy final : public flink::ProcessFunction<std::string, std::string> {
 public:
  explicit Sleepy(int64_t pause_us) : pause_us_(pause_us) {}
  void ProcessElement(std::string& line, Context&, flink::Collector<std::string>& out) override {
    if (++seen_ % 1000 == 0) std::this_thread::sleep_for(std::chrono::microseconds(pause_us_));
    out.Collect(std::move(line));
  }

 private:
  int64_t pause_us_;
  int64_t seen_ = 0;
};

class SlowWhile final : public flink::ProcessFunction<KeyCount, KeyCount> {
 public:
  explicit SlowWhile(std::string file) : file_(std::move(file)) {}
  void ProcessElement(KeyCount& count, Context&, flink::Collector<KeyCount>& out) override {
    if (seen_++ % 100 == 0) slow_ = std::filesystem::exists(file_);
    if (slow_) std::this_thread::sleep_for(std::chrono::microseconds(500));
    out.Collect(std::move(count));
  }

 private:
  std::string file_;
  int64_t seen_ = 0;
  bool slow_ = false;
};

class ThrowInOpen final : public flink::ProcessFunction<int64_t, int64_t> {
 public:
  explicit ThrowInOpen(std::string message) : message_(std::move(message)) {}
  void Open(flink::RuntimeContext&) override { throw std::runtime_error(message_); }
  void ProcessElement(int64_t& number, Context&, flink::Collector<int64_t>& out) override {
    out.Collect(number);
  }

 private:
  std::string message_;
};

}  // namespace

FLINK_JOB(env, args) {
  const auto parameters = flink::ParameterTool::FromArgs(args);
  const std::string which = parameters.GetRequired("case");
  flink::SourceOptions options;
  options.records_per_second = parameters.GetDouble("rate", 0);
  env.SetJobName(parameters.Get("name", "Test " + which));
  if (parameters.Has("persistent-checkpoints")) {
    env.EnableCheckpointing(parameters.GetLong("checkpoint-ms", 1000));
    env.EnablePersistentCheckpoints(parameters.GetRequired("persistent-checkpoints"));
  }
  if (parameters.Has("periodic-savepoints")) {
    env.EnablePeriodicSavepoints(
        std::chrono::milliseconds(parameters.GetLong("savepoint-ms", 1000)),
        parameters.GetRequired("periodic-savepoints"));
    env.SetMaximumNumberOfRetainedPeriodicSavepoints(2);
  }
  const int64_t count = parameters.GetLong("count", 1000);
  if (which == "two-sources") {
    env.FromSequence(0, count / 2 - 1)
        .Uid("bounded")
        .Name("Bounded")
        .Union(env.FromSequence(count / 2, count - 1, options).Uid("source"))
        .Map([](int64_t i) {
          return KeyCount{std::to_string(i % 100), 1};
        })
        .KeyBy(&KeyCount::key)
        .Sum(&KeyCount::count)
        .Uid("count")
        .Map([](const KeyCount& k) { return k.key + "," + std::to_string(k.count); })
        .SinkTo(flink::TextFileSink(parameters.GetRequired("output")))
        .Uid("sink");
    return;
  }
  const std::string hold = parameters.Get("slow-while");
  auto numbers = hold.empty() ? env.FromSequence(0, count - 1, options)
                              : env.FromSource(HeldSequence(count, hold), "Held Sequence");
  numbers.Uid("source");
  if (which == "misbehave") {
    numbers
        .Process(Misbehave(parameters.Get("mode", "none"), parameters.GetLong("after", 0),
                           parameters.Get("once")))
        .Name("Misbehave")
        .Uid("misbehave")
        .Map([](int64_t i) {
          return KeyCount{std::to_string(i % 100), 1};
        })
        .KeyBy(&KeyCount::key)
        .Sum(&KeyCount::count)
        .Uid("count")
        .Map([](const KeyCount& k) { return k.key + "," + std::to_string(k.count); })
        .SinkTo(flink::TextFileSink(parameters.GetRequired("output")))
        .Uid("sink");
  } else if (which == "slow") {
    const auto bytes = static_cast<size_t>(parameters.GetLong("bytes", 100));
    numbers
        .Map([bytes](int64_t i) {
          std::string line = std::to_string(i);
          line.resize(bytes > line.size() ? bytes : line.size(), ' ');
          return line;
        })
        .Rebalance()
        .Process(Sleepy(parameters.GetLong("pause-us", 1000)))
        .Name("Sleepy")
        .SinkTo(flink::TextFileSink(parameters.GetRequired("output")))
        .Uid("sink");
  } else if (which == "backpressure") {
    numbers.Map([](int64_t i) {
             return KeyCount{std::to_string(i % 100), 1};
           })
        .KeyBy(&KeyCount::key)
        .Sum(&KeyCount::count)
        .Uid("count")
        .Rebalance()
        .Process(SlowWhile(parameters.GetRequired("slow-step-while")))
        .Name("SlowWhile")
        .Uid("slow")
        .Map([](const KeyCount& k) { return k.key + "," + std::to_string(k.count); })
        .SinkTo(flink::TextFileSink(parameters.GetRequired("output")))
        .Uid("sink");
  } else if (which == "open") {
    numbers.Process(ThrowInOpen(parameters.Get("message", "no")))
        .Name("ThrowInOpen")
        .SinkTo(flink::DiscardingSink<int64_t>());
  } else {
    throw std::invalid_argument("unknown --case " + which);
  }
}
