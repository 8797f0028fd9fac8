#pragma once

/// Sinks. A sink is a copyable class:
///
///     class MySink {
///      public:
///       using Record = std::string;
///       std::unique_ptr<Operator> MakeOperator() const;   // one per subtask; input 0 takes
///       Batch<Record> std::string Name() const;                         // unless the job names it
///       static constexpr bool kStateful = true;           // optional: it writes list states
///       std::unique_ptr<Operator> MakeCommitter() const;  // optional: see below
///     };
///
/// A sink that publishes what it wrote only when a checkpoint has completed is two operators, as in
/// Flink: the writer (MakeOperator, a CommittingSinkOperator) hands what it has finished, its
/// committables, to the committer (MakeCommitter, a SinkOperator of committables), which keeps them
/// in its state and publishes them. Both run in one task: settings of the sink hold for both, and
/// the committer's uid is "Sink Committer: " and the sink's.

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "flink/internal/to_text.h"
#include "flink/operator.h"

namespace flink {

/// The base of sink operators: one input, no output. Records of one input arrive in order.
template <class T>
class SinkOperator : public Operator, public InputPort {
 public:
  int input_count() const final { return 1; }
  InputPort* input(int /*index*/) final { return this; }
  void ProcessBatch(BatchBase& batch) final { Write(static_cast<Batch<T>&>(batch)); }
  void ProcessWatermark(int64_t /*watermark_ms*/) final {}
  void ProcessIdle(bool /*idle*/) final {}
  void EndOfInput() final {
    Finish();
    if (OutputBase* committables = output()) committables->EmitEndOfInput();
  }
  void Flush() override {}

 protected:
  /// May change the batch and move records out.
  virtual void Write(Batch<T>& batch) = 0;
  /// No more records will come. Checkpoints may still follow.
  virtual void Finish() {}
};

/// The base of writers in front of a committer. What is emitted in PrepareSnapshot reaches the
/// committer before it takes its snapshot of the same checkpoint, and what is emitted in Finish
/// before its input ends.
template <class T, class Committable>
class CommittingSinkOperator : public SinkOperator<T> {
 public:
  OutputBase* output() final { return &committables_; }

 protected:
  void Emit(Committable committable) { committables_.Collect(std::move(committable)); }

 private:
  Output<Committable> committables_;
};

/// Takes all records and does nothing.
template <class T>
class DiscardingSink {
 public:
  using Record = T;
  std::unique_ptr<Operator> MakeOperator() const { return std::make_unique<Discard>(); }
  std::string Name() const { return "Sink: Discard"; }

 private:
  class Discard final : public SinkOperator<T> {
    void Write(Batch<T>& batch) override { batch.Clear(); }
  };
};

/// Prints each record as a line on the standard output of the process that runs the subtask; "2> "
/// stands in front of it when there are several subtasks. For a look while developing: after a
/// failure lines appear again.
template <class T>
class PrintSink {
 public:
  using Record = T;
  std::unique_ptr<Operator> MakeOperator() const { return std::make_unique<Printer>(); }
  std::string Name() const { return "Sink: Print to Std. Out"; }

 private:
  class Printer final : public SinkOperator<T> {
    void Open(OperatorContext& context) override {
      if (context.parallelism() > 1) prefix_ = std::to_string(context.subtask_index() + 1) + "> ";
    }
    void Write(Batch<T>& batch) override {
      text_.clear();
      for (const T& record : batch.records) {
        text_ += prefix_;
        internal::AppendText(text_, record);
        text_ += '\n';
      }
      std::fwrite(text_.data(), 1, text_.size(), stdout);
      std::fflush(stdout);
    }
    std::string prefix_;
    std::string text_;
  };
};

}  // namespace flink
