#pragma once

/// Ids in messages: 16 bytes as they are.

#include <array>
#include <cstring>
#include <string>
#include <string_view>

#include "common/base/ids.h"
#include "common/base/status.h"

namespace flink::taskmanager {

template <class Id>
std::string ToWire(const Id& id) {
  return std::string(reinterpret_cast<const char*>(id.bytes().data()), id.bytes().size());
}
template <class Id>
StatusOr<Id> FromWire(std::string_view bytes) {
  std::array<uint8_t, 16> raw;
  if (bytes.size() != raw.size())
    return InvalidArgument("an id of {} bytes in a message", bytes.size());
  std::memcpy(raw.data(), bytes.data(), raw.size());
  return Id(raw);
}

}  // namespace flink::taskmanager
