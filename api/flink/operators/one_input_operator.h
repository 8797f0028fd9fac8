#pragma once

/// What the operators with one input and one output have in common.

#include "flink/operator.h"

namespace flink {

/// Forwards watermarks, idleness and the end of input. Derived classes process records, and
/// override the hooks.
template <class In, class Out>
class OneInputOperator : public Operator, public InputPort {
 public:
  int input_count() const final { return 1; }
  InputPort* input(int /*index*/) final { return this; }
  OutputBase* output() final { return &output_; }

  void ProcessBatch(BatchBase& batch) final { ProcessRecords(static_cast<Batch<In>&>(batch)); }
  void ProcessWatermark(int64_t watermark_ms) final { OnWatermark(watermark_ms); }
  void ProcessIdle(bool idle) final { output_.EmitIdle(idle); }
  void EndOfInput() final {
    OnEndOfInput();
    output_.EmitEndOfInput();
  }
  void Flush() final { output_.Flush(); }

 protected:
  virtual void ProcessRecords(Batch<In>& batch) = 0;
  virtual void OnWatermark(int64_t watermark_ms) { output_.EmitWatermark(watermark_ms); }
  /// May still emit records.
  virtual void OnEndOfInput() {}

  Output<Out> output_;
};

}  // namespace flink
