#pragma once

/// What an operator is to the runtime. Users write functions (flink/functions.h); the stream
/// classes wrap them in operators; a task runs a chain of operators.
///
/// Threading: an operator lives on its task's thread. The runtime calls every method there, one at
/// a time. Errors: an operator may throw; the task then fails with operator name, subtask and the
/// exception's text.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "flink/batch.h"
#include "flink/key_group.h"

namespace flink {

class KeyedStateStore;

/// Receives what one logical input of an operator gets: the runtime or the previous operator of the
/// chain calls it. Exchange writers are InputPorts too, so an Output does not know whether its
/// target is chained.
class InputPort {
 public:
  virtual ~InputPort() = default;
  /// The callee may move records out and change the batch; the caller clears or destroys it
  /// afterwards.
  virtual void ProcessBatch(BatchBase& batch) = 0;
  virtual void ProcessWatermark(int64_t watermark_ms) = 0;
  /// Idle inputs do not hold the watermark back.
  virtual void ProcessIdle(bool idle) = 0;
  /// No more records will come on this input (after kMaxWatermark).
  virtual void EndOfInput() = 0;
  /// Hands on whatever was held back to fill a batch. Called before control elements, and when the
  /// task has nothing more to process.
  virtual void Flush() = 0;
};

/// Type-erased output of an operator: a list of targets.
class OutputBase {
 public:
  virtual ~OutputBase() = default;
  void AddTarget(InputPort* target) { targets_.push_back(target); }  // Not owned.
  /// Sends all buffered records on; must precede every control element.
  virtual void FlushRecords() = 0;
  void EmitWatermark(int64_t watermark_ms) {
    FlushRecords();
    for (InputPort* t : targets_) t->ProcessWatermark(watermark_ms);
  }
  void EmitIdle(bool idle) {
    FlushRecords();
    for (InputPort* t : targets_) t->ProcessIdle(idle);
  }
  void EmitEndOfInput() {
    FlushRecords();
    for (InputPort* t : targets_) t->EndOfInput();
  }
  void Flush() {
    FlushRecords();
    for (InputPort* t : targets_) t->Flush();
  }

 protected:
  std::vector<InputPort*> targets_;
};

/// Typed output with a batch under construction. The last target gets the batch itself, the others
/// a copy.
template <class T>
class Output final : public OutputBase {
 public:
  Output() { buffer_.records.reserve(kBatchCapacity); }

  void Collect(T record) {
    buffer_.records.push_back(std::move(record));
    if (buffer_.records.size() >= kBatchCapacity) [[unlikely]]
      FlushRecords();
  }
  /// All records between two flushes have a timestamp, or none has: an operator uses one form
  /// consistently.
  void Collect(T record, int64_t timestamp_ms) {
    if (timestamp_ms != kNoTimestamp) {
      if (buffer_.timestamps.size() != buffer_.records.size()) [[unlikely]]
        FlushRecords();
      buffer_.timestamps.push_back(timestamp_ms);
    } else if (!buffer_.timestamps.empty()) [[unlikely]] {
      FlushRecords();
    }
    Collect(std::move(record));
  }
  /// Passes a whole batch on (records buffered before go first). The batch may be consumed.
  void EmitBatch(Batch<T>& batch) {
    if (!buffer_.records.empty()) FlushRecords();
    Send(batch);
  }
  void FlushRecords() override {
    if (buffer_.records.empty()) return;
    Send(buffer_);
    buffer_.Clear();
    // A consumer may have moved the vector away.
    if (buffer_.records.capacity() < kBatchCapacity) buffer_.records.reserve(kBatchCapacity);
  }

 private:
  void Send(Batch<T>& batch) {
    if (batch.records.empty() || targets_.empty()) return;
    for (size_t i = 0; i + 1 < targets_.size(); ++i) {
      Batch<T> copy;
      copy.records = batch.records;
      copy.timestamps = batch.timestamps;
      targets_[i]->ProcessBatch(copy);
    }
    targets_.back()->ProcessBatch(batch);
  }
  Batch<T> buffer_;
};

/// Elements of managed operator state, by state name. Flink's list state: on restore the elements
/// of all subtasks are dealt out again (split) or given to everyone (union).
struct OperatorListState {
  std::string name;
  bool is_union = false;
  std::string
      element_serializer_snapshot;    ///< Versioned snapshot bytes (TypeSerializer<T>::Snapshot()).
  std::vector<std::string> elements;  ///< Each one serialized element.
};

/// Time service of the task. Processing time in ms since the epoch.
class ProcessingTimeService {
 public:
  virtual ~ProcessingTimeService() = default;
  virtual int64_t NowMs() const = 0;
  /// Runs `callback` on the task's thread at or after `time_ms`, unless the task has ended.
  virtual void RegisterTimer(int64_t time_ms, std::function<void()> callback) = 0;
};

/// All that an operator gets to know about where it runs. Lives as long as the operator.
class OperatorContext {
 public:
  virtual ~OperatorContext() = default;
  virtual const std::string& job_id() const = 0;  ///< 32 hex digits.
  virtual const std::string& job_name() const = 0;
  virtual int attempt() const = 0;                     ///< Of the job; grows with every restart.
  virtual const std::string& operator_id() const = 0;  ///< 32 hex digits.
  virtual const std::string& operator_name() const = 0;
  virtual int subtask_index() const = 0;
  virtual int parallelism() const = 0;
  virtual int max_parallelism() const = 0;
  virtual ProcessingTimeService& time_service() = 0;
  /// nullptr for operators that were not declared keyed.
  virtual KeyedStateStore* keyed_state() = 0;
  /// Was this attempt started from a snapshot?
  virtual bool is_restored() const = 0;
  virtual int64_t restored_checkpoint_id() const = 0;
  /// Elements restored for the list state of this name; empty when there are none.
  virtual const std::vector<std::string>& RestoredListState(const std::string& name) const = 0;
  /// Sources only: sends bytes to the source's coordinator.
  virtual void SendToCoordinator(std::string payload) = 0;
  /// A private directory on local disk; removed after the task executor has ended.
  virtual const std::string& work_directory() const = 0;
  /// Effective configuration value, or empty.
  virtual std::string ConfigurationValue(const std::string& key) const = 0;
};

/// What a snapshot is for; two-phase sinks look at it.
enum class SnapshotKind { kCheckpoint, kSavepoint, kSyncSavepoint, kFinal };

struct SnapshotContext {
  int64_t checkpoint_id = 0;
  SnapshotKind kind = SnapshotKind::kCheckpoint;
  std::vector<OperatorListState> list_states;  ///< The operator appends its own.
};

/// Life: constructed -> Open -> (process | snapshot | notify)* -> [EndOfInput on every port] -> ...
/// -> Close. After the end of input an operator still takes part in checkpoints until the job's
/// final one has completed.
class Operator {
 public:
  virtual ~Operator() = default;
  virtual int input_count() const { return 0; }
  virtual InputPort* input(int /*index*/) { return nullptr; }
  virtual OutputBase* output() { return nullptr; }

  virtual void Open(OperatorContext& /*context*/) {}
  /// Last chance to emit records before the barrier of the checkpoint.
  virtual void PrepareSnapshot(int64_t /*checkpoint_id*/) {}
  /// Appends the operator's list states; keyed state is taken by the runtime.
  virtual void SnapshotState(SnapshotContext& /*context*/) {}
  /// The checkpoint is durable and complete. Never called for intermediate savepoints.
  virtual void NotifyCheckpointComplete(int64_t /*checkpoint_id*/) {}
  virtual void NotifyCheckpointAborted(int64_t /*checkpoint_id*/) {}
  virtual void Close() {}
};

/// What a source answers when asked for records.
enum class SourceStatus {
  kMore,     ///< Records were emitted or may be at once; call again.
  kWaiting,  ///< Nothing now; the source calls OperatorContext timers or waits for a coordinator
             ///< event to wake up.
  kEnd,      ///< Bounded input is exhausted.
};

/// The head of a chain without inputs. The runtime calls Produce whenever the outputs have room.
class SourceOperator : public Operator {
 public:
  /// Emits at most about one batch.
  virtual SourceStatus Produce() = 0;
  virtual void HandleCoordinatorEvent(std::string_view /*payload*/) {}
};

/// Hands out the splits of one source. Runs in a task executor, one instance for the whole job, on
/// a mailbox thread of its own. May throw: the job then fails.
class SourceCoordinator {
 public:
  class Context {
   public:
    virtual ~Context() = default;
    virtual int parallelism() const = 0;  ///< Of the source's vertex in this attempt.
    virtual void SendToReader(int subtask, std::string payload) = 0;
  };
  virtual ~SourceCoordinator() = default;
  /// `state` is what Snapshot returned (empty and restored=false at a fresh start).
  virtual void Start(Context& context, bool restored, std::string_view state) = 0;
  virtual void HandleEvent(int subtask, std::string_view payload) = 0;
  /// The coordinator bytes of `_metadata`. Splits sent before are the readers' business.
  virtual std::string Snapshot(int64_t checkpoint_id) = 0;
};

/// Where exchange writers put finished batches. The runtime implements it over in-process queues
/// and connections.
class ChannelWriter {
 public:
  virtual ~ChannelWriter() = default;
  virtual int channel_count() const = 0;
  /// Never blocks: the task stops processing input while a channel is out of credit.
  virtual void Write(int channel, std::unique_ptr<BatchBase> batch) = 0;
};

/// Which channel gets which key group (keyed exchanges). Replaced as a whole at a barrier, never
/// changed.
struct RoutingTable {
  std::vector<int> channel_of_key_group;
};

/// The record writer of one exchange: distributes batches over channels. Control elements are the
/// runtime's business: it calls FlushBatches before it broadcasts one.
class RecordWriter {
 public:
  virtual ~RecordWriter() = default;
  virtual void WriteBatch(BatchBase& batch) = 0;
  /// Writes out all batches under construction.
  virtual void FlushBatches() = 0;
};

/// The typed knowledge about an edge of the graph.
class EdgeType {
 public:
  virtual ~EdgeType() = default;
  /// `routing` is null unless the edge is keyed; it must outlive the writer (the pointed-to table
  /// may be swapped).
  virtual std::unique_ptr<RecordWriter> MakeWriter(ChannelWriter& channels, int subtask_index,
                                                   int max_parallelism,
                                                   const RoutingTable* const* routing) const = 0;
  virtual std::unique_ptr<BatchBase> Decode(BufferReader& in) const = 0;
};

}  // namespace flink
