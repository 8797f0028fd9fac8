#pragma once

/// How many rows the states of a snapshot have that is made of RocksDB files, ours or Flink's.

#include <string>

#include "common/base/status.h"

namespace flink::taskmanager {

/// JSON: per operator id the states with entries and bytes of keys and values, or why they cannot
/// be read: {"<32 hex>":{"states":{"<name>":[<entries>,<bytes>],…},"error":"…"},…}. Operators
/// without RocksDB files are left out. Reads every row; changes nothing.
StatusOr<std::string> CountNativeState(const std::string& pointer);

}  // namespace flink::taskmanager
