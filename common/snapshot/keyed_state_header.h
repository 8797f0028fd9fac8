#pragma once

/// The head of a keyed-state stream (and of its RocksDB meta file): key type and the registered
/// states.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/snapshot/java_data.h"

namespace flink::snapshot {

enum class StateKind : int32_t {
  kKeyValue = 0,
  kOperator = 1,
  kBroadcast = 2,
  kPriorityQueue = 3,
  kKeyValueV2 = 4,
};

/// Option and serializer keys of StateMetaInfo.
inline constexpr std::string_view kKeyedStateTypeOption = "KEYED_STATE_TYPE";
inline constexpr std::string_view kDistributionModeOption = "OPERATOR_STATE_DISTRIBUTION_MODE";
inline constexpr std::string_view kKeySerializerKey = "KEY_SERIALIZER";
inline constexpr std::string_view kValueSerializerKey = "VALUE_SERIALIZER";
inline constexpr std::string_view kNamespaceSerializerKey = "NAMESPACE_SERIALIZER";

/// One registered state. Orders are kept, because they are part of the bytes.
struct StateMetaInfo {
  std::string name;
  StateKind kind = StateKind::kKeyValue;
  std::vector<std::pair<std::string, std::string>> options;
  /// Key and versioned serializer snapshot.
  std::vector<std::pair<std::string, std::string>> serializers;

  /// "" when absent.
  std::string_view Option(std::string_view key) const;
  std::string_view Serializer(std::string_view key) const;
  bool operator==(const StateMetaInfo&) const = default;

  /// `type`: "VALUE", "LIST", "MAP", "REDUCING", "AGGREGATING".
  static StateMetaInfo KeyValue(std::string name, std::string_view type,
                                std::string namespace_serializer, std::string value_serializer);
  static StateMetaInfo PriorityQueue(std::string name, std::string timer_serializer);
};

/// The index of a state in `states` is its id in the data part.
struct KeyedStateHeader {
  /// Key groups in the data part are snappy-framed.
  bool compressed = false;
  /// Versioned snapshot of the key's serializer.
  std::string key_serializer;
  std::vector<StateMetaInfo> states;
  bool operator==(const KeyedStateHeader&) const = default;
};

StatusOr<std::string> SerializeKeyedStateHeader(const KeyedStateHeader& header);
/// `bytes` may go on after the header; `*header_size` (if not null) gets its length.
StatusOr<KeyedStateHeader> ParseKeyedStateHeader(std::string_view bytes,
                                                 size_t* header_size = nullptr);

/// For the other streams that hold meta infos.
void WriteStateMetaInfo(JavaWriter& writer, const StateMetaInfo& info);
StatusOr<StateMetaInfo> ReadStateMetaInfo(JavaReader& reader);

}  // namespace flink::snapshot
