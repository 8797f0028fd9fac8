#pragma once

/// ValueState: one value per key, as a user function sees it.

#include <memory>
#include <string>
#include <utility>

#include "flink/state/key_context.h"
#include "flink/state/value_table.h"

namespace flink {

namespace internal {

/// Reaches the value of the current key without knowing the key's type.
template <class V>
class ValueAccessor {
 public:
  virtual ~ValueAccessor() = default;
  virtual V* Find() = 0;
  virtual V& Upsert() = 0;
  virtual void Erase() = 0;
};

template <class K, class V>
class TableValueAccessor final : public ValueAccessor<V> {
 public:
  TableValueAccessor(ValueTable<K, V>* table, const KeyContext<K>* context)
      : table_(table), context_(context) {}
  V* Find() override { return table_->Find(*context_->key, context_->hash); }
  V& Upsert() override { return table_->Upsert(*context_->key, context_->hash); }
  void Erase() override { table_->Erase(*context_->key, context_->hash); }

 private:
  ValueTable<K, V>* table_;
  const KeyContext<K>* context_;
};

}  // namespace internal

/// A copyable handle; all copies mean the same state. Usable while a key is being processed, on the
/// task's thread. References and pointers it returns are valid until the next call to any state or
/// the timers of the operator, or the end of processing of this record.
template <class V>
class ValueState {
 public:
  ValueState() = default;
  explicit ValueState(std::shared_ptr<internal::ValueAccessor<V>> accessor)
      : accessor_(std::move(accessor)) {}

  /// The value of the current key; nullptr when there is none.
  const V* Get() const { return accessor_->Find(); }
  /// The value of the current key, or `otherwise`.
  V Value(V otherwise = V{}) const {
    const V* v = accessor_->Find();
    return v == nullptr ? std::move(otherwise) : *v;
  }
  void Update(V value) { accessor_->Upsert() = std::move(value); }
  /// The value to change in place; V{} when there was none.
  V& Mutable() { return accessor_->Upsert(); }
  void Clear() { accessor_->Erase(); }

 private:
  std::shared_ptr<internal::ValueAccessor<V>> accessor_;
};

/// `table` and `context` must outlive all copies of the handle.
template <class K, class V>
ValueState<V> MakeValueState(ValueTable<K, V>* table, const KeyContext<K>* context) {
  return ValueState<V>(std::make_shared<internal::TableValueAccessor<K, V>>(table, context));
}

}  // namespace flink
